//! Tensors in and out of safetensors files, checked by name and shape before they are trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::kernels::Level;
use super::{Compute, Precision, Quantised};
use crate::error::{Error, Result};

/// The name of the word embedding table.
pub const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";

/// What a checkpoint may put before the names of its encoder's tensors.
pub(super) const PREFIXES: [&str; 6] =
    ["", "bert.", "model.", "deberta.", "roberta.", "distilbert."];

/// The name and shape that a tensor must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// The Hugging Face name, without a model prefix.
    pub name: String,
    /// The dimensions.
    pub shape: Vec<usize>,
    /// How far above the embeddings it stands: 0 for these, 1 for the first layer, and so on.
    pub depth: usize,
    /// Whether the output depends on it at all.
    pub effective: bool,
}

impl TensorSpec {
    /// Whether it is the matrix of a linear map within a layer.
    pub fn is_linear(&self) -> bool {
        self.depth > 0 && self.shape.len() == 2
    }
}

/// Named tensors in alphabetical order.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    tensors: BTreeMap<String, Tensor>,
    low_rank: BTreeMap<String, LowRank>,
    precision: Precision,
    packing: Option<Packing>,
    quantised: Option<Arc<Quantised>>,
}

/// How matrices that never change are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// The format that they are held in.
    pub precision: Precision,
    /// The instructions that multiply by them.
    pub level: Level,
}

/// A low-rank adaptation of a module: A `[rank, inputs]`, B `[outputs, rank]` and the factor of
/// their product.
pub type LowRank = (Tensor, Tensor, f32);

impl Parameters {
    /// Parameters from named tensors.
    pub fn new(tensors: BTreeMap<String, Tensor>) -> Self {
        Self { tensors, ..Self::default() }
    }

    /// The same tensors with low-rank adaptations of these modules beside them.
    pub fn adapted(self, low_rank: BTreeMap<String, LowRank>) -> Self {
        Self { low_rank, ..self }
    }

    /// The same tensors, whose matrices maps pack when they are built: they must never change.
    pub fn packed(self, packing: Packing) -> Self {
        Self { packing: Some(packing), ..self }
    }

    /// The same tensors, whose matrices in 8 bits are these.
    pub fn rounded(self, quantised: Quantised) -> Self {
        Self { quantised: Some(Arc::new(quantised)), ..self }
    }

    /// The matrices in 8 bits, where a training chose them.
    pub fn quantised(&self) -> Option<&Quantised> {
        self.quantised.as_deref()
    }

    /// How maps pack their matrices, if they do.
    pub fn packing(&self) -> Option<Packing> {
        self.packing
    }

    /// The tensors of an encoder that only codes, where and how it computes: packed on the CPU.
    ///
    /// # Errors
    /// If the device takes no more.
    pub fn for_coding(self, specs: &[TensorSpec], compute: &Compute) -> Result<Self> {
        let Compute { precision, level, .. } = *compute;
        match compute.device.is_cpu() {
            true => Ok(self.packed(Packing { precision, level })),
            false => self.on(specs, compute),
        }
    }

    /// The tensors of an encoder that is not trained, where and how it computes.
    ///
    /// # Errors
    /// If the device takes no more.
    pub fn on(self, specs: &[TensorSpec], compute: &Compute) -> Result<Self> {
        let linear: BTreeSet<&str> =
            specs.iter().filter(|s| s.is_linear()).map(|s| s.name.as_str()).collect();
        let there = |(name, tensor): (String, Tensor)| {
            let tensor = compute.place(&tensor, linear.contains(name.as_str()))?;
            Ok::<_, candle_core::Error>((name, tensor))
        };
        let tensors = self.tensors.into_iter().map(there).collect::<candle_core::Result<_>>()?;
        Ok(Self { tensors, ..self }.multiplied_in(compute.precision))
    }

    /// The same tensors, by whose matrices an encoder multiplies in this precision.
    pub fn multiplied_in(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The format in which an encoder multiplies by its matrices.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The low-rank adaptation of a module, if it has one.
    pub fn low_rank(&self, module: &str) -> Option<LowRank> {
        self.low_rank.get(module).cloned()
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        self.tensors
            .get(name)
            .cloned()
            .ok_or_else(|| Error::model(format!("the model lacks the tensor '{name}'")))
    }

    /// Puts a tensor in the place of another.
    pub fn replace(&mut self, name: &str, tensor: Tensor) {
        self.tensors.insert(name.to_owned(), tensor);
    }

    /// All tensors by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.tensors.iter()
    }
}

