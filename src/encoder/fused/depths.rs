//! What lies between the layers: the means of the states after some of them.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::super::PackedBatch;
use super::super::ops::{Pooling, pool_rows};
use super::FusedBert;
use super::maps::Part;
use crate::error::{Error, Result};

impl FusedBert {
    /// The mean of the states after each of these layers, counted from 1, one behind the other:
    /// one vector of `layers · hidden` values a window.
    ///
    /// # Errors
    /// As [`FusedBert::states`], and for a layer that the encoder has not.
    pub fn means_after(&self, batch: &PackedBatch, layers: &[usize]) -> Result<Vec<Vec<f32>>> {
        let depth = self.layers.len();
        if layers.iter().any(|layer| !(1..=depth).contains(layer)) {
            return Err(Error::model(format!("the encoder has {depth} layers")));
        }
        let (windows, hidden) = (batch.segments.len(), self.hidden);
        let vectors = Mutex::new(vec![vec![0f32; layers.len() * hidden]; windows]);
        let note = |after: usize, states: &[f32]| {
            let Some(at) = layers.iter().position(|layer| *layer == after) else { return };
            let own: Range<usize> = at * hidden..(at + 1) * hidden;
            let means = pool_rows(states, hidden, &batch.segments, Pooling::Mean);
            let mut vectors = vectors.lock().unwrap_or_else(PoisonError::into_inner);
            for (vector, mean) in vectors.iter_mut().zip(means.chunks_exact(hidden)) {
                vector[own.clone()].copy_from_slice(mean);
            }
        };
        // What enters the queries of a layer are the states after the one before it.
        let shown = |layer: usize, part: Part, rows: &[f32], _: usize| {
            if part == Part::Attention {
                note(layer, rows);
            }
        };
        self.watch(batch, &shown, |states| note(depth, states))?;
        Ok(vectors.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}
