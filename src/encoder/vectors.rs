//! Texts as vectors, without heads.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    Encoder, PackedBatch, Pooling, Quiet, TokenizedText, batch_tokens, by_length, each, ops,
};
use crate::error::{Error, Result};

/// Texts that a batch holds at most.
const BATCH_TEXTS: usize = 256;

/// One vector a text, in their order: of a text in windows the mean of theirs. The batches, computed
/// in parallel, depend on the texts alone, not on the number of threads. `done` is told of the texts
/// of each batch.
///
/// # Errors
/// If the encoder cannot be computed, or as interrupted once `stop` is set.
pub fn text_vectors(
    encoder: &Encoder,
    texts: &[&TokenizedText],
    stop: &AtomicBool,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Vec<f32>>> {
    let device = encoder.device();
    let batches = by_length(texts, batch_tokens(device), BATCH_TEXTS);
    let of_batch = |batch: &Vec<usize>| {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::interrupted("stopped"));
        }
        let own = PackedBatch::new(batch.iter().map(|&text| texts[text]));
        let windows = encoder.embed(&own, &mut Quiet)?;
        let vectors = ops::pool(&windows, &own.texts, Pooling::Mean)?.to_vec2::<f32>()?;
        done(batch.len());
        Ok(vectors)
    };
    let found = each(device, &batches, of_batch)?;
    let mut vectors = vec![Vec::new(); texts.len()];
    for (&text, vector) in batches.iter().flatten().zip(found.into_iter().flatten()) {
        vectors[text] = vector;
    }
    Ok(vectors)
}
