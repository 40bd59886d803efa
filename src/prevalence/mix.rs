//! What of a difference between two corpora comes of changes within groups of comments, and what of
//! other parts of the groups.
//!
//! With parts w of the groups and shares p within them, the difference of two shares is
//! Σ ½(w₁ + w₂)(p₂ − p₁) within groups that both have, and the rest by their mix: Σ ½(p₁ + p₂)(w₂ − w₁)
//! over these and the whole of what only one corpus has (Kitagawa 1955, "Components of a Difference
//! Between Two Rates"; Oaxaca and Blinder 1973 do the same with regressions). Both are weighted totals
//! over the comments of either corpus, so that gold of the whole corpus corrects them as it corrects
//! its share: no group needs gold of its own.

use std::collections::HashMap;

use serde::Serialize;

use super::difference::{centre, spread};
use super::shares::{Counted, Sorted, Study};
use super::{ENOUGH, Gold, Request, Target, Tuning, linear};
use crate::codebook::Codebook;
use crate::corpus::Codings;
use crate::evaluation::quantile::NORMAL;

/// Two coded corpora whose rows are in groups.
#[derive(Clone, Copy, Debug)]
pub struct Corpora<'a> {
    /// Both, each of one coder.
    pub codings: [&'a Codings; 2],
    /// For each row its group, numbered in common.
    pub levels: [&'a [u32]; 2],
    /// Whether rows of the same [`Codings::groups`] are alike; not so where these are the levels.
    pub clustered: bool,
}

/// One part of a difference, with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Part {
    /// The part.
    pub value: f64,
    /// Lower end; unknown without gold of both corpora.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
}

/// The difference of the second corpus's share from the first's, split by groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MixSplit {
    /// What comes of other shares within groups that both corpora have.
    pub within: Part,
    /// What comes of other parts of the groups, those that only one corpus has included.
    pub mix: Part,
    /// Whether gold of both corpora accounts for the coder's errors.
    pub corrected: bool,
}

/// The splits of all labels, `[tier][label]`; undefined where a corpus has no coded row. A label is
/// corrected if both corpora hold ten positives and ten negatives among their gold.
pub fn mix_splits(
    codebook: &Codebook,
    corpora: Corpora,
    gold: &Codings,
    request: &Request,
) -> Vec<Vec<Option<MixSplit>>> {
    let study = |codings| Study::new(codebook, codings, gold, request).ok();
    let [Some(first), Some(second)] = corpora.codings.map(study) else {
        return codebook.tiers.iter().map(|tier| vec![None; tier.labels.len()]).collect();
    };
    let studies = [first, second];
    let coded = [0, 1].map(|at| {
        let rows = 0..corpora.codings[at].rows();
        rows.filter(|&row| studies[at].in_target[row]).collect::<Vec<usize>>()
    });
    let of_tier = |(tier, own): (usize, &crate::codebook::Tier)| {
        let sorted = [0, 1].map(|at| studies[at].sort(&coded[at], tier, Counted::All));
        let sides = [0, 1].map(|at| Side {
            study: &studies[at],
            rows: &sorted[at],
            levels: corpora.levels[at],
            clusters: corpora.codings[at].groups.as_deref().filter(|_| corpora.clustered),
        });
        let parts = Parts::of(&sides);
        let labels = 0..own.labels.len();
        labels.map(|label| parts.as_ref().map(|parts| parts.label(&sides, tier, label))).collect()
    };
    codebook.tiers.iter().enumerate().map(of_tier).collect()
}

/// Weights by which a corpus has its groups in the parts that another has them (direct
/// standardisation): of a row, the other's part of its group over its own; 0 where the other has none
/// of it.
pub fn standard_weights(own: &[u32], standard: &[u32]) -> Vec<f64> {
    let (of_own, of_standard) = (counts(own), counts(standard));
    let scale = own.len() as f64 / standard.len().max(1) as f64;
    let weight = |level: &u32| of_standard.get(level).map_or(0.0, |n| scale * n / of_own[level]);
    own.iter().map(weight).collect()
}

