//! A `tokenizer.json` from a SentencePiece model, for checkpoints that have no other tokenizer
//! (DeBERTa-v3 among them): a unigram language model (Kudo 2018) with its normaliser.

mod charsmap;
mod proto;

pub use charsmap::SentencePieceNormalizer;

use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::{
    DecoderWrapper, ModelWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
    TokenizerImpl,
};

use crate::error::{Error, Result};
use charsmap::Charsmap;
use proto::{CONTROL, SentencePieceModel, UNIGRAM, USER_DEFINED};

/// The names under which models of SentencePiece lie in a model's folder.
pub const SENTENCEPIECE: [&str; 4] =
    ["spm.model", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model"];

/// How a family of encoders numbers its pieces and frames its texts.
struct Layout {
    /// Piece and score by id.
    vocabulary: Vec<(String, f32)>,
    unknown: usize,
    /// The tokens that stand for themselves wherever they occur, with their ids, and whether
    /// they are special.
    added: Vec<(String, usize, bool)>,
    opening: &'static str,
    closing: &'static str,
}

/// The `tokenizer.json` of a SentencePiece model, as the tokenizer of the encoder with this
/// `config.json` uses it; `place` names the model.
///
/// # Errors
/// If the model is damaged or no unigram model, or the encoder is none whose use of it is known.
pub fn tokenizer_json(model: &[u8], config: &[u8], place: &str) -> Result<Vec<u8>> {
    let bad = |what: String| {
        Error::model(what).at(place).advise("use a model folder with a tokenizer.json")
    };
    let model = SentencePieceModel::parse(model)
        .ok_or_else(|| bad("not a whole SentencePiece model".into()))?;
    if model.model_type != UNIGRAM {
        return Err(bad("only unigram models of SentencePiece are read".into()));
    }
    let config: Value = serde_json::from_slice(config).unwrap_or_default();
    let layout = match config["model_type"].as_str() {
        Some("deberta-v2") => deberta(&model),
        Some("xlm-roberta") => xlm_roberta(&model),
        other => {
            let name = other.unwrap_or("none");
            return Err(bad(format!("how '{name}' uses a SentencePiece model is not known")));
        }
    };
    let id = |token: &str| {
        let added = layout.added.iter().find(|(text, ..)| text == token).map(|(_, id, _)| *id);
        added.ok_or_else(|| bad(format!("it lacks the token '{token}'")))
    };
    let (opening, closing) = (layout.opening, layout.closing);
    let special =
        |token: &str| Ok::<_, Error>(json!({"id": token, "ids": [id(token)?], "tokens": [token]}));
    let frame = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let added = |(content, id, special): &(String, usize, bool)| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": !special, "special": special,
        })
    };
    let mut numbered: Vec<&(String, usize, bool)> = layout.added.iter().collect();
    numbered.sort_by_key(|(_, id, _)| *id);
    let document = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": numbered.into_iter().map(added).collect::<Vec<_>>(),
        "normalizer": {"type": "Sequence", "normalizers": normalizers(&model)},
        "pre_tokenizer": pre_tokenizer(&model),
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [frame(opening), text("A"), frame(closing)],
            "pair": [frame(opening), text("A"), frame(closing), text("B"), frame(closing)],
            "special_tokens": {opening: special(opening)?, closing: special(closing)?},
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "model": {
            "type": "Unigram",
            "unk_id": layout.unknown,
            "vocab": layout.vocabulary,
            "byte_fallback": model.byte_fallback,
        },
    });
    serde_json::to_vec(&document).map_err(|e| bad(format!("it cannot be written as JSON: {e}")))
}

