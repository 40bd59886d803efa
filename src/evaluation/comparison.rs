//! Two coders against gold on the same rows: how far they differ, and whether chance explains it.

mod tally;

use serde::Serialize;

use super::contribution::Scores;
use super::paired::{holm, mcnemar_exact};
use super::resampling::{Resampler, quantile, varying_interval};
use super::view::{ByName, View};
use crate::codebook::{Codebook, Tier, TierKind};
use crate::corpus::{Answer, Codings, Patterns};
use tally::{Both, Tally};

/// Resamples at most, for intervals.
const RESAMPLES: u64 = 2_000;
/// Random exchanges at most, for tests.
const EXCHANGES: u64 = 10_000;
/// Of either at least, where each takes long.
const FEWEST: u64 = 200;
/// Groups or rows that a test with a margin takes.
const FEWEST_UNITS: u64 = 10;
/// Steps of all of either together, about.
const STEPS: u64 = 2_000_000_000;

/// The figure of a tier that the comparison is decided by, named beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Primary {
    /// Macro-F1 over all rows whose gold is coded or not asked.
    #[default]
    PipelineMacroF1,
    /// Share of these rows with the right answer.
    PipelineAccuracy,
    /// Macro-F1 over the rows that the gold asks.
    AskedMacroF1,
    /// Share of these rows with the right answer.
    AskedAccuracy,
}

impl Primary {
    /// All of them, in the order of the figures below.
    pub const ALL: [Self; 4] =
        [Self::PipelineMacroF1, Self::PipelineAccuracy, Self::AskedMacroF1, Self::AskedAccuracy];
}

/// Rows that cannot be compared; they are left out, never imputed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Rows with gold that only coder a has a code of.
    pub only_a: usize,
    /// Rows with gold that only coder b has a code of.
    pub only_b: usize,
    /// Rows with gold that neither has a code of.
    pub neither: usize,
    /// Rows without gold.
    pub no_gold: usize,
}

/// a less b, with its 95 % bootstrap interval and the p of approximate randomisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// The difference.
    pub value: Option<f64>,
    /// Lower end of the interval.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Two-sided p.
    pub p: Option<f64>,
    /// p after Holm's correction over the family.
    pub p_holm: Option<f64>,
}

/// McNemar's exact test on whether a row is right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct McNemar {
    /// Rows that only a has right.
    pub only_a_right: u64,
    /// Rows that only b has right.
    pub only_b_right: u64,
    /// Two-sided exact p; undefined without rows.
    pub p: Option<f64>,
    /// p after Holm's correction over tiers.
    pub p_holm: Option<f64>,
    /// Whether the rows are in groups, which the test takes no notice of.
    pub assumes_independent_rows: bool,
}

/// Whether a is worse than b by less than a margin that was named beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NonInferiority {
    /// The margin.
    pub margin: f64,
    /// The one-sided 95 % lower bound of a less b.
    pub lower_bound: f64,
    /// Whether the bound lies above minus the margin.
    pub non_inferior: bool,
    /// The smallest margin for which it would have.
    pub least_shown: f64,
}

/// One coder's scores, with intervals of the first two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// All scores.
    #[serde(flatten)]
    pub scores: View,
    /// Interval of macro-F1.
    pub macro_f1_interval: Option<[f64; 2]>,
    /// Interval of accuracy.
    pub accuracy_interval: Option<[f64; 2]>,
}

/// Both coders over one choice of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Rows compared.
    pub n: u64,
    /// The one.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// Difference in macro-F1.
    pub macro_f1_difference: Difference,
    /// Difference in accuracy.
    pub accuracy_difference: Difference,
    /// McNemar's test.
    pub mcnemar: McNemar,
    /// Difference in the F1 of every label.
    pub label_differences: ByName<Difference>,
}

/// One tier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TierComparison {
    /// `single` or `multi`.
    pub kind: &'static str,
    /// Over all rows whose gold is coded or not asked.
    #[serde(flatten)]
    pub pipeline: Compared,
    /// Over the rows that the gold asks; for gated tiers.
    pub asked: Option<Compared>,
    /// Rows left out.
    pub left_out: LeftOut,
    /// The primary figure's difference, corrected over tiers.
    pub primary: Difference,
    /// The test with a margin, on the primary figure.
    pub non_inferiority: Option<NonInferiority>,
    /// The smallest margin that these rows could have shown of coders that are as good as each other, on
    /// the primary figure: how far the one-sided bound lies below the difference. Undefined with fewer
    /// than ten groups or rows, or where no resample differs from another.
    pub smallest_margin: Option<f64>,
    /// Groups or rows that were resampled.
    pub units: u64,
    /// Resamples behind intervals.
    pub resamples: u64,
    /// Random exchanges behind p.
    pub exchanges: u64,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Places of gold and both coders among the codings.
    pub gold: usize,
    /// The one coder.
    pub a: usize,
    /// The other.
    pub b: usize,
    /// The figure that decides.
    pub primary: Primary,
    /// The margin of the non-inferiority test.
    pub margin: Option<f64>,
    /// All draws follow from it.
    pub seed: u64,
}

