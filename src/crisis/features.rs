//! What the screen sees of a text: parts of it as the encoder has them between its layers, and
//! their n-grams.

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use crate::encoder::kernels::Level;
use crate::encoder::{
    Compute, Cut, Encoder, ModelFiles, PackedBatch, TokenizedText, Tokens, batch_by_batch,
};
use crate::error::Result;
use crate::heads::lexical::NGrams;

/// The encoder that the program holds.
const ENCODER: &str = "minilm";

/// Tokens that the encoder sees at once: more than nearly every part has.
const CUT: Cut = Cut { longest: 256, stride: Some(128) };

/// Words of a large part: nearly every post is one. Parts overlap by half, so that what stands in a
/// few sentences stands whole in one of them.
const LARGE: usize = 160;

/// Words of a small part. A text of several large parts is seen in small ones, too: in a long one a
/// sentence would be lost among the others.
const SMALL: usize = 40;

/// Bytes of a text that are screened at most: a book in a cell would keep everything else waiting.
const LONGEST_TEXT: usize = 1 << 20;

/// A text as the screen sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its parts, which overlap, the large ones first; one if it is no longer than a part.
    pub parts: Vec<Part>,
    /// How many of them are large.
    pub large: usize,
    /// Whether it goes on after the last part.
    pub truncated: bool,
}

/// Some words of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// One vector for every window of the encoder: the means of the states after each of the layers.
    pub vectors: Vec<Vec<f32>>,
    /// Its n-grams.
    pub ngrams: NGrams,
}

/// A text in parts.
#[derive(Debug, PartialEq)]
struct Cuts<'t> {
    parts: Vec<&'t str>,
    large: usize,
    /// Whether it goes on after the last.
    truncated: bool,
}

impl<'t> Cuts<'t> {
    fn of(text: &'t str) -> Self {
        let seen = &text[..text.floor_char_boundary(LONGEST_TEXT)];
        // Signs and emoji stand between words, and count with them.
        let starts: Vec<usize> = seen.unicode_word_indices().map(|(at, _)| at).collect();
        let mut parts = overlapping(seen, &starts, LARGE);
        let large = parts.len();
        if large > 1 {
            parts.extend(overlapping(seen, &starts, SMALL));
        }
        Self { parts, large, truncated: seen.len() < text.len() }
    }
}

/// Parts of so many words, of which the starts are known, each beginning in the middle of the last.
fn overlapping<'t>(text: &'t str, starts: &[usize], words: usize) -> Vec<&'t str> {
    let mut parts = Vec::new();
    let mut first = 0;
    loop {
        let start = if first == 0 { 0 } else { starts[first] };
        let end = starts.get(first + words).copied().unwrap_or(text.len());
        parts.push(&text[start..end]);
        if end == text.len() {
            return parts;
        }
        first += words / 2;
    }
}

/// The encoder of the screen.
pub struct Sight {
    encoder: Encoder,
    tokens: Tokens,
    layers: Vec<usize>,
    digest: String,
}

impl Sight {
    /// The shipped encoder, seen after these layers, in f32 on the CPU.
    ///
    /// # Errors
    /// If this build holds no encoder.
    pub fn new(layers: Vec<usize>, level: Level) -> Result<Self> {
        let files = ModelFiles::find(ENCODER)?;
        let compute = Compute { level, ..Compute::default() };
        let (encoder, tokens) = files.for_coding(CUT, &compute)?;
        Ok(Self { encoder, tokens, layers, digest: files.digest() })
    }

    /// The SHA-256 of the encoder.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The texts as the screen sees them, in their order; what it sees of one does not depend on
    /// the others.
    ///
    /// # Errors
    /// If the encoder cannot be computed, or as interrupted once `stop` is set.
    pub fn see(&self, texts: &[&str], stop: &AtomicBool) -> Result<Vec<Seen>> {
        let cuts: Vec<Cuts> = texts.par_iter().map(|text| Cuts::of(text)).collect();
        let all: Vec<&str> = cuts.iter().flat_map(|cuts| &cuts.parts).copied().collect();
        let read = self.tokens.tokenize_all(&all)?;
        let vectors = self.vectors(&read, stop)?;
        let of_part =
            |(text, vectors): (&&str, Vec<Vec<f32>>)| Part { vectors, ngrams: NGrams::of(text) };
        let seen: Vec<Part> = all.par_iter().zip(vectors).map(of_part).collect();
        let mut rest = seen.into_iter();
        let own = |cuts: Cuts| Seen {
            parts: rest.by_ref().take(cuts.parts.len()).collect(),
            large: cuts.large,
            truncated: cuts.truncated,
        };
        Ok(cuts.into_iter().map(own).collect())
    }

