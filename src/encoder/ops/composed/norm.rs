//! Layer norm and RMS norm.

use candle_core::{D, Result, Tensor};

use super::step::step;
use super::wide;

/// See [`super::super::layer_norm`].
pub fn layer_norm(x: &Tensor, gain: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    let (values, w) = (wide(&x.detach())?, gain.detach());
    let w = w.to_dtype(values.dtype())?;
    let centred = values.broadcast_sub(&values.mean_keepdim(D::Minus1)?)?;
    let scale = (centred.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?.recip()?;
    let unit = centred.broadcast_mul(&scale)?;
    let y = unit.broadcast_mul(&w)?.broadcast_add(&bias.detach().to_dtype(w.dtype())?)?;
    let tracked = [x, gain, bias].map(Tensor::track_op);
    step(&[x, gain, bias], y, move |g| {
        let weighted = g.broadcast_mul(&w)?;
        let level = weighted.mean_keepdim(D::Minus1)?;
        let slope = (&weighted * &unit)?.mean_keepdim(D::Minus1)?;
        let dx = || {
            let rest = weighted.broadcast_sub(&level)?.sub(&unit.broadcast_mul(&slope)?)?;
            rest.broadcast_mul(&scale)
        };
        Ok(vec![
            tracked[0].then(dx).transpose()?,
            tracked[1].then(|| (g * &unit)?.sum(0)).transpose()?,
            tracked[2].then(|| g.sum(0)).transpose()?,
        ])
    })
}

/// See [`super::super::rms_norm`].
pub fn rms_norm(x: &Tensor, gain: &Tensor, epsilon: f64) -> Result<Tensor> {
    let (values, w) = (wide(&x.detach())?, gain.detach());
    let w = w.to_dtype(values.dtype())?;
    let scale = (values.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?.recip()?;
    let unit = values.broadcast_mul(&scale)?;
    let y = unit.broadcast_mul(&w)?;
    let tracked = [x, gain].map(Tensor::track_op);
    step(&[x, gain], y, move |g| {
        let weighted = g.broadcast_mul(&w)?;
        let slope = (&weighted * &unit)?.mean_keepdim(D::Minus1)?;
        let dx = || weighted.sub(&unit.broadcast_mul(&slope)?)?.broadcast_mul(&scale);
        Ok(vec![
            tracked[0].then(dx).transpose()?,
            tracked[1].then(|| (g * &unit)?.sum(0)).transpose()?,
        ])
    })
}
