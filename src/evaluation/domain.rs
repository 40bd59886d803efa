//! How well two corpora can be told apart by what an encoder makes of their texts: the area under the
//! ROC curve of a classifier that was not trained on the texts it is asked of (Ben-David et al. 2010
//! measure the distance of domains so; Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample
//! Tests").

use serde::Serialize;

use super::quantile::NORMAL;
use crate::corpus::folds;
use crate::heads::logistic::{DenseRows, Design, LinearHead, fit};
use crate::heads::loss::{SingleTargets, Targets};

/// Folds of the cross-validation.
const FOLDS: usize = 5;
/// Texts that either corpus must have, and units that both must have together.
const LEAST_TEXTS: usize = 10;
/// What the root mean square of an embedding's length is brought to.
const LENGTH: f64 = 8.0;
/// The penalty of the classifier: as an L2 penalty of scikit-learn's `C` it is 2 / (rows · this).
pub const PENALTY: f64 = 0.02;

/// The area under the ROC curve of the domain classifier.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DomainClassifier {
    /// The mean over folds: .5 where the corpora cannot be told apart, 1 where they always can.
    /// Undefined where either has fewer than ten texts, or both fewer than ten units.
    pub auc: Option<f64>,
    /// Lower end of its 95 % interval; undefined where no variance can be seen.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Distinct texts of either corpus.
    pub texts: [usize; 2],
    /// Sets of near-duplicates and groups, which are never cut by a fold.
    pub units: usize,
    /// Folds that hold texts of both.
    pub folds: usize,
}

/// Trains a logistic regression to tell the second corpus's embeddings from the first's, in folds of
/// whole units, and says how well it ranks the texts of each fold that it was not trained on.
/// `embeddings` is `[texts, width]`; `units` are all texts in sets.
pub fn domain_classifier(
    embeddings: &[f32],
    second: &[bool],
    units: &[Vec<usize>],
    seed: u64,
) -> DomainClassifier {
    let of_second = second.iter().filter(|second| **second).count();
    let mut found = DomainClassifier {
        texts: [second.len() - of_second, of_second],
        units: units.len(),
        ..DomainClassifier::default()
    };
    if found.texts.iter().any(|texts| *texts < LEAST_TEXTS) || units.len() < LEAST_TEXTS {
        return found;
    }
    let fold_of = folds(units, FOLDS, seed);
    let mut unit_of = vec![0; second.len()];
    for (unit, texts) in units.iter().enumerate() {
        texts.iter().for_each(|&text| unit_of[text] = unit as u32);
    }
    let scores = held_out_scores(embeddings, second, &fold_of);
    let areas: Vec<Area> = (0..FOLDS)
        .filter_map(|fold| {
            let own = || (0..second.len()).filter(|&text| fold_of[text] == fold);
            let pick = |of: &dyn Fn(usize) -> f64| own().map(of).collect::<Vec<f64>>();
            let is_second: Vec<bool> = own().map(|text| second[text]).collect();
            let clusters: Vec<u32> = own().map(|text| unit_of[text]).collect();
            area(&pick(&|text| scores[text]), &is_second, &clusters)
        })
        .collect();
    found.folds = areas.len();
    if areas.is_empty() {
        return found;
    }
    let count = areas.len() as f64;
    let auc = areas.iter().map(|area| area.auc).sum::<f64>() / count;
    found.auc = Some(auc);
    let variances: Option<Vec<f64>> = areas.iter().map(|area| area.variance).collect();
    // Folds share what they are trained on: their mean varies by the tested over the trained rows more
    // (Nadeau and Bengio 2003, "Inference for the Generalization Error", equation 8).
    let spread = 1.0 / count + 1.0 / (FOLDS - 1) as f64;
    let variance = variances.map(|all| spread * all.iter().sum::<f64>() / count);
    // On the logit, so that no end leaves the unit interval (Pepe 2003, section 5.2.4).
    if let Some(variance) = variance.filter(|v| *v > 0.0 && auc > 0.0 && auc < 1.0) {
        let logit = (auc / (1.0 - auc)).ln();
        let half = NORMAL * variance.sqrt() / (auc * (1.0 - auc));
        let share = |logit: f64| 1.0 / (1.0 + (-logit).exp());
        found.lower = Some(share(logit - half));
        found.upper = Some(share(logit + half));
    }
    found
}

