//! Dropout with a mask that the caller draws (Srivastava et al. 2014, inverted form).
//!
//! Candle's CPU generator cannot be seeded; masks come from the training's own keyed draws.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::{composed, tensor, tensor_values, values};

/// Which entries survive, and the factor that keeps their expectation.
#[derive(Clone, Debug)]
pub struct DropoutMask {
    keep: Arc<Vec<u8>>,
    scale: f32,
}

impl DropoutMask {
    /// A mask of one byte an entry (1 keeps, 0 drops) for dropout with probability `rate`.
    pub fn new(keep: Vec<u8>, rate: f64) -> Self {
        Self { keep: Arc::new(keep), scale: (1.0 / (1.0 - rate)) as f32 }
    }

    /// One byte an entry: 1 keeps, 0 drops.
    pub fn kept(&self) -> &[u8] {
        &self.keep
    }

    /// The factor of what is kept.
    pub(super) fn scale(&self) -> f32 {
        self.scale
    }

    /// The factor of each entry in turn: 0 or 1/(1 - rate).
    #[inline(always)]
    pub(super) fn factors(&self) -> impl Iterator<Item = f32> + '_ {
        self.keep.iter().map(|&k| f32::from(k) * self.scale)
    }

    /// The factors of a stretch of entries.
    #[inline(always)]
    pub(super) fn apply(&self, start: usize, values: &mut [f32]) {
        for (v, &k) in values.iter_mut().zip(&self.keep[start..]) {
            *v *= f32::from(k) * self.scale;
        }
    }

    fn masked(&self, v: &[f32]) -> Result<Vec<f32>> {
        if v.len() != self.keep.len() {
            bail!("a dropout mask of {} entries meets {} values", self.keep.len(), v.len());
        }
        Ok(pulp::Arch::new()
            .dispatch(|| v.iter().zip(self.factors()).map(|(v, f)| v * f).collect()))
    }
}

struct Dropout(DropoutMask);

/// `x` with the mask applied; without a mask `x` itself.
///
/// # Errors
/// If mask and tensor differ in size.
pub fn dropout(x: &Tensor, mask: Option<&DropoutMask>) -> Result<Tensor> {
    match mask {
        Some(mask) if composed::fused(&[x]) => x.apply_op1(Dropout(mask.clone())),
        Some(mask) => composed::dropout(x, mask),
        None => Ok(x.clone()),
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.0.masked(values(storage, layout)?)?;
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (storage, layout) = grad.storage_and_layout();
        Ok(Some(tensor(self.0.masked(tensor_values(&storage, layout)?)?, x.shape())?))
    }
}

struct DropoutAdd(Option<DropoutMask>);

/// `residual + dropout(x)`, the sum that ends each sublayer; same shapes.
///
/// # Errors
/// If shapes or mask differ in size.
pub fn dropout_add(x: &Tensor, residual: &Tensor, mask: Option<&DropoutMask>) -> Result<Tensor> {
    if !composed::fused(&[x, residual]) {
        return composed::dropout_add(x, residual, mask);
    }
    x.apply_op2(residual, DropoutAdd(mask.cloned()))
}

impl CustomOp2 for DropoutAdd {
    fn name(&self) -> &'static str {
        "dropout-add"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, residual) = (values(s1, l1)?, values(s2, l2)?);
        if l1.shape() != l2.shape() {
            bail!("a residual of {:?} meets {:?}", l2.shape(), l1.shape());
        }
        let mut y = match &self.0 {
            Some(mask) => mask.masked(x)?,
            None => x.to_vec(),
        };
        for (y, r) in y.iter_mut().zip(residual) {
            *y += r;
        }
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        _residual: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let dx = match &self.0 {
            Some(mask) => {
                let (storage, layout) = grad.storage_and_layout();
                tensor(mask.masked(tensor_values(&storage, layout)?)?, x.shape())?
            }
            None => grad.clone(),
        };
        Ok((Some(dx), Some(grad)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    fn mask() -> DropoutMask {
        DropoutMask::new(vec![1, 0, 1, 1, 1, 0], 0.25)
    }

    #[test]
    fn kept_entries_are_scaled_and_others_zero() {
        let x = Tensor::new(&[3f32, 3.0, 3.0, 3.0, 3.0, 3.0], &candle_core::Device::Cpu).unwrap();
        let y = dropout(&x, Some(&mask())).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(y, [4.0, 0.0, 4.0, 4.0, 4.0, 0.0]);
    }

    #[test]
    fn gradients_match_finite_differences() {
        check(&[var(&[2, 3], 1)], 1e-3, |t| dropout(&t[0], Some(&mask())).unwrap());
        check(&[var(&[2, 3], 1), var(&[2, 3], 2)], 1e-3, |t| {
            dropout_add(&t[0], &t[1], Some(&mask())).unwrap()
        });
        check(&[var(&[2, 3], 1), var(&[2, 3], 2)], 1e-3, |t| {
            dropout_add(&t[0], &t[1], None).unwrap()
        });
    }
}
