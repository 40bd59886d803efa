//! Weights in 8 bits that answer as those in 32 would, on texts like those to be coded.
//!
//! Inputs are smoothed first (Xiao et al. 2023, "SmoothQuant"). Then each output's weights are
//! rounded one after another, each making up for the errors of those before it as far as inputs go
//! together (Frantar et al. 2023, "GPTQ", in the form of Babai's nearest plane: Chen et al. 2025):
//! what is kept small is the error of the output on the texts, not that of the weights.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::super::kernels::{GROUP, weight_step};
use super::super::ops::{Matrix, dot, multiply};
use super::super::quantised::{Quantised, QuantisedMatrix};
use super::super::{BertConfig, PackedBatch, Parameters};
use super::maps::Part;
use super::{FusedBert, Shape};
use crate::error::Result;

/// How much of the inputs' unevenness goes to the weights.
const SMOOTHING: f32 = 0.5;

/// What is added to the squares of inputs, as a share of their mean, so that inputs that the texts
/// lack do not move weights at will.
const DAMPING: f32 = 0.01;

/// What the texts say of the inputs of one map.
#[derive(Default)]
struct Inputs {
    /// Σ x xᵀ, `[inputs, inputs]`.
    products: Vec<f32>,
    /// The largest size of each.
    largest: Vec<f32>,
}

impl Inputs {
    fn add(&mut self, rows: &[f32], width: usize) {
        self.products.resize(width * width, 0.0);
        self.largest.resize(width, 0.0);
        let x = Matrix::new(rows, rows.len() / width, width);
        multiply(&mut self.products, width, x.transposed(), x, 1.0, true);
        for row in rows.chunks_exact(width) {
            for (largest, x) in self.largest.iter_mut().zip(row) {
                *largest = largest.max(x.abs());
            }
        }
    }

    /// By what each input is divided: √(its largest size / its largest weight), about 1 in the
    /// mean.
    fn smoothing(&self, weights: &[&[f32]]) -> Vec<f32> {
        let width = self.largest.len();
        let mut heaviest = vec![0f32; width];
        for row in weights.iter().flat_map(|weight| weight.chunks_exact(width)) {
            for (heaviest, w) in heaviest.iter_mut().zip(row) {
                *heaviest = heaviest.max(w.abs());
            }
        }
        let ratio = |(x, w): (&f32, &f32)| {
            let usable = *x > 1e-6 && *w > 1e-6;
            if usable { SMOOTHING * x.ln() - (1.0 - SMOOTHING) * w.ln() } else { 0.0 }
        };
        let ratios: Vec<f32> = self.largest.iter().zip(&heaviest).map(ratio).collect();
        let mean = ratios.iter().sum::<f32>() / width as f32;
        ratios.into_iter().map(|ratio| (ratio - mean).clamp(-4.0, 4.0).exp()).collect()
    }

    /// The lower triangle L with L Lᵀ = Σ x xᵀ of the smoothed inputs, damped (Cholesky):
    /// `[inputs, inputs]`.
    fn factor(&self, smoothing: &[f32]) -> Vec<f32> {
        let n = smoothing.len();
        let entry = |i: usize, j: usize| self.products[i * n + j] / (smoothing[i] * smoothing[j]);
        let mean = (0..n).map(|i| entry(i, i)).sum::<f32>() / n as f32;
        let damping = DAMPING * mean.max(f32::MIN_POSITIVE);
        let mut lower = vec![0f32; n * n];
        pulp::Arch::new().dispatch(|| {
            for i in 0..n {
                let (above, rest) = lower.split_at_mut(i * n);
                let row = &mut rest[..n];
                for j in 0..i {
                    let other = &above[j * n..][..n];
                    row[j] = (entry(i, j) - dot(&row[..j], &other[..j])) / other[j];
                }
                let left = entry(i, i) + damping - dot(&row[..i], &row[..i]);
                row[i] = left.max(damping * 1e-3).sqrt();
            }
        });
        lower
    }

