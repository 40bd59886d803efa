//! From gold codes to the targets of the joint loss.

use super::form::LossForm;
use super::loss::{MultiTargets, SingleTargets, Targets};
use super::shift::{shift_biases, shift_logits};
use crate::codebook::{Code, Codebook, TierKind};
use crate::encoder::Parameters;
use crate::error::Result;

/// How much each label of each tier weighs in the loss, after its frequency in training.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelWeights {
    tiers: Vec<Vec<f32>>,
    /// ln(rows with the label / rows that code the tier); a label that nobody gave counts as given
    /// once.
    log_shares: Vec<Vec<f32>>,
    multi: Vec<bool>,
}

impl LabelWeights {
    /// Single tiers: (rows / (labels · rows with the label)) to the power `single`; multi
    /// tiers: (rows without / rows with the label) to the power `multi`. A weight lies between
    /// 1/`limit` and `limit`; a label that nobody gave has weight 1.
    pub fn new(codebook: &Codebook, rows: &[&[Code]], single: f64, multi: f64, limit: f64) -> Self {
        let weigh = |tier: usize| {
            let coded: Vec<_> = rows.iter().filter_map(|codes| codes[tier].labels()).collect();
            let labels = codebook.tiers[tier].labels.len();
            let total = coded.len() as f64;
            (0..labels)
                .map(|label| {
                    let n = coded.iter().filter(|set| set.contains(label)).count() as f64;
                    if n == 0.0 {
                        return 1.0;
                    }
                    let weight = match codebook.tiers[tier].kind {
                        TierKind::Single => (total / (labels as f64 * n)).powf(single),
                        TierKind::Multi => ((total - n) / n).max(1.0 / limit).powf(multi),
                    };
                    weight.clamp(1.0 / limit, limit) as f32
                })
                .collect()
        };
        let log_shares = |tier: usize| {
            let coded: Vec<_> = rows.iter().filter_map(|codes| codes[tier].labels()).collect();
            let given = |label| coded.iter().filter(|set| set.contains(label)).count().max(1);
            let share = |label| given(label) as f64 / coded.len().max(1) as f64;
            (0..codebook.tiers[tier].labels.len()).map(|l| share(l).ln() as f32).collect()
        };
        let tiers = || 0..codebook.tiers.len();
        Self {
            tiers: tiers().map(weigh).collect(),
            log_shares: tiers().map(log_shares).collect(),
            multi: multi_tiers(codebook),
        }
    }

    /// Weight 1 for every label.
    pub fn equal(codebook: &Codebook) -> Self {
        let each = |value: f32| -> Vec<Vec<f32>> {
            codebook.tiers.iter().map(|t| vec![value; t.labels.len()]).collect()
        };
        Self { tiers: each(1.0), log_shares: each(0.0), multi: multi_tiers(codebook) }
    }

    /// What weighting added to a multi tier's logits: positives that weigh w shift the logit by
    /// ln w (Menon et al. 2021); single tiers keep the shift, which favours rare labels.
    fn shift(&self, tier: usize, label: usize) -> f64 {
        if self.multi[tier] { f64::from(self.tiers[tier][label]).ln() } else { 0.0 }
    }

    /// Takes the shift out of logits, `[text][tier][label]`, so that they are log odds.
    pub fn correct_logits(&self, logits: &mut [Vec<Vec<f64>>]) {
        shift_logits(logits, |tier, label| -self.shift(tier, label));
    }

    /// Takes the shift out of the biases of one tier's head.
    pub fn correct_biases(&self, tier: usize, biases: &mut [f32]) {
        for (label, bias) in biases.iter_mut().enumerate() {
            *bias = (f64::from(*bias) - self.shift(tier, label)) as f32;
        }
    }

    /// Takes the shift out of the heads' biases, `TIER.bias`.
    ///
    /// # Errors
    /// If a bias is missing.
    pub fn correct_heads(&self, codebook: &Codebook, heads: &mut Parameters) -> Result<()> {
        shift_biases(codebook, heads, |tier, label| -self.shift(tier, label))
    }

    /// The weights of one tier's labels.
    pub fn tier(&self, tier: usize) -> &[f32] {
        &self.tiers[tier]
    }
}

fn multi_tiers(codebook: &Codebook) -> Vec<bool> {
    codebook.tiers.iter().map(|t| t.kind == TierKind::Multi).collect()
}

/// What each tier's loss over a batch is divided by: for a single tier the sum of the weights
/// of its coded labels, for a multi tier the number of entries that count. A batch that is cut
/// into shards has one set of denominators, so that the shards' losses add up to its own.
pub fn denominators(codebook: &Codebook, rows: &[&[Code]], weights: &LabelWeights) -> Vec<f32> {
    (0..codebook.tiers.len())
        .map(|tier| {
            let sum: f32 = match codebook.tiers[tier].kind {
                TierKind::Single => rows
                    .iter()
                    .filter_map(|codes| codes[tier].single())
                    .map(|label| weights.tier(tier)[label])
                    .sum(),
                TierKind::Multi => rows
                    .iter()
                    .filter(|codes| codes[tier].is_coded())
                    .map(|codes| {
                        codebook.permitted(tier, codes).iter().filter(|p| **p).count() as f32
                    })
                    .sum(),
            };
            sum.max(f32::MIN_POSITIVE)
        })
        .collect()
}

