//! The columns that coding adds to a table (DESIGN section 3).

use serde::{Deserialize, Serialize};

use super::coder::Coded;
use crate::codebook::{Code, Codebook, GateState, TierKind, check_coder};
use crate::corpus::Defect;
use crate::crisis::Verdict;
use crate::decision::{ConformalSets, Decisions};
use crate::error::{Error, Result, shown};

/// What a probability cell tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellProbability {
    /// That the answer is right, its path through the gates included.
    #[default]
    Path,
    /// P(label | asked), given the answers above.
    Conditional,
}

/// Which columns are added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnOptions {
    /// The name of a coder in the columns' names, `<tier>__<coder>`.
    pub coder: Option<String>,
    /// Whether every label gets a column, and what all probabilities tell; by default there
    /// are only those of the answers, with their paths.
    pub probabilities: Option<CellProbability>,
    /// Per cent of conformal sets that are to hold the gold; no sets without.
    pub sets: Option<u8>,
    /// How many models' own codes are added, `<tier>__fold1` and so on, of those whose mean codes.
    #[serde(default)]
    pub fold_codes: usize,
    /// Whether texts are screened for crises, and the columns `crisis` and `crisis_p` are added.
    #[serde(default)]
    pub crisis: bool,
    /// Whether cells of a CSV output must not begin like a spreadsheet's formula.
    #[serde(default)]
    pub spreadsheet_safe: bool,
}

