//! The shares of all labels of a coded corpus, from its codes and those of its gold rows.

use serde::Serialize;

use super::confusion::adjusted_shares;
use super::{Estimate, Gold, Sums, Target, estimates};
use crate::codebook::{Codebook, TierKind};
use crate::corpus::{Answer, Codings, Split};

/// A label of a tier that comments must carry to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Among {
    /// The tier.
    pub tier: usize,
    /// The label.
    pub label: usize,
}

/// The model's probabilities in place of its codes, where rows that trained are gold: of these rows
/// the out-of-fold ones, of all others the mean of the folds' models (cross-prediction-powered
/// inference; Zrnic and Candès 2024).
#[derive(Clone, Debug)]
pub struct Scores {
    /// P(label) along the path, `[tier][label][row of the corpus]`.
    pub marginal: Vec<Vec<Vec<f32>>>,
    /// The out-of-fold codes, of one coder.
    pub held_out: Codings,
    /// For each row of the corpus, its row among them if it has one.
    pub held_out_row: Vec<Option<u32>>,
    /// How many folds there are. What their models say by themselves are the corpus's coders from 1
    /// on: which labels go together no probability of one label tells.
    pub folds: usize,
}

/// What is to be estimated; by default all shares of the whole corpus.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// The column whose values are estimated one by one.
    pub by: Option<&'a str>,
    /// The column with the rows' weights.
    pub weight: Option<&'a str>,
    /// Weights of the corpus's rows, in place of a column.
    pub weights: Option<&'a [f64]>,
    /// Counts only comments that carry this label.
    pub among: Option<Among>,
    /// For what intervals hold.
    pub target: Target,
    /// Whether the gold rows without `pi` are a simple random sample.
    pub simple_random: bool,
    /// Probabilities, if rows that trained are to be gold.
    pub scores: Option<&'a Scores>,
    /// The column that the gold was drawn by: values of which no row was drawn leave the target.
    pub strata: Option<&'a str>,
    /// Codes that were given with the model's beside them, of one coder: they are gold where the model
    /// proposes a label, if the gold has rows where it does not.
    pub verified: Option<&'a Codings>,
}

/// What became of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows of the corpus.
    pub corpus: usize,
    /// Of these without any code, such as rejected and empty ones; they leave the target.
    pub uncoded: usize,
    /// Gold rows that are in the corpus and estimate.
    pub gold: usize,
    /// Gold rows that were used in training: they stand in the corpus with their gold codes.
    pub used: usize,
    /// Gold rows that trained, and estimate by their out-of-fold codes.
    pub out_of_fold: usize,
    /// Gold rows that are not in the corpus; they are left out.
    pub unmatched: usize,
    /// Gold rows without an inclusion probability.
    pub without_pi: usize,
    /// Rows of the corpus that were drawn but not coded; they are taken to be missing by chance.
    pub drawn_uncoded: usize,
    /// Rows whose text an earlier row has.
    pub duplicates: usize,
    /// Rows that had no chance of being drawn; they leave the target.
    pub no_chance: usize,
    /// Rows of the corpus whose codes were confirmed or set right with the model's beside them.
    pub verified: usize,
}

/// The share of one label by one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The tier.
    pub tier: String,
    /// The label.
    pub label: String,
    /// Of which comments: `all`, `asked` of the tier, or `TIER=LABEL`.
    pub of: String,
    /// The column that divides the corpus, if one does.
    pub by: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// The estimate.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Whether it is the one to report.
    pub primary: bool,
    /// Gold rows that were counted, and those of them that carry the label.
    pub n_gold: usize,
    /// Gold rows that carry it.
    pub positives: usize,
    /// Rows of the corpus that the estimate is of.
    pub n_corpus: usize,
}

/// All shares, and what became of the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// Every label by every method.
    pub rows: Vec<Share>,
    /// What became of the rows.
    pub counts: Counts,
    /// Strata without a chance of selection, with their rows.
    pub no_chance: Vec<NoChance>,
}

