//! The scores of two coders against gold as one function of sums over rows.

use crate::codebook::{Tier, TierKind};
use crate::corpus::{Answer, Codings};
use crate::evaluation::confusion::Counts;
use crate::evaluation::contribution::{Contribution, Scores, sums};
use crate::evaluation::resampling::Parts;

/// The scores of both coders.
pub type Both = [Scores; 2];

/// Where the sums of one tier stand. A view is all rows, or those that the gold asks; each has the
/// sums of the one coder's scores, of the other's, and the rows that only the one and only the
/// other has right.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    labels: usize,
    views: usize,
}

impl Tally {
    /// Of a tier; one that is always asked has one view only.
    pub fn new(tier: &Tier) -> Self {
        let gated = !tier.asked_when.conditions.is_empty();
        Self { labels: tier.labels.len(), views: if gated { 2 } else { 1 } }
    }

    fn of_view(self) -> usize {
        2 * sums(self.labels) + 2
    }

    fn sums(self) -> usize {
        self.views * self.of_view()
    }

    /// About how many steps one evaluation takes.
    pub fn steps(self) -> u64 {
        2 * self.sums() as u64
    }

    /// What each combination of gold, one coder and the other adds to the sums; `place` is that of
    /// the tier among the codings.
    pub fn parts(self, tier: &Tier, place: usize, codings: &Codings, all: &[Vec<Answer>]) -> Parts {
        let set = |answer: Answer| -> Vec<usize> {
            (0..self.labels).filter(|&label| codings.holds(place, answer, label)).collect()
        };
        let part = |gold: Answer, own: Answer| {
            let (of_gold, of_own) = (set(gold), set(own));
            let right = match tier.kind {
                TierKind::Single => gold == own,
                TierKind::Multi => of_gold == of_own,
            };
            Contribution::new(&of_gold, &of_own, right)
        };
        let mut parts = Parts::new(self.sums());
        for combination in all {
            let both = [1, 2].map(|coder| part(combination[0], combination[coder]));
            let of_coder = |(coder, part): (usize, &Contribution)| {
                let first = coder * sums(self.labels);
                part.places(self.labels).map(move |place| first + place).collect::<Vec<usize>>()
            };
            let mut places: Vec<usize> = both.iter().enumerate().flat_map(of_coder).collect();
            let only = |coder: usize| 2 * sums(self.labels) + coder;
            match both.map(|part| part.is_right) {
                [true, false] => places.push(only(0)),
                [false, true] => places.push(only(1)),
                _ => {}
            }
            let views = if combination[0].set().is_some() { self.views } else { 1 };
            parts.push((0..views).flat_map(|view| {
                places.iter().map(move |place| (view * self.of_view() + place, 1.0))
            }));
        }
        parts
    }

    /// The scores in every view, where in the rows of `changed` the coders change places.
    pub fn scores(self, all: &[f64], changed: Option<&[f64]>) -> Vec<Both> {
        let of = |view: usize, coder: usize| {
            let Some(changed) = changed else {
                return Scores::of(self.labels, self.of_coder(all, view, coder));
            };
            let stand = self.of_coder(all, view, coder).iter();
            let own = self.of_coder(changed, view, coder).iter();
            let other = self.of_coder(changed, view, 1 - coder);
            let swapped: Vec<f64> =
                stand.zip(own.zip(other)).map(|(all, (own, other))| all - own + other).collect();
            Scores::of(self.labels, &swapped)
        };
        (0..self.views).map(|view| [of(view, 0), of(view, 1)]).collect()
    }

    fn of_coder(self, all: &[f64], view: usize, coder: usize) -> &[f64] {
        let own = sums(self.labels);
        &all[view * self.of_view() + coder * own..][..own]
    }

    /// A coder's whole counts of every label, and right rows.
    pub fn counts(self, all: &[f64], view: usize, coder: usize) -> (Vec<Counts>, u64) {
        let own = self.of_coder(all, view, coder);
        let count = |place: usize| own[place] as u64;
        let labels = (0..self.labels)
            .map(|label| Counts {
                true_positives: count(label),
                false_positives: count(self.labels + label),
                false_negatives: count(2 * self.labels + label),
            })
            .collect();
        (labels, count(3 * self.labels))
    }

    /// Rows that only one of the coders has right.
    pub fn discordant(self, all: &[f64], view: usize) -> [u64; 2] {
        [0, 1].map(|coder| all[view * self.of_view() + 2 * sums(self.labels) + coder] as u64)
    }

    /// Rows over which the scores are.
    pub fn rows(self, all: &[f64], view: usize) -> u64 {
        self.of_coder(all, view, 0)[3 * self.labels + 1] as u64
    }
}
