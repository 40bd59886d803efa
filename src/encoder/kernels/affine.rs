//! An affine map whose weights are packed for the tiles.

use super::bfloat::{self, Bf16Weights};
use super::float::{self, F32Weights};
use super::int8::{self, Int8Weights};
use super::operand::input_groups;
use super::{Level, Operand, STRIP};
use crate::encoder::{Precision, QuantisedMatrix};

/// y = x Wᵀ + b with packed weights.
#[derive(Clone, Debug)]
pub struct PackedAffine {
    inputs: usize,
    outputs: usize,
    /// In whole strips.
    bias: Vec<f32>,
    weights: Weights,
    /// By what inputs are multiplied before they are rounded.
    factors: Option<Vec<f32>>,
    level: Level,
}

#[derive(Clone, Debug)]
enum Weights {
    F32(F32Weights),
    Bf16(Bf16Weights),
    /// By groups of inputs.
    Int8(Vec<Int8Weights>),
}

impl PackedAffine {
    /// Packs `weight`, `[outputs, inputs]`, with `bias`, `[outputs]`, or none. In 8 bits each output
    /// has a step for each group of inputs.
    ///
    /// # Panics
    /// If the lengths do not match, or the processor lacks the level.
    pub fn new(
        weight: &[f32],
        inputs: usize,
        bias: Option<&[f32]>,
        precision: Precision,
        level: Level,
    ) -> Self {
        assert!(level.is_here(), "this processor lacks {level}");
        assert!(inputs > 0 && weight.len().is_multiple_of(inputs), "weights without shape");
        let outputs = weight.len() / inputs;
        let mut padded = vec![0.0; outputs.next_multiple_of(STRIP)];
        if let Some(bias) = bias {
            assert_eq!(bias.len(), outputs, "one bias an output");
            padded[..outputs].copy_from_slice(bias);
        }
        let weights = match precision {
            Precision::F32 => Weights::F32(F32Weights::pack(weight, inputs)),
            Precision::Bf16 => Weights::Bf16(Bf16Weights::pack(weight, inputs)),
            Precision::Int8 => Weights::Int8(Int8Weights::pack(weight, inputs)),
        };
        Self { inputs, outputs, bias: padded, weights, factors: None, level }
    }

    /// Packs a matrix that was rounded before, with its bias.
    ///
    /// # Panics
    /// If the lengths do not match, or the processor lacks the level.
    pub fn rounded(matrix: &QuantisedMatrix, bias: &[f32], level: Level) -> Self {
        assert!(level.is_here(), "this processor lacks {level}");
        let QuantisedMatrix { codes, steps, smoothing } = matrix;
        let (inputs, outputs) = (smoothing.len(), matrix.outputs());
        assert!(inputs > 0 && codes.len() == inputs * outputs);
        assert_eq!(steps.len(), outputs * input_groups(inputs).len(), "one step a group");
        assert_eq!(bias.len(), outputs, "one bias an output");
        let mut padded = vec![0.0; outputs.next_multiple_of(STRIP)];
        padded[..outputs].copy_from_slice(bias);
        Self {
            inputs,
            outputs,
            bias: padded,
            weights: Weights::Int8(Int8Weights::pack_codes(codes, steps, inputs)),
            factors: Some(smoothing.iter().map(|s| 1.0 / s).collect()),
            level,
        }
    }

    /// By what inputs are multiplied before they are rounded, where they are smoothed.
    pub fn factors(&self) -> Option<&[f32]> {
        self.factors.as_deref()
    }

    /// The instructions that it multiplies by.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Columns of x.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns of y.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The format that the left side must be loaded in.
    pub fn precision(&self) -> Precision {
        match self.weights {
            Weights::F32(_) => Precision::F32,
            Weights::Bf16(_) => Precision::Bf16,
            Weights::Int8(_) => Precision::Int8,
        }
    }

    /// Writes y, `[rows, outputs]`, for the rows of `x`, `[rows, inputs]`, which `operand` holds in
    /// the format of the weights.
    ///
    /// # Panics
    /// If the lengths do not match.
    pub fn multiply(&self, x: &[f32], operand: &Operand, y: &mut [f32]) {
        let rows = x.len() / self.inputs;
        assert_eq!(x.len(), rows * self.inputs, "rows of x");
        assert_eq!(y.len(), rows * self.outputs, "rows of y");
        match &self.weights {
            Weights::F32(weights) => {
                float::multiply(self.level, x, weights, &self.bias, y, self.outputs)
            }
            Weights::Bf16(weights) => {
                bfloat::multiply(self.level, operand, weights, &self.bias, y, self.outputs);
            }
            Weights::Int8(weights) => {
                let bytes = &operand.bytes;
                int8::multiply(self.level, bytes, weights, &self.bias, y, self.outputs);
            }
        }
    }

    /// y for `x`, loaded into a new operand.
    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut operand = Operand::default();
        operand.load(x, self);
        let mut y = vec![0.0; x.len() / self.inputs * self.outputs];
        self.multiply(x, &operand, &mut y);
        y
    }
}
