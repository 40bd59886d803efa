//! The units of feed-forward layers: GELU and Llama's gate.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use candle_core::{Result, Tensor};

use super::step::step;
use super::wide;

/// See [`super::super::gelu`].
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    let values = x.detach();
    let y = values.gelu_erf()?;
    step(&[x], y, move |g| {
        let x = wide(&values)?;
        let cdf = (&x * FRAC_1_SQRT_2)?.erf()?.affine(0.5, 0.5)?;
        let density = ((x.sqr()? * -0.5)?.exp()? * (1.0 / (2.0 * PI).sqrt()))?;
        Ok(vec![Some((wide(g)? * (cdf + (x * density)?)?)?)])
    })
}

/// See [`super::super::swiglu`].
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let (a, b) = (gate.detach(), up.detach());
    let y = (a.silu()? * &b)?;
    step(&[gate, up], y, move |g| {
        let (g, a, b) = (wide(g)?, wide(&a)?, wide(&b)?);
        let sigmoid = (a.neg()?.exp()? + 1.0)?.recip()?;
        let silu = (&a * &sigmoid)?;
        // d/da = σ(a) (1 + a (1 - σ(a))) = σ(a) + silu(a) (1 - σ(a))
        let slope = (&sigmoid + (&silu * (1.0 - &sigmoid)?)?)?;
        Ok(vec![Some(((&g * b)? * slope)?), Some((g * silu)?)])
    })
}
