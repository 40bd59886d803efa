//! Dropout with a mask that the caller draws.

use candle_core::{Result, Tensor, bail};

use super::super::DropoutMask;
use super::step::step;

/// The factor of each entry, in the shape and format of `like`.
fn factors(mask: &DropoutMask, like: &Tensor) -> Result<Tensor> {
    let keep = mask.kept();
    if keep.len() != like.elem_count() {
        bail!("a dropout mask of {} entries meets {} values", keep.len(), like.elem_count());
    }
    let keep = Tensor::from_slice(keep, like.shape(), like.device())?;
    keep.to_dtype(like.dtype())? * f64::from(mask.scale())
}

/// See [`super::super::dropout`].
pub fn dropout(x: &Tensor, mask: &DropoutMask) -> Result<Tensor> {
    let values = x.detach();
    let factors = factors(mask, &values)?;
    let y = (values * &factors)?;
    step(&[x], y, move |g| Ok(vec![Some((g * &factors)?)]))
}

/// See [`super::super::dropout_add`]; the sum is in the format of the residual.
pub fn dropout_add(x: &Tensor, residual: &Tensor, mask: Option<&DropoutMask>) -> Result<Tensor> {
    let x = match mask {
        Some(mask) => dropout(x, mask)?,
        None => x.clone(),
    };
    let y = (x.detach().to_dtype(residual.dtype())? + residual.detach())?;
    step(&[&x, residual], y, |g| Ok(vec![Some(g.clone()), Some(g.clone())]))
}
