//! `decision.json`: how a bundle turns logits into answers.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ConformalSets, PathLine, ReviewRule, TierSets, sigmoid, softmax};
use crate::codebook::{Codebook, TierKind};
use crate::error::{Error, Result, shown};
use crate::heads::joint::TierProbability;

const VERSION: u32 = 1;

/// Larger files are not decisions: a codebook of 1,000 labels needs about 30 kB.
const MAX_BYTES: u64 = 4 << 20;

/// Temperatures and thresholds of every tier, and the review rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decisions {
    /// Version of the file's layout.
    pub version: u32,
    /// The tiers, as they stand in the codebook.
    pub tiers: Vec<TierDecision>,
    /// Which texts are for review; none without a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewRule>,
    /// What is in conformal sets; there are none without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sets: Option<ConformalSets>,
}

/// How one tier's logits are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierDecision {
    /// The tier's name.
    pub name: String,
    /// Logits are divided by this before they become probabilities.
    pub temperature: f64,
    /// Multi tiers only: per label the least probability at which it is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Vec<f64>>,
    /// How the probability of an answer's whole path is set right; as it is without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathLine>,
}

impl Decisions {
    /// Decisions from fitted tiers, without a review rule and sets.
    pub fn new(tiers: Vec<TierDecision>) -> Self {
        Self { version: VERSION, tiers, review: None, sets: None }
    }

    /// Temperature 1 and threshold 0.5 throughout.
    pub fn uncalibrated(codebook: &Codebook) -> Self {
        let of_tier = |tier: &crate::codebook::Tier| TierDecision {
            name: tier.name.clone(),
            temperature: 1.0,
            thresholds: (tier.kind == TierKind::Multi)
                .then(|| vec![crate::heads::joint::DEFAULT_THRESHOLD; tier.labels.len()]),
            path: None,
        };
        Self::new(codebook.tiers.iter().map(of_tier).collect())
    }

    /// Reads and validates a bundle's `decision.json`.
    pub fn read(path: &Path, codebook: &Codebook) -> Result<Self> {
        let place = path.display().to_string();
        let unreadable = |e: std::io::Error| {
            Error::model(format!("cannot read the bundle's decisions: {}", e.kind()))
                .at(place.clone())
                .advise("copy the whole bundle again, or train it anew")
        };
        if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
            return Err(Error::model("too large for a file of decisions").at(place));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        Self::from_json(&bytes, &place, codebook)
    }

    /// Parses and validates; `place` is the file's name for messages.
    pub fn from_json(bytes: &[u8], place: &str, codebook: &Codebook) -> Result<Self> {
        let decisions: Self = serde_json::from_slice(bytes).map_err(|e| {
            Error::model(format!("not a file of decisions: {e}"))
                .at(place)
                .advise("copy the whole bundle again, or train it anew")
        })?;
        decisions.validate(codebook).map_err(|(field, what)| {
            Error::model(what)
                .at(format!("{place}: {field}"))
                .advise("the file does not belong to this bundle's codebook, or was edited")
        })?;
        Ok(decisions)
    }