/// The targets of one tier for these rows; rows where it is not asked or missing do not count.
pub fn targets(
    codebook: &Codebook,
    tier: usize,
    rows: &[&[Code]],
    weights: &LabelWeights,
    form: LossForm,
    denominator: f32,
) -> Targets {
    let permitted = rows.iter().flat_map(|codes| codebook.permitted(tier, codes));
    match codebook.tiers[tier].kind {
        TierKind::Single => Targets::Single(SingleTargets {
            labels: rows.iter().map(|codes| codes[tier].single()).collect(),
            permitted: permitted.collect(),
            class_weights: weights.tier(tier).to_vec(),
            smoothing: form.smoothing as f32,
            focus: form.focus,
            adjustment: weights.log_shares[tier]
                .iter()
                .map(|log_share| form.adjustment as f32 * log_share)
                .collect(),
            denominator,
        }),
        TierKind::Multi => {
            let labels = codebook.tiers[tier].labels.len();
            let entries = || rows.iter().flat_map(|codes| (0..labels).map(move |l| (codes, l)));
            Targets::Multi(MultiTargets {
                positive: entries()
                    .map(|(codes, l)| codes[tier].labels().is_some_and(|s| s.contains(l)))
                    .collect(),
                counted: entries()
                    .zip(permitted)
                    .map(|((codes, _), permitted)| permitted && codes[tier].is_coded())
                    .collect(),
                positive_weights: weights.tier(tier).to_vec(),
                focus: form.focus,
                denominator,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::LabelSet;

    fn codebook() -> Codebook {
        let toml = r#"
            format = 1
            name = "t"
            version = "1"
            language = "en"
            description = "d"
            [[tier]]
            name = "a"
            kind = "single"
            question = "?"
            [[tier.label]]
            name = "x"
            definition = "x"
            [[tier.label]]
            name = "y"
            definition = "y"
            [[tier]]
            name = "b"
            kind = "multi"
            question = "?"
            asked_when = { a = ["x"] }
            [[tier.label]]
            name = "u"
            definition = "u"
            [[tier.label]]
            name = "v"
            definition = "v"
        "#;
        Codebook::parse(toml, "t.toml").unwrap()
    }

    fn rows() -> Vec<Vec<Code>> {
        let one = |l| Code::Coded(LabelSet::one(l));
        vec![
            vec![one(0), Code::Coded(LabelSet::new(vec![0, 1]))],
            vec![one(0), Code::Coded(LabelSet::default())],
            vec![one(0), Code::Missing],
            vec![one(1), Code::NotAsked],
        ]
    }

    #[test]
    fn weights_follow_frequencies() {
        let (codebook, rows) = (codebook(), rows());
        let rows: Vec<&[Code]> = rows.iter().map(Vec::as_slice).collect();
        let weights = LabelWeights::new(&codebook, &rows, 1.0, 1.0, 10.0);
        assert_eq!(weights.tier(0), [4.0 / 6.0, 2.0]);
        assert_eq!(weights.tier(1), [1.0, 1.0]);
        let mut logits = vec![vec![vec![0.0, 0.0], vec![1.0, 1.0]]];
        let rare = LabelWeights { tiers: vec![vec![5.0; 2], vec![1.0, 3.0]], ..weights.clone() };
        rare.correct_logits(&mut logits);
        assert_eq!(logits[0][0], [0.0, 0.0]);
        assert_eq!(logits[0][1][0], 1.0);
        assert!((logits[0][1][1] - (1.0 - 3f64.ln())).abs() < 1e-6);
        assert_eq!(denominators(&codebook, &rows, &weights), [4.0, 4.0]);
    }

    #[test]
    fn adjustments_follow_the_shares_of_labels() {
        let (codebook, rows) = (codebook(), rows());
        let rows: Vec<&[Code]> = rows.iter().map(Vec::as_slice).collect();
        let weights = LabelWeights::new(&codebook, &rows, 0.0, 0.0, 10.0);
        let form = LossForm { adjustment: 2.0, ..LossForm::default() };
        let Targets::Single(t) = targets(&codebook, 0, &rows, &weights, form, 4.0) else {
            panic!()
        };
        assert_eq!(t.adjustment, [2.0 * 0.75f32.ln(), 2.0 * 0.25f32.ln()]);
    }

    #[test]
    fn not_asked_and_missing_do_not_count() {
        let (codebook, rows) = (codebook(), rows());
        let rows: Vec<&[Code]> = rows.iter().map(Vec::as_slice).collect();
        let weights = LabelWeights::equal(&codebook);
        let Targets::Multi(t) = targets(&codebook, 1, &rows, &weights, LossForm::default(), 4.0)
        else {
            panic!()
        };
        assert_eq!(t.counted, [true, true, true, true, false, false, false, false]);
        assert_eq!(t.positive, [true, true, false, false, false, false, false, false]);
    }
}