/// The score of every text by a classifier that was trained on the other folds: the higher, the more
/// like the second corpus.
pub fn held_out_scores(embeddings: &[f32], second: &[bool], fold_of: &[usize]) -> Vec<f64> {
    let width = embeddings.len() / second.len().max(1);
    let square = embeddings.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
    let scale = (LENGTH * (second.len() as f64 / square.max(1e-12)).sqrt()) as f32;
    let rows = |chosen: &[usize]| -> Vec<f32> {
        let own = chosen.iter().flat_map(|&text| &embeddings[text * width..][..width]);
        own.map(|value| value * scale).collect()
    };
    let mut scores = vec![0.0; second.len()];
    for fold in 0..fold_of.iter().max().map_or(0, |last| last + 1) {
        let (held, train): (Vec<usize>, Vec<usize>) =
            (0..second.len()).partition(|&text| fold_of[text] == fold);
        if train.is_empty() || held.is_empty() {
            continue;
        }
        let values = rows(&train);
        let labels = train.iter().map(|&text| Some(usize::from(second[text]))).collect();
        let targets = Targets::Single(SingleTargets::plain(labels, 2));
        let design = DenseRows { values: &values, rows: train.len() };
        let head = fit(&design, &targets, PENALTY, LinearHead::zero(2, width));
        let values = rows(&held);
        let logits = DenseRows { values: &values, rows: held.len() }.logits(&head);
        for (&text, logits) in held.iter().zip(logits.chunks_exact(2)) {
            scores[text] = f64::from(logits[1]) - f64::from(logits[0]);
        }
    }
    scores
}

/// An area under the ROC curve and its variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The chance that a positive's score is above a negative's, equal scores counting half.
    pub auc: f64,
    /// Its variance over clusters; undefined with fewer than two of either class.
    pub variance: Option<f64>,
}