    /// The file's content, the same bytes for the same decisions.
    pub fn to_json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|e| Error::model(format!("the decisions cannot be written: {e}")))?;
        Ok(json + "\n")
    }

    /// P(label | asked) per tier from a text's logits, `logits[tier][label]`.
    pub fn probabilities(&self, codebook: &Codebook, logits: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let tiers = self.tiers.iter().zip(&codebook.tiers).zip(logits);
        tiers
            .map(|((own, tier), logits)| match tier.kind {
                TierKind::Single => softmax(logits, own.temperature),
                TierKind::Multi => logits.iter().map(|x| sigmoid(*x, own.temperature)).collect(),
            })
            .collect()
    }

    /// The temperature of every tier.
    pub fn temperatures(&self) -> Vec<f64> {
        self.tiers.iter().map(|tier| tier.temperature).collect()
    }

    /// The probabilities of a text's answers, [`Decision::path`], set right.
    ///
    /// [`Decision::path`]: crate::heads::joint::Decision::path
    pub fn paths(&self, products: &[TierProbability]) -> Vec<TierProbability> {
        let set_right = |(own, path): (&TierDecision, &TierProbability)| match own.path {
            Some(line) => path.iter().map(|p| line.of(*p)).collect(),
            None => path.clone(),
        };
        self.tiers.iter().zip(products).map(set_right).collect()
    }

    /// The thresholds as joint decoding takes them: empty for single tiers.
    pub fn thresholds(&self) -> Vec<Vec<f64>> {
        self.tiers.iter().map(|tier| tier.thresholds.clone().unwrap_or_default()).collect()
    }

    /// The first field that cannot be right, and why.
    fn validate(&self, codebook: &Codebook) -> std::result::Result<(), (String, String)> {
        let fail = |field: String, what: String| Err((field, what));
        if self.version != VERSION {
            let what = format!("version {} is not known here, only {VERSION}", self.version);
            return fail("version".into(), what);
        }
        let (own, wanted) = (self.tiers.len(), codebook.tiers.len());
        if own != wanted {
            let what = format!("{own} tiers, but the codebook has {wanted}");
            return fail("tiers".into(), what);
        }
        for (own, tier) in self.tiers.iter().zip(&codebook.tiers) {
            if own.name != tier.name {
                let what =
                    format!("{} stands where the codebook has '{}'", shown(&own.name), tier.name);
                return fail("tiers".into(), what);
            }
            let field = |name: &str| format!("tier {}: {name}", tier.name);
            if !(own.temperature.is_finite() && own.temperature >= 1e-3 && own.temperature <= 1e3) {
                let what = format!("{} is outside 0.001 to 1000", own.temperature);
                return fail(field("temperature"), what);
            }
            if own.path.is_some_and(|line| !line.is_usable()) {
                return fail(field("path"), "this line would turn probabilities around".into());
            }
            let thresholds = match (tier.kind, &own.thresholds) {
                (TierKind::Single, None) => continue,
                (TierKind::Multi, Some(thresholds)) => thresholds,
                (TierKind::Single, Some(_)) => {
                    return fail(field("thresholds"), "a single tier takes none".into());
                }
                (TierKind::Multi, None) => {
                    return fail(field("thresholds"), "absent, but the tier is multi".into());
                }
            };
            if thresholds.len() != tier.labels.len() {
                let (own, wanted) = (thresholds.len(), tier.labels.len());
                return fail(field("thresholds"), format!("{own} values for {wanted} labels"));
            }
            if let Some(at) = thresholds.iter().position(|t| !(*t > 0.0 && *t < 1.0)) {
                let what = format!("{} is not between 0 and 1", thresholds[at]);
                return fail(field(&format!("thresholds: label {}", tier.labels[at].name)), what);
            }
        }
        let is_share = |value: &f64| (0.0..=1.0).contains(value);
        let rule = self.review.as_ref();
        let of_rule = [("below", rule.map(|rule| rule.below)), ("risk", rule.and_then(|r| r.risk))];
        for (name, value) in of_rule {
            if let Some(value) = value.filter(|value| !is_share(value)) {
                return fail(format!("review: {name}"), format!("{value} is not between 0 and 1"));
            }
        }
        let Some(sets) = &self.sets else { return Ok(()) };
        if sets.levels.iter().any(|level| !(1..=99).contains(level)) {
            return fail("sets: levels".into(), "they go from 1 to 99 per cent".into());
        }
        let whole = |tier: &TierSets| {
            tier.least.len() == sets.levels.len() && tier.least.iter().flatten().all(is_share)
        };
        if sets.tiers.len() != wanted || !sets.tiers.iter().all(whole) {
            let what = format!("they must give {wanted} tiers a probability for every level");
            return fail("sets: tiers".into(), what);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::FittedOn;
    use super::*;
    use crate::codebook::{Gate, Label, Tier};
    use crate::error::Kind;

    fn codebook() -> Codebook {
        let label = |name: &str| Label {
            name: name.into(),
            definition: String::new(),
            include: vec![],
            exclude: vec![],
            examples: vec![],
            group: None,
            only_when: Gate::default(),
        };
        let tier = |name: &str, kind| Tier {
            name: name.into(),
            kind,
            question: String::new(),
            asked_when: Gate::default(),
            labels: vec![label("yes"), label("no")],
        };
        Codebook {
            name: "c".into(),
            version: "1".into(),
            language: "en".into(),
            description: String::new(),
            tiers: vec![tier("use", TierKind::Single), tier("topics", TierKind::Multi)],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut decisions = Decisions::uncalibrated(&codebook());
        decisions.tiers[0].temperature = 1.0 / 3.0;
        decisions.review = Some(ReviewRule { below: 0.25, risk: Some(0.1) });
        let tier = || TierSets { rows: 9, least: vec![Some(0.5), None] };
        decisions.sets = Some(ConformalSets {
            fitted_on: FittedOn::OutOfFold,
            levels: vec![80, 99],
            tiers: vec![tier(), tier()],
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decision.json");
        std::fs::write(&path, decisions.to_json().unwrap()).unwrap();
        assert_eq!(Decisions::read(&path, &codebook()).unwrap(), decisions);
        assert_eq!(decisions.thresholds(), [vec![], vec![0.5, 0.5]]);
        let p =
            decisions.probabilities(&codebook(), &[vec![2f64.ln() / 3.0, 0.0], vec![0.0, 1e30]]);
        assert!((p[0][0] - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(p[1], [0.5, 1.0]);
    }

    #[test]
    fn wrong_fields_are_named() {
        let check = |edit: &dyn Fn(&mut Decisions), field: &str| {
            let mut decisions = Decisions::uncalibrated(&codebook());
            edit(&mut decisions);
            let bytes = decisions.to_json().unwrap();
            let error = Decisions::from_json(bytes.as_bytes(), "b/decision.json", &codebook());
            let error = error.unwrap_err();
            assert_eq!(error.kind(), Kind::Model);
            let message = error.to_string();
            assert!(message.starts_with(&format!("b/decision.json: {field}")), "{message}");
        };
        check(&|d| d.version = 9, "version");
        check(&|d| d.tiers.truncate(1), "tiers");
        check(&|d| d.tiers[0].name = "usage".into(), "tiers");
        check(&|d| d.tiers[0].temperature = 0.0, "tier use: temperature");
        check(&|d| d.tiers[0].thresholds = Some(vec![]), "tier use: thresholds");
        check(&|d| d.tiers[1].thresholds = None, "tier topics: thresholds");
        check(&|d| d.tiers[1].thresholds = Some(vec![0.5]), "tier topics: thresholds");
        check(
            &|d| d.tiers[1].thresholds = Some(vec![0.5, 1.0]),
            "tier topics: thresholds: label no",
        );
        let line = PathLine { slope: -1.0, intercept: 0.0 };
        check(&|d| d.tiers[0].path = Some(line), "tier use: path");
        let rule = |below, risk| Some(ReviewRule { below, risk });
        check(&|d| d.review = rule(2.0, None), "review: below");
        check(&|d| d.review = rule(0.5, Some(-0.1)), "review: risk");
        let sets = |levels: &[u8], tiers: &[&[Option<f64>]]| {
            let tier = |least: &&[Option<f64>]| TierSets { rows: 9, least: least.to_vec() };
            let (fitted_on, tiers) = (FittedOn::Validation, tiers.iter().map(tier).collect());
            Some(ConformalSets { fitted_on, levels: levels.to_vec(), tiers })
        };
        check(&|d| d.sets = sets(&[100], &[&[None], &[None]]), "sets: levels");
        check(&|d| d.sets = sets(&[90], &[&[None]]), "sets: tiers");
        check(&|d| d.sets = sets(&[90], &[&[None], &[]]), "sets: tiers");
        check(&|d| d.sets = sets(&[90], &[&[Some(1.5)], &[None]]), "sets: tiers");
    }

    #[test]
    fn broken_files_are_model_errors() {
        for bytes in ["", "{", "[]", r#"{"version":1,"tiers":[],"extra":1}"#] {
            let error = Decisions::from_json(bytes.as_bytes(), "decision.json", &codebook());
            assert_eq!(error.unwrap_err().kind(), Kind::Model);
        }
        let absent = Decisions::read(Path::new("no/such/decision.json"), &codebook());
        assert_eq!(absent.unwrap_err().kind(), Kind::Model);
    }
}
