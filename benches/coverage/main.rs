//! How often the intervals of `prevalence` hold the truth: simulated corpora of known shares, coded by
//! a model of known accuracy, with gold of known design. Prints a Markdown table.
//!
//!     cargo bench --bench coverage -- --repetitions 2000 --design gated
//!
//! Without `--design`, all.

mod cross_fitted;

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
    /// The same where rows that the model gives the label are three times as likely to be gold.
    GatedUnequal,
    /// The same in groups, of which some let more rows through than others.
    GatedGroups(usize),
    /// Groups with shares and accuracies of their own; the interval is for the process.
    Groups(usize),
    /// The same with sizes of groups that differ as those of threads do.
    UnequalGroups(usize),
    /// Such groups, drawn whole.
    WholeGroups(usize),
    /// Rows that weigh as likes do.
    Weights,
    /// Gold that trained the model, by its out-of-fold codes; gated or not, in groups or not.
    CrossFitted(bool, Option<usize>),
}

impl Design {
    fn name(self) -> String {
        match self {
            Design::Srs => "simple random".into(),
            Design::Unequal => "unequal pi".into(),
            Design::Gated => "gated".into(),
            Design::GatedUnequal => "gated, unequal pi".into(),
            Design::GatedGroups(n) => format!("gated, {n} groups"),
            Design::Groups(n) => format!("{n} groups"),
            Design::UnequalGroups(n) => format!("{n} unequal groups"),
            Design::WholeGroups(n) => format!("whole of {n} groups"),
            Design::Weights => "weights".into(),
            Design::CrossFitted(gated, groups) => {
                let gated = if gated { ", gated" } else { "" };
                let groups = groups.map_or(String::new(), |groups| format!(", {groups} groups"));
                format!("cross-fitted{gated}{groups}")
            }
        }
    }

    fn groups(self) -> Option<usize> {
        match self {
            Design::Groups(n)
            | Design::GatedGroups(n)
            | Design::UnequalGroups(n)
            | Design::WholeGroups(n) => Some(n),
            Design::CrossFitted(_, groups) => groups,
            _ => None,
        }
    }