/// The area under the ROC curve (scikit-learn's `roc_auc_score`) with the variance of DeLong, DeLong
/// and Clarke-Pearson (1988), and where scores come in clusters that of Obuchowski (1997,
/// "Nonparametric Analysis of Clustered ROC Curve Data"), which is the same with a cluster a score.
/// Undefined unless both classes are there.
pub fn area(scores: &[f64], positive: &[bool], clusters: &[u32]) -> Option<Area> {
    let positives = positive.iter().filter(|positive| **positive).count();
    let negatives = positive.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (m, n) = (positives as f64, negatives as f64);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    // Each score's placement: the share of the other class that it is on the right side of.
    let mut placement = vec![0.0; scores.len()];
    let (mut below, mut above) = (0.0, m);
    for equal in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let own = equal.iter().filter(|&&at| positive[at]).count() as f64;
        let others = equal.len() as f64 - own;
        above -= own;
        for &at in equal {
            placement[at] = match positive[at] {
                true => (below + 0.5 * others) / n,
                false => (above + 0.5 * own) / m,
            };
        }
        below += others;
    }
    let sum = |class: bool| {
        let own = placement.iter().zip(positive).filter(|(_, own)| **own == class);
        own.map(|(value, _)| value).sum::<f64>()
    };
    let auc = sum(true) / m;
    // Of each cluster the sum of placements less the area, positives and negatives apart.
    let mut numbers = std::collections::BTreeMap::new();
    for at in 0..scores.len() {
        let own = numbers.entry(clusters[at]).or_insert([(0.0, false); 2]);
        let (rest, there) = &mut own[usize::from(!positive[at])];
        *rest += placement[at] - auc;
        *there = true;
    }
    let with = |class: usize| numbers.values().filter(|own| own[class].1).count() as f64;
    let (i, of_positives, of_negatives) = (numbers.len() as f64, with(0), with(1));
    let squares = |a: usize, b: usize| numbers.values().map(|own| own[a].0 * own[b].0).sum::<f64>();
    let variance = (of_positives > 1.0 && of_negatives > 1.0).then(|| {
        let first = of_positives / ((of_positives - 1.0) * m) * squares(0, 0);
        let second = of_negatives / ((of_negatives - 1.0) * n) * squares(1, 1);
        let both = i / (i - 1.0) * squares(0, 1);
        (first / m + second / n + 2.0 * both / (m * n)).max(0.0)
    });
    Some(Area { auc, variance })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    /// Texts of two corpora as points, the second's moved by `apart` in their first coordinate.
    fn points(each: usize, apart: f32) -> (Vec<f32>, Vec<bool>) {
        let second: Vec<bool> = (0..2 * each).map(|at| at % 2 == 1).collect();
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut even = || (random.next_u32() >> 8) as f32 / (1u32 << 23) as f32 - 1.0;
        let values = second.iter().flat_map(|second| {
            let moved = if *second { apart } else { 0.0 };
            [even() + moved, even(), even()]
        });
        (values.collect(), second.clone())
    }

    fn alone(n: usize) -> Vec<Vec<usize>> {
        (0..n).map(|at| vec![at]).collect()
    }

    #[test]
    fn areas_are_those_by_hand() {
        // Positives 3, 1 and negatives 2, 1: pairs 1, 1, 0, ½.
        let found =
            area(&[3.0, 1.0, 2.0, 1.0], &[true, true, false, false], &[0, 1, 2, 3]).unwrap();
        assert!((found.auc - 2.5 / 4.0).abs() < 1e-12);
        // Placements of the positives 1 and ¼, of the negatives ½ and ¾.
        let variance = (0.375f64.powi(2) + 0.375f64.powi(2)) / 2.0
            + (0.125f64.powi(2) + 0.125f64.powi(2)) / 2.0;
        assert!((found.variance.unwrap() - variance).abs() < 1e-12);
        assert_eq!(area(&[1.0, 2.0], &[true, true], &[0, 1]), None);
        assert_eq!(area(&[1.0, 2.0], &[true, false], &[0, 1]).unwrap().variance, None);
        assert_eq!(area(&[], &[], &[]), None);
    }

    #[test]
    fn corpora_apart_are_told_apart_and_equal_ones_are_not() {
        let (values, second) = points(150, 0.0);
        let same = domain_classifier(&values, &second, &alone(300), 1);
        assert!(same.lower.unwrap() < 0.5 && same.upper.unwrap() > 0.5, "{same:?}");
        let (values, second) = points(150, 0.8);
        let other = domain_classifier(&values, &second, &alone(300), 1);
        assert!(other.lower.unwrap() > 0.6 && other.upper.unwrap() < 0.95, "{other:?}");
        let (values, second) = points(150, 9.0);
        let apart = domain_classifier(&values, &second, &alone(300), 1);
        assert_eq!((apart.auc, apart.lower), (Some(1.0), None));
    }

    #[test]
    fn copies_in_both_corpora_are_never_trained_on_and_asked_of() {
        // Each point stands in both corpora: a classifier that saw the copy would be wrong of it.
        let (values, second) = points(40, 0.0);
        let twice: Vec<f32> = values.chunks_exact(3).flat_map(|p| [p, p].concat()).collect();
        let both: Vec<bool> = second.iter().flat_map(|_| [false, true]).collect();
        let pairs: Vec<Vec<usize>> = (0..80).map(|at| vec![2 * at, 2 * at + 1]).collect();
        let found = domain_classifier(&twice, &both, &pairs, 1);
        assert!((found.auc.unwrap() - 0.5).abs() < 1e-9, "{found:?}");
        assert_eq!(found.units, 80);
    }

    #[test]
    fn few_texts_have_no_area() {
        let (values, second) = points(9, 0.5);
        let found = domain_classifier(&values, &second, &alone(18), 1);
        assert_eq!((found.auc, found.texts), (None, [9, 9]));
        assert_eq!(domain_classifier(&[], &[], &[], 1).auc, None);
        // One unit holds everything: nothing is left to train on.
        let (values, second) = points(20, 0.5);
        let found = domain_classifier(&values, &second, &[(0..40).collect()], 1);
        assert_eq!(found.auc, None);
    }
}
