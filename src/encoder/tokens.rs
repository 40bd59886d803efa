//! Texts to token ids, with the model's own `tokenizer.json`.

use rayon::prelude::*;
use tokenizers::{Encoding, Tokenizer};

use super::sentencepiece::{SentencePieceTokenizer, exact, has_sound_tables};
use crate::contained::contained;
use crate::error::{Error, Result};

/// A text as token ids, special tokens included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedText {
    /// The ids of all windows, one after another.
    pub ids: Vec<u32>,
    /// The number of tokens of every window; a text that is not long is one.
    pub windows: Vec<usize>,
    /// Whether the text was longer than allowed and cut.
    pub truncated: bool,
}

impl TokenizedText {
    /// A text that is one window.
    pub fn whole(ids: Vec<u32>) -> Self {
        Self { windows: vec![ids.len()], ids, truncated: false }
    }
}

/// What becomes of texts that are longer than the encoder sees at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Tokens seen at once, special tokens included.
    pub longest: usize,
    /// How many tokens each window begins after the one before it; `None` keeps the beginning
    /// of a text alone.
    pub stride: Option<usize>,
}

/// Windows of a text at most: beyond them even a windowed text is cut, so that one text does
/// not fill the memory.
const MOST_WINDOWS: usize = 64;

/// Bytes of a text that are cut into tokens, at most: a tokenizer takes hundreds of bytes of memory for
/// each, and so many hold more tokens than are ever seen.
const LONGEST_TEXT: usize = 1 << 20;

/// A tokenizer that neither pads nor exceeds a length.
#[derive(Clone, Debug)]
pub struct Tokens {
    tokenizer: Tokenizer,
    /// The same with SentencePiece's own normaliser, where it is one of SentencePiece.
    exact: Option<Box<SentencePieceTokenizer>>,
    cut: Cut,
}

