//! How much the lexical heads count beside the encoder's.

use super::fit::coded;
use super::temperature::{Goal, minimise};
use crate::codebook::{Code, Codebook};

/// One factor a tier for the lexical logits, such that encoder + factor · lexical tells the
/// validation rows' codes best.
///
/// With the encoder's logits at their own temperature, the factor v and a common temperature
/// minimise the negative log-likelihood, both pulled towards 1 as temperatures are: the voices
/// count alike unless the rows say otherwise (stacking, Wolpert 1992, with one weight a tier and
/// on held-out rows). A tier that no row codes has v = 1.
pub fn fit_blend(
    codebook: &Codebook,
    encoder: &[Vec<Vec<f64>>],
    lexical: &[Vec<Vec<f64>>],
    gold: &[&[Code]],
) -> Vec<f64> {
    let of_tier = |tier: usize| {
        let (own, sets) = coded(codebook, tier, encoder, gold);
        let (other, _) = coded(codebook, tier, lexical, gold);
        let goal = Goal::new(codebook.tiers[tier].kind, &sets);
        let own_temperature = goal.temperature(&own);
        let (factor, _) = minimise(|v| {
            let both = mixed(&own, &other, v * own_temperature);
            minimise(|t| goal.loss(&both, t * own_temperature)).1
        });
        factor * own_temperature
    };
    (0..codebook.tiers.len()).map(of_tier).collect()
}

/// Encoder + factor · lexical for every text, `[text][tier][label]`.
pub fn blend(
    encoder: &[Vec<Vec<f64>>],
    lexical: &[Vec<Vec<f64>>],
    factors: &[f64],
) -> Vec<Vec<Vec<f64>>> {
    let of_text = |(encoder, lexical): (&Vec<Vec<f64>>, &Vec<Vec<f64>>)| {
        let tiers = encoder.iter().zip(lexical).zip(factors);
        tiers.map(|((e, l), factor)| sum(e, l, *factor)).collect()
    };
    encoder.iter().zip(lexical).map(of_text).collect()
}

fn mixed(own: &[Vec<f64>], other: &[Vec<f64>], factor: f64) -> Vec<Vec<f64>> {
    own.iter().zip(other).map(|(own, other)| sum(own, other, factor)).collect()
}

/// own + factor · other; what is not permitted (−∞ in both) stays so.
fn sum(own: &[f64], other: &[f64], factor: f64) -> Vec<f64> {
    own.iter().zip(other).map(|(a, b)| a + factor * b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::LabelSet;

    /// Rows of the codebook's first tier whose encoder and lexical logits favour these labels.
    fn factor(rows: &[(usize, usize, usize)]) -> f64 {
        let codebook = Codebook::find("olid").unwrap();
        let logits = |label: usize| {
            let mut first = vec![0.0; 2];
            first[label] = 2.0;
            vec![first, vec![0.0; 2], vec![0.0; 3]]
        };
        let codes: Vec<Vec<Code>> = rows
            .iter()
            .map(|row| vec![Code::Coded(LabelSet::one(row.2)), Code::Missing, Code::Missing])
            .collect();
        let gold: Vec<&[Code]> = codes.iter().map(Vec::as_slice).collect();
        let encoder: Vec<_> = rows.iter().map(|row| logits(row.0)).collect();
        let lexical: Vec<_> = rows.iter().map(|row| logits(row.1)).collect();
        let factors = fit_blend(&codebook, &encoder, &lexical, &gold);
        assert!((factors[1] - 1.0).abs() < 1e-5, "a tier without codes: {}", factors[1]);
        factors[0]
    }

    #[test]
    fn the_voice_that_is_right_counts_more() {
        let rows = |encoder_right: bool| -> Vec<(usize, usize, usize)> {
            (0..100)
                .map(|i| {
                    let (gold, noise) = (i % 2, (i / 2) % 2);
                    if encoder_right { (gold, noise, gold) } else { (noise, gold, gold) }
                })
                .collect()
        };
        assert!(factor(&rows(true)) < 0.5, "{}", factor(&rows(true)));
        assert!(factor(&rows(false)) > 2.0, "{}", factor(&rows(false)));
    }

    #[test]
    fn what_is_not_permitted_stays_out() {
        let closed = f64::NEG_INFINITY;
        let one = |v: Vec<f64>| vec![vec![v]];
        let both = blend(&one(vec![1.0, closed]), &one(vec![2.0, closed]), &[0.5]);
        assert_eq!(both, one(vec![2.0, closed]));
    }
}