/// Rows that had no chance of being drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NoChance {
    /// The value of the column that the gold was drawn by; none for rows of a sampled stratum, or
    /// without such a column, whose inclusion probability is 0.
    pub stratum: Option<String>,
    /// Rows.
    pub rows: usize,
}

/// Estimates every share of the corpus; both codings hold one coder, in the corpus the model's codes,
/// in the other those of the gold. Gold rows whose `split` is `train` or `validation` estimate
/// nothing. Without a known design, which `counts.without_pi` tells, there are no shares.
///
/// # Errors
/// A weight that is no number of at least 0, as the row's place in the corpus.
pub fn shares(
    codebook: &Codebook,
    corpus: &Codings,
    gold: &Codings,
    request: &Request,
) -> Result<Shares, usize> {
    let study = Study::new(codebook, corpus, gold, request)?;
    if study.counts.without_pi > 0 && !request.simple_random {
        return Ok(Shares { rows: Vec::new(), counts: study.counts, no_chance: study.no_chance });
    }
    let all: Vec<usize> = (0..corpus.rows()).filter(|&row| study.in_target[row]).collect();
    let mut rows = Vec::new();
    study.estimate(&all, None, &mut rows);
    if study.counts.duplicates > 0
        && let Some(repeats) = &corpus.repeats
    {
        let first: Vec<usize> = all.iter().copied().filter(|&row| !repeats[row]).collect();
        study.estimate(&first, Some(("duplicates", "left out")), &mut rows);
    }
    if let Some((name, column)) = request.by.and_then(|name| Some((name, corpus.kept(name)?))) {
        let mut of_value = vec![Vec::new(); column.values.len()];
        all.iter().for_each(|&row| of_value[column.at[row] as usize].push(row));
        let found = column.values.iter().zip(&of_value).filter(|(_, own)| !own.is_empty());
        for (value, own) in found {
            let value = if value.is_empty() { "(blank)" } else { value };
            study.estimate(own, Some((name, value)), &mut rows);
        }
    }
    Ok(Shares { rows, counts: study.counts, no_chance: study.no_chance })
}

/// The rows of the corpus beside their gold.
pub(super) struct Study<'a> {
    codebook: &'a Codebook,
    corpus: &'a Codings,
    gold: &'a Codings,
    request: &'a Request<'a>,
    /// For each row of the corpus, whether it has any code and had a chance of being drawn.
    pub(super) in_target: Vec<bool>,
    /// For each row its gold row, if it has one.
    gold_row: Vec<Option<u32>>,
    /// For each row of the corpus, whether it was drawn to be gold, coded or not.
    drawn: Vec<bool>,
    /// For each gold row, whether it was used in training.
    used: Vec<bool>,
    weight: Vec<f64>,
    /// For each row of the corpus its verified row, if it has one that did not train.
    verified_row: Vec<Option<u32>>,
    counts: Counts,
    no_chance: Vec<NoChance>,
}

