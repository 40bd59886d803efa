//! Whether codes obey the codebook.

use crate::codebook::{Code, Codebook, GateState, TierKind};

/// How a code breaks the codebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Coded although its gate is closed.
    ClosedGate,
    /// Not asked although its gate is open.
    OpenGate,
    /// A single tier without exactly one label.
    NotOneLabel,
    /// A label whose own gate is closed.
    ForbiddenLabel(usize),
    /// A label position that the tier does not have.
    UnknownLabel(usize),
    /// No entry for the tier at all.
    NoEntry,
}

/// A breach and the tier (by position) where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Position of the tier.
    pub tier: usize,
    /// What is wrong there.
    pub breach: Breach,
}

/// Everything in one text's codes (one per tier) that the codebook does not allow. A missing
/// code breaks nothing, and a gate that rests on one is taken for whatever suits.
pub fn violations(codebook: &Codebook, codes: &[Code]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (t, tier) in codebook.tiers.iter().enumerate() {
        let mut report = |breach| found.push(Violation { tier: t, breach });
        let Some(code) = codes.get(t) else {
            report(Breach::NoEntry);
            break;
        };
        let gate = tier.asked_when.state(codes);
        match code {
            Code::Missing => {}
            Code::NotAsked if gate == GateState::Open => report(Breach::OpenGate),
            Code::NotAsked => {}
            Code::Coded(_) if gate == GateState::Closed => report(Breach::ClosedGate),
            Code::Coded(set) => {
                if tier.kind == TierKind::Single && set.len() != 1 {
                    report(Breach::NotOneLabel);
                }
                for label in set.iter() {
                    match tier.labels.get(label) {
                        None => report(Breach::UnknownLabel(label)),
                        Some(l) if l.only_when.state(codes) == GateState::Closed => {
                            report(Breach::ForbiddenLabel(label));
                        }
                        Some(_) => {}
                    }
                }
            }
        }
    }
    found
}
