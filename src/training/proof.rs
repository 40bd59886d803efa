//! The proof, before every training, that each trainable tensor can learn.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::epoch::{Context, Shard};
use super::example::Example;
use crate::encoder::is_up;
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
    // B begins as zero, which would leave A without a gradient.
    let begun = context.model.weights()?;
    context.model.set_weights(&away_from_zero(&begun)?)?;
    let shards = context.backward(&[rows], None);
    context.model.set_weights(&begun)?;
    let shards = shards?;
    for (name, var) in context.model.optimiser.vars() {
        let gradient = shards.iter().find_map(|shard: &Shard| shard.gradient(var));
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

/// The weights with every B of an adapter that is zero made one.
fn away_from_zero(weights: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    let of = |(name, tensor): (&String, &Tensor)| -> Result<(String, Tensor)> {
        let zero = is_up(name) && tensor.abs()?.sum_all()?.to_scalar::<f32>()? == 0.0;
        Ok((name.clone(), if zero { tensor.ones_like()? } else { tensor.clone() }))
    };
    weights.iter().map(of).collect()
}