/// Of either corpus the share of rows in groups that the other has as well.
pub fn shared_parts(levels: [&[u32]; 2]) -> [f64; 2] {
    let both = levels.map(counts);
    [0, 1].map(|at| {
        let shared = levels[at].iter().filter(|level| both[1 - at].contains_key(level)).count();
        shared as f64 / levels[at].len().max(1) as f64
    })
}

fn counts(levels: &[u32]) -> HashMap<u32, f64> {
    let mut counts = HashMap::new();
    levels.iter().for_each(|level| *counts.entry(*level).or_insert(0.0) += 1.0);
    counts
}

/// The rows of one corpus in one tier.
struct Side<'a> {
    study: &'a Study<'a>,
    rows: &'a Sorted,
    levels: &'a [u32],
    clusters: Option<&'a [u32]>,
}

/// The parts that both corpora have of every group, in one tier: `[group][corpus]`.
struct Parts(Vec<[f64; 2]>);

/// What one corpus adds to within and mix.
#[derive(Clone, Copy)]
struct Added {
    value: [f64; 2],
    variance: [f64; 2],
}

impl Parts {
    /// Undefined if a corpus has no row.
    fn of(sides: &[Side; 2]) -> Option<Self> {
        let levels = sides.iter().flat_map(|side| side.levels).max().map_or(0, |last| last + 1);
        let mut parts = vec![[0.0; 2]; levels as usize];
        for (at, side) in sides.iter().enumerate() {
            let n = side.rows.rest.len();
            if n == 0 {
                return None;
            }
            side.rows.rest.iter().for_each(|&row| {
                parts[side.levels[row] as usize][at] += 1.0 / n as f64;
            });
        }
        Some(Self(parts))
    }

    /// How much a row of that group and corpus weighs within groups.
    fn weight(&self, level: usize, at: usize) -> f64 {
        let [first, second] = self.0[level];
        match first > 0.0 && second > 0.0 {
            true => 0.5 * (first + second) / self.0[level][at],
            false => 0.0,
        }
    }

    fn label(&self, sides: &[Side; 2], tier: usize, label: usize) -> MixSplit {
        let codes = [0, 1].map(|at| sides[at].codes(tier, label));
        let naive = [0, 1].map(|at| self.naive(&sides[at], &codes[at], at));
        let lambda = [0, 1].map(|at| sides[at].lambda(tier, label));
        let corrected = lambda.iter().all(Option::is_some);
        let [first, second] = [0, 1].map(|at| {
            let lambda = lambda[at].filter(|_| corrected);
            let added = self.added(&sides[at], (tier, label), at, lambda, &codes[at]);
            let process = self.process(&sides[at], at, &codes[at], &naive);
            Added { variance: [0, 1].map(|part| added.variance[part] + process[part]), ..added }
        });
        let part = |which: usize| {
            let value = second.value[which] - first.value[which];
            let half = NORMAL * (first.variance[which] + second.variance[which]).sqrt();
            let ends = corrected.then_some((value - half, value + half));
            Part { value, lower: ends.map(|e| e.0), upper: ends.map(|e| e.1) }
        };
        MixSplit { within: part(0), mix: part(1), corrected }
    }

    /// Each group's share by the coder's codes.
    fn naive(&self, side: &Side, codes: &[f64], at: usize) -> Vec<f64> {
        let mut shares = vec![0.0; self.0.len()];
        for (&row, code) in side.rows.rest.iter().zip(codes) {
            shares[side.levels[row] as usize] += code;
        }
        let n = codes.len() as f64;
        let part = |(share, parts): (&f64, &[f64; 2])| share / (n * parts[at]).max(1.0);
        shares.iter().zip(&self.0).map(part).collect()
    }

