//! Rotary position embeddings (Su et al. 2021), in the order of Hugging Face: value i of a head
//! turns with value i + width / 2.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{composed, dims2, tensor, tensor_values, values};

/// Cosine and sine of every position's turn of every pair of a head.
#[derive(Clone, Debug)]
pub struct Rotations {
    /// Pairs of a head.
    pairs: usize,
    /// `[positions, pairs]`
    turns: Vec<(f32, f32)>,
}

impl Rotations {
    /// Position p turns pair i by p · `frequencies[i]`, for positions below `positions`.
    pub fn new(frequencies: &[f32], positions: usize) -> Self {
        let turn = |p: usize, f: &f32| {
            let angle = p as f32 * f;
            (angle.cos(), angle.sin())
        };
        let turns =
            (0..positions).flat_map(|p| frequencies.iter().map(move |f| turn(p, f))).collect();
        Self { pairs: frequencies.len(), turns }
    }

    /// Pairs of a head.
    pub(super) fn pairs(&self) -> usize {
        self.pairs
    }

    /// How many positions are known.
    pub(super) fn positions(&self) -> usize {
        self.turns.len() / self.pairs.max(1)
    }

    /// Cosine and sine of every pair's turn at a position.
    pub(super) fn turns(&self, position: u32) -> &[(f32, f32)] {
        &self.turns[position as usize * self.pairs..][..self.pairs]
    }
}

struct Rotate {
    rotations: Arc<Rotations>,
    positions: Arc<Vec<u32>>,
}

/// Turns every head of `x` `[tokens, heads · width]` by the token's position.
///
/// # Errors
/// If a position lies outside the table, or the shapes do not match.
pub fn rotate(x: &Tensor, rotations: &Arc<Rotations>, positions: &Arc<Vec<u32>>) -> Result<Tensor> {
    if !composed::fused(&[x]) {
        return composed::rotate(x, rotations, positions);
    }
    x.apply_op1(Rotate { rotations: rotations.clone(), positions: positions.clone() })
}

impl Rotate {
    fn turned(&self, x: &[f32], (rows, columns): (usize, usize), back: bool) -> Result<Vec<f32>> {
        let pairs = self.rotations.pairs;
        let known = self.rotations.positions();
        if rows != self.positions.len()
            || !columns.is_multiple_of(2 * pairs.max(1))
            || self.positions.iter().any(|p| *p as usize >= known)
        {
            bail!("rotations of {known} positions meet [{rows}, {columns}] values");
        }
        let sign = if back { -1.0 } else { 1.0 };
        let mut out = vec![0f32; x.len()];
        pulp::Arch::new().dispatch(|| {
            for ((row, out), position) in
                x.chunks_exact(columns).zip(out.chunks_exact_mut(columns)).zip(&*self.positions)
            {
                let turns = self.rotations.turns(*position);
                for (head, out) in row.chunks_exact(2 * pairs).zip(out.chunks_exact_mut(2 * pairs))
                {
                    let ((a, b), (c, d)) = (head.split_at(pairs), out.split_at_mut(pairs));
                    for (i, (cos, sin)) in turns.iter().enumerate() {
                        let sin = sign * sin;
                        c[i] = a[i] * cos - b[i] * sin;
                        d[i] = b[i] * cos + a[i] * sin;
                    }
                }
            }
        });
        Ok(out)
    }
}

impl CustomOp1 for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.turned(values(storage, layout)?, dims2(layout)?, false)?;
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (storage, layout) = grad.storage_and_layout();
        let shape = x.dims2()?;
        Ok(Some(tensor(self.turned(tensor_values(&storage, layout)?, shape, true)?, shape)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    fn quarter() -> (Arc<Rotations>, Arc<Vec<u32>>) {
        let frequencies = [std::f32::consts::FRAC_PI_2, 0.3];
        (Arc::new(Rotations::new(&frequencies, 4)), Arc::new(vec![0, 1, 3]))
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (rotations, positions) = quarter();
        check(&[var(&[3, 8], 1)], 1e-3, |t| rotate(&t[0], &rotations, &positions).unwrap());
    }

    #[test]
    fn a_quarter_turn_swaps_a_pair() {
        let (rotations, positions) = quarter();
        let x = Tensor::new(&[[1f32, 0.0, 2.0, 0.0]; 3], &candle_core::Device::Cpu).unwrap();
        let y = rotate(&x, &rotations, &positions).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(y[0], [1.0, 0.0, 2.0, 0.0]);
        assert!((y[1][0] + 2.0).abs() < 1e-6 && (y[1][2] - 1.0).abs() < 1e-6, "{:?}", y[1]);
        assert!(rotate(&x, &rotations, &Arc::new(vec![0, 1, 4])).is_err());
    }
}
