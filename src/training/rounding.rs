//! A trained encoder's weights in 8 bits, rounded for the training's own texts.

use super::Example;
use crate::encoder::kernels::Level;
use crate::encoder::{
    EncoderConfig, PackedBatch, Packing, Parameters, Precision, Quantised, calibrate,
};
use crate::error::Result;

/// Tokens that are enough to see which inputs of a map go together.
const TOKENS: usize = 4096;

/// Texts of a batch.
const TEXTS: usize = 16;

/// The encoder's weights in 8 bits; none for architectures whose weights are rounded plainly when
/// they are loaded.
///
/// # Errors
/// If the encoder cannot be computed.
pub fn rounded_weights(
    config: &EncoderConfig,
    encoder: &Parameters,
    rows: &[Example],
) -> Result<Option<Quantised>> {
    let EncoderConfig::Bert(config) = config else { return Ok(None) };
    let mut tokens = 0;
    let enough = |row: &&Example| {
        let before = tokens;
        tokens += row.text.ids.len();
        before < TOKENS
    };
    let rows: Vec<&Example> = rows.iter().take_while(enough).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let batches: Vec<PackedBatch> =
        rows.chunks(TEXTS).map(|rows| PackedBatch::new(rows.iter().map(|row| &row.text))).collect();
    let packing = Packing { precision: Precision::F32, level: Level::best() };
    calibrate(config, &encoder.clone().packed(packing), &batches).map(Some)
}
