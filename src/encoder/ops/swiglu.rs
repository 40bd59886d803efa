//! The gated unit of Llama's feed-forward layers (Shazeer 2020): gate · σ(gate) · up.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::vector::exp;
use super::{composed, tensor, tensor_values, values};

struct SwiGlu;

/// `gate · σ(gate) · up`, entry by entry; same shapes.
///
/// # Errors
/// If the shapes differ or a tensor is not contiguous.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if !composed::fused(&[gate, up]) {
        return composed::swiglu(gate, up);
    }
    gate.apply_op2(up, SwiGlu)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        if l1.shape() != l2.shape() {
            bail!("a gate of {:?} meets {:?}", l1.shape(), l2.shape());
        }
        let (gate, up) = (values(s1, l1)?, values(s2, l2)?);
        let y = pulp::Arch::new().dispatch(|| {
            gate.iter().zip(up).map(|(&g, &u)| g * sigmoid(g) * u).collect::<Vec<_>>()
        });
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let ((s1, l1), (s2, l2), (gs, gl)) =
            (gate.storage_and_layout(), up.storage_and_layout(), grad.storage_and_layout());
        let (gv, uv, dy) =
            (tensor_values(&s1, l1)?, tensor_values(&s2, l2)?, tensor_values(&gs, gl)?);
        let (mut dgate, mut dup) = (vec![0f32; gv.len()], vec![0f32; gv.len()]);
        pulp::Arch::new().dispatch(|| {
            for (i, (&g, (&u, &d))) in gv.iter().zip(uv.iter().zip(dy)).enumerate() {
                let s = sigmoid(g);
                dup[i] = d * g * s;
                dgate[i] = d * u * s * (1.0 + g * (1.0 - s));
            }
        });
        Ok((Some(tensor(dgate, gate.shape())?), Some(tensor(dup, up.shape())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    #[test]
    fn gradients_match_finite_differences() {
        check(&[var(&[3, 5], 1), var(&[3, 5], 2)], 1e-3, |t| swiglu(&t[0], &t[1]).unwrap());
    }

    #[test]
    fn values_match_the_definition() {
        let of = |v: f32| Tensor::new(&[v], &candle_core::Device::Cpu).unwrap();
        let y = swiglu(&of(3f32.ln()), &of(2.0)).unwrap().to_vec1::<f32>().unwrap()[0];
        assert!((y - 2.0 * 0.75 * 3f32.ln()).abs() < 1e-6);
    }
}
