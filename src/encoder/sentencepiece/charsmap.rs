//! SentencePiece's normaliser: a table of byte sequences and what stands for them, of which the
//! longest that fits is taken at every place (Kudo and Richardson 2018).
//!
//! The tokenizers crate looks up whole grapheme clusters of at most five bytes, or single
//! characters, and so leaves longer sequences uncomposed and drops marks after shorter ones.

use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

/// The compiled table: a double-array trie (Darts-clone's units) and the texts it points to.
#[derive(Clone, Debug)]
pub(super) struct Charsmap {
    units: Vec<u32>,
    texts: Vec<u8>,
}

impl Charsmap {
    /// Reads the table of a model file; `None` if it is damaged.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_at_checked(4)?;
        let size = u32::from_le_bytes(size.try_into().ok()?) as usize;
        let (trie, texts) = rest.split_at_checked(size)?;
        let unit = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        Some(Self { units: trie.chunks_exact(4).map(unit).collect(), texts: texts.to_vec() })
    }

    /// The length in bytes of the longest sequence of the table that begins the text, and what
    /// stands for it.
    fn longest<'a>(&'a self, text: &str) -> Option<(usize, &'a str)> {
        let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
        let mut at = offset(*self.units.first()?);
        let mut found = None;
        for (i, byte) in text.bytes().enumerate() {
            at ^= usize::from(byte);
            let Some(unit) = self.units.get(at) else { break };
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                break;
            }
            at ^= offset(*unit);
            if unit >> 8 & 1 == 1 {
                let value = self.units.get(at).map(|leaf| (leaf & 0x7fff_ffff) as usize);
                found = value.map(|value| (i + 1, value)).or(found);
            }
        }
        let (length, value) = found.filter(|(length, _)| text.is_char_boundary(*length))?;
        let text = self.texts.get(value..)?;
        let end = text.iter().position(|byte| *byte == 0)?;
        Some((length, std::str::from_utf8(&text[..end]).ok()?))
    }

    /// The characters of the normalised text, each with how many it adds, and the number of
    /// characters that are gone before the first, as [`NormalizedString::transform`] takes them.
    fn transformed(&self, mut text: &str) -> (Vec<(char, isize)>, usize) {
        let (mut out, mut gone): (Vec<(char, isize)>, usize) = (Vec::new(), 0);
        while let Some(first) = text.chars().next() {
            let plain = first.len_utf8();
            let (length, new) = self.longest(text).unwrap_or((plain, &text[..plain]));
            let old = text[..length].chars().count();
            match (new.is_empty(), out.last_mut()) {
                (true, None) => gone += old,
                (true, Some((_, adds))) => *adds -= old as isize,
                (false, _) => {
                    let adds = std::iter::once(1 - old as isize).chain(std::iter::repeat(1));
                    out.extend(new.chars().zip(adds));
                }
            }
            text = &text[length..];
        }
        (out, gone)
    }
}

/// The table, then what the tokenizer's file names after it.
#[derive(Clone, Debug)]
pub struct SentencePieceNormalizer {
    pub(super) charsmap: Charsmap,
    pub(super) rest: NormalizerWrapper,
}

impl Normalizer for SentencePieceNormalizer {
    fn normalize(&self, text: &mut NormalizedString) -> tokenizers::Result<()> {
        let (characters, gone) = self.charsmap.transformed(text.get());
        text.transform(characters, gone);
        self.rest.normalize(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table() -> Charsmap {
        let model = include_bytes!("../../../tests/fixtures/tokenizer/deberta.model");
        let model = super::super::SentencePieceModel::parse(model).unwrap();
        Charsmap::parse(&model.charsmap).unwrap()
    }

    fn normalised(text: &str) -> String {
        let mut out = NormalizedString::from(text);
        let (characters, gone) = table().transformed(text);
        out.transform(characters, gone);
        out.get().to_owned()
    }

    #[test]
    fn the_longest_sequence_is_taken() {
        assert_eq!(normalised("e\u{302}\u{301}"), "\u{1ebf}");
        assert_eq!(normalised("\u{1112}\u{1161}\u{11ab}"), "\u{d55c}");
        assert_eq!(normalised("a\u{328}\u{301}"), "\u{105}\u{301}");
        assert_eq!(normalised("\u{7}\u{7}a\u{7}b\u{7}"), "ab");
        assert_eq!(normalised("ﷺ"), "صلى الله عليه وسلم");
    }

    proptest! {
        #[test]
        fn no_text_and_no_damage_panics(
            text in "\\PC{0,40}", bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            normalised(&text);
            if let Some(map) = Charsmap::parse(&bytes) {
                map.transformed(&text);
            }
        }
    }
}