/// SentencePiece's own order: the table, then spaces at the ends and double ones, and spaces
/// become `▁`.
fn normalizers(model: &SentencePieceModel) -> Vec<Value> {
    let replace = |pattern: &str, content: &str| json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": content});
    let mut all = Vec::new();
    if !model.charsmap.is_empty() {
        all.push(json!({"type": "Precompiled", "precompiled_charsmap": base64(&model.charsmap)}));
    }
    if model.remove_extra_whitespaces {
        all.push(replace(r"\A +| +\z", ""));
        all.push(replace(" {2,}", " "));
    }
    all.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}));
    if model.add_dummy_prefix {
        // Metaspace leaves out the prefix where there is one, SentencePiece does not.
        all.push(replace(r"\A▁", "▁▁"));
    }
    all
}

/// SentencePiece cuts a text as a whole, spaces included.
fn pre_tokenizer(model: &SentencePieceModel) -> Value {
    let mut all = Vec::new();
    if model.add_dummy_prefix {
        all.push(json!({
            "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false,
        }));
    }
    if model.byte_fallback {
        // What looks like the name of a byte is no byte, but must not be taken for its piece.
        all.push(json!({
            "type": "Split", "pattern": {"Regex": "<(?=0x[0-9A-F]{2}>)"},
            "behavior": "MergedWithPrevious", "invert": false,
        }));
    }
    json!({"type": "Sequence", "pretokenizers": all})
}

/// A tokenizer with SentencePiece's own normaliser.
pub type SentencePieceTokenizer = TokenizerImpl<
    ModelWrapper,
    SentencePieceNormalizer,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

/// The tokenizer of a file that [`tokenizer_json`] made, with the table of its normaliser read as
/// SentencePiece reads it; `None` for every other file, whose tokenizer is right as it is.
pub fn exact(json: &[u8], tokenizer: &Tokenizer) -> Option<SentencePieceTokenizer> {
    let mark = MARK.as_bytes();
    if !json.windows(mark.len()).any(|window| window == mark) {
        return None;
    }
    let document: Value = serde_json::from_slice(json).ok()?;
    let normalizers = document["normalizer"]["normalizers"].as_array()?;
    let (table, rest) = normalizers.split_first()?;
    let charsmap = Charsmap::parse(&unbase64(table["precompiled_charsmap"].as_str()?)?)?;
    let rest = json!({"type": "Sequence", "normalizers": rest});
    let rest = serde_json::from_value(rest).ok()?;
    let mut own = SentencePieceTokenizer::new(tokenizer.get_model().clone());
    own.with_normalizer(Some(SentencePieceNormalizer { charsmap, rest })).ok()?;
    own.with_pre_tokenizer(tokenizer.get_pre_tokenizer().cloned());
    own.with_post_processor(tokenizer.get_post_processor().cloned());
    let added = tokenizer.get_added_tokens_decoder();
    let (special, other): (Vec<_>, Vec<_>) =
        added.into_iter().map(|(_, token)| token).partition(|token| token.special);
    own.add_special_tokens(special).ok()?;
    own.add_tokens(other).ok()?;
    Some(own)
}

/// Whether every table of characters in a tokenizer's file is as long as it says: memory is taken by what
/// it says.
pub fn has_sound_tables(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default)]
        normalizer: Value,
    }
    fn is_sound(value: &Value) -> bool {
        match value {
            Value::Object(fields) => fields.iter().all(|(name, field)| match name.as_str() {
                "precompiled_charsmap" => {
                    let table = field.as_str().and_then(unbase64);
                    table.is_some_and(|table| Charsmap::parse(&table).is_some())
                }
                _ => is_sound(field),
            }),
            Value::Array(all) => all.iter().all(is_sound),
            _ => true,
        }
    }
    // A field that stands twice is an error here, while the library takes the last.
    serde_json::from_slice(json).is_ok_and(|head: Head| is_sound(&head.normalizer))
}

/// What stands in the files that [`tokenizer_json`] makes, and nowhere else.
const MARK: &str = r"\\A +| +\\z";

