//! Tokenizers made from SentencePiece models cut texts as the slow tokenizers do.

use std::path::Path;

use confide::encoder::{Cut, Tokens, tokenizer_json};
use serde_json::Value;

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn hard_strings_are_cut_as_the_slow_tokenizers_cut_them() {
    let cases: Vec<Value> = serde_json::from_slice(&fixture("strings.json")).unwrap();
    assert_eq!(cases.len(), 200);
    for (name, model_type) in [("deberta", "deberta-v2"), ("xlmr", "xlm-roberta")] {
        let config = format!("{{\"model_type\": \"{model_type}\"}}");
        let json =
            tokenizer_json(&fixture(&format!("{name}.model")), config.as_bytes(), name).unwrap();
        let cut = Cut { longest: 512, stride: None };
        let tokens = Tokens::new(&json, cut, 1 << 20, name).unwrap();
        let wrong: Vec<String> = cases
            .iter()
            .filter_map(|case| {
                let text = case["text"].as_str().unwrap();
                let ids = serde_json::to_value(tokens.tokenize(text).unwrap().ids).unwrap();
                (ids != case[name]).then(|| format!("{text:?}: {ids} for {}", case[name]))
            })
            .collect();
        assert!(wrong.is_empty(), "{name}, {} of 200:\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[test]
fn what_is_no_such_model_is_refused() {
    let deberta = br#"{"model_type": "deberta-v2"}"#;
    let whole = fixture("deberta.model");
    assert!(tokenizer_json(&whole, deberta, "m").is_ok());
    for (bytes, config, why) in [
        (&whole[..whole.len() - 10], &deberta[..], "not a whole"),
        (b"", deberta, "not a whole"),
        (&whole, br#"{"model_type": "bert"}"#, "'bert'"),
        (&whole, b"{}", "'none'"),
    ] {
        let error = tokenizer_json(bytes, config, "m").unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains(why), "{error}");
    }
}
