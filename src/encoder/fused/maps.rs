//! The maps of a layer: what their modules are named, and how their weights become packed ones.

use super::super::affine::values_of;
use super::super::bert::Names;
use super::super::kernels::{Level, PackedAffine, input_groups};
use super::super::quantised::QuantisedMatrix;
use super::super::weights::Packing;
use super::super::{BertConfig, Parameters, Precision};
use super::attention::Shape;
use crate::error::Result;

/// The maps of a layer by what enters them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Queries, keys and values.
    Attention,
    Context,
    Widen,
    Narrow,
}

impl Part {
    /// The names of the modules.
    pub fn modules(self, names: &Names, layer: usize) -> Vec<String> {
        let parts = match self {
            Self::Attention => vec![names.query, names.key, names.value],
            Self::Context => vec![names.block.context],
            Self::Widen => vec![names.block.widen],
            Self::Narrow => vec![names.block.narrow],
        };
        parts.into_iter().map(|part| format!("{}.{layer}.{part}", names.layers)).collect()
    }
}

/// The maps of an encoder before they are packed.
pub struct Maps<'a> {
    pub config: &'a BertConfig,
    pub parameters: &'a Parameters,
    pub names: &'a Names,
    pub shape: Shape,
    pub packing: Packing,
}

impl Maps<'_> {
    /// One map of a layer.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn packed(&self, layer: usize, part: Part) -> Result<PackedAffine> {
        let Self { config, shape, packing: Packing { precision, level }, .. } = *self;
        let hidden = config.hidden_size;
        let outputs = part
            .modules(self.names, layer)
            .iter()
            .map(|module| self.outputs(module, precision))
            .collect::<Result<Vec<Outputs>>>()?;
        let (inputs, outputs) = match part {
            Part::Attention => {
                // Scores are products of queries and keys by the square root of a head's width.
                let scales = [1.0 / (shape.width as f32).sqrt(), 1.0, 1.0];
                let each = outputs.into_iter().zip(scales);
                (hidden, each.map(|(o, scale)| o.in_strips(shape, hidden, scale)).collect())
            }
            Part::Context => {
                (shape.row(), outputs.into_iter().map(|o| o.of_strips(shape)).collect())
            }
            Part::Widen => (hidden, outputs),
            Part::Narrow => (config.intermediate_size, outputs),
        };
        Ok(Outputs::packed(outputs, inputs, precision, level))
    }

    /// The outputs of a module, as rounded where they are multiplied in 8 bits.
    fn outputs(&self, module: &str, precision: Precision) -> Result<Outputs> {
        let get = |part: &str| {
            let tensor = self.parameters.get(&format!("{module}.{part}"))?;
            Ok::<_, crate::error::Error>(values_of(&tensor)?)
        };
        let rounded = match precision {
            Precision::Int8 => self.parameters.quantised().and_then(|all| all.get(module)),
            Precision::F32 | Precision::Bf16 => None,
        };
        Ok(match rounded {
            Some(matrix) => Outputs::Rounded(matrix.clone(), get("bias")?),
            None => Outputs::Plain(get("weight")?, get("bias")?),
        })
    }
}

/// Outputs of a map before they are packed: their weights and biases.
enum Outputs {
    Plain(Vec<f32>, Vec<f32>),
    Rounded(QuantisedMatrix, Vec<f32>),
}

impl Outputs {
    /// The outputs of heads in whole strips, times `scale`.
    fn in_strips(self, shape: Shape, inputs: usize, scale: f32) -> Self {
        let scaled = |values: &[f32], each: usize| -> Vec<f32> {
            shape.pad_outputs(values, each).into_iter().map(|v| v * scale).collect()
        };
        match self {
            Self::Plain(weight, bias) => Self::Plain(scaled(&weight, inputs), scaled(&bias, 1)),
            Self::Rounded(matrix, bias) => {
                let codes = shape.pad_outputs(&matrix.codes, inputs);
                let steps = scaled(&matrix.steps, input_groups(inputs).len());
                let matrix = QuantisedMatrix { codes, steps, ..matrix };
                Self::Rounded(matrix, scaled(&bias, 1))
            }
        }
    }

    /// The inputs of heads in whole strips; what was rounded has them so already.
    fn of_strips(self, shape: Shape) -> Self {
        match self {
            Self::Plain(weight, bias) => Self::Plain(shape.pad_inputs(&weight), bias),
            rounded @ Self::Rounded(..) => rounded,
        }
    }

    /// All outputs of these as one map.
    fn packed(all: Vec<Self>, inputs: usize, precision: Precision, level: Level) -> PackedAffine {
        let (mut weight, mut all_bias) = (Vec::new(), Vec::new());
        let mut rounded: Option<QuantisedMatrix> = None;
        for outputs in all {
            match outputs {
                Self::Plain(w, bias) => {
                    weight.extend(w);
                    all_bias.extend(bias);
                }
                Self::Rounded(matrix, bias) => {
                    all_bias.extend(bias);
                    match &mut rounded {
                        Some(all) => {
                            all.codes.extend(matrix.codes);
                            all.steps.extend(matrix.steps);
                        }
                        None => rounded = Some(matrix),
                    }
                }
            }
        }
        match rounded {
            Some(matrix) => PackedAffine::rounded(&matrix, &all_bias, level),
            None => PackedAffine::new(&weight, inputs, Some(&all_bias), precision, level),
        }
    }
}