/// Compares two coders in every tier that gold and both have a column of. p is corrected over
/// tiers for macro-F1, accuracy, McNemar and the primary figure each; over all labels of all tiers
/// for labels.
pub fn compare(codebook: &Codebook, codings: &Codings, request: Request) -> ByName<TierComparison> {
    let present = |tier: &usize| {
        [request.gold, request.a, request.b].iter().all(|&coder| codings.present(coder, *tier))
    };
    let mut tiers: Vec<(String, TierComparison)> = (0..codebook.tiers.len())
        .filter(present)
        .map(|tier| (codebook.tiers[tier].name.clone(), of_tier(codebook, codings, tier, request)))
        .collect();
    let mut all: Vec<&mut TierComparison> = tiers.iter_mut().map(|(_, tier)| tier).collect();
    correct(all.iter_mut().map(|tier| &mut tier.primary));
    for asked in [false, true] {
        let views = || all.iter().filter(|tier| !asked || tier.asked.is_some());
        let count = views().count();
        let mut views: Vec<&mut Compared> = Vec::with_capacity(count);
        for tier in all.iter_mut() {
            views.extend(if asked { tier.asked.as_mut() } else { Some(&mut tier.pipeline) });
        }
        correct(views.iter_mut().map(|view| &mut view.macro_f1_difference));
        correct(views.iter_mut().map(|view| &mut view.accuracy_difference));
        correct(views.iter_mut().flat_map(|view| view.label_differences.entries_mut()));
        let tested = |view: &&mut &mut Compared| view.mcnemar.p.is_some();
        let p: Vec<f64> = views.iter().filter_map(|view| view.mcnemar.p).collect();
        for (view, p) in views.iter_mut().filter(tested).zip(holm(&p)) {
            view.mcnemar.p_holm = Some(p);
        }
    }
    tiers.into_iter().collect()
}

/// Holm's correction over those that have a p.
fn correct<'a>(family: impl Iterator<Item = &'a mut Difference>) {
    let mut family: Vec<&mut Difference> = family.filter(|d| d.p.is_some()).collect();
    let p: Vec<f64> = family.iter().filter_map(|difference| difference.p).collect();
    for (difference, p) in family.iter_mut().zip(holm(&p)) {
        difference.p_holm = Some(p);
    }
}

fn of_tier(
    codebook: &Codebook,
    codings: &Codings,
    place: usize,
    request: Request,
) -> TierComparison {
    let tier = &codebook.tiers[place];
    let columns: Vec<&[Answer]> = [request.gold, request.a, request.b]
        .iter()
        .map(|&coder| codings.answers(coder, place))
        .collect();
    let mut left_out = LeftOut::default();
    let mut rows = Vec::new();
    let known = |column: usize, row: usize| columns[column][row] != Answer::MISSING;
    for row in 0..codings.rows() {
        let (gold, a, b) = (known(0, row), known(1, row), known(2, row));
        match (gold, a, b) {
            (false, _, _) => left_out.no_gold += 1,
            (true, true, true) => rows.push(row),
            (true, true, false) => left_out.only_a += 1,
            (true, false, true) => left_out.only_b += 1,
            (true, false, false) => left_out.neither += 1,
        }
    }
    let patterns = Patterns::of(&columns, rows.iter().copied());
    let groups: Option<Vec<u32>> =
        codings.groups.as_ref().map(|all| rows.iter().map(|&row| all[row]).collect());
    let tally = Tally::new(tier);
    let parts = tally.parts(tier, place, codings, &patterns.distinct);
    let resampler = Resampler::new(&patterns.of_row, parts, groups.as_deref(), request.seed);
    let draws = Draws::new(tally, &resampler);
    let gated = !tier.asked_when.conditions.is_empty();
    let view = |asked| draws.compared(tier, asked, groups.is_some());
    let pipeline = view(false);
    let asked = gated.then(|| view(true));
    let which = asked.as_ref().unwrap_or(&pipeline);
    let (figure, of_asked) = match request.primary {
        Primary::PipelineMacroF1 => (pipeline.macro_f1_difference, false),
        Primary::PipelineAccuracy => (pipeline.accuracy_difference, false),
        Primary::AskedMacroF1 => (which.macro_f1_difference, gated),
        Primary::AskedAccuracy => (which.accuracy_difference, gated),
    };
    let of_accuracy = matches!(request.primary, Primary::PipelineAccuracy | Primary::AskedAccuracy);
    let enough = resampler.units() >= FEWEST_UNITS && figure.lower.is_some();
    let bound = draws.lower_bound(of_asked, of_accuracy).filter(|_| enough);
    TierComparison {
        kind: match tier.kind {
            TierKind::Single => "single",
            TierKind::Multi => "multi",
        },
        pipeline,
        asked,
        left_out,
        primary: figure,
        non_inferiority: bound.zip(request.margin).map(|(lower_bound, margin)| NonInferiority {
            margin,
            lower_bound,
            non_inferior: lower_bound > -margin,
            least_shown: (-lower_bound).max(0.0),
        }),
        smallest_margin: bound.zip(figure.value).map(|(bound, value)| (value - bound).max(0.0)),
        units: resampler.units(),
        resamples: draws.resampled.len() as u64,
        exchanges: draws.exchanged.len() as u64,
    }
}

