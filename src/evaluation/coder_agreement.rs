//! How far coders agree, tier by tier, with intervals: for gated tiers among the rows that all let
//! through, and over all rows with *not asked* as one more answer.

mod statistics;

use serde::Serialize;

use super::resampling::{Resampler, varying_interval};
use super::view::{ByName, TOO_FEW};
use crate::codebook::{Codebook, TierKind};
use crate::corpus::{Answer, Codings, GOLD, Patterns};
use statistics::Statistics;

/// Resamples at most.
const RESAMPLES: u64 = 2_000;
/// Resamples at least, where each takes long.
const FEWEST_RESAMPLES: u64 = 200;
/// Steps of all resamples together, about.
const STEPS: u64 = 2_000_000_000;

/// A figure with its 95 % bootstrap interval; undefined figures are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub value: Option<f64>,
    /// Lower end of the interval.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
}

/// Who the two coders of a pair are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairKind {
    /// Two people.
    HumanHuman,
    /// A person and a model.
    HumanModel,
    /// Two models.
    ModelModel,
    /// One of them is the adjudicated gold.
    WithGold,
    /// Nobody said who is a person.
    Unknown,
}

impl PairKind {
    /// The name that stands in tables.
    pub fn name(self) -> &'static str {
        match self {
            PairKind::HumanHuman => "human-human",
            PairKind::HumanModel => "human-model",
            PairKind::ModelModel => "model-model",
            PairKind::WithGold => "with-gold",
            PairKind::Unknown => "",
        }
    }
}

/// How far two coders agree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairAgreement {
    /// One coder.
    pub a: String,
    /// The other.
    pub b: String,
    /// Who they are.
    pub kind: PairKind,
    /// Rows that both coded.
    pub n: f64,
    /// Share of them with the same answer.
    pub percent: Option<f64>,
    /// 95 % interval of the share.
    pub percent_lower: Option<f64>,
    /// Its upper end.
    pub percent_upper: Option<f64>,
    /// Cohen's kappa; of a multi tier on whole sets.
    pub kappa: Option<f64>,
    /// 95 % interval of kappa.
    pub kappa_lower: Option<f64>,
    /// Its upper end.
    pub kappa_upper: Option<f64>,
    /// Krippendorff's alpha of the two; of a multi tier with MASI distance.
    pub alpha: Estimate,
    /// Whether one may have been made from the other: adjudicated gold and a coder behind it.
    pub not_independent: bool,
}

/// How far two coders agree about one label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelPair {
    /// One coder.
    pub a: String,
    /// The other.
    pub b: String,
    /// Cohen's kappa of *given* against *not given*.
    pub kappa: Estimate,
    /// Whether one may have been made from the other: adjudicated gold and a coder behind it.
    pub not_independent: bool,
}

/// How far coders agree about one label: *given* against *not given*.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelAgreement {
    /// Krippendorff's alpha.
    pub alpha: Estimate,
    /// Share of pairs of coders that both give it or both do not, the mean over rows.
    pub percent: Estimate,
    /// Gwet's AC1.
    pub ac1: Estimate,
    /// Cohen's kappa of every two coders.
    pub pairs: Vec<LabelPair>,
    /// Share of all codes that hold the label.
    pub prevalence: Option<f64>,
    /// Of what one coder of a pair gives, the share that the other gives as well.
    pub positive_agreement: Option<f64>,
    /// The same of what one does not give.
    pub negative_agreement: Option<f64>,
    /// Codes that hold the label, over all coders.
    pub codes: f64,
    /// Whether fewer than ten codes hold it.
    pub too_few: bool,
}

/// The mean over all pairs of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KindAgreement {
    /// How many pairs.
    pub pairs: usize,
    /// Mean kappa.
    pub kappa: Estimate,
    /// Mean alpha.
    pub alpha: Estimate,
}

/// How far coders agree in one tier, over one choice of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Rows with the answers of at least two coders.
    pub n: f64,
    /// Share of pairs of coders with the same answer, the mean over rows.
    pub percent: Option<f64>,
    /// 95 % interval of the share.
    pub percent_lower: Option<f64>,
    /// Its upper end.
    pub percent_upper: Option<f64>,
    /// Krippendorff's alpha of all coders; of a multi tier with MASI distance.
    pub alpha: Estimate,
    /// Gwet's AC1 of all coders; of a multi tier on whole sets.
    pub ac1: Estimate,
    /// Every two coders.
    pub pairs: Vec<PairAgreement>,
    /// Means over people among themselves, people and models, models among themselves.
    pub kinds: ByName<KindAgreement>,
    /// Every label.
    pub labels: ByName<LabelAgreement>,
}