    /// One vector for each window of each text.
    fn vectors(&self, read: &[TokenizedText], stop: &AtomicBool) -> Result<Vec<Vec<Vec<f32>>>> {
        let all: Vec<&TokenizedText> = read.iter().collect();
        batch_by_batch(self.encoder.device(), &all, stop, |batch, _| {
            let batch = PackedBatch::new(batch.iter().map(|&text| all[text]));
            let vectors = self.encoder.means_after(&batch, &self.layers)?;
            Ok(batch.texts.ranges().map(|own| vectors[own].to_vec()).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn a_long_text_is_seen_in_windows_and_no_company_changes_what_is_seen() {
        let sight = Sight::new(vec![4, 6], Level::best()).unwrap();
        let long = "one more word of it ".repeat(100);
        let texts = ["i am fine", long.as_str(), "so it goes"];
        let stop = AtomicBool::new(false);
        let all = sight.see(&texts, &stop).unwrap();
        assert_eq!(all.iter().map(|seen| seen.parts.len()).collect::<Vec<_>>(), [1, 30, 1]);
        let vectors =
            |seen: &Seen| seen.parts.iter().flat_map(|part| part.vectors.clone()).collect();
        let vectors: Vec<Vec<f32>> =
            all.iter().flat_map(|seen| -> Vec<Vec<f32>> { vectors(seen) }).collect();
        assert!(vectors.iter().all(|vector| vector.len() == 2 * 384));
        for (text, seen) in texts.iter().zip(&all) {
            assert_eq!(&sight.see(&[text], &stop).unwrap()[0], seen);
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(sight.see(&texts, &stop).unwrap_err().exit_code(), 130);
    }

    #[test]
    fn every_word_stands_in_a_part_and_parts_overlap_by_half() {
        let words: Vec<String> = (0..400).map(|word| format!("w{word}")).collect();
        let text = format!("«{}!»", words.join(", "));
        let cuts = Cuts::of(&text);
        assert_eq!((cuts.large, cuts.truncated), (4, false));
        let found: Vec<Vec<&str>> =
            cuts.parts.iter().map(|part| part.unicode_words().collect()).collect();
        let large = [0..160, 80..240, 160..320, 240..400].into_iter();
        let small = (0..19).map(|part| part * 20..part * 20 + 40);
        let expected: Vec<&[String]> = large.chain(small).map(|own| &words[own]).collect();
        assert_eq!(found, expected);
        assert!(cuts.parts[0].starts_with('«') && cuts.parts[3].ends_with('»'));
        for short in ["", "😭 !", "one"] {
            assert_eq!(Cuts::of(short), Cuts { parts: vec![short], large: 1, truncated: false });
        }
        let book = "é ".repeat(LONGEST_TEXT);
        let cuts = Cuts::of(&book);
        assert!(cuts.truncated && cuts.parts.iter().all(|part| part.len() < 1000));
    }

    #[test]
    fn the_last_layer_is_what_the_encoder_gives() {
        let sight = Sight::new(vec![6], Level::best()).unwrap();
        let stop = AtomicBool::new(false);
        let seen = sight.see(&["like any other text"], &stop).unwrap();
        let read = sight.tokens.tokenize("like any other text").unwrap();
        let batch = PackedBatch::new([&read]);
        let whole = sight.encoder.embed(&batch, &mut crate::encoder::Quiet).unwrap();
        assert_eq!(seen[0].parts[0].vectors, whole.to_vec2::<f32>().unwrap());
        assert!(Sight::new(vec![7], Level::best()).unwrap().see(&["a"], &stop).is_err());
    }
}
