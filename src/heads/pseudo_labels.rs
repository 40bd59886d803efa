//! Which of a teacher's answers teach: of every label's texts those that the teacher is surest of
//! (class-balanced self-training; Zou et al., ECCV 2018), so that frequent labels, which are told
//! more surely, do not crowd out the rare ones.

use super::soft::SoftCode;
use crate::codebook::{Codebook, TierKind};

/// How uncoded texts are selected and weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// The share of every label's texts that teach, the surest first; 1: all.
    pub share: f64,
    /// Texts of a label of single tiers weigh by its frequency to the minus this power; 0: alike.
    pub balance: f64,
    /// The largest factor that this may give, and one over the smallest.
    pub limit: f64,
}

impl Selection {
    /// Selects and weighs, in every tier by itself, what teachers say of these texts,
    /// `codes[text][tier]`.
    ///
    /// A text of a single tier belongs to its likeliest label, as surely as that label is likely,
    /// the tier's being asked included. A label of a multi tier belongs to as many texts as its
    /// probabilities let expect, the likeliest ones; of these the likeliest teach, and of the
    /// others the unlikeliest. What is left out no longer counts.
    pub fn apply(&self, codebook: &Codebook, codes: &mut [Vec<SoftCode>]) {
        for (tier, about) in codebook.tiers.iter().enumerate() {
            let mut own: Vec<&mut SoftCode> =
                codes.iter_mut().map(|text| &mut text[tier]).collect();
            own.retain(|code| code.weight > 0.0);
            match about.kind {
                TierKind::Single => self.single(about.labels.len(), &mut own),
                TierKind::Multi => {
                    (0..about.labels.len()).for_each(|label| self.multi(label, &mut own));
                }
            }
        }
    }

    /// How many of so many texts teach.
    fn kept(&self, texts: usize) -> usize {
        (self.share * texts as f64).ceil() as usize
    }

    fn single(&self, labels: usize, codes: &mut [&mut SoftCode]) {
        let belongs: Vec<usize> = codes.iter().map(|code| likeliest(code)).collect();
        let mut masses = vec![0.0; labels];
        for (label, mass) in masses.iter_mut().enumerate() {
            let texts = (0..codes.len()).filter(|&text| belongs[text] == label);
            let sure = |text: usize| codes[text].weight * codes[text].probabilities[label];
            let order = surest_first(texts, sure);
            let (kept, left) = order.split_at(self.kept(order.len()));
            *mass = kept.iter().map(|&text| f64::from(codes[text].weight)).sum::<f64>();
            left.iter().for_each(|&text| codes[text].weight = 0.0);
        }
        let found = masses.iter().filter(|mass| **mass > 0.0).count().max(1);
        let mean = masses.iter().sum::<f64>() / found as f64;
        for (code, label) in codes.iter_mut().zip(belongs) {
            let factor = (mean / masses[label]).powf(self.balance);
            if code.weight > 0.0 {
                code.weight *= factor.clamp(1.0 / self.limit, self.limit) as f32;
            }
        }
    }

    fn multi(&self, label: usize, codes: &mut [&mut SoftCode]) {
        let open = (0..codes.len()).filter(|&text| codes[text].permitted[label]);
        let order = surest_first(open, |text| codes[text].probabilities[label]);
        let expected: f32 = order.iter().map(|&text| codes[text].probabilities[label]).sum();
        let (has, lacks) = order.split_at((expected.round() as usize).min(order.len()));
        let unsure = &has[self.kept(has.len())..];
        let unsure = unsure.iter().chain(&lacks[..lacks.len() - self.kept(lacks.len())]);
        unsure.for_each(|&text| codes[text].permitted[label] = false);
    }
}

/// The likeliest label, of equals the first.
fn likeliest(code: &SoftCode) -> usize {
    let p = &code.probabilities;
    (1..p.len()).fold(0, |best, label| if p[label] > p[best] { label } else { best })
}

/// The texts by falling certainty, of equals the first one first.
fn surest_first(texts: impl Iterator<Item = usize>, sure: impl Fn(usize) -> f32) -> Vec<usize> {
    let mut order: Vec<usize> = texts.collect();
    order.sort_by(|a, b| sure(*b).total_cmp(&sure(*a)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codebook::GATED;

    /// Texts of the codebook's first tier, a single one of two labels, by P(first label).
    fn texts(first: &[f32]) -> Vec<Vec<SoftCode>> {
        let of = |p: &f32| SoftCode {
            weight: 1.0,
            probabilities: vec![*p, 1.0 - p],
            permitted: vec![true; 2],
        };
        first.iter().map(|p| vec![of(p), SoftCode { weight: 0.0, ..of(&0.5) }]).collect()
    }

    fn selected(first: &[f32], share: f64, balance: f64) -> Vec<f32> {
        let codebook = Codebook::parse(GATED, "b").unwrap();
        let mut codes = texts(first);
        Selection { share, balance, limit: 10.0 }.apply(&codebook, &mut codes);
        assert!(
            codes.iter().all(|text| text[1].weight == 0.0),
            "what was not asked teaches nothing"
        );
        codes.iter().map(|text| text[0].weight).collect()
    }

    #[test]
    fn every_label_keeps_its_surest_texts() {
        let first = [0.9, 0.8, 0.7, 0.6, 0.4, 0.3];
        assert_eq!(selected(&first, 0.5, 0.0), [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(selected(&first, 1.0, 0.0), [1.0; 6]);
    }

    #[test]
    fn rare_labels_weigh_more() {
        // Four texts and one: means 2.5, so 2.5/4 and 2.5/1, to the power of one half.
        let found = selected(&[0.9, 0.9, 0.9, 0.9, 0.1], 1.0, 0.5);
        let expected = [0.625f32.sqrt(); 4].into_iter().chain([2.5f32.sqrt()]);
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn labels_of_multi_tiers_keep_their_likeliest_and_unlikeliest_texts() {
        let p = [0.9, 0.1, 0.6, 0.3, 0.1, 0.0];
        let mut codes: Vec<SoftCode> = p
            .iter()
            .map(|p| SoftCode { weight: 1.0, probabilities: vec![*p], permitted: vec![true] })
            .collect();
        let selection = Selection { share: 0.5, balance: 1.0, limit: 10.0 };
        selection.multi(0, &mut codes.iter_mut().collect::<Vec<_>>());
        // Two are expected to have it: 0.9 and 0.6, of which the first teaches; of the four others,
        // 0.3, 0.1, 0.1 and 0, the last two.
        let open: Vec<bool> = codes.iter().map(|code| code.permitted[0]).collect();
        assert_eq!(open, [true, false, false, false, true, true]);
    }

    #[test]
    fn nothing_is_selected_from_nothing() {
        assert!(selected(&[], 0.5, 1.0).is_empty());
    }
}