/// How far coders agree in one tier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TierAgreement {
    /// `single` or `multi`.
    pub kind: &'static str,
    /// The coders that coded it.
    pub coders: Vec<String>,
    /// Among rows that all of them let through the gate.
    #[serde(flatten)]
    pub asked: Figures,
    /// Over all rows, *not asked* being an answer; for gated tiers.
    pub with_not_asked: Option<Figures>,
    /// Rows that some coder lets through the gate and another does not.
    pub lost_to_gate: Option<usize>,
    /// Those as a share of the rows that at least two coders answered or closed.
    pub share_lost_to_gate: Option<f64>,
    /// Resamples behind the intervals.
    pub resamples: u64,
    /// Groups or rows that were resampled.
    pub units: u64,
}

/// The agreement of the coders in every tier. `humans` are the people among them, if anybody said
/// so; the gold enters pairs only.
pub fn coder_agreement(
    codebook: &Codebook,
    codings: &Codings,
    humans: Option<&[String]>,
    seed: u64,
) -> ByName<TierAgreement> {
    let tiers = codebook.tiers.iter().enumerate();
    tiers
        .map(|(t, tier)| (tier.name.clone(), of_tier(codebook, codings, humans, t, seed)))
        .collect()
}

fn of_tier(
    codebook: &Codebook,
    codings: &Codings,
    humans: Option<&[String]>,
    tier: usize,
    seed: u64,
) -> TierAgreement {
    let coders: Vec<usize> =
        (0..codings.coders.len()).filter(|&coder| codings.present(coder, tier)).collect();
    let columns: Vec<&[Answer]> = coders.iter().map(|&c| codings.answers(c, tier)).collect();
    let answered =
        |row: usize| columns.iter().filter(|column| column[row] != Answer::MISSING).count() >= 2;
    let rows: Vec<usize> = (0..codings.rows()).filter(|&row| answered(row)).collect();
    let gated = !codebook.tiers[tier].asked_when.conditions.is_empty();
    let closed = |row: usize| columns.iter().any(|column| column[row] == Answer::NOT_ASKED);
    let open = |row: usize| columns.iter().any(|column| column[row].set().is_some());
    let lost = rows.iter().filter(|&&row| closed(row) && open(row)).count();
    let view = |chosen: Vec<usize>, with_not_asked: bool| {
        let view = View { codebook, codings, humans, tier, coders: &coders };
        view.figures(&chosen, with_not_asked, seed)
    };
    let (asked, resamples, units) =
        view(rows.iter().copied().filter(|&row| !closed(row)).collect(), false);
    let share = (!rows.is_empty()).then(|| lost as f64 / rows.len() as f64);
    TierAgreement {
        kind: match codebook.tiers[tier].kind {
            TierKind::Single => "single",
            TierKind::Multi => "multi",
        },
        coders: coders.iter().map(|&coder| codings.coders[coder].clone()).collect(),
        asked,
        with_not_asked: gated.then(|| view(rows, true).0),
        lost_to_gate: gated.then_some(lost),
        share_lost_to_gate: share.filter(|_| gated),
        resamples,
        units,
    }
}

/// One tier over one choice of rows.
struct View<'a> {
    codebook: &'a Codebook,
    codings: &'a Codings,
    humans: Option<&'a [String]>,
    tier: usize,
    coders: &'a [usize],
}

