//! Texts as vectors, without heads.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Device;

use super::{
    Encoder, PackedBatch, Pooling, Quiet, TokenizedText, batch_tokens, by_length, each, ops,
};
use crate::error::{Error, Result};

/// Texts that a batch holds at most.
const BATCH_TEXTS: usize = 256;

/// What batches of texts of like length give, one value a text, in the texts' order. The batches,
/// computed in parallel, depend on the texts alone, not on the number of threads. `of_batch` is given
/// the positions of its texts, and whether there is no other batch.
///
/// # Errors
/// The first of `of_batch`, or as interrupted once `stop` is set.
pub fn batch_by_batch<T: Clone + Default + Send>(
    device: &Device,
    texts: &[&TokenizedText],
    stop: &AtomicBool,
    of_batch: impl Fn(&[usize], bool) -> Result<Vec<T>> + Sync,
) -> Result<Vec<T>> {
    let batches = by_length(texts, batch_tokens(device), BATCH_TEXTS);
    let found = each(device, &batches, |batch: &Vec<usize>| {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::interrupted("stopped"));
        }
        of_batch(batch, batches.len() == 1)
    })?;
    let mut all = vec![T::default(); texts.len()];
    for (&text, value) in batches.iter().flatten().zip(found.into_iter().flatten()) {
        all[text] = value;
    }
    Ok(all)
}

/// One vector a text, in their order: of a text in windows the mean of theirs. `done` is told of the
/// texts of each batch.
///
/// # Errors
/// As [`batch_by_batch`], or if the encoder cannot be computed.
pub fn text_vectors(
    encoder: &Encoder,
    texts: &[&TokenizedText],
    stop: &AtomicBool,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Vec<f32>>> {
    batch_by_batch(encoder.device(), texts, stop, |batch, _| {
        let own = PackedBatch::new(batch.iter().map(|&text| texts[text]));
        let windows = encoder.embed(&own, &mut Quiet)?;
        let vectors = ops::pool(&windows, &own.texts, Pooling::Mean)?.to_vec2::<f32>()?;
        done(batch.len());
        Ok(vectors)
    })
}