/// Reads the specified tensors from the bytes of a safetensors file as f32; prefixes such as
/// `bert.` are understood, tensors that are not asked for are passed over.
///
/// # Errors
/// If the file is damaged, a tensor is missing, has another shape or type, or holds a value
/// that is not finite.
pub fn load_weights(bytes: &[u8], specs: &[TensorSpec], place: &str) -> Result<Parameters> {
    let damaged = |e: String| {
        Error::model(format!("not a whole safetensors file: {e}"))
            .at(place)
            .advise("copy or download the model again")
    };
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for spec in specs {
        let view = PREFIXES
            .iter()
            .find_map(|prefix| file.tensor(&format!("{prefix}{}", spec.name)).ok())
            .ok_or_else(|| {
                Error::model(format!("the tensor '{}' is missing", spec.name))
                    .at(place)
                    .advise("use the weights that belong to this config.json")
            })?;
        if view.shape() != spec.shape {
            return Err(Error::model(format!(
                "the tensor '{}' has shape {:?}, config.json asks for {:?}",
                spec.name,
                view.shape(),
                spec.shape
            ))
            .at(place)
            .advise("use the weights that belong to this config.json"));
        }
        tensors.insert(spec.name.clone(), as_f32(&view, &spec.name, place)?);
    }
    Ok(Parameters::new(tensors))
}

pub(super) fn as_f32(view: &TensorView, name: &str, place: &str) -> Result<Tensor> {
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        other => {
            return Err(Error::model(format!(
                "the tensor '{name}' is stored as {other:?}; f32, f16 and bf16 are known"
            ))
            .at(place));
        }
    };
    let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?
        .to_dtype(DType::F32)?;
    let total = tensor.abs()?.sum_all()?.to_scalar::<f32>()?;
    if !total.is_finite() {
        return Err(Error::model(format!("the tensor '{name}' holds values that are not finite"))
            .at(place)
            .advise("copy or download the model again"));
    }
    Ok(tensor)
}

/// The bytes of a safetensors file with these tensors (u32 or f32), in alphabetical order.
///
/// # Errors
/// If a tensor cannot be read back.
pub fn save_weights<'a>(
    tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>,
    metadata: Option<std::collections::HashMap<String, String>>,
) -> Result<Vec<u8>> {
    let mut raw = Vec::new();
    for (name, tensor) in tensors {
        let flat = tensor.flatten_all()?;
        let (dtype, bytes): (_, Vec<u8>) = match tensor.dtype() {
            DType::U32 => {
                (Dtype::U32, flat.to_vec1::<u32>()?.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
            _ => {
                (Dtype::F32, flat.to_vec1::<f32>()?.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
        };
        raw.push((name.clone(), dtype, tensor.dims().to_vec(), bytes));
    }
    let mut views = Vec::with_capacity(raw.len());
    for (name, dtype, shape, bytes) in &raw {
        let view = TensorView::new(*dtype, shape.clone(), bytes)
            .map_err(|e| Error::model(format!("the tensor '{name}' cannot be stored: {e}")))?;
        views.push((name.as_str(), view));
    }
    safetensors::serialize(views, metadata)
        .map_err(|e| Error::model(format!("the tensors cannot be stored: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, shape: &[usize]) -> TensorSpec {
        TensorSpec { name: name.into(), shape: shape.into(), depth: 0, effective: true }
    }

    fn file() -> Vec<u8> {
        let a = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        save_weights([(&"bert.a".to_owned(), &a)], None).unwrap()
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let loaded = load_weights(&file(), &[spec("a", &[2, 2])], "m").unwrap();
        assert_eq!(loaded.get("a").unwrap().to_vec2::<f32>().unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn damage_is_named() {
        let bytes = file();
        let cases = [
            (load_weights(&bytes[..bytes.len() - 1], &[spec("a", &[2, 2])], "m"), "m"),
            (load_weights(&bytes, &[spec("b", &[2, 2])], "m"), "'b'"),
            (load_weights(&bytes, &[spec("a", &[4])], "m"), "'a'"),
            (load_weights(b"", &[spec("a", &[4])], "m"), "m"),
        ];
        for (result, named) in cases {
            let error = result.unwrap_err();
            assert_eq!(error.exit_code(), 4);
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        let a = Tensor::new(&[1f32, f32::NAN], &Device::Cpu).unwrap();
        let bytes = save_weights([(&"a".to_owned(), &a)], None).unwrap();
        assert!(load_weights(&bytes, &[spec("a", &[2])], "m").is_err());
    }
}