    fn is_gated(self) -> bool {
        matches!(self, Design::Gated | Design::GatedUnequal | Design::GatedGroups(_))
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

impl Tallies {
    /// Adds the intervals of one study.
    fn add(&mut self, gold: &Gold, rest: &Sums, truth: f64, target: Target) {
        let counted = gold.d.iter().filter(|d| **d > 0.0).count() as f64;
        let positives = gold.x.iter().filter(|x| **x > 0.0).count() as f64;
        let enough = positives >= ENOUGH && counted - positives >= ENOUGH;
        for estimate in estimates(gold, rest, &Sums::default(), target, None) {
            let (Some(lower), Some(upper)) = (estimate.lower, estimate.upper) else { continue };
            let tally = match METHODS.iter().position(|method| *method == estimate.method) {
                Some(_) if !enough => &mut self.fallback,
                Some(place) => &mut self.methods[place],
                None => continue,
            };
            tally.given += 1;
            tally.held += u32::from(lower <= truth && truth <= upper);
            tally.width += upper - lower;
            if estimate.method == Method::PpiPlusPlus {
                self.gain += estimate.ess_gain.unwrap_or(0.0);
            }
        }
    }
}

fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Two standard normal variables (Box and Muller 1958).
fn normals(random: &mut ChaCha8Rng) -> (f64, f64) {
    let (a, b) = (1.0 - unit(random), unit(random));
    let radius = (-2.0 * a.ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * b).sin_cos();
    (radius * cos, radius * sin)
}

/// A lognormal variable with this deviation of its logarithm.
fn lognormal(random: &mut ChaCha8Rng, deviation: f64) -> f64 {
    (deviation * normals(random).0).exp()
}

/// The group of each row: in turn, or as many rows as each group's size says.
fn groups_of_rows(design: Design, groups: usize, random: &mut ChaCha8Rng) -> Vec<u32> {
    if !matches!(design, Design::UnequalGroups(_) | Design::WholeGroups(_)) {
        return (0..ROWS).map(|row| (row % groups) as u32).collect();
    }
    let sizes: Vec<f64> = (0..groups).map(|_| lognormal(random, 1.0)).collect();
    let all: f64 = sizes.iter().sum();
    let mut ends = Vec::with_capacity(groups);
    let mut sum = 0.0;
    for size in &sizes {
        sum += size;
        ends.push(sum / all * ROWS as f64);
    }
    let of_row = |row| ends.partition_point(|end| *end <= row as f64).min(groups - 1);
    (0..ROWS).map(|row| of_row(row) as u32).collect()
}

/// One simulated study, added to the tallies.
fn simulate(cell: Cell, seed: u64, tallies: &mut Tallies) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    if let Design::CrossFitted(gated, groups) = cell.design {
        return cross_fitted::simulate(cell, gated, groups, &mut random, tallies);
    }
    let groups = cell.design.groups().unwrap_or(1);
    // Shares of groups spread around the mean by a third of what they could.
    let of_group: Vec<(f64, f64, f64)> = (0..groups)
        .map(|_| {
            let (a, b) = (unit(&mut random), unit(&mut random));
            if groups == 1 {
                return (cell.prevalence, cell.accuracy, 0.5);
            }
            let room = cell.prevalence.min(1.0 - cell.prevalence) * 0.8;
            let accuracy = (cell.accuracy + 0.2 * (b - 0.5)).min(0.995);
            let open = if cell.design.is_gated() { 0.3 + 0.4 * unit(&mut random) } else { 0.5 };
            (cell.prevalence + room * (2.0 * a - 1.0), accuracy, open)
        })
        .collect();
    let mut y = vec![0.0; ROWS];
    let mut d = vec![1.0; ROWS];
    let mut f = vec![0.0; ROWS];
    let mut fd = vec![1.0; ROWS];
    let cluster = groups_of_rows(cell.design, groups, &mut random);
    for row in 0..ROWS {
        let (share, accuracy, open) = of_group[cluster[row] as usize];
        if cell.design.is_gated() {
            d[row] = f64::from(u8::from(unit(&mut random) < open));
            let right = unit(&mut random) < 0.9;
            fd[row] = if right { d[row] } else { 1.0 - d[row] };
        }
        let label = unit(&mut random) < share;
        let right = unit(&mut random) < accuracy;
        if cell.design == Design::Weights {
            d[row] = lognormal(&mut random, 1.3);
            fd[row] = d[row];
        }
        y[row] = d[row] * f64::from(u8::from(label));
        f[row] = fd[row] * f64::from(u8::from(label == right));
    }
    let (truth, target) = match cell.design.groups() {
        Some(_) => (cell.prevalence, Target::Process),
        None => (y.iter().sum::<f64>() / d.iter().sum::<f64>(), Target::Corpus),
    };
    let size: Vec<f64> = match cell.design {
        Design::Unequal | Design::GatedUnequal => f.iter().map(|f| 1.0 + 2.0 * f).collect(),
        _ => vec![1.0; ROWS],
    };
    let all: f64 = size.iter().sum();
    let mut pi: Vec<f64> = size.iter().map(|s| (s * cell.gold as f64 / all).min(1.0)).collect();
    let mut order: Vec<usize> = (0..ROWS).collect();
    for i in (1..ROWS).rev() {
        order.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
    }
    let mut chosen = Vec::new();
    if let Design::WholeGroups(_) = cell.design {
        // Each group with the same probability, whatever its size.
        let mut names: Vec<u32> = (0..groups as u32).collect();
        for i in (1..groups).rev() {
            names.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
        }
        let drawn = (groups * cell.gold).div_ceil(ROWS).max(2);
        names.truncate(drawn);
        pi.fill(drawn as f64 / groups as f64);
        chosen.extend((0..ROWS).filter(|row| names.contains(&cluster[*row])));
    } else {
        // Systematic sampling of rows in random order.
        let (mut at, mut sum) = (unit(&mut random), 0.0);
        for &row in &order {
            sum += pi[row];
            if sum > at {
                chosen.push(row);
                at += 1.0;
            }
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
        cluster: cell.design.groups().is_some().then_some(&own[..]),
    };
    let mut rest = Sums::default();
    for row in 0..ROWS {
        rest.add(1.0, f[row], fd[row]);
    }
    tallies.add(&gold, &rest, truth, target);
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        let at = arguments.iter().position(|own| own == flag);
        at.and_then(|at| arguments.get(at + 1)).and_then(|value| value.parse::<u64>().ok())
    };
    let repetitions = value("--repetitions").unwrap_or(2_000);
    let only = arguments.iter().position(|own| own == "--design");
    let only = only.and_then(|at| arguments.get(at + 1)).map_or("", String::as_str);
    let mut worst = [1.0f64; 5];
    println!(
        "| design | gold | share | accuracy | with enough | PPI++ | DSL | Rogan-Gladen | gold only | fallback | width PPI++ | width gold only | gain |"
    );
    println!(
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    let designs = [
        Design::Srs,
        Design::Unequal,
        Design::Gated,
        Design::GatedUnequal,
        Design::GatedGroups(20),
        Design::GatedGroups(80),
        Design::Groups(20),
        Design::Groups(80),
        Design::UnequalGroups(20),
        Design::UnequalGroups(80),
        Design::WholeGroups(400),
        Design::Weights,
        Design::CrossFitted(false, None),
        Design::CrossFitted(true, None),
        Design::CrossFitted(false, Some(20)),
        Design::CrossFitted(true, Some(80)),
    ];
    for design in designs.into_iter().filter(|design| design.name().starts_with(only)) {
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