/// How far the one coder's figure is above the other's.
fn gap([a, b]: &Both, figure: impl Fn(&Scores) -> Option<f64>) -> Option<f64> {
    figure(a).zip(figure(b)).map(|(a, b)| a - b)
}

/// All that was drawn of one tier.
struct Draws {
    tally: Tally,
    sums: Vec<f64>,
    observed: Vec<Both>,
    resampled: Vec<Vec<Both>>,
    exchanged: Vec<Vec<Both>>,
}

impl Draws {
    fn new(tally: Tally, resampler: &Resampler) -> Self {
        let sums = resampler.observed();
        let often = |most: u64| (STEPS / (tally.steps() + resampler.steps())).clamp(FEWEST, most);
        Self {
            tally,
            observed: tally.scores(&sums, None),
            resampled: resampler.draws(often(RESAMPLES), |drawn| tally.scores(drawn, None)),
            exchanged: resampler
                .swaps(often(EXCHANGES), |changed| tally.scores(&sums, Some(changed))),
            sums,
        }
    }

    /// The interval and the p of a difference of figures.
    fn difference(&self, asked: bool, figure: impl Fn(&Scores) -> Option<f64>) -> Difference {
        let of = |views: &Vec<Both>| gap(&views[usize::from(asked)], &figure);
        let Some(value) = of(&self.observed) else { return Difference::default() };
        let ends = varying_interval(self.resampled.iter().map(of));
        // Sums in another order differ in the last places.
        let extreme =
            |views: &&Vec<Both>| of(views).is_some_and(|d| d.abs() >= value.abs() - 1e-12);
        let extreme = self.exchanged.iter().filter(extreme).count();
        Difference {
            value: Some(value),
            lower: ends.map(|e| e.0),
            upper: ends.map(|e| e.1),
            p: Some((extreme + 1) as f64 / (self.exchanged.len() + 1) as f64),
            p_holm: None,
        }
    }

    fn side(&self, tier: &Tier, asked: bool, side: usize) -> Side {
        let (labels, right) = self.tally.counts(&self.sums, usize::from(asked), side);
        let rows = self.tally.rows(&self.sums, usize::from(asked)) as usize;
        let ends = |figure: &dyn Fn(&Scores) -> Option<f64>| {
            let draws = self.resampled.iter().map(|views| figure(&views[usize::from(asked)][side]));
            varying_interval(draws).map(|(lower, upper)| [lower, upper])
        };
        Side {
            scores: View::from_counts(tier, rows, right, &labels),
            macro_f1_interval: ends(&|scores| scores.macro_f1),
            accuracy_interval: ends(&|scores| scores.accuracy),
        }
    }

    fn compared(&self, tier: &Tier, asked: bool, grouped: bool) -> Compared {
        let [only_a_right, only_b_right] = self.tally.discordant(&self.sums, usize::from(asked));
        let rows = self.tally.rows(&self.sums, usize::from(asked));
        let p = (rows > 0).then(|| mcnemar_exact(only_a_right, only_b_right));
        let of_label = |(at, label): (usize, &crate::codebook::Label)| {
            (label.name.clone(), self.difference(asked, |scores| scores.f1[at]))
        };
        Compared {
            n: rows,
            a: self.side(tier, asked, 0),
            b: self.side(tier, asked, 1),
            macro_f1_difference: self.difference(asked, |scores| scores.macro_f1),
            accuracy_difference: self.difference(asked, |scores| scores.accuracy),
            mcnemar: McNemar {
                only_a_right,
                only_b_right,
                p,
                p_holm: None,
                assumes_independent_rows: grouped,
            },
            label_differences: tier.labels.iter().enumerate().map(of_label).collect(),
        }
    }

    /// The one-sided 95 % lower bound of the difference.
    fn lower_bound(&self, asked: bool, of_accuracy: bool) -> Option<f64> {
        let figure = |s: &Scores| if of_accuracy { s.accuracy } else { s.macro_f1 };
        let of = |views: &Vec<Both>| gap(&views[usize::from(asked)], figure);
        let mut draws: Vec<f64> = self.resampled.iter().filter_map(of).collect();
        draws.sort_by(f64::total_cmp);
        (!draws.is_empty()).then(|| quantile(&draws, 0.05))
    }
}