impl View<'_> {
    fn figures(&self, rows: &[usize], with_not_asked: bool, seed: u64) -> (Figures, u64, u64) {
        let columns: Vec<&[Answer]> =
            self.coders.iter().map(|&coder| self.codings.answers(coder, self.tier)).collect();
        let patterns = Patterns::of(&columns, rows.iter().copied());
        let groups: Option<Vec<u32>> =
            self.codings.groups.as_ref().map(|all| rows.iter().map(|&row| all[row]).collect());
        let overall: Vec<usize> = (0..self.coders.len())
            .filter(|&place| self.codings.coders[self.coders[place]] != GOLD)
            .collect();
        let kinds: Vec<PairKind> = pairs(self.coders.len()).map(|(a, b)| self.kind(a, b)).collect();
        let (statistics, parts) = Statistics::new(
            &self.codebook.tiers[self.tier],
            self.codings.sets(self.tier),
            &patterns.distinct,
            with_not_asked,
            &overall,
            &kinds,
        );
        let resampler = Resampler::new(&patterns.of_row, parts, groups.as_deref(), seed);
        let observed = resampler.observed();
        let figures = statistics.values(&observed);
        let resamples = (STEPS / (statistics.steps() + resampler.steps()).max(1))
            .clamp(FEWEST_RESAMPLES, RESAMPLES);
        let draws = resampler.draws(resamples, |sums| statistics.values(sums));
        let estimates: Vec<Estimate> = figures
            .iter()
            .enumerate()
            .map(|(at, value)| {
                let ends = value.and_then(|_| varying_interval(draws.iter().map(|draw| draw[at])));
                Estimate { value: *value, lower: ends.map(|e| e.0), upper: ends.map(|e| e.1) }
            })
            .collect();
        (self.assemble(&statistics, &observed, &estimates, &kinds), resamples, resampler.units())
    }

    fn assemble(
        &self,
        statistics: &Statistics,
        observed: &[f64],
        estimates: &[Estimate],
        kinds: &[PairKind],
    ) -> Figures {
        let layout = statistics.layout();
        let percent = estimates[layout.percent];
        let name = |place: usize| &self.codings.coders[self.coders[place]];
        let of_pair = |(at, (a, b)): (usize, (usize, usize))| {
            let percent = estimates[layout.pair_percents + at];
            let kappa = estimates[layout.kappas + at];
            PairAgreement {
                a: name(a).clone(),
                b: name(b).clone(),
                kind: kinds[at],
                n: statistics.pair(observed, at),
                percent: percent.value,
                percent_lower: percent.lower,
                percent_upper: percent.upper,
                kappa: kappa.value,
                kappa_lower: kappa.lower,
                kappa_upper: kappa.upper,
                alpha: estimates[layout.pair_alphas + at],
                not_independent: self.not_independent(kinds[at], a, b),
            }
        };
        let present = statistics.kinds();
        let of_kind = |(at, kind): (usize, &PairKind)| {
            let figures = KindAgreement {
                pairs: kinds.iter().filter(|own| *own == kind).count(),
                kappa: estimates[layout.kinds + 2 * at],
                alpha: estimates[layout.kinds + 2 * at + 1],
            };
            (kind.name().to_owned(), figures)
        };
        let of_label = |(at, label): (usize, &crate::codebook::Label)| {
            let specific = statistics.specific(observed, at);
            let of_pair = |(pair, (a, b)): (usize, (usize, usize))| LabelPair {
                a: name(a).clone(),
                b: name(b).clone(),
                kappa: estimates[layout.label_kappas + at * kinds.len() + pair],
                not_independent: self.not_independent(kinds[pair], a, b),
            };
            let figures = LabelAgreement {
                alpha: estimates[layout.labels + at],
                percent: estimates[layout.label_percents + at],
                ac1: estimates[layout.label_ac1s + at],
                pairs: pairs(self.coders.len()).enumerate().map(of_pair).collect(),
                prevalence: specific.prevalence,
                positive_agreement: specific.positive,
                negative_agreement: specific.negative,
                codes: specific.positives,
                too_few: specific.positives < TOO_FEW as f64,
            };
            (label.name.clone(), figures)
        };
        Figures {
            n: statistics.pairable(observed),
            percent: percent.value,
            percent_lower: percent.lower,
            percent_upper: percent.upper,
            alpha: estimates[layout.alpha],
            ac1: estimates[layout.ac1],
            pairs: pairs(self.coders.len()).enumerate().map(of_pair).collect(),
            kinds: present.iter().enumerate().map(of_kind).collect(),
            labels: self.codebook.tiers[self.tier]
                .labels
                .iter()
                .enumerate()
                .map(of_label)
                .collect(),
        }
    }

    fn kind(&self, a: usize, b: usize) -> PairKind {
        let [a, b] = [a, b].map(|place| &self.codings.coders[self.coders[place]]);
        if a == GOLD || b == GOLD {
            return PairKind::WithGold;
        }
        let Some(humans) = self.humans else { return PairKind::Unknown };
        match (humans.contains(a), humans.contains(b)) {
            (true, true) => PairKind::HumanHuman,
            (false, false) => PairKind::ModelModel,
            _ => PairKind::HumanModel,
        }
    }

    /// Whether a coder stands beside gold that may be made of their own codes: of a known model's none
    /// is.
    fn not_independent(&self, kind: PairKind, a: usize, b: usize) -> bool {
        kind == PairKind::WithGold
            && ![a, b].iter().any(|&place| {
                let name = &self.codings.coders[self.coders[place]];
                name != GOLD && self.humans.is_some_and(|humans| !humans.contains(name))
            })
    }
}

/// Every two of so many coders, in order.
fn pairs(coders: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..coders).flat_map(move |a| (a + 1..coders).map(move |b| (a, b)))
}
