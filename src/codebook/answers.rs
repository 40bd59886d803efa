//! Which answers the gates leave: for one row, and for every row there could be.

use super::{Code, Codebook, Gate, GateState, LabelSet, TierKind};

/// More combinations of earlier answers than this are not searched.
const LIMIT: usize = 1_000_000;

impl Codebook {
    /// Position of the tier of that name.
    pub fn tier_index(&self, name: &str) -> Option<usize> {
        self.tiers.iter().position(|tier| tier.name == name)
    }

    /// For each label of a tier, whether its own gate leaves it permitted (open, or resting
    /// on a missing answer), given the codes of (at least) all earlier tiers.
    pub fn permitted(&self, tier: usize, codes: &[Code]) -> Vec<bool> {
        let labels = &self.tiers[tier].labels;
        labels.iter().map(|label| label.only_when.state(codes) != GateState::Closed).collect()
    }
}

impl super::Tier {
    /// Position of the label of that name.
    pub fn label_index(&self, name: &str) -> Option<usize> {
        self.labels.iter().position(|label| label.name == name)
    }
}

/// Fails, naming the answers, if some answers above leave the single tier `last` open with
/// no permitted label.
pub(super) fn require_answer(book: &Codebook, last: usize) -> Result<(), String> {
    let tier = &book.tiers[last];
    let unconditional = tier.labels.iter().any(|label| label.only_when.conditions.is_empty());
    if tier.kind == TierKind::Multi || unconditional {
        return Ok(());
    }
    let mut search =
        Search { book, last, relevant: relevant(book, last), codes: Vec::new(), visited: 0 };
    match search.descend() {
        Verdict::Sound => Ok(()),
        Verdict::Stuck => Err(format!(
            "tier '{}': no label is permitted when {}",
            tier.name,
            search.answers().join(", ")
        )),
        Verdict::TooMany => Err(format!(
            "tier '{}': its gates rest on too many combinations of earlier answers to be checked",
            tier.name
        )),
    }
}

/// The tiers that the answer to `last` rests on, directly or through other gates.
fn relevant(book: &Codebook, last: usize) -> Vec<bool> {
    let mut needed = vec![false; last + 1];
    needed[last] = true;
    for tier in (0..=last).rev() {
        if needed[tier] {
            for gate in gates(book, tier) {
                gate.conditions.iter().for_each(|c| needed[c.tier] = true);
            }
        }
    }
    needed
}

fn gates(book: &Codebook, tier: usize) -> impl Iterator<Item = &Gate> {
    let tier = &book.tiers[tier];
    std::iter::once(&tier.asked_when).chain(tier.labels.iter().map(|label| &label.only_when))
}

enum Verdict {
    Sound,
    Stuck,
    TooMany,
}

struct Search<'a> {
    book: &'a Codebook,
    last: usize,
    relevant: Vec<bool>,
    codes: Vec<Code>,
    visited: usize,
}

impl Search<'_> {
    fn descend(&mut self) -> Verdict {
        self.visited += 1;
        if self.visited > LIMIT {
            return Verdict::TooMany;
        }
        let at = self.codes.len();
        let tier = &self.book.tiers[at];
        let open = tier.asked_when.state(&self.codes) == GateState::Open;
        let permitted = self.book.permitted(at, &self.codes);
        if at == self.last {
            return if open && !permitted.contains(&true) {
                Verdict::Stuck
            } else {
                Verdict::Sound
            };
        }
        let options = if !open {
            vec![Code::NotAsked]
        } else if !self.relevant[at] {
            vec![Code::Missing]
        } else {
            self.options(at, &permitted)
        };
        if options.len() > LIMIT {
            return Verdict::TooMany;
        }
        for option in options {
            self.codes.push(option);
            match self.descend() {
                Verdict::Sound => {}
                // The codes stay, so that the message can name the answers.
                other => return other,
            }
            self.codes.pop();
        }
        Verdict::Sound
    }

    /// One answer for each set of answers that no later gate tells apart.
    fn options(&self, at: usize, permitted: &[bool]) -> Vec<Code> {
        let mut kinds: Vec<(Vec<bool>, usize)> = Vec::new();
        for label in (0..permitted.len()).filter(|&label| permitted[label]) {
            let seen = self.seen_by_gates(at, label);
            if !kinds.iter().any(|(other, _)| *other == seen) {
                kinds.push((seen, label));
            }
        }
        let labels: Vec<usize> = kinds.iter().map(|(_, label)| *label).collect();
        match self.book.tiers[at].kind {
            TierKind::Single => labels.into_iter().map(|l| Code::Coded(LabelSet::one(l))).collect(),
            TierKind::Multi => {
                // One bit too many makes more options than LIMIT: refused, never cut short.
                let bits = labels.len().min(20);
                let subset = |mask: usize| {
                    let chosen = (0..bits).filter(|bit| mask >> bit & 1 == 1);
                    Code::Coded(LabelSet::new(chosen.map(|bit| labels[bit]).collect()))
                };
                (0..1usize << bits).map(subset).collect()
            }
        }
    }

    fn seen_by_gates(&self, at: usize, label: usize) -> Vec<bool> {
        (at + 1..=self.last)
            .filter(|&tier| self.relevant[tier])
            .flat_map(|tier| gates(self.book, tier))
            .flat_map(|gate| &gate.conditions)
            .filter(|condition| condition.tier == at)
            .map(|condition| condition.labels.contains(&label))
            .collect()
    }

    fn answers(&self) -> Vec<String> {
        let mut answers = Vec::new();
        for (tier, code) in self.book.tiers.iter().zip(&self.codes) {
            let Some(set) = code.labels() else { continue };
            let names: Vec<&str> = set.iter().map(|l| tier.labels[l].name.as_str()).collect();
            let names = if names.is_empty() { "none".into() } else { names.join("|") };
            answers.push(format!("{} = {names}", tier.name));
        }
        if answers.is_empty() {
            answers.push("it is asked".into());
        }
        answers
    }
}
