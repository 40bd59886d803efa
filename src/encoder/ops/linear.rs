//! The affine map y = x Wᵀ + b and the scaled product y = s · x Wᵀ. A weight that is not
//! trained costs nothing in the backward pass.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::{Matrix, composed, dims2, multiply, tensor, tensor_values, values};

struct Linear;

/// `x` `[rows, inputs]`, `weight` `[outputs, inputs]`, `bias` `[outputs]` → `[rows, outputs]`.
///
/// # Errors
/// If the shapes do not match or a tensor is not contiguous.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if !composed::fused(&[x, weight, bias]) {
        return composed::linear(x, weight, bias);
    }
    x.apply_op3(weight, bias, Linear)
}

struct Product(f32);

/// `scale · x weightᵀ`: `x` `[rows, inputs]`, `weight` `[outputs, inputs]` → `[rows, outputs]`.
///
/// # Errors
/// As [`linear`].
pub fn product(x: &Tensor, weight: &Tensor, scale: f32) -> Result<Tensor> {
    if !composed::fused(&[x, weight]) {
        return composed::product(x, weight, scale);
    }
    x.apply_op2(weight, Product(scale))
}

/// The gradients of `scale · x weightᵀ` for those of `x` and `weight` that are tracked.
fn gradients(
    x: &Tensor,
    weight: &Tensor,
    dy: &[f32],
    scale: f32,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let ((rows, inputs), (outputs, _)) = (x.dims2()?, weight.dims2()?);
    let ((xs, xl), (ws, wl)) = (x.storage_and_layout(), weight.storage_and_layout());
    let dy = Matrix::new(dy, rows, outputs);
    let dx = if x.track_op() {
        let w = Matrix::new(tensor_values(&ws, wl)?, outputs, inputs);
        let mut dx = vec![0f32; rows * inputs];
        multiply(&mut dx, inputs, dy, w, scale, false);
        Some(tensor(dx, (rows, inputs))?)
    } else {
        None
    };
    let dw = if weight.track_op() {
        let x = Matrix::new(tensor_values(&xs, xl)?, rows, inputs);
        let mut dw = vec![0f32; outputs * inputs];
        multiply(&mut dw, inputs, dy.transposed(), x, scale, false);
        Some(tensor(dw, (outputs, inputs))?)
    } else {
        None
    };
    Ok((dx, dw))
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w, b) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let ((rows, inputs), (outputs, width)) = (dims2(l1)?, dims2(l2)?);
        if width != inputs || b.len() != outputs {
            bail!(
                "linear: {inputs} inputs meet a weight of [{outputs}, {width}] and {} biases",
                b.len()
            );
        }
        let mut y = Vec::with_capacity(rows * outputs);
        for _ in 0..rows {
            y.extend_from_slice(b);
        }
        let w = Matrix::new(w, outputs, inputs).transposed();
        multiply(&mut y, outputs, Matrix::new(x, rows, inputs), w, 1.0, true);
        Ok((CpuStorage::F32(y), Shape::from((rows, outputs))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (gs, gl) = grad.storage_and_layout();
        let dy = tensor_values(&gs, gl)?;
        let (dx, dw) = gradients(x, weight, dy, 1.0)?;
        let outputs = bias.dims1()?;
        let db = if bias.track_op() {
            let mut db = vec![0f32; outputs];
            for row in dy.chunks_exact(outputs) {
                for (d, g) in db.iter_mut().zip(row) {
                    *d += g;
                }
            }
            Some(tensor(db, outputs)?)
        } else {
            None
        };
        Ok((dx, dw, db))
    }
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (values(s1, l1)?, values(s2, l2)?);
        let ((rows, inputs), (outputs, width)) = (dims2(l1)?, dims2(l2)?);
        if width != inputs {
            bail!("product: {inputs} inputs meet a weight of [{outputs}, {width}]");
        }
        let mut y = vec![0f32; rows * outputs];
        let w = Matrix::new(w, outputs, inputs).transposed();
        multiply(&mut y, outputs, Matrix::new(x, rows, inputs), w, self.0, false);
        Ok((CpuStorage::F32(y), Shape::from((rows, outputs))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (gs, gl) = grad.storage_and_layout();
        gradients(x, weight, tensor_values(&gs, gl)?, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    #[test]
    fn gradients_match_finite_differences() {
        let vars = [var(&[5, 4], 1), var(&[3, 4], 2), var(&[3], 3)];
        check(&vars, 2e-3, |t| linear(&t[0], &t[1], &t[2]).unwrap());
        check(&vars[..2], 2e-3, |t| product(&t[0], &t[1], 0.7).unwrap());
    }

    #[test]
    fn frozen_weights_get_no_gradient() {
        let (x, w, b) = (var(&[5, 4], 1), var(&[3, 4], 2), var(&[3], 3));
        let y = linear(&x, &w.as_detached_tensor(), &b.as_detached_tensor()).unwrap();
        let grads = y.sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&x).is_some());
        assert!(grads.get(&w).is_none() && grads.get(&b).is_none());
    }
}