impl Tokens {
    /// Reads a `tokenizer.json`; longer texts are cut, or fall into windows. Padding and
    /// truncation that the file asks for are switched off: MiniLM's would pad every text to 128
    /// tokens.
    ///
    /// # Errors
    /// If the file is no tokenizer, or knows more tokens than the encoder has embeddings.
    pub fn new(json: &[u8], cut: Cut, vocabulary: usize, place: &str) -> Result<Self> {
        let bad = |what: String| {
            Error::model(what).at(place).advise("use the tokenizer.json that belongs to the model")
        };
        if !has_sound_tables(json) {
            return Err(bad("not a tokenizer: it is damaged".into()));
        }
        // The library panics at some damages.
        let read = contained(|| {
            let mut tokenizer = Tokenizer::from_bytes(json).map_err(|e| e.to_string())?;
            tokenizer.with_padding(None);
            tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
            let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0) as usize;
            let exact = exact(json, &tokenizer).map(Box::new);
            Ok::<_, String>((tokenizer, largest, exact))
        });
        let (tokenizer, largest, exact) = read
            .unwrap_or_else(|| Err("it is damaged".into()))
            .map_err(|e| bad(format!("not a tokenizer: {e}")))?;
        if largest >= vocabulary {
            return Err(bad(format!(
                "it knows the token {largest}, the encoder has only {vocabulary} embeddings"
            )));
        }
        if cut.longest < 3 {
            return Err(bad(format!("{} tokens are too few for any text", cut.longest)));
        }
        Ok(Self { tokenizer, exact, cut })
    }

    /// Tokenizes one text. Of a text that is too long, the beginning and the closing special
    /// token, if there is one, are kept; or it falls into windows, each between the special
    /// tokens of the whole.
    ///
    /// # Errors
    /// If the tokenizer fails, without telling the text.
    pub fn tokenize(&self, text: &str) -> Result<TokenizedText> {
        let seen = &text[..text.floor_char_boundary(LONGEST_TEXT)];
        let of_seen = self.tokens_of(seen)?;
        let truncated = of_seen.truncated || seen.len() < text.len();
        Ok(TokenizedText { truncated, ..of_seen })
    }

    fn tokens_of(&self, text: &str) -> Result<TokenizedText> {
        let encoding = contained(|| match &self.exact {
            Some(exact) => exact.encode_fast(text, true).ok(),
            None => self.tokenizer.encode_fast(text, true).ok(),
        });
        let failed = || Error::model("the tokenizer failed on a text");
        let encoding = encoding.flatten().ok_or_else(failed)?;
        let mut ids = encoding.get_ids().to_vec();
        if ids.len() > self.cut.longest {
            return Ok(match self.cut.stride {
                Some(stride) => self.windows(&encoding, stride),
                None => self.beginning(&encoding),
            });
        }
        if ids.is_empty() {
            // A tokenizer without special tokens finds nothing in an empty text.
            ids.push(0);
        }
        Ok(TokenizedText::whole(ids))
    }

    fn beginning(&self, encoding: &Encoding) -> TokenizedText {
        let mut ids = encoding.get_ids().to_vec();
        let closing = encoding.get_special_tokens_mask().last() == Some(&1);
        let last = ids[ids.len() - 1];
        ids.truncate(self.cut.longest - usize::from(closing));
        ids.extend(closing.then_some(last));
        TokenizedText { truncated: true, ..TokenizedText::whole(ids) }
    }

    fn windows(&self, encoding: &Encoding, stride: usize) -> TokenizedText {
        let (ids, special) = (encoding.get_ids(), encoding.get_special_tokens_mask());
        // Room for one token of the text at least, whatever surrounds it.
        let room = (self.cut.longest - 1) / 2;
        let opening = special.iter().take(room).take_while(|s| **s == 1).count();
        let closing = special.iter().rev().take(room).take_while(|s| **s == 1).count();
        let (inner, end) = (&ids[opening..ids.len() - closing], &ids[ids.len() - closing..]);
        let size = self.cut.longest - opening - closing;
        let mut text = TokenizedText { windows: Vec::new(), ..TokenizedText::whole(Vec::new()) };
        let mut start = 0;
        loop {
            let stop = inner.len().min(start + size);
            let parts = [&ids[..opening], &inner[start..stop], end];
            text.windows.push(parts.iter().map(|part| part.len()).sum());
            text.ids.extend(parts.concat());
            start += stride.min(size);
            if stop == inner.len() {
                return text;
            }
            if text.windows.len() == MOST_WINDOWS {
                return TokenizedText { truncated: true, ..text };
            }
        }
    }

    /// Tokenizes many texts in parallel, in order.
    ///
    /// # Errors
    /// As [`Tokens::tokenize`].
    pub fn tokenize_all(&self, texts: &[&str]) -> Result<Vec<TokenizedText>> {
        texts.par_iter().map(|text| self.tokenize(text)).collect()
    }

    /// The token that stands for a hidden one, if the model knows one.
    pub fn mask(&self) -> Option<u32> {
        ["[MASK]", "<mask>"].iter().find_map(|name| self.tokenizer.token_to_id(name))
    }

    /// How texts are cut.
    pub fn cut(&self) -> Cut {
        self.cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ModelFiles;

    fn minilm(longest: usize, stride: Option<usize>) -> Tokens {
        let files = ModelFiles::find("minilm").unwrap();
        files.tokens(&files.config().unwrap(), Cut { longest, stride }).unwrap()
    }

    #[test]
    fn windows_hold_every_token_and_overlap_by_what_the_stride_leaves() {
        let text = "one two three four five six seven eight nine ten";
        let whole = minilm(64, None).tokenize(text).unwrap().ids;
        let (inner, ends) = (&whole[1..11], [whole[0], whole[11]]);
        let cut = minilm(6, Some(3)).tokenize(text).unwrap();
        assert_eq!(cut.windows, [6, 6, 6]);
        assert!(!cut.truncated);
        for (window, start) in cut.ids.chunks(6).zip([0, 3, 6]) {
            assert_eq!((window[0], window[5]), (ends[0], ends[1]));
            assert_eq!(window[1..5], inner[start..start + 4]);
        }
        assert_eq!(minilm(12, Some(3)).tokenize(text).unwrap().windows, [12]);
        assert_eq!(minilm(11, Some(3)).tokenize(text).unwrap().windows, [11, 9]);
        // A stride beyond the window would lose tokens.
        assert_eq!(minilm(6, Some(100)).tokenize(text).unwrap().windows, [6, 6, 4]);
    }

    #[test]
    fn a_text_without_end_is_cut_after_the_last_window() {
        let text = "word ".repeat(1000);
        let cut = minilm(6, Some(4)).tokenize(&text).unwrap();
        assert_eq!((cut.windows.len(), cut.truncated), (MOST_WINDOWS, true));
        let cut = minilm(6, None).tokenize(&text).unwrap();
        assert_eq!((cut.windows, cut.truncated, cut.ids.len()), (vec![6], true, 6));
    }
}
