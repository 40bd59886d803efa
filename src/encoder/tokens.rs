//! Texts to token ids, with the model's own `tokenizer.json`.

use rayon::prelude::*;
use tokenizers::Tokenizer;

use crate::error::{Error, Result};

/// A text as token ids, special tokens included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedText {
    /// The ids.
    pub ids: Vec<u32>,
    /// Whether the text was longer than allowed and cut.
    pub truncated: bool,
}

/// A tokenizer that neither pads nor exceeds a length.
#[derive(Clone, Debug)]
pub struct Tokens {
    tokenizer: Tokenizer,
    longest: usize,
}

impl Tokens {
    /// Reads a `tokenizer.json`; texts are cut to `longest` tokens. Padding and truncation that
    /// the file asks for are switched off: MiniLM's would pad every text to 128 tokens.
    ///
    /// # Errors
    /// If the file is no tokenizer, or knows more tokens than the encoder has embeddings.
    pub fn new(json: &[u8], longest: usize, vocabulary: usize, place: &str) -> Result<Self> {
        let bad = |what: String| {
            Error::model(what).at(place).advise("use the tokenizer.json that belongs to the model")
        };
        let mut tokenizer =
            Tokenizer::from_bytes(json).map_err(|e| bad(format!("not a tokenizer: {e}")))?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| bad(format!("not a tokenizer: {e}")))?;
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0) as usize;
        if largest >= vocabulary {
            return Err(bad(format!(
                "it knows the token {largest}, the encoder has only {vocabulary} embeddings"
            )));
        }
        if longest < 3 {
            return Err(bad(format!("{longest} tokens are too few for any text")));
        }
        Ok(Self { tokenizer, longest })
    }

    /// Tokenizes one text; of a text that is too long, the beginning and the closing special
    /// token, if there is one, are kept.
    ///
    /// # Errors
    /// If the tokenizer fails, without telling the text.
    pub fn tokenize(&self, text: &str) -> Result<TokenizedText> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|_| Error::model("the tokenizer failed on a text"))?;
        let mut ids = encoding.get_ids().to_vec();
        let truncated = ids.len() > self.longest;
        if truncated {
            let closing = encoding.get_special_tokens_mask().last() == Some(&1);
            let last = ids[ids.len() - 1];
            ids.truncate(self.longest - usize::from(closing));
            ids.extend(closing.then_some(last));
        }
        if ids.is_empty() {
            // A tokenizer without special tokens finds nothing in an empty text.
            ids.push(0);
        }
        Ok(TokenizedText { ids, truncated })
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

    /// The longest sequence in tokens.
    pub fn longest(&self) -> usize {
        self.longest
    }
}