impl<'a> Study<'a> {
    pub(super) fn new(
        codebook: &'a Codebook,
        corpus: &'a Codings,
        gold: &'a Codings,
        request: &'a Request<'a>,
    ) -> Result<Self, usize> {
        let tiers = 0..codebook.tiers.len();
        let has_code = |codings: &Codings, row: usize| {
            tiers.clone().any(|tier| codings.answers(0, tier)[row] != Answer::MISSING)
        };
        let coded: Vec<bool> = (0..corpus.rows()).map(|row| has_code(corpus, row)).collect();
        let places: std::collections::HashMap<&str, u32> =
            corpus.ids.iter().enumerate().map(|(row, id)| (id.as_str(), row as u32)).collect();
        let mut gold_row = vec![None; corpus.rows()];
        let mut used = vec![false; gold.rows()];
        let mut counts = Counts {
            corpus: corpus.rows(),
            uncoded: coded.iter().filter(|coded| !**coded).count(),
            duplicates: corpus.repeats.iter().flatten().filter(|repeat| **repeat).count(),
            ..Counts::default()
        };
        let mut drawn = vec![false; corpus.rows()];
        let of_corpus = |row: usize| corpus.pi.as_ref().and_then(|pi| pi[row]);
        let mut excluded: Vec<bool> =
            (0..corpus.rows()).map(|row| of_corpus(row) == Some(0.0)).collect();
        for row in 0..gold.rows() {
            let place = places.get(gold.ids[row].as_str());
            let pi = gold.pi.as_ref().and_then(|pi| pi[row]);
            if let (Some(place), Some(pi)) = (place, pi) {
                drawn[*place as usize] = pi > 0.0;
                excluded[*place as usize] = pi <= 0.0;
            }
            if !has_code(gold, row) {
                let is_drawn = pi.is_some_and(|pi| pi > 0.0);
                counts.drawn_uncoded += usize::from(place.is_some() && is_drawn);
                continue;
            }
            let Some(place) = place else {
                counts.unmatched += 1;
                continue;
            };
            gold_row[*place as usize] = Some(row as u32);
            let split = gold.splits.as_ref().and_then(|splits| splits[row]);
            let out_of_fold =
                request.scores.is_some_and(|scores| scores.held_out_row[*place as usize].is_some());
            used[row] = !out_of_fold && matches!(split, Some(Split::Train | Split::Validation));
            counts.out_of_fold += usize::from(out_of_fold);
            counts.used += usize::from(used[row]);
            if excluded[*place as usize] && !used[row] {
                continue;
            }
            counts.gold += usize::from(!used[row]);
            counts.without_pi += usize::from(!used[row] && pi.is_none());
            drawn[*place as usize] |= !used[row] && request.simple_random;
        }
        let mut no_chance = Vec::new();
        let is_known = |row: usize| gold_row[row].is_some_and(|gold: u32| used[gold as usize]);
        if let Some(column) = request.strata.and_then(|name| corpus.kept(name)) {
            let mut rows = vec![(0, 0, 0); column.values.len()];
            for row in (0..corpus.rows()).filter(|&row| coded[row]) {
                let (all, of_sample, known) = &mut rows[column.at[row] as usize];
                *all += 1;
                *of_sample += usize::from(drawn[row]);
                *known += usize::from(is_known(row));
            }
            let closed: Vec<bool> =
                rows.iter().map(|(all, of_sample, known)| *of_sample == 0 && known < all).collect();
            for (value, (rows, ..)) in column
                .values
                .iter()
                .zip(&rows)
                .zip(&closed)
                .filter_map(|(of, closed)| closed.then_some(of))
            {
                let value = if value.is_empty() { "(blank)" } else { value };
                no_chance.push(NoChance { stratum: Some(value.to_owned()), rows: *rows });
            }
            for row in (0..corpus.rows()).filter(|&row| closed[column.at[row] as usize]) {
                excluded[row] = true;
            }
        }
        let in_target: Vec<bool> =
            (0..corpus.rows()).map(|row| coded[row] && (!excluded[row] || is_known(row))).collect();
        counts.no_chance = (0..corpus.rows()).filter(|&row| coded[row] && !in_target[row]).count();
        let named: usize = no_chance.iter().map(|own: &NoChance| own.rows).sum();
        if counts.no_chance > named {
            no_chance.push(NoChance { stratum: None, rows: counts.no_chance - named });
        }
        let mut verified_row = vec![None; corpus.rows()];
        if let Some(verified) = request.verified {
            for row in (0..verified.rows()).filter(|&row| has_code(verified, row)) {
                let Some(place) = places.get(verified.ids[row].as_str()) else { continue };
                let place = *place as usize;
                let split = verified.splits.as_ref().and_then(|splits| splits[row]);
                let trained = matches!(split, Some(Split::Train | Split::Validation));
                if in_target[place] && !trained && !is_known(place) {
                    verified_row[place] = Some(row as u32);
                    counts.verified += 1;
                }
            }
        }
        let mut weight = request.weights.map_or_else(|| vec![1.0; corpus.rows()], <[f64]>::to_vec);
        if let Some(column) = request.weight.and_then(|name| corpus.kept(name)) {
            for (row, weight) in weight.iter_mut().enumerate() {
                let cell = column.cell(row).parse::<f64>().ok();
                *weight = cell.filter(|w| *w >= 0.0 && w.is_finite()).ok_or(row)?;
            }
        }
        Ok(Self {
            codebook,
            corpus,
            gold,
            request,
            in_target,
            gold_row,
            drawn,
            used,
            weight,
            verified_row,
            counts,
            no_chance,
        })
    }

