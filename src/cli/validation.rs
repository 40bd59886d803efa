//! Figures on the validation rows: what the best epoch is chosen by, and what the manifest states.

use super::training_rows::Rows;
use crate::bundle::{PrecisionFigures, TierFigures};
use crate::codebook::{Code, Codebook, TierKind};
use crate::decision::{Decisions, both_views};
use crate::encoder::kernels::Level;
use crate::encoder::{
    Compute, Encoder, EncoderConfig, POOLING_QUERY, Packing, Parameters, Precision, Quantised,
};
use crate::error::Result;
use crate::evaluation::evaluate;
use crate::evaluation::ranking::micro_average_precision;
use crate::heads::Heads;
use crate::training::{Example, Recipe, Score, TextLogits, text_logits};

/// The mean over tiers of pipeline macro-F1 (single) and micro-averaged average precision
/// (multi, over all rows whose gold is known; a tier that is not asked is the empty set).
pub(super) fn score(codebook: &Codebook, logits: &TextLogits, gold: &[&[Code]]) -> Result<Score> {
    let decisions = Decisions::uncalibrated(codebook);
    let answers = both_views(codebook, &decisions, logits, gold);
    let known = |t: usize| {
        let rows = gold.iter().zip(&answers);
        rows.filter(move |(codes, _)| codes[t] != Code::Missing)
    };
    let (mut tiers, mut macro_f1) = (Vec::new(), Vec::new());
    for (t, tier) in codebook.tiers.iter().enumerate() {
        let pairs: Vec<(&Code, &Code)> =
            known(t).map(|(g, a)| (&g[t], &a.pipeline.codes[t])).collect();
        let f1 = crate::evaluation::score(tier, &pairs).macro_f1;
        tiers.push(match tier.kind {
            TierKind::Single => f1,
            TierKind::Multi => {
                let scores: Vec<Vec<f64>> =
                    known(t).map(|(_, a)| a.pipeline.marginal[t].clone()).collect();
                let relevant: Vec<Vec<bool>> = known(t)
                    .map(|(g, _)| {
                        let has = |l| g[t].labels().is_some_and(|s| s.contains(l));
                        (0..tier.labels.len()).map(has).collect()
                    })
                    .collect();
                micro_average_precision(&scores, &relevant)
            }
        });
        macro_f1.push(f1);
    }
    let scored: Vec<f64> = tiers.iter().flatten().copied().collect();
    let mean = scored.iter().sum::<f64>() / scored.len().max(1) as f64;
    Ok(Score { mean, tiers, macro_f1 })
}

/// The figures of every tier in both views.
pub(super) fn figures(
    codebook: &Codebook,
    decisions: &Decisions,
    logits: &TextLogits,
    gold: &[&[Code]],
    rows: &Rows,
) -> Vec<TierFigures> {
    let answers = both_views(codebook, decisions, logits, gold);
    let gold: Vec<Vec<Code>> = gold.iter().map(|g| g.to_vec()).collect();
    let oracle: Vec<Vec<Code>> = answers.iter().map(|a| a.oracle.clone()).collect();
    let pipeline: Vec<Vec<Code>> = answers.iter().map(|a| a.pipeline.codes.clone()).collect();
    let training: Vec<Vec<Code>> = rows.train.iter().map(|r| r.codes.clone()).collect();
    TierFigures::of(&evaluate(codebook, &gold, &oracle, &pipeline, Some(&training)))
}

/// A trained model and the rows that validate it.
pub(super) struct Validated<'a> {
    pub codebook: &'a Codebook,
    pub config: &'a EncoderConfig,
    /// The encoder's tensors in 32 bits, an adapter merged into them.
    pub encoder: Parameters,
    /// Its matrices in 8 bits, where the training rounds them.
    pub rounded: Option<&'a Quantised>,
    pub heads: &'a Parameters,
    pub recipe: &'a Recipe,
    pub decisions: &'a Decisions,
    /// The validation rows, their gold codes and their logits as they are decided by.
    pub rows: &'a [Example],
    pub gold: &'a [&'a [Code]],
    pub logits: &'a TextLogits,
}

/// What becomes of the validation rows' codes where the encoder computes in narrower formats.
pub(super) fn precisions(validated: &Validated) -> Result<Vec<PrecisionFigures>> {
    let level = Level::best();
    let own = |precision| {
        let Validated { config, encoder, heads, recipe, .. } = validated;
        let mut encoder = encoder.clone();
        if let Ok(query) = heads.get(POOLING_QUERY) {
            encoder.replace(POOLING_QUERY, query);
        }
        if let Some(rounded) = validated.rounded {
            encoder = encoder.rounded(rounded.clone());
        }
        let compute = Compute { precision, level, ..Compute::default() };
        let encoder = encoder.for_coding(&config.tensors(), &compute)?;
        let encoder = Encoder::new(config, recipe.pooling, &encoder)?;
        let packing = Packing { precision: Precision::F32, level };
        let heads = (*heads).clone().packed(packing);
        let heads = Heads::new(validated.codebook, recipe.head_shape(), &heads)?;
        text_logits(&encoder, &heads, validated.rows)
    };
    let exact = own(Precision::F32)?;
    // The encoder's heads are one term of the logits; only by what this one moves, they move.
    let moved = |mut narrow: TextLogits| {
        let flat = |logits: &TextLogits| -> Vec<f64> {
            logits.iter().flatten().flatten().copied().collect()
        };
        let (exact, whole) = (flat(&exact), flat(validated.logits));
        let all = narrow.iter_mut().flatten().flatten();
        all.zip(exact.into_iter().zip(whole))
            .for_each(|(own, (exact, whole))| *own += whole - exact);
        narrow
    };
    let codes = |logits: &TextLogits| -> Vec<Vec<Code>> {
        let answers = both_views(validated.codebook, validated.decisions, logits, validated.gold);
        answers.into_iter().map(|answer| answer.pipeline.codes).collect()
    };
    let gold: Vec<Vec<Code>> = validated.gold.iter().map(|codes| codes.to_vec()).collect();
    let scores = |codes: &[Vec<Code>]| -> Vec<Option<f64>> {
        let evaluation = evaluate(validated.codebook, &gold, codes, codes, None);
        evaluation.tiers.iter().map(|(_, tier)| tier.pipeline.macro_f1).collect()
    };
    let reference = codes(validated.logits);
    let before = scores(&reference);
    let of_format = |precision| {
        let codes = codes(&moved(own(precision)?));
        let same = |tier: usize| {
            reference.iter().zip(&codes).filter(|(a, b)| a[tier] == b[tier]).count() as f64
        };
        let rows = codes.len();
        let tiers: Vec<f64> =
            (0..validated.codebook.tiers.len()).map(|t| same(t) / rows.max(1) as f64).collect();
        let change = |(after, before): (Option<f64>, &Option<f64>)| Some(after? - (*before)?);
        Ok(PrecisionFigures {
            precision,
            level: level.name().into(),
            rows,
            agreement: tiers.iter().sum::<f64>() / tiers.len().max(1) as f64,
            macro_f1_change: scores(&codes).into_iter().zip(&before).map(change).collect(),
            tiers,
        })
    };
    [Precision::Int8, Precision::Bf16].into_iter().map(of_format).collect()
}