/// What became of one row.
pub(super) enum RowOutcome<'a> {
    /// The row cannot be used.
    Rejected(&'a Defect),
    /// There is no text in it.
    Empty,
    /// It is coded; whether it is for review.
    Coded(&'a Coded, bool),
}

/// The columns that are added to a table, in order.
pub(super) struct Columns<'a> {
    codebook: &'a Codebook,
    options: &'a ColumnOptions,
    /// The sets that are written, and where the level stands among theirs.
    sets: Option<(&'a ConformalSets, usize)>,
    names: Vec<String>,
}

impl<'a> Columns<'a> {
    /// The columns that join those of the input.
    ///
    /// # Errors
    /// A usage error if a coder's name cannot be part of a column's name, or if the input has
    /// such a column already.
    pub fn new(
        codebook: &'a Codebook,
        options: &'a ColumnOptions,
        sets: Option<(&'a ConformalSets, usize)>,
        input: &[String],
    ) -> Result<Self> {
        let suffix = match &options.coder {
            Some(coder) => {
                check_coder(coder, "--as")?;
                format!("__{coder}")
            }
            None => String::new(),
        };
        let mut names = Vec::new();
        for tier in &codebook.tiers {
            names.push(format!("{}{suffix}", tier.name));
            names.push(format!("{}{suffix}_p", tier.name));
            if options.probabilities.is_some() {
                let labels = tier.labels.iter();
                names.extend(labels.map(|l| format!("{}{suffix}_p__{}", tier.name, l.name)));
            }
            if sets.is_some() {
                // Not as a coder's codes of the tier: a set is no code.
                names.push(format!("{}_set{suffix}", tier.name));
            }
        }
        for fold in 1..=options.fold_codes {
            names.extend(codebook.tiers.iter().map(|tier| fold_column(&tier.name, fold)));
        }
        if options.crisis {
            // Beside a tier of that name the screen is one more coder of it.
            let has_tier = codebook.tiers.iter().any(|tier| tier.name == "crisis");
            let name = if has_tier { "crisis__screen".into() } else { format!("crisis{suffix}") };
            names.extend([name.clone(), format!("{name}_p")]);
        }
        for own in ["status", "reason"] {
            // A second coder of the same table has a status of its own.
            let taken = options.coder.is_some() && input.iter().any(|column| column == own);
            names.push(if taken { format!("{own}{suffix}") } else { own.to_owned() });
        }
        if let Some(name) = names.iter().find(|name| input.contains(name)) {
            let error = Error::usage(format!("the input has a column {} already", shown(name)));
            return Err(match &options.coder {
                None => error.advise("--as NAME writes the codes as those of one more coder"),
                Some(_) => error.advise("choose another name for --as"),
            });
        }
        Ok(Self { codebook, options, sets, names })
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The status that DESIGN section 3 gives a row, and all reasons.
    pub fn status(outcome: &RowOutcome) -> (&'static str, String) {
        match outcome {
            RowOutcome::Rejected(defect) => ("rejected", defect.code().to_owned()),
            RowOutcome::Empty => ("empty", "empty".to_owned()),
            RowOutcome::Coded(coded, review) => {
                let crisis = matches!(coded.verdict, Some(Verdict::Crisis(_)));
                let all = [
                    (crisis, "crisis"),
                    (*review, "low_confidence"),
                    (coded.truncated, "truncated"),
                ];
                let reasons: Vec<&str> = all
                    .into_iter()
                    .filter_map(|(applies, reason)| applies.then_some(reason))
                    .collect();
                let status = match (crisis || *review, coded.truncated) {
                    (true, _) => "review",
                    (false, true) => "truncated",
                    (false, false) => "ok",
                };
                (status, reasons.join("|"))
            }
        }
    }

    /// The cells of one row under [`Columns::names`].
    pub fn cells(&self, outcome: &RowOutcome) -> Vec<(&str, String)> {
        let mut cells = match outcome {
            RowOutcome::Coded(coded, _) => self.codes(coded),
            _ => vec![String::new(); self.codes_wide()],
        };
        if self.options.crisis {
            let verdict = match outcome {
                RowOutcome::Coded(coded, _) => coded.verdict.unwrap_or(Verdict::NotScreened),
                _ => Verdict::NotScreened,
            };
            let score = verdict.score().map(figure);
            cells.extend([verdict.name().to_owned(), score.unwrap_or_default()]);
        }
        let (status, reason) = Self::status(outcome);
        cells.extend([status.to_owned(), reason]);
        self.names.iter().map(String::as_str).zip(cells).collect()
    }

    /// Cells that tell codes and their probabilities.
    fn codes_wide(&self) -> usize {
        self.names.len() - 2 - if self.options.crisis { 2 } else { 0 }
    }

    fn codes(&self, coded: &Coded) -> Vec<String> {
        let mut cells = Vec::with_capacity(self.names.len());
        let decision = &coded.decision;
        let conditional = self.options.probabilities == Some(CellProbability::Conditional);
        for tier in 0..self.codebook.tiers.len() {
            cells.push(self.codebook.display_cell(tier, &decision.codes[tier]));
            let of_answer =
                if conditional { &decision.conditional[tier] } else { &decision.path[tier] };
            let parts: Vec<String> = of_answer.iter().map(|p| figure(*p)).collect();
            cells.push(parts.join("|"));
            match self.options.probabilities {
                None => {}
                Some(CellProbability::Path) => {
                    cells.extend(decision.marginal[tier].iter().map(|p| figure(*p)));
                }
                Some(CellProbability::Conditional) => cells.extend(self.given(tier, coded)),
            }
            if let Some((sets, level)) = self.sets {
                let own = &self.codebook.tiers[tier];
                cells.push(sets.set(own, tier, decision, level).cell(own));
            }
        }
        for codes in &coded.of_bundles {
            let tiers = codes.iter().enumerate();
            cells.extend(tiers.map(|(tier, code)| self.codebook.display_cell(tier, code)));
        }
        cells
    }

    /// P(label | asked) of every label given the answers decided above; blank if not asked.
    fn given(&self, at: usize, coded: &Coded) -> Vec<String> {
        let tier = &self.codebook.tiers[at];
        let codes = &coded.decision.codes;
        if codes[at] == Code::NotAsked {
            return vec![String::new(); tier.labels.len()];
        }
        let permitted = tier.labels.iter().map(|l| l.only_when.state(codes) != GateState::Closed);
        let masked: Vec<f64> = coded.asked[at]
            .iter()
            .zip(permitted)
            .map(|(p, yes)| if yes { *p } else { 0.0 })
            .collect();
        let total: f64 = masked.iter().sum();
        let scale = if tier.kind == TierKind::Single && total > 0.0 { 1.0 / total } else { 1.0 };
        masked.iter().map(|p| figure(p * scale)).collect()
    }
}

/// The column of the codes that the model of one fold gives, counted from 1: those of a coder.
fn fold_column(tier: &str, fold: usize) -> String {
    format!("{tier}__{}", fold_coder(fold))
}

/// The name of the model of one fold as a coder, counted from 1.
pub fn fold_coder(fold: usize) -> String {
    format!("fold{fold}")
}

/// A bundle's sets, and where the level in per cent stands among theirs.
///
/// # Errors
/// A usage error if it has none.
pub(super) fn sets_of(decisions: &Decisions, level: u8) -> Result<(&ConformalSets, usize)> {
    let sets = decisions.sets.as_ref().ok_or_else(|| {
        Error::usage("the bundle has no conformal sets: it is of an earlier version")
            .at("--sets")
            .advise("leave it out, or train the bundle anew")
    })?;
    let place = sets.place(level).ok_or_else(|| {
        let known = sets.levels.iter().map(|level| (f64::from(*level) / 100.0).to_string());
        Error::usage(format!("the bundle has no sets for {}", f64::from(level) / 100.0))
            .at("--sets")
            .advise(format!("ask for one of {}", known.collect::<Vec<_>>().join(", ")))
    })?;
    Ok((sets, place))
}

fn figure(p: f64) -> String {
    format!("{p:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::GATED;
    use crate::decision::{FittedOn, TierSets};
    use crate::heads::joint::decide;

    fn coded(codebook: &Codebook, yes: f64, topics: [f64; 2]) -> Coded {
        let asked = vec![vec![yes, 1.0 - yes], topics.to_vec()];
        let decision = decide(codebook, &asked, &[vec![], vec![0.5, 0.5]]);
        Coded { decision, asked, of_bundles: Vec::new(), truncated: false, verdict: None }
    }

    fn decisions(codebook: &Codebook) -> Decisions {
        let mut decisions = Decisions::uncalibrated(codebook);
        let tier = |least| TierSets { rows: 9, least: vec![least] };
        decisions.sets = Some(ConformalSets {
            fitted_on: FittedOn::Validation,
            levels: vec![90],
            tiers: vec![tier(Some(0.1)), tier(Some(0.4))],
        });
        decisions
    }

    fn cells(options: &ColumnOptions, outcome: impl Fn(&Codebook) -> Coded) -> Vec<String> {
        let codebook = Codebook::parse(GATED, "b").unwrap();
        let decisions = decisions(&codebook);
        let sets = options.sets.map(|level| sets_of(&decisions, level).unwrap());
        let columns = Columns::new(&codebook, options, sets, &[]).unwrap();
        let coded = outcome(&codebook);
        let cells = columns.cells(&RowOutcome::Coded(&coded, false));
        cells.into_iter().map(|(name, cell)| format!("{name}={cell}")).collect()
    }

    #[test]
    fn probabilities_follow_the_path() {
        let plain = ColumnOptions::default();
        assert_eq!(
            cells(&plain, |book| coded(book, 0.8, [0.5, 0.75])),
            [
                "use=yes",
                "use_p=0.800000",
                "topics=a|b",
                "topics_p=0.400000|0.600000",
                "status=ok",
                "reason="
            ]
        );
        // 0.8 that it is asked, 0.75 * 0.9 that neither applies.
        let none = cells(&plain, |book| coded(book, 0.8, [0.25, 0.1]));
        assert_eq!(none[2..4], ["topics=none", "topics_p=0.540000"]);
        let closed = cells(&plain, |book| coded(book, 0.2, [0.9, 0.9]));
        assert_eq!(closed[..4], ["use=no", "use_p=0.800000", "topics=", "topics_p="]);
    }

    #[test]
    fn every_label_has_a_column_on_wish() {
        let mut options = ColumnOptions {
            coder: Some("confide".into()),
            probabilities: Some(CellProbability::Path),
            ..ColumnOptions::default()
        };
        let path = cells(&options, |book| coded(book, 0.8, [0.5, 0.1]));
        assert_eq!(path[3], "use__confide_p__no=0.200000");
        assert_eq!(path[5], "topics__confide_p=0.400000");
        assert_eq!(path[7], "topics__confide_p__b=0.080000");
        options.probabilities = Some(CellProbability::Conditional);
        let given = cells(&options, |book| coded(book, 0.8, [0.5, 0.1]));
        assert_eq!(given[5], "topics__confide_p=0.500000");
        assert_eq!(given[7], "topics__confide_p__b=0.100000");
        let closed = cells(&options, |book| coded(book, 0.2, [0.5, 0.1]));
        assert_eq!(closed[7], "topics__confide_p__b=");
    }

    #[test]
    fn sets_stand_behind_their_tier() {
        let options =
            ColumnOptions { coder: Some("x".into()), sets: Some(90), ..ColumnOptions::default() };
        let found = cells(&options, |book| coded(book, 0.8, [0.5, 0.1]));
        assert_eq!(
            (found[2].as_str(), found[5].as_str()),
            ("use_set__x=yes|no", "topics_set__x=a")
        );
        let codebook = Codebook::parse(GATED, "b").unwrap();
        let refused =
            |decisions: &Decisions, level: u8| sets_of(decisions, level).err().unwrap().to_string();
        assert!(refused(&decisions(&codebook), 80).contains("0.9"));
        assert!(refused(&Decisions::uncalibrated(&codebook), 90).contains("--sets"));
    }

    #[test]
    fn a_screen_beside_a_tier_for_crises_is_one_more_coder_of_it() {
        let codebook = Codebook::parse(
            &GATED.replacen("\"use\"", "\"crisis\"", 1).replace("use = ", "crisis = "),
            "b",
        )
        .unwrap();
        let own = |coder: Option<&str>, codebook: &Codebook| {
            let coder = coder.map(str::to_owned);
            let options = ColumnOptions { crisis: true, coder, ..ColumnOptions::default() };
            Columns::new(codebook, &options, None, &[]).unwrap().names().to_vec()
        };
        let plain = Codebook::parse(GATED, "b").unwrap();
        let ends = ["crisis", "crisis_p", "status", "reason"];
        assert_eq!(own(None, &plain)[4..], ends);
        assert_eq!(own(Some("x"), &plain)[4..6], ["crisis__x", "crisis__x_p"]);
        for coder in [None, Some("x")] {
            assert_eq!(own(coder, &codebook)[4..6], ["crisis__screen", "crisis__screen_p"]);
        }
    }

    #[test]
    fn columns_that_exist_are_refused() {
        let codebook = Codebook::parse(GATED, "b").unwrap();
        let columns = |coder: Option<&str>, input: &[&str]| {
            let options =
                ColumnOptions { coder: coder.map(str::to_owned), ..ColumnOptions::default() };
            let input: Vec<String> = input.iter().map(|c| (*c).to_owned()).collect();
            let columns = Columns::new(&codebook, &options, None, &input);
            columns.map(|columns| columns.names.clone())
        };
        for taken in ["use", "topics_p", "status", "reason"] {
            let error = columns(None, &["text", taken]).unwrap_err().to_string();
            assert!(error.contains(taken) && error.contains("--as"), "{error}");
        }
        let names = columns(Some("x"), &["use", "status"]).unwrap();
        assert_eq!(
            names,
            ["use__x", "use__x_p", "topics__x", "topics__x_p", "status__x", "reason"]
        );
        assert!(columns(Some("x"), &["use__x_p"]).is_err());
        for coder in ["", "a b", "x_p", "a__b", "_a", "ä"] {
            assert!(columns(Some(coder), &[]).is_err(), "{coder}");
        }
    }

    #[test]
    fn the_first_status_stands_and_all_reasons() {
        let codebook = Codebook::parse(GATED, "b").unwrap();
        let mut coded = coded(&codebook, 0.8, [0.5, 0.5]);
        coded.truncated = true;
        let status = |review| Columns::status(&RowOutcome::Coded(&coded, review));
        assert_eq!(status(true), ("review", "low_confidence|truncated".to_owned()));
        assert_eq!(status(false), ("truncated", "truncated".to_owned()));
    }
}