    fn estimate(&self, rows: &[usize], by: Option<(&str, &str)>, out: &mut Vec<Share>) {
        for (at, tier) in self.codebook.tiers.iter().enumerate() {
            let among = self.request.among;
            if among.is_some_and(|among| among.tier == at) {
                // Every comment that is counted carries that label.
                continue;
            }
            let mut denominators = vec![match among {
                Some(among) => {
                    let of = &self.codebook.tiers[among.tier];
                    (format!("{}={}", of.name, of.labels[among.label].name), Counted::Among(among))
                }
                None => ("all".to_owned(), Counted::All),
            }];
            if among.is_none() && !tier.asked_when.conditions.is_empty() {
                denominators.push(("asked".to_owned(), Counted::Asked));
            }
            for (of, counted) in denominators {
                self.tier(rows, by, at, &of, counted, out);
            }
        }
    }

    fn tier(
        &self,
        rows: &[usize],
        by: Option<(&str, &str)>,
        at: usize,
        of: &str,
        counted: Counted,
        out: &mut Vec<Share>,
    ) {
        let tier = &self.codebook.tiers[at];
        let rows = self.sort(rows, at, counted);
        let by_codes = self.request.scores.is_none();
        let joint = (tier.kind == TierKind::Single && counted == Counted::All && by_codes)
            .then(|| self.joint(&rows, at))
            .flatten();
        let mut found = Vec::new();
        for label in 0..tier.labels.len() {
            let (gold, rest, known) = self.of_label(&rows, at, label, counted);
            let joint = joint.as_ref().filter(|_| gold.pi.is_empty());
            let (pi, cluster) = match gold.pi.is_empty() {
                true => (&rows.pi, rows.cluster.as_deref()),
                false => (&gold.pi, gold.cluster.as_deref()),
            };
            let slices = Gold {
                x: &gold.x,
                d: &gold.d,
                model_x: &gold.model_x,
                model_d: &gold.model_d,
                pi,
                cluster,
            };
            let joint = joint.map(|shares| shares[label]);
            let all = estimates(&slices, &rest, &known, self.request.target, joint);
            let counted_gold = gold.d.iter().filter(|d| **d > 0.0).count();
            let positives = gold.x.iter().filter(|x| **x > 0.0).count();
            for (place, estimate) in all.into_iter().enumerate() {
                found.push(Share {
                    tier: tier.name.clone(),
                    label: tier.labels[label].name.clone(),
                    of: of.to_owned(),
                    by: by.map(|(name, _)| name.to_owned()),
                    value: by.map(|(_, value)| value.to_owned()),
                    estimate,
                    primary: place == 0,
                    n_gold: counted_gold,
                    positives,
                    n_corpus: rows.rest.len() + rows.known.len(),
                });
            }
        }
        out.extend(found);
    }

