//! Weights in 8 bits as a training chose them, and their file.

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::kernels::input_groups;
use crate::error::{Error, Result};

/// The matrix of one map in 8 bits: w ≈ step · code / smoothing.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantisedMatrix {
    /// `[outputs, inputs]`, from -127 to 127.
    pub codes: Vec<i8>,
    /// The steps of each output's groups of inputs, `[outputs, groups]`.
    pub steps: Vec<f32>,
    /// By what each input is divided before it is rounded, so that no input is much larger than
    /// the others (Xiao et al. 2023, SmoothQuant).
    pub smoothing: Vec<f32>,
}

impl QuantisedMatrix {
    /// Columns of the result.
    pub fn outputs(&self) -> usize {
        self.steps.len() / input_groups(self.smoothing.len()).len().max(1)
    }
}

/// The matrices of an encoder's maps in 8 bits, by the names of their modules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantised(BTreeMap<String, QuantisedMatrix>);

impl Quantised {
    /// The matrix of a module.
    pub fn get(&self, module: &str) -> Option<&QuantisedMatrix> {
        self.0.get(module)
    }

    /// Adds the matrix of a module.
    pub fn insert(&mut self, module: String, matrix: QuantisedMatrix) {
        self.0.insert(module, matrix);
    }

    /// The bytes of a safetensors file: `MODULE.codes`, `MODULE.steps` and `MODULE.smoothing`.
    ///
    /// # Errors
    /// If a tensor cannot be stored.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut raw = Vec::new();
        for (module, matrix) in &self.0 {
            let QuantisedMatrix { codes, steps, smoothing } = matrix;
            let shape = vec![matrix.outputs(), smoothing.len()];
            let codes = codes.iter().map(|code| code.to_le_bytes()[0]).collect();
            raw.push((format!("{module}.codes"), Dtype::I8, shape, codes));
            for (part, values) in [("steps", steps), ("smoothing", smoothing)] {
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                raw.push((format!("{module}.{part}"), Dtype::F32, vec![values.len()], bytes));
            }
        }
        let cannot = |e| Error::model(format!("the 8-bit weights cannot be stored: {e}"));
        let views = raw
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(cannot)?;
        safetensors::serialize(views, None).map_err(cannot)
    }

    /// Reads such a file; `shapes` gives outputs and inputs of a module that the encoder has.
    ///
    /// # Errors
    /// If it is damaged, or does not suit the encoder.
    pub fn from_bytes(
        bytes: &[u8],
        shapes: impl Fn(&str) -> Option<(usize, usize)>,
        place: &str,
    ) -> Result<Self> {
        let bad = |what: &str| {
            Error::model(format!("these are not the encoder's 8-bit weights: {what}"))
                .at(place)
                .advise("copy the whole bundle again, or train it anew")
        };
        let file = SafeTensors::deserialize(bytes).map_err(|_| bad("not a whole file"))?;
        let mut all = Self::default();
        for name in file.names() {
            let Some(module) = name.strip_suffix(".codes") else { continue };
            let shape = shapes(module).ok_or_else(|| bad("a map that it does not have"))?;
            let part = |part: &str, dtype: Dtype, shape: &[usize]| {
                let view = file.tensor(&format!("{module}.{part}"));
                let view = view.ok().filter(|v| v.dtype() == dtype && v.shape() == shape);
                view.ok_or_else(|| bad("a matrix of another shape"))
            };
            let floats = |view: TensorView| -> Vec<f32> {
                let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                view.data().chunks_exact(4).map(value).collect()
            };
            let codes = part("codes", Dtype::I8, &[shape.0, shape.1])?;
            let steps = shape.0 * input_groups(shape.1).len();
            let matrix = QuantisedMatrix {
                codes: codes.data().iter().map(|&b| i8::from_le_bytes([b])).collect(),
                steps: floats(part("steps", Dtype::F32, &[steps])?),
                smoothing: floats(part("smoothing", Dtype::F32, &[shape.1])?),
            };
            let usable = |v: &f32| v.is_finite() && *v > 0.0;
            if !matrix.smoothing.iter().all(usable) || !matrix.steps.iter().all(|v| v.is_finite()) {
                return Err(bad("values that are not finite"));
            }
            all.insert(module.to_owned(), matrix);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        let mut all = Quantised::default();
        let matrix = QuantisedMatrix {
            codes: vec![-127, 0, 5, 127, -1, 1],
            steps: vec![0.5, 0.0],
            smoothing: vec![1.0, 2.0, 0.25],
        };
        all.insert("layer.0".into(), matrix);
        let bytes = all.to_bytes().unwrap();
        let read =
            |shape| Quantised::from_bytes(&bytes, |m| (m == "layer.0").then_some(shape), "b");
        assert_eq!(read((2, 3)).unwrap(), all);
        assert_eq!(read((3, 2)).unwrap_err().exit_code(), 4);
        assert!(Quantised::from_bytes(&bytes, |_| None, "b").is_err());
        assert!(Quantised::from_bytes(&bytes[..9], |_| Some((2, 3)), "b").is_err());
    }
}