    /// The matrix in 8 bits; `upper` is the transpose of the factor of the smoothed inputs.
    fn round(weight: &[f32], smoothing: &[f32], upper: &[f32]) -> QuantisedMatrix {
        let n = smoothing.len();
        let mut matrix = QuantisedMatrix {
            codes: Vec::with_capacity(weight.len()),
            steps: Vec::with_capacity(weight.len() / n),
            smoothing: smoothing.to_vec(),
        };
        for row in weight.chunks_exact(n) {
            let row: Vec<f32> = row.iter().zip(smoothing).map(|(w, s)| w * s).collect();
            let steps: Vec<(f32, f32)> = row.chunks(GROUP).map(weight_step).collect();
            let (mut codes, mut errors) = (vec![0i8; n], vec![0f32; n]);
            pulp::Arch::new().dispatch(|| {
                for j in (0..n).rev() {
                    let upper = &upper[j * n..][..n];
                    let owed = dot(&upper[j + 1..], &errors[j + 1..]) / upper[j];
                    let (step, inverse) = steps[j / GROUP];
                    let code = ((row[j] + owed) * inverse).round().clamp(-127.0, 127.0);
                    codes[j] = code as i8;
                    errors[j] = row[j] - code * step;
                }
            });
            matrix.codes.extend(codes);
            matrix.steps.extend(steps.into_iter().map(|(step, _)| step));
        }
        matrix
    }
}

/// The transpose of a square matrix.
fn transposed(matrix: &[f32], n: usize) -> Vec<f32> {
    let mut out = vec![0f32; n * n];
    for (i, row) in matrix.chunks_exact(n).enumerate() {
        for (j, value) in row.iter().enumerate() {
            out[j * n + i] = *value;
        }
    }
    out
}

/// Outputs and inputs of every matrix that [`calibrate`] gives, by its module.
pub fn quantised_shapes(config: &BertConfig) -> BTreeMap<String, (usize, usize)> {
    let context = Shape::new(config.hidden_size, config.num_attention_heads).row();
    let (hidden, wide) = (config.hidden_size, config.intermediate_size);
    let names = config.names();
    let mut shapes = BTreeMap::new();
    for layer in 0..config.num_hidden_layers {
        for (part, shape) in [
            (Part::Attention, (hidden, hidden)),
            (Part::Context, (hidden, context)),
            (Part::Widen, (wide, hidden)),
            (Part::Narrow, (hidden, wide)),
        ] {
            shapes.extend(part.modules(&names, layer).into_iter().map(|module| (module, shape)));
        }
    }
    shapes
}

/// Rounds the matrices of all maps for texts like those of the batches.
///
/// # Errors
/// If a tensor is missing, or the batches do not suit the encoder.
pub fn calibrate(
    config: &BertConfig,
    parameters: &Parameters,
    batches: &[PackedBatch],
) -> Result<Quantised> {
    let encoder = FusedBert::new(config, parameters)?;
    let seen: Mutex<BTreeMap<(usize, Part), Inputs>> = Mutex::default();
    // One after another, so that sums do not depend on the number of threads.
    for batch in batches {
        encoder.watch(
            batch,
            &|layer, part, rows, width| {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.entry((layer, part)).or_default().add(rows, width);
            },
            |_| (),
        )?;
    }
    let names = config.names();
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seen: Vec<((usize, Part), Inputs)> = seen.into_iter().collect();
    let rounded = seen.into_par_iter().map(|((layer, part), inputs)| {
        let modules = part.modules(&names, layer);
        let weights = modules
            .iter()
            .map(|module| {
                let weight = super::values_of(&parameters.get(&format!("{module}.weight"))?)?;
                // The context of heads that do not fill their strips has zeros between them.
                Ok(if part == Part::Context { encoder.shape.pad_inputs(&weight) } else { weight })
            })
            .collect::<Result<Vec<Vec<f32>>>>()?;
        let slices: Vec<&[f32]> = weights.iter().map(Vec::as_slice).collect();
        let smoothing = inputs.smoothing(&slices);
        let upper = transposed(&inputs.factor(&smoothing), smoothing.len());
        let round = |weight: &[f32]| Inputs::round(weight, &smoothing, &upper);
        Ok(modules.into_iter().zip(slices.into_iter().map(round)).collect::<Vec<_>>())
    });
    let mut all = Quantised::default();
    for (module, matrix) in rounded.collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        all.insert(module, matrix);
    }
    Ok(all)
}
