//! What happens to rows of states between two products, each in one pass that also brings the row
//! to the format of the next product.

use super::super::Precision;
use super::super::kernels::lanes::{self, Pass};
use super::super::kernels::{Level, Operand, OperandRows, PackedAffine};
use super::super::ops::{MultiplyAdd, gelu_by, gelu_near, row_moments};

/// Layer norm (Ba et al. 2016).
#[derive(Clone, Debug)]
pub struct Norm {
    pub gain: Vec<f32>,
    pub bias: Vec<f32>,
    pub epsilon: f32,
}

impl Norm {
    #[inline(always)]
    fn row<F: MultiplyAdd>(&self, row: &mut [f32]) {
        let (mean, scale) = row_moments::<F>(row, self.epsilon);
        for ((v, gain), bias) in row.iter_mut().zip(&self.gain).zip(&self.bias) {
            *v = F::of((*v - mean) * scale, *gain, *bias);
        }
    }
}

struct AddAndNorm<'a> {
    states: &'a mut [f32],
    sums: &'a [f32],
    norm: &'a Norm,
    next: OperandRows<'a>,
}

impl Pass for AddAndNorm<'_> {
    #[inline(always)]
    fn run<F: MultiplyAdd>(mut self) {
        let width = self.norm.gain.len();
        for (state, sum) in self.states.chunks_exact_mut(width).zip(self.sums.chunks_exact(width)) {
            for (state, sum) in state.iter_mut().zip(sum) {
                *state += sum;
            }
            self.norm.row::<F>(state);
            self.next.push::<F>(state);
        }
    }
}

/// Adds `sums` to the states and norms them; `next` is the map that they enter, if there is one.
pub fn add_and_norm(
    level: Level,
    states: &mut [f32],
    sums: &[f32],
    norm: &Norm,
    next: Option<&PackedAffine>,
    operand: &mut Operand,
) {
    let width = norm.gain.len();
    let next = operand.begin(states.len() / width, next);
    lanes::run(level, AddAndNorm { states, sums, norm, next });
}

struct Activate<'a> {
    wide: &'a mut [f32],
    width: usize,
    exact: bool,
    next: OperandRows<'a>,
}

impl Pass for Activate<'_> {
    #[inline(always)]
    fn run<F: MultiplyAdd>(mut self) {
        for row in self.wide.chunks_exact_mut(self.width) {
            if self.exact {
                row.iter_mut().for_each(|v| *v = gelu_by::<F>(*v));
            } else {
                row.iter_mut().for_each(|v| *v = gelu_near::<F>(*v));
            }
            self.next.push::<F>(row);
        }
    }
}

/// Applies the GELU, as exactly as the next product can tell; `next` is the map that the rows enter.
pub fn activate(level: Level, wide: &mut [f32], next: &PackedAffine, operand: &mut Operand) {
    let width = next.inputs();
    let exact = next.precision() == Precision::F32;
    let next = operand.begin(wide.len() / width, Some(next));
    lanes::run(level, Activate { wide, width, exact, next });
}
