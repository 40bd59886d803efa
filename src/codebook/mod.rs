//! The codebook: tiers, their labels, definitions and gates (DESIGN section 2).

mod answers;
mod cell;
mod code;
mod digest;
mod manual;
mod names;
mod parse;
mod render;
mod shipped;
mod source;

pub use cell::{Barred, CellSlip, CellValue, is_blank};
pub use code::{Code, GateState, LabelSet};
pub use digest::{hex, hex_sha256};
pub use names::check_coder;
pub use shipped::{shipped, shipped_names};

/// Whether a tier takes exactly one label or any subset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TierKind {
    /// Exactly one label.
    Single,
    /// Any subset of the labels, the empty one included.
    Multi,
}

/// One condition of a gate: the named tier must hold at least one of the listed labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Position of an earlier tier.
    pub tier: usize,
    /// Positions of the labels that open the gate, ascending.
    pub labels: Vec<usize>,
}

/// The conditions on earlier tiers under which a tier is asked or a label permitted; all
/// must hold, and a gate without conditions is always open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// The conditions, ordered by tier.
    pub conditions: Vec<Condition>,
}

/// One permitted answer of a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The name that stands in tables.
    pub name: String,
    /// What the label means.
    pub definition: String,
    /// What counts.
    pub include: Vec<String>,
    /// What does not count.
    pub exclude: Vec<String>,
    /// Invented examples.
    pub examples: Vec<String>,
    /// A heading for reports.
    pub group: Option<String>,
    /// When this label may be given.
    pub only_when: Gate,
}

/// One question put to a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The name that stands in tables.
    pub name: String,
    /// One label or any subset.
    pub kind: TierKind,
    /// The question as coders read it.
    pub question: String,
    /// When the tier is asked.
    pub asked_when: Gate,
    /// The permitted answers, in codebook order.
    pub labels: Vec<Label>,
}

/// A whole codebook; tiers stand in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codebook {
    /// Short name.
    pub name: String,
    /// The lab's own version.
    pub version: String,
    /// Language of the texts.
    pub language: String,
    /// What is coded, and how.
    pub description: String,
    /// The tiers.
    pub tiers: Vec<Tier>,
}

impl Gate {
    /// Whether the gate is open, given the codes of (at least) all earlier tiers.
    pub fn state(&self, codes: &[Code]) -> GateState {
        let mut state = GateState::Open;
        for condition in &self.conditions {
            match &codes[condition.tier] {
                Code::Missing => state = GateState::Unknown,
                Code::NotAsked => return GateState::Closed,
                Code::Coded(set) => {
                    if !condition.labels.iter().any(|&l| set.contains(l)) {
                        return GateState::Closed;
                    }
                }
            }
        }
        state
    }
}

/// A single tier and a multi tier that one of its answers leads to.
#[cfg(test)]
pub(crate) const GATED: &str = r#"
format = 1
name = "b"
version = "1"
language = "en"
description = "d"
[[tier]]
name = "use"
kind = "single"
question = "q"
label = [{ name = "yes", definition = "d" }, { name = "no", definition = "d" }]
[[tier]]
name = "topics"
kind = "multi"
question = "q"
asked_when = { use = ["yes"] }
label = [{ name = "a", definition = "d" }, { name = "b", definition = "d" }]
"#;
