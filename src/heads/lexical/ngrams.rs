//! A text as hashed n-grams: what the lexical heads see of it.

use unicode_segmentation::UnicodeSegmentation;
use xxhash_rust::xxh32::xxh32;

/// Lengths of the character n-grams.
const CHARACTERS: [usize; 2] = [3, 4];

/// Seeds that keep words and character n-grams apart.
const WORD_SEED: u32 = 1;
const CHARACTER_SEED: u32 = 2;

/// How often each n-gram stands in a text, ordered by hash. An n-gram is known by its xxHash-32
/// alone. Order is lost, but not secrecy gained: whoever guesses a word can look for its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NGrams {
    /// Words, symbols and emoji, in lower case.
    pub words: Vec<(u32, u32)>,
    /// Character n-grams of length 3 and 4 within words that white space parts, each word with
    /// a blank at either end.
    pub characters: Vec<(u32, u32)>,
}

impl NGrams {
    /// Counts the n-grams of a text (words as Unicode Standard Annex 29 parts them).
    pub fn of(text: &str) -> Self {
        let text = text.to_lowercase();
        let words = text
            .split_word_bounds()
            .filter(|word| !word.trim().is_empty())
            .map(|word| xxh32(word.as_bytes(), WORD_SEED));
        let mut characters = Vec::new();
        for word in text.split_whitespace() {
            let padded = format!(" {word} ");
            let starts: Vec<usize> =
                padded.char_indices().map(|(at, _)| at).chain([padded.len()]).collect();
            for n in CHARACTERS {
                let grams = starts.iter().zip(starts.iter().skip(n));
                characters
                    .extend(grams.map(|(&a, &b)| xxh32(&padded.as_bytes()[a..b], CHARACTER_SEED)));
            }
        }
        Self { words: counted(words.collect()), characters: counted(characters) }
    }

    /// The hash of every n-gram, each once.
    pub fn hashes(&self) -> impl Iterator<Item = u32> {
        self.words.iter().chain(&self.characters).map(|(hash, _)| *hash)
    }
}

fn counted(mut hashes: Vec<u32>) -> Vec<(u32, u32)> {
    hashes.sort_unstable();
    hashes.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len() as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_without_regard_to_case() {
        let grams = NGrams::of("Fool, fool 👩‍⚕️");
        let mut expected = vec![
            (xxh32(b"fool", WORD_SEED), 2),
            (xxh32(b",", WORD_SEED), 1),
            (xxh32("👩‍⚕️".as_bytes(), WORD_SEED), 1),
        ];
        expected.sort_unstable();
        assert_eq!(grams.words, expected);
    }

    #[test]
    fn characters_stay_within_words() {
        let mut expected: Vec<(u32, u32)> = [" ab", "ab ", " ab ", " c "]
            .map(|gram| (xxh32(gram.as_bytes(), CHARACTER_SEED), 1))
            .to_vec();
        expected.sort_unstable();
        assert_eq!(NGrams::of("ab\n c").characters, expected);
        assert_eq!(NGrams::of(" \t"), NGrams::default());
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_ordered_distinct_hashes(text in "\\PC*") {
            let grams = NGrams::of(&text);
            for list in [&grams.words, &grams.characters] {
                proptest::prop_assert!(list.windows(2).all(|w| w[0].0 < w[1].0));
            }
        }
    }
}
