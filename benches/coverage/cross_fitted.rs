//! Studies whose gold trained the model: linear discriminants of five folds, each fitted on the gold of
//! the other four and asked for the gold of its own, and their mean for all other rows.

use confide::prevalence::{Gold, Sums, Target};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, Normal};

use super::{Cell, Tallies, normals, unit};

/// Rows of a corpus.
const ROWS: usize = 2_000;
const FOLDS: usize = 5;
/// Features of a tier; so many that a model of little gold fits them too closely; even.
const FEATURES: usize = 12;
/// How often a discriminant that knew everything would find the rows that are asked.
const OF_GATE: f64 = 0.9;

type Features = [f64; FEATURES];

/// What is said by features of a tier with two answers of equal spread.
struct Task {
    features: Vec<Features>,
    truth: Vec<bool>,
}

/// One simulated study, added to the tallies.
pub fn simulate(
    cell: Cell,
    gated: bool,
    groups: Option<usize>,
    random: &mut ChaCha8Rng,
    tallies: &mut Tallies,
) {
    let count = groups.unwrap_or(ROWS);
    let group = |row: usize| row % count;
    let spread = if groups.is_some() { 1.0 } else { 0.0 };
    let room = cell.prevalence.min(1.0 - cell.prevalence) * 0.8 * spread;
    let mut shares = |mean: f64, room: f64| -> Vec<f64> {
        (0..count).map(|_| mean + room * (2.0 * unit(random) - 1.0)).collect()
    };
    let (share, open) = (shares(cell.prevalence, room), shares(0.5, 0.2 * spread));
    let mut task = |share: &[f64], accuracy: f64| -> Task {
        // Groups differ in their features too, so that errors go by group.
        let own: Vec<Features> = (0..groups.unwrap_or(0)).map(|_| features(random, 0.3)).collect();
        let truth: Vec<bool> = (0..ROWS).map(|row| unit(random) < share[group(row)]).collect();
        let step = Normal::standard().inverse_cdf(accuracy) / (FEATURES as f64).sqrt();
        let place = |(row, truth): (usize, &bool)| {
            let mut all = features(random, 1.0);
            let shift = own.get(group(row)).copied().unwrap_or_default();
            for (own, of_group) in all.iter_mut().zip(shift) {
                *own += of_group + if *truth { step } else { -step };
            }
            all
        };
        Task { features: truth.iter().enumerate().map(place).collect(), truth }
    };
    let label = task(&share, cell.accuracy);
    let gate = gated.then(|| task(&open, OF_GATE));
    // Rows are alike but for their groups, which come in turn, so that the first are a random sample.
    let gold: Vec<usize> = (0..cell.gold).collect();
    let fold = |row: usize| group(row) % FOLDS;
    let fit = |task: &Task, asked: &dyn Fn(usize) -> bool| -> Vec<Discriminant> {
        let of = |without: usize| {
            let rows = gold.iter().copied().filter(|row| fold(*row) != without && asked(*row));
            Discriminant::fit(task, &rows.collect::<Vec<usize>>())
        };
        (0..FOLDS).map(of).collect()
    };
    let is_asked = |row: usize| gate.as_ref().is_none_or(|gate| gate.truth[row]);
    let of_label = fit(&label, &is_asked);
    let of_gate = gate.as_ref().map(|gate| fit(gate, &|_| true));
    // Probabilities of a label over all rows; codes where the denominator is estimated as well.
    let say = |row: usize, by: usize| -> (f64, f64) {
        let p = of_label[by].probability(&label.features[row]);
        match (&gate, &of_gate) {
            (Some(gate), Some(of_gate)) => {
                let asked = of_gate[by].probability(&gate.features[row]) > 0.5;
                let d = f64::from(u8::from(asked));
                (d * f64::from(u8::from(p > 0.5)), d)
            }
            _ => (p, 1.0),
        }
    };
    let mut is_gold = vec![false; ROWS];
    gold.iter().for_each(|row| is_gold[*row] = true);
    let mean = |row: usize| -> (f64, f64) {
        let (x, d) = (0..FOLDS)
            .map(|by| say(row, by))
            .fold((0.0, 0.0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        (x / FOLDS as f64, d / FOLDS as f64)
    };
    let mut rest = Sums::default();
    let (mut x, mut d, mut model_x, mut model_d) = (vec![], vec![], vec![], vec![]);
    let mut cluster = Vec::new();
    let (mut carry, mut counted) = (0.0, 0.0);
    for (row, &is_gold) in is_gold.iter().enumerate() {
        let own = if is_gold { say(row, fold(row)) } else { mean(row) };
        rest.add(1.0, own.0, own.1);
        let truth_d = f64::from(u8::from(is_asked(row)));
        let truth_x = truth_d * f64::from(u8::from(label.truth[row]));
        carry += truth_x;
        counted += truth_d;
        if is_gold {
            x.push(truth_x);
            d.push(truth_d);
            model_x.push(own.0);
            model_d.push(own.1);
            cluster.push(group(row) as u32);
        }
    }
    let gold = Gold {
        x: &x,
        d: &d,
        model_x: &model_x,
        model_d: &model_d,
        pi: &vec![cell.gold as f64 / ROWS as f64; x.len()],
        cluster: groups.is_some().then_some(&cluster[..]),
    };
    match groups {
        Some(_) => tallies.add(&gold, &rest, cell.prevalence, Target::Process),
        None => tallies.add(&gold, &rest, carry / counted, Target::Corpus),
    }
}

fn features(random: &mut ChaCha8Rng, deviation: f64) -> Features {
    let mut all = [0.0; FEATURES];
    for pair in all.chunks_exact_mut(2) {
        let (a, b) = normals(random);
        (pair[0], pair[1]) = (deviation * a, deviation * b);
    }
    all
}

/// Fisher's discriminant with a little ridge.
struct Discriminant {
    weights: Features,
    shift: f64,
}

impl Discriminant {
    fn fit(task: &Task, rows: &[usize]) -> Self {
        let mut sums = [[0.0; FEATURES]; 2];
        let mut counts = [0.0f64; 2];
        for &row in rows {
            let class = usize::from(task.truth[row]);
            counts[class] += 1.0;
            sums[class].iter_mut().zip(task.features[row]).for_each(|(sum, x)| *sum += x);
        }
        let prior = ((counts[1] + 0.5) / (counts[0] + 0.5)).ln();
        if counts[0] < 1.0 || counts[1] < 1.0 {
            return Self { weights: [0.0; FEATURES], shift: prior };
        }
        let means = [0, 1].map(|class: usize| sums[class].map(|sum| sum / counts[class]));
        let mut spread = [[0.0; FEATURES]; FEATURES];
        for &row in rows {
            let mean = &means[usize::from(task.truth[row])];
            let centred: Features = std::array::from_fn(|at| task.features[row][at] - mean[at]);
            for (line, a) in spread.iter_mut().zip(centred) {
                line.iter_mut().zip(centred).for_each(|(cell, b)| *cell += a * b);
            }
        }
        let n = (counts[0] + counts[1] - 2.0).max(1.0);
        for (at, line) in spread.iter_mut().enumerate() {
            line.iter_mut().for_each(|cell| *cell /= n);
            line[at] += 0.1;
        }
        let weights = solve(spread, std::array::from_fn(|at| means[1][at] - means[0][at]));
        let middle = |at: usize| 0.5 * (means[0][at] + means[1][at]);
        let shift = prior - (0..FEATURES).map(|at| weights[at] * middle(at)).sum::<f64>();
        Self { weights, shift }
    }

    fn probability(&self, features: &Features) -> f64 {
        let sum: f64 = self.weights.iter().zip(features).map(|(w, x)| w * x).sum();
        1.0 / (1.0 + (-(sum + self.shift)).exp())
    }
}

/// Gaussian elimination; the matrix is positive definite.
fn solve(mut matrix: [[f64; FEATURES]; FEATURES], mut right: Features) -> Features {
    for at in 0..FEATURES {
        for below in at + 1..FEATURES {
            let part = matrix[below][at] / matrix[at][at];
            let pivot = matrix[at];
            for (value, pivot) in matrix[below].iter_mut().zip(pivot).skip(at) {
                *value -= part * pivot;
            }
            right[below] -= part * right[at];
        }
    }
    for at in (0..FEATURES).rev() {
        let known: f64 = (at + 1..FEATURES).map(|column| matrix[at][column] * right[column]).sum();
        right[at] = (right[at] - known) / matrix[at][at];
    }
    right
}
