//! The state of one tensor on the CPU, updated in place.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, Var, bail};

use super::{BETA1, BETA2, EPSILON, Factors, Pace, no_gradient, same_size};
use crate::encoder::ops::tensor_values;
use crate::error::Result;

/// One tensor with its moments.
#[derive(Debug)]
pub(super) struct Trainable {
    pub var: Var,
    pub pace: Pace,
    first: Vec<f32>,
    second: Vec<f32>,
    /// Empty without averaging.
    average: Vec<f32>,
}

impl Trainable {
    /// Moments of zero for this tensor.
    pub fn new(var: Var, pace: Pace, averaged: bool) -> Result<Self> {
        let average = match averaged {
            true => var.flatten_all()?.to_vec1::<f32>()?,
            false => Vec::new(),
        };
        let (first, second) = (vec![0.0; var.elem_count()], vec![0.0; var.elem_count()]);
        Ok(Self { var, pace, first, second, average })
    }

    /// The sum of the shards' gradients in their order, and the sum of its squares.
    pub fn gradient<G>(
        &self,
        name: &str,
        shards: &[G],
        gradients: impl Fn(&G, &Var) -> Option<Tensor>,
    ) -> Result<(Vec<f32>, f64)> {
        let mut sum: Option<Vec<f32>> = None;
        for gradient in shards.iter().filter_map(|shard| gradients(shard, &self.var)) {
            let gradient = gradient.contiguous()?;
            let (storage, layout) = gradient.storage_and_layout();
            let values = tensor_values(&storage, layout)?;
            match &mut sum {
                None => sum = Some(values.to_vec()),
                Some(sum) => sum.iter_mut().zip(values).for_each(|(s, v)| *s += v),
            }
        }
        let sum = sum.ok_or_else(|| no_gradient(name))?;
        let square = squares(&sum);
        Ok((sum, square))
    }

    /// Changes weights, moments and average by a gradient.
    pub fn update(&mut self, gradient: &[f32], by: Factors) -> Result<()> {
        let moments = Mutex::new((&mut self.first, &mut self.second));
        self.var.inplace_op1(&AdamStep { gradient, moments, by })?;
        if self.average.is_empty() {
            return Ok(());
        }
        let kept = by.kept as f32;
        let (storage, layout) = self.var.storage_and_layout();
        let weights = tensor_values(&storage, layout)?;
        for (a, w) in self.average.iter_mut().zip(weights) {
            *a = kept * *a + (1.0 - kept) * w;
        }
        Ok(())
    }

    /// The averaged weights; the weights themselves without averaging.
    pub fn averaged(&self) -> Result<Tensor> {
        Ok(match self.average.is_empty() {
            true => self.var.as_tensor().copy()?,
            false => self.shaped(&self.average)?,
        })
    }

    fn shaped(&self, values: &[f32]) -> Result<Tensor> {
        Ok(Tensor::from_slice(values, self.var.shape(), self.var.device())?)
    }

    /// Moments and average as `PART.NAME`.
    pub fn moments(&self, name: &str, into: &mut BTreeMap<String, Tensor>) -> Result<()> {
        let parts = [("first", &self.first), ("second", &self.second), ("average", &self.average)];
        for (part, values) in parts.into_iter().filter(|(_, values)| !values.is_empty()) {
            into.insert(format!("{part}.{name}"), self.shaped(values)?);
        }
        Ok(())
    }

    /// Takes moments and average from a checkpoint.
    ///
    /// # Errors
    /// If one is missing or has another size.
    pub fn restore(&mut self, name: &str, saved: &dyn Fn(&str) -> Result<Tensor>) -> Result<()> {
        let Self { first, second, average, .. } = self;
        let parts = [("first", first), ("second", second), ("average", average)];
        for (part, values) in parts.into_iter().filter(|(_, values)| !values.is_empty()) {
            let tensor = saved(&format!("{part}.{name}"))?;
            same_size(name, &tensor, values.len())?;
            *values = tensor.flatten_all()?.to_vec1::<f32>()?;
        }
        Ok(())
    }
}

/// The sum of squares in f64, in a fixed order.
fn squares(values: &[f32]) -> f64 {
    values.chunks(1024).map(|chunk| f64::from(chunk.iter().map(|v| v * v).sum::<f32>())).sum()
}

struct AdamStep<'a> {
    gradient: &'a [f32],
    moments: Mutex<(&'a mut Vec<f32>, &'a mut Vec<f32>)>,
    by: Factors,
}

impl InplaceOp1 for AdamStep<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(all) = storage else { bail!("AdamW updates f32 tensors") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("AdamW updates contiguous tensors")
        };
        let Ok(mut moments) = self.moments.lock() else { bail!("AdamW lost its moments") };
        let (first, second) = &mut *moments;
        let weights = &mut all[start..end];
        let (scale, rate) = (self.by.scale as f32, self.by.rate as f32);
        let (correction, shrink) = (self.by.second as f32, self.by.shrink as f32);
        pulp::Arch::new().dispatch(|| {
            for (((w, g), m), v) in
                weights.iter_mut().zip(self.gradient).zip(first.iter_mut()).zip(second.iter_mut())
            {
                let g = g * scale;
                *m = BETA1 * *m + (1.0 - BETA1) * g;
                *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                *w = *w * shrink - rate * *m / (v.sqrt() * correction + EPSILON);
            }
        });
        Ok(())
    }
}