    /// The weighted totals of both parts over one corpus, with the variance that comes of its gold being
    /// a sample.
    fn added(
        &self,
        side: &Side,
        (tier, label): (usize, usize),
        at: usize,
        lambda: Option<f64>,
        codes: &[f64],
    ) -> Added {
        let n = codes.len() as f64;
        let weigh = |row: usize| {
            let within = self.weight(side.levels[row] as usize, at);
            [within, 1.0 - within]
        };
        let mut totals = [0.0; 2];
        for (&row, code) in side.rows.rest.iter().zip(codes) {
            let own = weigh(row);
            (0..2).for_each(|part| totals[part] += own[part] * code);
        }
        let Some(lambda) = lambda else {
            return Added { value: totals.map(|total| total / n), variance: [0.0; 2] };
        };
        let (gold, _, _) = side.study.of_label(side.rows, tier, label, Counted::All);
        let inverse: f64 = side.rows.pi.iter().map(|pi| 1.0 / pi).sum();
        let weight: Vec<f64> = side.rows.pi.iter().map(|pi| n / inverse / pi).collect();
        let mut added = Added { value: [0.0; 2], variance: [0.0; 2] };
        for (part, total) in totals.iter().enumerate() {
            let v: Vec<f64> = side.rows.gold.iter().map(|(row, _)| weigh(*row)[part]).collect();
            let pairs = gold.x.iter().zip(&gold.model_x).zip(&v);
            let residual: Vec<f64> =
                pairs.map(|((x, model), v)| v * (x - lambda * model)).collect();
            let sum: f64 = weight.iter().zip(&residual).map(|(w, r)| w * r).sum();
            added.value[part] = (sum + lambda * total) / n;
            let sizes: Vec<f64> = v.iter().map(|v| v.abs()).collect();
            let is_census = side.rows.gold.len() >= side.rows.rest.len();
            if is_census || sizes.iter().all(|size| *size == 0.0) {
                continue;
            }
            let weighed = Gold {
                x: &gold.x,
                d: &sizes,
                model_x: &gold.model_x,
                model_d: &sizes,
                pi: &side.rows.pi,
                cluster: side.rows.cluster.as_deref(),
            };
            let (variance, _) = spread(&weighed, &weight, &centre(&residual, &weight), lambda);
            added.variance[part] = variance / (n * n);
        }
        added
    }

    /// The variances of both parts that come of the corpus being one outcome of many: by the influence
    /// of each row on shares and parts of its group, as the coder's codes have them.
    fn process(&self, side: &Side, at: usize, codes: &[f64], naive: &[Vec<f64>; 2]) -> [f64; 2] {
        let n = codes.len() as f64;
        let sign = if at == 1 { 1.0 } else { -1.0 };
        let influence = |(&row, code): (&usize, &f64)| {
            let level = side.levels[row] as usize;
            let [first, second] = [naive[0][level], naive[1][level]];
            let within = self.weight(level, at);
            let rest = code - naive[at][level];
            match within > 0.0 {
                true => [
                    sign * within * rest + 0.5 * (second - first),
                    sign * ((1.0 - within) * rest + 0.5 * (first + second)),
                ],
                false => [0.0, sign * code],
            }
        };
        let rows = || side.rows.rest.iter().zip(codes);
        let mut means = [0.0; 2];
        for own in rows().map(influence) {
            (0..2).for_each(|part| means[part] += own[part] / n);
        }
        let groups = side.clusters.map_or(0, |all| all.iter().max().map_or(0, |last| last + 1));
        let mut sums = vec![([0.0; 2], false); groups as usize];
        let mut squares = [0.0; 2];
        for (row, own) in side.rows.rest.iter().zip(rows().map(influence)) {
            for part in 0..2 {
                let centred = own[part] - means[part];
                match side.clusters {
                    None => squares[part] += centred * centred,
                    Some(all) => {
                        let (sum, there) = &mut sums[all[*row] as usize];
                        sum[part] += centred;
                        *there = true;
                    }
                }
            }
        }
        let mut count = if side.clusters.is_some() { 0.0 } else { n };
        for (sum, _) in sums.iter().filter(|(_, there)| *there) {
            count += 1.0;
            (0..2).for_each(|part| squares[part] += sum[part] * sum[part]);
        }
        squares.map(|squares| count / (count - 1.0).max(1.0) * squares / (n * n))
    }
}