/// Pieces keep their numbers; `[MASK]` follows the last where the model has none.
fn deberta(model: &SentencePieceModel) -> Layout {
    let mut vocabulary: Vec<(String, f32)> =
        model.pieces.iter().map(|piece| (piece.text.clone(), piece.score)).collect();
    let mut added: Vec<(String, usize, bool)> = own(model, 0);
    for special in ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"] {
        let known = vocabulary.iter().position(|(text, _)| text == special);
        let id = known.unwrap_or_else(|| {
            vocabulary.push((special.to_owned(), 0.0));
            vocabulary.len() - 1
        });
        added.retain(|(text, ..)| text != special);
        added.push((special.to_owned(), id, true));
    }
    let unknown = model.unk_id as usize;
    Layout { vocabulary, unknown, added, opening: "[CLS]", closing: "[SEP]" }
}

/// fairseq's numbers: `<s> <pad> </s> <unk>`, then the pieces after the model's own first three,
/// then `<mask>`.
fn xlm_roberta(model: &SentencePieceModel) -> Layout {
    let first = ["<s>", "<pad>", "</s>", "<unk>"];
    let mut vocabulary: Vec<(String, f32)> = first.map(|text| (text.to_owned(), 0.0)).into();
    let rest = model.pieces.iter().skip(3);
    vocabulary.extend(rest.map(|piece| (piece.text.clone(), piece.score)));
    vocabulary.push(("<mask>".into(), 0.0));
    let mut added = own(model, 1);
    added.retain(|(_, id, _)| *id >= first.len());
    added.extend(first.iter().enumerate().map(|(id, text)| ((*text).to_owned(), id, true)));
    added.push(("<mask>".into(), vocabulary.len() - 1, true));
    Layout { vocabulary, unknown: 3, added, opening: "<s>", closing: "</s>" }
}

/// The model's own pieces that are never cut, moved by so many numbers.
fn own(model: &SentencePieceModel, by: usize) -> Vec<(String, usize, bool)> {
    let pieces = model.pieces.iter().enumerate();
    pieces
        .filter(|(_, piece)| matches!(piece.kind, CONTROL | USER_DEFINED))
        .map(|(id, piece)| (piece.text.clone(), id + by, piece.kind == CONTROL))
        .collect()
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|i| u32::from(chunk.get(i).copied().unwrap_or(0)));
        let bits = a << 16 | b << 8 | c;
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

/// The inverse of [`base64`].
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.as_bytes().chunks(4) {
        let padding = chunk.iter().filter(|byte| **byte == b'=').count();
        let mut bits = 0u32;
        for byte in chunk {
            let digit =
                DIGITS.iter().position(|digit| digit == byte).or((*byte == b'=').then_some(0));
            bits = bits << 6 | digit? as u32;
        }
        let bytes = bits.to_be_bytes();
        out.extend_from_slice(bytes.get(1..4usize.checked_sub(padding)?)?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_as_long_as_they_say() {
        let file = |table: &[u8]| {
            let table = base64(table);
            let own = json!({"type": "Precompiled", "precompiled_charsmap": table});
            json!({"model": {}, "normalizer": {"type": "Sequence", "normalizers": [own]}})
                .to_string()
        };
        assert!(has_sound_tables(file(&[4, 0, 0, 0, 0, 0, 0, 0, 0]).as_bytes()));
        assert!(!has_sound_tables(file(&[0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0]).as_bytes()));
        assert!(!has_sound_tables(br#"{"normalizer": {"precompiled_charsmap": 5}}"#));
        assert!(has_sound_tables(br#"{"normalizer": null}"#) && has_sound_tables(b"{}"));
        assert!(!has_sound_tables(br#"{"normalizer": null, "normalizer": null}"#));
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let of = |text: &str| base64(text.as_bytes());
        assert_eq!([of(""), of("f"), of("fo"), of("foo")], ["", "Zg==", "Zm8=", "Zm9v"]);
        assert_eq!(of("foobar"), "Zm9vYmFy");
        for text in ["", "f", "fo", "foo", "foobar"] {
            assert_eq!(unbase64(&of(text)).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(unbase64("Zm9*"), None);
    }
}
