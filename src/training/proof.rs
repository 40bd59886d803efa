//! The proof, before every training, that each trainable tensor can learn.

use super::epoch::{Context, Shard};
use super::example::Example;
use crate::error::{Error, Result};

/// Runs one backward pass without dropout over rows that code every tier, and checks that
/// every trainable tensor receives a finite gradient that is not zero.
///
/// # Errors
/// If one does not, as in a tier that no row codes; it is named.
pub(super) fn prove(context: &Context, train: &[Example]) -> Result<()> {
    let tiers = context.codebook.tiers.len();
    let mut rows: Vec<&Example> = Vec::new();
    for tier in 0..tiers {
        rows.extend(train.iter().filter(|e| e.codes[tier].is_coded()).take(4));
    }
    rows.sort_by_key(|e| e.row);
    rows.dedup_by_key(|e| e.row);
    let shards = context.backward(&[rows], None)?;
    for (name, trainable) in context.model.optimiser.tensors() {
        let gradient = shards.iter().find_map(|shard: &Shard| shard.gradient(&trainable.var));
        let total = match gradient {
            Some(gradient) => gradient.abs()?.sum_all()?.to_scalar::<f32>()?,
            None => 0.0,
        };
        if total == 0.0 || !total.is_finite() {
            let what = if total == 0.0 { "no gradient" } else { "a gradient that is not finite" };
            return Err(Error::model(format!("the trainable tensor '{name}' receives {what}"))
                .advise("check that the encoder's weights are whole; a training could not work"));
        }
    }
    Ok(())
}
