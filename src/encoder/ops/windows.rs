//! The neighbours of every token side by side: what a convolution along a text multiplies.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{Segments, composed, dims2, tensor, tensor_values, values};

struct Windows {
    segments: Arc<Segments>,
    size: usize,
}

/// For each token the rows of the `size` tokens around it (an odd number), zeros beyond its
/// text: `[tokens, width]` → `[tokens, size · width]`.
///
/// # Errors
/// If the rows are not those of the segments.
pub fn windows(x: &Tensor, segments: &Arc<Segments>, size: usize) -> Result<Tensor> {
    let windows = Windows { segments: segments.clone(), size };
    if !composed::fused(&[x]) {
        let mut index = vec![u32::MAX; segments.tokens() * size];
        for (token, place, neighbour) in windows.neighbours() {
            index[token * size + place] = neighbour as u32;
        }
        return composed::windows(x, index, size);
    }
    x.apply_op1(windows)
}

impl Windows {
    /// Every (token, place in its window, neighbour).
    fn neighbours(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let half = self.size / 2;
        self.segments.ranges().flat_map(move |text| {
            text.clone().flat_map(move |token| {
                let text = text.clone();
                (0..self.size)
                    .filter(move |place| text.contains(&(token + place).wrapping_sub(half)))
                    .map(move |place| (token, place, token + place - half))
            })
        })
    }
}

impl CustomOp1 for Windows {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let (tokens, width) = dims2(layout)?;
        if tokens != self.segments.tokens() {
            bail!("windows over {} tokens meet {tokens} rows", self.segments.tokens());
        }
        let mut out = vec![0f32; tokens * self.size * width];
        for (token, place, neighbour) in self.neighbours() {
            out[(token * self.size + place) * width..][..width]
                .copy_from_slice(&x[neighbour * width..][..width]);
        }
        Ok((CpuStorage::F32(out), Shape::from((tokens, self.size * width))))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (storage, layout) = grad.storage_and_layout();
        let dy = tensor_values(&storage, layout)?;
        let (tokens, width) = x.dims2()?;
        let mut dx = vec![0f32; tokens * width];
        for (token, place, neighbour) in self.neighbours() {
            let from = &dy[(token * self.size + place) * width..][..width];
            for (d, g) in dx[neighbour * width..][..width].iter_mut().zip(from) {
                *d += g;
            }
        }
        Ok(Some(tensor(dx, (tokens, width))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    #[test]
    fn neighbours_end_with_the_text() {
        let x = Tensor::new(&[[1f32], [2.0], [3.0]], &candle_core::Device::Cpu).unwrap();
        let found = windows(&x, &Arc::new(Segments::new([2, 1])), 3).unwrap();
        let rows = [[0.0, 1.0, 2.0], [1.0, 2.0, 0.0], [0.0, 3.0, 0.0]];
        assert_eq!(found.to_vec2::<f32>().unwrap(), rows);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let segments = Arc::new(Segments::new([3, 1]));
        check(&[var(&[4, 2], 1)], 1e-3, |t| windows(&t[0], &segments, 3).unwrap());
    }
}