    /// Rows to be estimated, their gold rows, and rows whose gold is known for certain.
    pub(super) fn sort(&self, rows: &[usize], tier: usize, counted: Counted) -> Sorted {
        let mut sorted = Sorted::default();
        let above = match counted {
            Counted::Among(among) => among.tier,
            _ => tier,
        };
        let known = |answers: &[Answer], row: usize| answers[row] != Answer::MISSING;
        for &row in rows {
            let gold = self.gold_row[row].map(|gold| gold as usize).filter(|&gold| {
                known(self.gold.answers(0, tier), gold) && known(self.gold.answers(0, above), gold)
            });
            if let Some(gold) = gold.filter(|&gold| self.used[gold]) {
                // Rows that trained are no outcome of a process that could be repeated.
                if self.request.target == Target::Corpus {
                    sorted.known.push(gold);
                    sorted.known_weight.push(self.weight[row]);
                }
                continue;
            }
            if !known(self.corpus.answers(0, tier), row) {
                continue;
            }
            sorted.rest.push(row);
            if let Some(gold) = gold {
                let pi = self.gold.pi.as_ref().and_then(|pi| pi[gold]);
                sorted.gold.push((row, gold));
                sorted.pi.push(pi.unwrap_or(f64::NAN));
            }
        }
        // Rows that were drawn but not coded make the others stand for more.
        let drawn = sorted.rest.iter().filter(|&&row| self.drawn[row]).count();
        let coded = sorted.pi.iter().filter(|pi| !pi.is_nan()).count();
        let part = coded as f64 / drawn.max(1) as f64;
        sorted.pi.iter_mut().for_each(|pi| *pi *= part);
        let simple = (sorted.gold.len() as f64 / sorted.rest.len().max(1) as f64).min(1.0);
        if self.request.simple_random {
            sorted.pi.iter_mut().filter(|pi| pi.is_nan()).for_each(|pi| *pi = simple);
        }
        let groups = self.corpus.groups.as_ref().map(|groups| (groups, false));
        let groups = groups.or(self.gold.groups.as_ref().map(|groups| (groups, true)));
        sorted.cluster = groups.map(|(groups, of_gold)| {
            let group = |(row, gold): &(usize, usize)| groups[if of_gold { *gold } else { *row }];
            numbered(sorted.gold.iter().map(group).collect())
        });
        sorted
    }

    /// All labels of a single tier and *not asked*, corrected at once.
    fn joint(&self, rows: &Sorted, tier: usize) -> Option<Vec<f64>> {
        let labels = self.codebook.tiers[tier].labels.len();
        let place = |answer: Answer| match answer.set() {
            Some(set) => self.corpus_label(tier, set),
            None => labels,
        };
        let of_gold = |answer: Answer| match answer.set() {
            Some(set) => self.gold.sets(tier)[set as usize].iter().next().unwrap_or(labels),
            None => labels,
        };
        let mut counts = vec![vec![0.0; labels + 1]; labels + 1];
        for ((row, gold), pi) in rows.gold.iter().zip(&rows.pi) {
            let truth = of_gold(self.gold.answers(0, tier)[*gold]);
            counts[truth][place(self.corpus.answers(0, tier)[*row])] += 1.0 / pi;
        }
        let mut model = vec![0.0; labels + 1];
        for &row in &rows.rest {
            model[place(self.corpus.answers(0, tier)[row])] += 1.0 / rows.rest.len() as f64;
        }
        // A model's answer that no gold row has, or gold that is never seen, cannot be corrected.
        let weighted = self.request.weight.is_some() || self.request.weights.is_some();
        (!weighted && !rows.gold.is_empty()).then(|| adjusted_shares(&counts, &model))
    }

    fn corpus_label(&self, tier: usize, set: u32) -> usize {
        let labels = self.codebook.tiers[tier].labels.len();
        self.corpus.sets(tier)[set as usize].iter().next().unwrap_or(labels)
    }

    /// Whether each of these rows carries the label by the model: 1 or 0.
    pub(super) fn model_codes(&self, rows: &[usize], tier: usize, label: usize) -> Vec<f64> {
        let codes = Indicator::new(self.corpus, 0, tier, label, Counted::All);
        rows.iter().map(|&row| codes.of(row).0).collect()
    }

