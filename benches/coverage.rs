//! How often the intervals of `prevalence` hold the truth: simulated corpora of known shares, coded by
//! a model of known accuracy, with gold of known design. Prints a Markdown table.
//!
//!     cargo bench --bench coverage -- --repetitions 2000

use confide::prevalence::{ENOUGH, Gold, Method, Sums, Target, estimates};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Rows of a simulated corpus.
const ROWS: usize = 5_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Design {
    /// Simple random gold.
    Srs,
    /// Rows that the model gives the label are three times as likely to be gold.
    Unequal,
    /// The share among rows that another answer lets through, half of them.
    Gated,
    /// Groups with shares and accuracies of their own; the interval is for the process.
    Groups(usize),
}

impl Design {
    fn name(self) -> String {
        match self {
            Design::Srs => "simple random".into(),
            Design::Unequal => "unequal pi".into(),
            Design::Gated => "gated".into(),
            Design::Groups(n) => format!("{n} groups"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    design: Design,
    gold: usize,
    prevalence: f64,
    accuracy: f64,
}

const METHODS: [Method; 4] =
    [Method::PpiPlusPlus, Method::Dsl, Method::RoganGladen, Method::GoldOnly];

/// Intervals given, those that hold the truth, and their widths.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    given: u32,
    held: u32,
    width: f64,
}

impl Tally {
    fn coverage(&self) -> Option<f64> {
        (self.given > 0).then(|| f64::from(self.held) / f64::from(self.given))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tallies {
    methods: [Tally; 4],
    fallback: Tally,
    gain: f64,
}

fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// One simulated study, added to the tallies.
fn simulate(cell: Cell, seed: u64, tallies: &mut Tallies) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let groups = match cell.design {
        Design::Groups(n) => n,
        _ => 1,
    };
    // Shares of groups spread around the mean by a third of what they could.
    let of_group: Vec<(f64, f64)> = (0..groups)
        .map(|_| {
            let (a, b) = (unit(&mut random), unit(&mut random));
            if groups == 1 {
                return (cell.prevalence, cell.accuracy);
            }
            let room = cell.prevalence.min(1.0 - cell.prevalence) * 0.8;
            let accuracy = (cell.accuracy + 0.2 * (b - 0.5)).min(0.995);
            (cell.prevalence + room * (2.0 * a - 1.0), accuracy)
        })
        .collect();
    let mut y = vec![0.0; ROWS];
    let mut d = vec![1.0; ROWS];
    let mut f = vec![0.0; ROWS];
    let mut fd = vec![1.0; ROWS];
    let mut cluster = vec![0u32; ROWS];
    for row in 0..ROWS {
        let group = row % groups;
        cluster[row] = group as u32;
        let (share, accuracy) = of_group[group];
        if cell.design == Design::Gated {
            d[row] = f64::from(u8::from(unit(&mut random) < 0.5));
            let right = unit(&mut random) < 0.9;
            fd[row] = if right { d[row] } else { 1.0 - d[row] };
        }
        let label = unit(&mut random) < share;
        let right = unit(&mut random) < accuracy;
        y[row] = d[row] * f64::from(u8::from(label));
        f[row] = fd[row] * f64::from(u8::from(label == right));
    }
    let (truth, target) = match cell.design {
        Design::Groups(_) => (cell.prevalence, Target::Process),
        _ => (y.iter().sum::<f64>() / d.iter().sum::<f64>(), Target::Corpus),
    };
    let size: Vec<f64> = match cell.design {
        Design::Unequal => f.iter().map(|f| 1.0 + 2.0 * f).collect(),
        _ => vec![1.0; ROWS],
    };
    let all: f64 = size.iter().sum();
    let pi: Vec<f64> = size.iter().map(|s| (s * cell.gold as f64 / all).min(1.0)).collect();
    // Systematic sampling of rows in random order.
    let mut order: Vec<usize> = (0..ROWS).collect();
    for i in (1..ROWS).rev() {
        order.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
    }
    let (mut at, mut sum) = (unit(&mut random), 0.0);
    let mut chosen = Vec::new();
    for &row in &order {
        sum += pi[row];
        if sum > at {
            chosen.push(row);
            at += 1.0;
        }
    }
    let pick = |values: &[f64]| -> Vec<f64> { chosen.iter().map(|&row| values[row]).collect() };
    let (gx, gd, gfx, gfd, gpi) = (pick(&y), pick(&d), pick(&f), pick(&fd), pick(&pi));
    let own: Vec<u32> = chosen.iter().map(|&row| cluster[row]).collect();
    let gold = Gold {
        x: &gx,
        d: &gd,
        model_x: &gfx,
        model_d: &gfd,
        pi: &gpi,
        cluster: matches!(cell.design, Design::Groups(_)).then_some(&own[..]),
    };
    let mut rest = Sums::default();
    for row in 0..ROWS {
        rest.add(1.0, f[row], fd[row]);
    }
    let counted = gold.d.iter().filter(|d| **d > 0.0).count() as f64;
    let positives = gold.x.iter().filter(|x| **x > 0.0).count() as f64;
    let enough = positives >= ENOUGH && counted - positives >= ENOUGH;
    for estimate in estimates(&gold, &rest, &Sums::default(), target, None) {
        let (Some(lower), Some(upper)) = (estimate.lower, estimate.upper) else { continue };
        let tally = match METHODS.iter().position(|method| *method == estimate.method) {
            Some(_) if !enough => &mut tallies.fallback,
            Some(place) => &mut tallies.methods[place],
            None => continue,
        };
        tally.given += 1;
        tally.held += u32::from(lower <= truth && truth <= upper);
        tally.width += upper - lower;
        if estimate.method == Method::PpiPlusPlus {
            tallies.gain += estimate.ess_gain.unwrap_or(0.0);
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|own| own == flag);
        at.and_then(|at| arguments.get(at + 1)).and_then(|value| value.parse::<u64>().ok())
    };
    let repetitions = value("--repetitions").unwrap_or(2_000);
    let mut worst = [1.0f64; 5];
    println!(
        "| design | gold | share | accuracy | with enough | PPI++ | DSL | Rogan-Gladen | gold only | fallback | width PPI++ | width gold only | gain |"
    );
    println!(
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    for design in
        [Design::Srs, Design::Unequal, Design::Gated, Design::Groups(20), Design::Groups(80)]
    {
        for gold in [100, 200, 500] {
            for prevalence in [0.02, 0.1, 0.3, 0.5] {
                for accuracy in [0.7, 0.85, 0.95] {
                    let cell = Cell { design, gold, prevalence, accuracy };
                    let parts: Vec<Tallies> = (0..repetitions)
                        .into_par_iter()
                        .map(|seed| {
                            let mut tallies = Tallies::default();
                            simulate(cell, seed, &mut tallies);
                            tallies
                        })
                        .collect();
                    let mut all = Tallies::default();
                    for part in &parts {
                        let pairs = all.methods.iter_mut().zip(&part.methods);
                        for (sum, own) in pairs.chain([(&mut all.fallback, &part.fallback)]) {
                            sum.given += own.given;
                            sum.held += own.held;
                            sum.width += own.width;
                        }
                        all.gain += part.gain;
                    }
                    row(cell, repetitions, &all, &mut worst);
                }
            }
        }
    }
    println!(
        "\nworst with at least 200 intervals (PPI++, DSL, Rogan-Gladen, gold only, fallback): {worst:.3?}"
    );
}

fn row(cell: Cell, repetitions: u64, all: &Tallies, worst: &mut [f64; 5]) {
    let tallies = all.methods.iter().chain([&all.fallback]);
    let coverage: Vec<String> = tallies
        .enumerate()
        .map(|(place, tally)| {
            let Some(coverage) = tally.coverage().filter(|_| tally.given >= 200) else {
                return "–".to_owned();
            };
            worst[place] = worst[place].min(coverage);
            format!("{:.1}", 100.0 * coverage)
        })
        .collect();
    let width = |tally: &Tally| match tally.given {
        ..200 => "–".to_owned(),
        given => format!("{:.3}", tally.width / f64::from(given)),
    };
    let [ppi, _, _, alone] = &all.methods;
    let enough = f64::from(ppi.given) / repetitions as f64;
    let gain = match ppi.given {
        ..200 => "–".to_owned(),
        given => format!("{:.2}", all.gain / f64::from(given)),
    };
    println!(
        "| {} | {} | {:.0} % | {:.0} % | {:.0} % | {} | {} | {} | {gain} |",
        cell.design.name(),
        cell.gold,
        100.0 * cell.prevalence,
        100.0 * cell.accuracy,
        100.0 * enough,
        coverage.join(" | "),
        width(ppi),
        width(alone),
    );
}