impl Side<'_> {
    /// Whether each row carries the label by its coder.
    fn codes(&self, tier: usize, label: usize) -> Vec<f64> {
        self.study.model_codes(&self.rows.rest, tier, label)
    }

    /// The weight of the coder's codes beside the gold, if there is enough of it.
    fn lambda(&self, tier: usize, label: usize) -> Option<f64> {
        let (columns, rest, known) = self.study.of_label(self.rows, tier, label, Counted::All);
        let gold = Gold {
            x: &columns.x,
            d: &columns.d,
            model_x: &columns.model_x,
            model_d: &columns.model_d,
            pi: &self.rows.pi,
            cluster: self.rows.cluster.as_deref(),
        };
        let (positives, negatives) = gold.positives_and_negatives();
        let found = linear(&gold, &rest, &known, Tuning::Optimal, Target::Corpus)?;
        (positives >= ENOUGH && negatives >= ENOUGH).then_some(found.lambda)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::corpus::{CodingsRequest, GOLD, below, read_codings};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn codebook() -> Codebook {
        Codebook::parse(crate::codebook::GATED, "b").unwrap()
    }

    /// One corpus: for each row its group, the truth, the model's code, and whether it is gold.
    type Rows = Vec<(u32, bool, bool, bool)>;

    fn coded(prefix: &str, rows: &Rows, gold: bool) -> String {
        let mut table = String::from("id,use\n");
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| !gold || row.3) {
            let yes = if gold { row.1 } else { row.2 };
            writeln!(table, "{prefix}{at},{}", if yes { "yes" } else { "no" }).unwrap();
        }
        table
    }

    fn read(tables: &[String]) -> Codings {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> =
            (0..tables.len()).map(|at| folder.path().join(format!("{at}.csv"))).collect();
        for (path, table) in paths.iter().zip(tables) {
            std::fs::write(path, table).unwrap();
        }
        let request = CodingsRequest { coders: vec![GOLD.into()], ..CodingsRequest::default() };
        read_codings(&paths, &codebook(), &request).unwrap()
    }

    fn split(both: [&Rows; 2]) -> MixSplit {
        let [a, b] = both;
        let (first, second) = (read(&[coded("a", a, false)]), read(&[coded("b", b, false)]));
        let gold = read(&[coded("a", a, true), coded("b", b, true)]);
        let levels = both.map(|rows| rows.iter().map(|row| row.0).collect::<Vec<u32>>());
        let corpora = Corpora {
            codings: [&first, &second],
            levels: [&levels[0], &levels[1]],
            clustered: false,
        };
        let request =
            Request { target: Target::Process, simple_random: true, ..Request::default() };
        mix_splits(&codebook(), corpora, &gold, &request)[0][0].unwrap()
    }

    /// So many rows of a group with this share of yes, coded rightly and without gold.
    fn plain(group: u32, rows: usize, yes: usize) -> Rows {
        (0..rows).map(|row| (group, row < yes, row < yes, false)).collect()
    }

    #[test]
    fn differences_are_split_by_groups() {
        // Shares within both groups stay 0.2 and 0.8, their parts change from 1:1 to 1:3.
        let a = [plain(0, 50, 10), plain(1, 50, 40)].concat();
        let b = [plain(0, 25, 5), plain(1, 75, 60)].concat();
        let found = split([&a, &b]);
        assert!(found.within.value.abs() < 1e-12, "{found:?}");
        assert!((found.mix.value - 0.15).abs() < 1e-12, "{found:?}");
        assert_eq!((found.corrected, found.mix.lower), (false, None));
        // A group that only one corpus has is a matter of the mix.
        let found = split([&plain(0, 10, 5), &plain(1, 10, 1)]);
        assert!((found.mix.value + 0.4).abs() < 1e-12 && found.within.value == 0.0);
        // By hand: ½(.5 + .25)(.4 − .2) + ½(.5 + .75)(.6 − .8), and the rest.
        let b = [plain(0, 25, 10), plain(1, 75, 45)].concat();
        let found = split([&a, &b]);
        assert!((found.within.value - (0.375 * 0.2 - 0.625 * 0.2)).abs() < 1e-12);
        assert!((found.within.value + found.mix.value - (0.55 - 0.5)).abs() < 1e-12);
    }

    #[test]
    fn weights_give_the_other_mix() {
        let (own, standard) = ([0, 0, 0, 1, 2], [0, 1, 1, 3]);
        let weights = standard_weights(&own, &standard);
        let expected = [0.25 / 0.6, 0.25 / 0.6, 0.25 / 0.6, 0.5 / 0.2, 0.0];
        for (found, expected) in weights.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{weights:?}");
        }
        assert_eq!(shared_parts([&own, &standard]), [0.8, 0.75]);
        assert_eq!(shared_parts([&[], &standard]), [0.0, 0.0]);
    }

    /// A corpus of groups with these parts and shares, miscoded at random, and gold of some rows.
    fn drawn(
        random: &mut ChaCha8Rng,
        n: usize,
        parts: [f64; 2],
        shares: [f64; 3],
        gold: usize,
    ) -> Rows {
        let even = |random: &mut ChaCha8Rng| (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mut rows: Rows = (0..n)
            .map(|_| {
                let u = even(random);
                let group = u32::from(u > parts[0]) + u32::from(u > parts[0] + parts[1]);
                let truth = even(random) < shares[group as usize];
                let wrong = even(random) < if truth { 0.25 } else { 0.1 };
                (group, truth, truth != wrong, false)
            })
            .collect();
        for at in 0..gold {
            let other = at + below(random, n - at);
            rows.swap(at, other);
            rows[at].3 = true;
        }
        rows
    }

    #[test]
    fn intervals_hold_both_parts() {
        let (parts, shares) = ([[0.5, 0.3], [0.25, 0.3]], [[0.2, 0.5, 0.7], [0.3, 0.45, 0.7]]);
        let part = |at: usize, group: usize| match group {
            2 => 1.0 - parts[at][0] - parts[at][1],
            group => parts[at][group],
        };
        let (mut within, mut mix) = (0.0, 0.0);
        for (group, (p, q)) in shares[0].iter().zip(&shares[1]).enumerate() {
            let (v, w) = (part(0, group), part(1, group));
            within += 0.5 * (v + w) * (q - p);
            mix += 0.5 * (p + q) * (w - v);
        }
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let repetitions = 400;
        let mut held = [0; 2];
        let mut means = [0.0; 2];
        for _ in 0..repetitions {
            let rows = [0, 1].map(|at| drawn(&mut random, 1_500, parts[at], shares[at], 150));
            let found = split([&rows[0], &rows[1]]);
            assert!(found.corrected);
            for (at, (part, truth)) in
                [(found.within, within), (found.mix, mix)].into_iter().enumerate()
            {
                means[at] += part.value / f64::from(repetitions);
                let (lower, upper) = (part.lower.unwrap(), part.upper.unwrap());
                held[at] += i32::from(lower <= truth && truth <= upper);
            }
        }
        assert!((means[0] - within).abs() < 0.005 && (means[1] - mix).abs() < 0.005, "{means:?}");
        assert!(
            held.iter().all(|held| *held >= 93 * repetitions / 100),
            "{held:?} of {repetitions}"
        );
    }
}