    pub(super) fn of_label(
        &self,
        rows: &Sorted,
        tier: usize,
        label: usize,
        counted: Counted,
    ) -> (Columns, Sums, Sums) {
        let of = |codings, coder| Indicator::new(codings, coder, tier, label, counted);
        let codes = of(self.corpus, 0);
        let scores = self.request.scores;
        let held_out = scores.map(|scores| of(&scores.held_out, 0));
        let of_folds: Vec<Indicator> = scores
            .map_or(1..1, |scores| 1..scores.folds + 1)
            .map(|coder| of(self.corpus, coder))
            .collect();
        let model = |row: usize| match (scores, &held_out) {
            (Some(scores), _) if counted == Counted::All => {
                (f64::from(scores.marginal[tier][label][row]), 1.0)
            }
            (Some(scores), Some(held_out)) => match scores.held_out_row[row] {
                Some(own) => held_out.of(own as usize),
                None => mean(of_folds.iter().map(|fold| fold.of(row))),
            },
            _ => codes.of(row),
        };
        let truth = of(self.gold, 0);
        let mut rest = Sums::default();
        for &row in &rows.rest {
            let (x, d) = model(row);
            let weight = self.weight[row];
            rest.add(1.0, weight * x, weight * d);
        }
        let mut known = Sums::default();
        for (&gold, weight) in rows.known.iter().zip(&rows.known_weight) {
            let (x, d) = truth.of(gold);
            known.add(1.0, weight * x, weight * d);
        }
        let mut columns = Columns::default();
        for &(row, gold) in &rows.gold {
            let weight = self.weight[row];
            let ((x, d), (model_x, model_d)) = (truth.of(gold), model(row));
            columns.x.push(weight * x);
            columns.d.push(weight * d);
            columns.model_x.push(weight * model_x);
            columns.model_d.push(weight * model_d);
        }
        if counted == Counted::All && scores.is_none() {
            self.verify(rows, tier, label, &codes, &mut columns);
        }
        (columns, rest, known)
    }

    /// Puts the verified codes of rows that the model gives the label in place of the gold ones, if
    /// both they and gold rows without it are there; either set stands for its part of the corpus.
    fn verify(
        &self,
        rows: &Sorted,
        tier: usize,
        label: usize,
        codes: &Indicator,
        columns: &mut Columns,
    ) {
        let Some(verified) = self.request.verified else { return };
        let is_proposed = |row: usize| codes.of(row).0 > 0.0;
        let answers = verified.answers(0, tier);
        let checked: Vec<(usize, usize)> = rows
            .rest
            .iter()
            .filter(|&&row| is_proposed(row))
            .filter_map(|&row| Some((row, self.verified_row[row]? as usize)))
            .filter(|(_, own)| answers[*own] != Answer::MISSING)
            .collect();
        let blind: Vec<usize> =
            (0..rows.gold.len()).filter(|&at| !is_proposed(rows.gold[at].0)).collect();
        if checked.is_empty() || blind.is_empty() {
            return;
        }
        let truth = Indicator::new(verified, 0, tier, label, Counted::All);
        let proposed = rows.rest.iter().filter(|&&row| is_proposed(row)).count() as f64;
        let mut own = Columns::default();
        let mut push = |row: usize, x: f64, inverse: f64| {
            let weight = self.weight[row];
            own.x.push(weight * x);
            own.d.push(weight);
            own.model_x.push(weight * codes.of(row).0);
            own.model_d.push(weight);
            own.pi.push((1.0 / inverse).min(1.0));
        };
        let pi = |row: usize| verified.pi.as_ref().and_then(|pi| pi[row]);
        let chance = |own: &usize| pi(*own).filter(|pi| *pi > 0.0).unwrap_or(1.0);
        let inverse: f64 = checked.iter().map(|(_, own)| 1.0 / chance(own)).sum();
        for (row, at) in &checked {
            push(*row, truth.of(*at).0, proposed / inverse / chance(at));
        }
        let inverse: f64 = blind.iter().map(|&at| 1.0 / rows.pi[at]).sum();
        let others = rows.rest.len() as f64 - proposed;
        for &at in &blind {
            let weight = self.weight[rows.gold[at].0].max(f64::MIN_POSITIVE);
            push(rows.gold[at].0, columns.x[at] / weight, others / inverse / rows.pi[at]);
        }
        if let Some(groups) = &self.corpus.groups {
            let all = checked.iter().map(|(row, _)| *row);
            let all = all.chain(blind.iter().map(|&at| rows.gold[at].0));
            own.cluster = Some(numbered(all.map(|row| groups[row]).collect()));
        }
        *columns = own;
    }
}

