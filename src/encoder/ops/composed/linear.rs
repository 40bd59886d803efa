//! The affine map and the scaled product; a weight that is not trained costs nothing in the
//! backward pass.

use candle_core::{Result, Tensor};

use super::step::step;
use super::wide;

/// See [`super::super::linear`].
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let w = weight.detach();
    let a = x.detach().to_dtype(w.dtype())?;
    let y = a.matmul(&w.t()?)?.broadcast_add(&bias.detach().to_dtype(w.dtype())?)?;
    let tracked = [x, weight, bias].map(Tensor::track_op);
    step(&[x, weight, bias], y, move |g| {
        let g = g.to_dtype(w.dtype())?;
        Ok(vec![
            tracked[0].then(|| g.matmul(&w)).transpose()?,
            tracked[1].then(|| g.t()?.matmul(&a)).transpose()?,
            tracked[2].then(|| wide(&g)?.sum(0)).transpose()?,
        ])
    })
}

/// See [`super::super::product`].
pub fn product(x: &Tensor, weight: &Tensor, scale: f32) -> Result<Tensor> {
    let w = weight.detach();
    let a = x.detach().to_dtype(w.dtype())?;
    let scaled = move |y: Tensor| if scale == 1.0 { Ok(y) } else { y * f64::from(scale) };
    let y = scaled(a.matmul(&w.t()?)?)?;
    let tracked = [x, weight].map(Tensor::track_op);
    step(&[x, weight], y, move |g| {
        let g = scaled(g.to_dtype(w.dtype())?)?;
        Ok(vec![
            tracked[0].then(|| g.matmul(&w)).transpose()?,
            tracked[1].then(|| g.t()?.matmul(&a)).transpose()?,
        ])
    })
}
