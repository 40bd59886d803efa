//! The n-grams that a training knows, and texts as weighted vectors over them.

use std::collections::HashMap;

use super::NGrams;
use crate::heads::logistic::{Design, LinearHead};

/// An n-gram must stand in this many training texts to become a feature: one that stands in a
/// single text would only serve to recognise it.
const MIN_TEXTS: u32 = 2;

/// The length of the words' part of a vector, and of the characters': there are many more of
/// these, each says less, and at equal length they would drown the words.
const LENGTHS: [f64; 2] = [1.0, 0.5];

/// The positions and values of a vector that are not zero, ordered by position.
pub type SparseVector = Vec<(u32, f32)>;

/// The known n-grams with their inverse document frequencies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lexicon {
    /// Hashes in ascending order.
    hashes: Vec<u32>,
    /// ln((1 + texts) / (1 + texts with the n-gram)) + 1.
    idf: Vec<f32>,
}

impl Lexicon {
    /// The n-grams that stand in at least two texts; where these are more than `most`, the most
    /// frequent (of equals the lower hash).
    pub fn learn<'a>(texts: impl IntoIterator<Item = &'a NGrams>, most: usize) -> Self {
        let mut total = 0u32;
        let mut frequency: HashMap<u32, u32> = HashMap::new();
        for text in texts {
            total += 1;
            for hash in text.hashes() {
                *frequency.entry(hash).or_default() += 1;
            }
        }
        let mut known: Vec<(u32, u32)> =
            frequency.into_iter().filter(|(_, n)| *n >= MIN_TEXTS).collect();
        known.sort_unstable_by_key(|&(hash, n)| (std::cmp::Reverse(n), hash));
        known.truncate(most);
        known.sort_unstable();
        let idf = |n: u32| (f64::from(1 + total) / f64::from(1 + n)).ln() + 1.0;
        Self {
            hashes: known.iter().map(|(hash, _)| *hash).collect(),
            idf: known.iter().map(|(_, n)| idf(*n) as f32).collect(),
        }
    }

    /// A lexicon from its parts; `None` unless hashes ascend and there is one weight for each.
    pub fn from_parts(hashes: Vec<u32>, idf: Vec<f32>) -> Option<Self> {
        let ascending = hashes.windows(2).all(|pair| pair[0] < pair[1]);
        (ascending && hashes.len() == idf.len()).then_some(Self { hashes, idf })
    }

    /// The hashes and the inverse document frequencies.
    pub fn parts(&self) -> (&[u32], &[f32]) {
        (&self.hashes, &self.idf)
    }

    /// How many n-grams are known.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The known n-grams of a text, (1 + ln count) · idf, words brought to length 1 and
    /// characters to ½ (tf-idf with sublinear counts; Manning, Raghavan and Schütze 2008,
    /// section 6.4).
    pub fn vector(&self, text: &NGrams) -> SparseVector {
        let mut vector: SparseVector = Vec::new();
        for (block, target) in [&text.words, &text.characters].into_iter().zip(LENGTHS) {
            let start = vector.len();
            for (hash, count) in block {
                if let Ok(at) = self.hashes.binary_search(hash) {
                    let weight = (1.0 + f64::from(*count).ln()) * f64::from(self.idf[at]);
                    vector.push((at as u32, weight as f32));
                }
            }
            let square: f64 = vector[start..].iter().map(|(_, v)| f64::from(v * v)).sum();
            let length = square.sqrt().max(f64::MIN_POSITIVE);
            vector[start..]
                .iter_mut()
                .for_each(|(_, v)| *v = (f64::from(*v) * target / length) as f32);
        }
        vector.sort_unstable_by_key(|(at, _)| *at);
        vector
    }
}

/// Texts as rows over a lexicon of this many n-grams.
pub struct SparseRows {
    /// One vector a text.
    pub rows: Vec<SparseVector>,
    /// The size of the lexicon.
    pub width: usize,
}

impl Design for SparseRows {
    fn logits(&self, head: &LinearHead) -> Vec<f32> {
        let labels = || head.bias.iter().enumerate();
        let of_row = |row| {
            labels().map(move |(label, bias)| {
                terms(row, head, label, self.width).fold(*bias, |sum, (w, v)| sum + w * v)
            })
        };
        self.rows.iter().flat_map(of_row).collect()
    }

    fn weight_gradient(&self, slopes: &[f32], labels: usize) -> Vec<f32> {
        let mut gradient = vec![0f32; labels * self.width];
        for (row, slopes) in self.rows.iter().zip(slopes.chunks(labels)) {
            for (label, slope) in slopes.iter().enumerate().filter(|(_, s)| **s != 0.0) {
                for (at, value) in row {
                    gradient[label * self.width + *at as usize] += slope * value;
                }
            }
        }
        gradient
    }
}

/// What a label of the head weighs at each n-gram of the text, and that n-gram's value.
pub(super) fn terms<'a>(
    text: &'a SparseVector,
    head: &'a LinearHead,
    label: usize,
    width: usize,
) -> impl Iterator<Item = (f32, f32)> + 'a {
    let weight = &head.weight[label * width..][..width];
    text.iter().map(|(at, value)| (weight[*at as usize], *value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(texts: &[&str], most: usize) -> Lexicon {
        let grams: Vec<NGrams> = texts.iter().map(|t| NGrams::of(t)).collect();
        Lexicon::learn(&grams, most)
    }

    #[test]
    fn only_what_two_texts_share_is_known() {
        assert!(learn(&["one", "two"], 100).is_empty());
        let shared = learn(&["a b", "a c", "a b"], 100);
        // The words a and b; the padded characters " a " and " b ".
        assert_eq!(shared.len(), 4);
        assert_eq!(learn(&["a b", "a c", "a b"], 2).len(), 2);
    }

    #[test]
    fn values_are_tf_idf_of_a_fixed_length_by_block() {
        let lexicon = learn(&["a b", "a c", "a b"], 100);
        let vector = lexicon.vector(&NGrams::of("a a b z"));
        let idf = |n: f64| (4.0 / (1.0 + n)).ln() + 1.0;
        let (a, b) = ((1.0 + 2f64.ln()) * idf(3.0), idf(2.0));
        let length = a.hypot(b);
        let mut expected = [a, b, a / 2.0, b / 2.0].map(|value| value / length);
        let mut values: Vec<f64> = vector.iter().map(|(_, v)| f64::from(*v)).collect();
        values.sort_by(f64::total_cmp);
        expected.sort_by(f64::total_cmp);
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
        }
        assert_eq!(values.len(), 4);
    }

    #[test]
    fn sparse_rows_agree_with_dense_ones() {
        let sparse = SparseRows { rows: vec![vec![(0, 1.0), (2, -2.0)], vec![(1, 0.5)]], width: 3 };
        let dense =
            crate::heads::logistic::DenseRows { values: &[1.0, 0.0, -2.0, 0.0, 0.5, 0.0], rows: 2 };
        let head =
            LinearHead { weight: vec![1.0, 2.0, 3.0, -1.0, 0.5, 0.25], bias: vec![0.1, 0.2] };
        assert_eq!(sparse.logits(&head), dense.logits(&head));
        let slopes = [0.5, -1.0, 0.0, 2.0];
        assert_eq!(sparse.weight_gradient(&slopes, 2), dense.weight_gradient(&slopes, 2));
    }
}