/// The mean of pairs.
fn mean(pairs: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let (count, x, d) =
        pairs.fold((0.0, 0.0, 0.0), |(n, x, d), own| (n + 1.0, x + own.0, d + own.1));
    if count > 0.0 { (x / count, d / count) } else { (0.0, 0.0) }
}

/// Which rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    All,
    Asked,
    Among(Among),
}

/// The rows of one tier.
#[derive(Default)]
pub(super) struct Sorted {
    /// Rows to be estimated.
    pub(super) rest: Vec<usize>,
    /// Of these the ones with gold, and its row.
    pub(super) gold: Vec<(usize, usize)>,
    pub(super) pi: Vec<f64>,
    pub(super) cluster: Option<Vec<u32>>,
    known: Vec<usize>,
    known_weight: Vec<f64>,
}

#[derive(Default)]
pub(super) struct Columns {
    pub(super) x: Vec<f64>,
    pub(super) d: Vec<f64>,
    pub(super) model_x: Vec<f64>,
    pub(super) model_d: Vec<f64>,
    /// Inclusion probabilities and groups, where these rows are not those of the tier.
    pub(super) pi: Vec<f64>,
    pub(super) cluster: Option<Vec<u32>>,
}

/// Whether a row carries a label, and whether it is counted, by one coder.
struct Indicator<'a> {
    answers: &'a [Answer],
    holds: Vec<bool>,
    counted: Counted,
    among: &'a [Answer],
    among_holds: Vec<bool>,
}

impl<'a> Indicator<'a> {
    fn new(
        codings: &'a Codings,
        coder: usize,
        tier: usize,
        label: usize,
        counted: Counted,
    ) -> Self {
        let holds = |tier: usize, label: usize| -> Vec<bool> {
            codings.sets(tier).iter().map(|set| set.contains(label)).collect()
        };
        let (among, among_holds) = match counted {
            Counted::Among(a) => (codings.answers(coder, a.tier), holds(a.tier, a.label)),
            _ => (codings.answers(coder, tier), Vec::new()),
        };
        let answers = codings.answers(coder, tier);
        Self { answers, holds: holds(tier, label), counted, among, among_holds }
    }

    fn of(&self, row: usize) -> (f64, f64) {
        let carries =
            |answer: Answer, holds: &[bool]| answer.set().is_some_and(|set| holds[set as usize]);
        let counted = match self.counted {
            Counted::All => true,
            Counted::Asked => self.answers[row].set().is_some(),
            Counted::Among(_) => carries(self.among[row], &self.among_holds),
        };
        let label = counted && carries(self.answers[row], &self.holds);
        (f64::from(u8::from(label)), f64::from(u8::from(counted)))
    }
}

/// Groups numbered from 0 in the order of their first row.
fn numbered(groups: Vec<u32>) -> Vec<u32> {
    let mut numbers = std::collections::HashMap::new();
    let mut number = |group: u32| {
        let next = numbers.len() as u32;
        *numbers.entry(group).or_insert(next)
    };
    groups.into_iter().map(&mut number).collect()
}
