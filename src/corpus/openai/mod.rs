//! OpenAI's JSONL files: chat fine-tuning examples, and inputs and outputs of the Batch API in both
//! their shapes, chat completions and responses.

mod answers;
mod lines;

use serde_json::Value;

pub use answers::{Answered, Unmatched, read_answer};
pub use lines::{JsonLine, JsonLines};

/// What one line of such a file says.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A fine-tuning example.
    Example {
        /// The user's last message before it.
        text: String,
        /// The assistant's last message that is to be learned from.
        reply: Reply,
    },
    /// What was asked in a batch.
    Asked {
        /// The request's own name.
        id: String,
        /// The user's last message.
        text: String,
    },
    /// What came of a request of a batch.
    Answered {
        /// The request's own name.
        id: String,
        /// The answer.
        reply: Reply,
    },
    /// None of these.
    Unknown,
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It said something.
    Said(Said),
    /// It refused, or a filter kept its answer back.
    Refused,
    /// It said nothing.
    Empty,
    /// The request failed.
    Failed,
}

/// An answer as the model wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The text.
    pub content: String,
    /// The sum of its tokens' log-probabilities, where they were asked for.
    pub log_probability: Option<f64>,
    /// Whether the model was stopped before it had ended.
    pub cut_off: bool,
}

impl Reply {
    /// The answer, if there is one.
    pub fn said(&self) -> Option<&Said> {
        match self {
            Self::Said(said) => Some(said),
            _ => None,
        }
    }

    fn of(content: String, log_probability: Option<f64>, cut_off: bool) -> Self {
        if content.trim().is_empty() {
            return Self::Empty;
        }
        Self::Said(Said { content, log_probability, cut_off })
    }
}

/// Reads one line of any of these files.
pub fn read_line(line: &Value) -> Line {
    if let Some(messages) = line["messages"].as_array() {
        let at = messages.iter().rposition(counts);
        let before = &messages[..at.unwrap_or(messages.len())];
        let reply = at.map_or(Reply::Empty, |at| match messages[at]["refusal"].is_string() {
            true => Reply::Refused,
            false => Reply::of(content(&messages[at]["content"]), None, false),
        });
        return Line::Example { text: last_of(before, "user"), reply };
    }
    let id = match &line["custom_id"] {
        Value::String(id) => id.clone(),
        // A number with a fraction, or of more than 64 bits, is not what was written.
        Value::Number(id) if !id.is_f64() => id.to_string(),
        _ => return Line::Unknown,
    };
    if line.get("response").is_some() || line.get("error").is_some() {
        let response = &line["response"];
        let failed = !line["error"].is_null()
            || response["status_code"].as_u64().is_some_and(|status| status != 200);
        let reply = if failed { Reply::Failed } else { reply(&response["body"]) };
        return Line::Answered { id, reply };
    }
    let body = &line["body"];
    match (body["messages"].as_array(), &body["input"]) {
        (Some(messages), _) => Line::Asked { id, text: last_of(messages, "user") },
        (None, Value::Array(items)) => Line::Asked { id, text: last_of(items, "user") },
        (None, Value::String(text)) => Line::Asked { id, text: text.clone() },
        _ => Line::Unknown,
    }
}

/// The last message of a role.
fn last_of(messages: &[Value], role: &str) -> String {
    let own = messages.iter().rev().find(|message| message["role"] == role);
    own.map_or_else(String::new, |message| content(&message["content"]))
}

/// A message's text, whether it stands alone or in parts.
fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<&str>>().join("\n")
        }
        _ => String::new(),
    }
}

/// Whether a message is one of the assistant's that is to be learned from: its weight is not 0.
fn counts(message: &Value) -> bool {
    message["role"] == "assistant" && message["weight"].as_f64().is_none_or(|w| w != 0.0)
}

/// What a response says, in the shape of chat completions or of responses.
fn reply(body: &Value) -> Reply {
    if let Some(choice) = body["choices"].as_array().and_then(|choices| choices.first()) {
        let (message, reason) = (&choice["message"], &choice["finish_reason"]);
        if !message["refusal"].is_null() || *reason == "content_filter" {
            return Reply::Refused;
        }
        let log_probability = sum_of(&choice["logprobs"]["content"]);
        return Reply::of(content(&message["content"]), log_probability, *reason == "length");
    }
    let Some(output) = body["output"].as_array() else { return Reply::Failed };
    let parts = || output.iter().filter_map(|item| item["content"].as_array()).flatten();
    let why = &body["incomplete_details"]["reason"];
    if parts().any(|part| part["type"] == "refusal") || *why == "content_filter" {
        return Reply::Refused;
    }
    if matches!(body["status"].as_str(), Some("failed" | "cancelled")) {
        return Reply::Failed;
    }
    let texts: Vec<&Value> = parts().filter(|part| part["type"] == "output_text").collect();
    let content: Vec<&str> = texts.iter().filter_map(|part| part["text"].as_str()).collect();
    let sums = texts.iter().filter_map(|part| sum_of(&part["logprobs"]));
    let log_probability = sums.reduce(|a, b| a + b);
    Reply::of(content.join("\n"), log_probability, body["status"] == "incomplete")
}

/// The sum of a list of tokens' log-probabilities.
fn sum_of(tokens: &Value) -> Option<f64> {
    let tokens = tokens.as_array().filter(|tokens| !tokens.is_empty())?;
    tokens.iter().map(|token| token["logprob"].as_f64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::properties::repeatable;

    fn line(text: &str) -> Line {
        read_line(&serde_json::from_str(text).unwrap())
    }

    fn said(content: &str, log_probability: Option<f64>) -> Reply {
        Reply::Said(Said { content: content.into(), log_probability, cut_off: false })
    }

    #[test]
    fn examples_give_the_answer_that_counts() {
        let found = line(
            r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"t"},
            {"role":"assistant","content":"a"},{"role":"user","content":"u"},
            {"role":"assistant","content":"b","weight":0}]}"#,
        );
        assert_eq!(found, Line::Example { text: "t".into(), reply: said("a", None) });
    }

    #[test]
    fn both_shapes_of_batches_are_read() {
        let chat = r#"{"custom_id":"7","error":null,"response":{"status_code":200,"body":{"choices":
            [{"message":{"content":"x","refusal":null},"logprobs":{"content":[{"logprob":-0.5},
            {"logprob":-0.25}]}}]}}}"#;
        let expected = |reply| Line::Answered { id: "7".into(), reply };
        assert_eq!(line(chat), expected(said("x", Some(-0.75))));
        let responses = r#"{"custom_id":7,"error":null,"response":{"status_code":200,"body":{"output":
            [{"type":"reasoning"},{"content":[{"type":"output_text","text":"x"}]}]}}}"#;
        assert_eq!(line(responses), expected(said("x", None)));
        for failed in [
            r#"{"custom_id":"7","response":null,"error":{"code":"batch_expired"}}"#,
            r#"{"custom_id":"7","response":{"status_code":500,"body":{}},"error":null}"#,
            r#"{"custom_id":"7","response":{"status_code":200,"body":{"error":{"code":"x"}}}}"#,
            r#"{"custom_id":"7","response":{"status_code":200,"body":{"status":"failed","output":[]}}}"#,
        ] {
            assert_eq!(line(failed), expected(Reply::Failed), "{failed}");
        }
        let asked = r#"{"custom_id":"7","body":{"messages":[{"role":"user","content":[{"type":"text",
            "text":"t"}]}]}}"#;
        assert_eq!(line(asked), Line::Asked { id: "7".into(), text: "t".into() });
        let asked = r#"{"custom_id":"7","body":{"input":"t"}}"#;
        assert_eq!(line(asked), Line::Asked { id: "7".into(), text: "t".into() });
        for unknown in ["[1]", "{\"custom_id\":123456789012345678901234567890,\"response\":null}"] {
            assert_eq!(line(unknown), Line::Unknown);
        }
    }

    #[test]
    fn refused_empty_and_cut_off_answers_are_told_apart() {
        let chat = |choice: &str| {
            line(&format!(
                "{{\"custom_id\":\"7\",\"response\":{{\"body\":{{\"choices\":[{choice}]}}}}}}"
            ))
        };
        let responses =
            |body: &str| line(&format!("{{\"custom_id\":\"7\",\"response\":{{\"body\":{body}}}}}"));
        let of = |found: Line| match found {
            Line::Answered { reply, .. } => reply,
            other => panic!("{other:?}"),
        };
        let text = r#"[{"content":[{"type":"output_text","text":"x"}]}]"#;
        for refused in [
            chat(r#"{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}"#),
            chat(r#"{"message":{"content":"x","refusal":null},"finish_reason":"content_filter"}"#),
            responses(
                r#"{"status":"completed","output":[{"content":[{"type":"refusal","refusal":"no"}]}]}"#,
            ),
            responses(&format!(
                "{{\"status\":\"incomplete\",\"incomplete_details\":{{\"reason\":\"content_filter\"}},\"output\":{text}}}"
            )),
        ] {
            assert_eq!(of(refused), Reply::Refused);
        }
        let empty = chat(r#"{"message":{"content":" \n"},"finish_reason":"stop"}"#);
        assert_eq!(of(empty), Reply::Empty);
        for cut in [
            chat(r#"{"message":{"content":"x"},"finish_reason":"length"}"#),
            responses(&format!(
                "{{\"status\":\"incomplete\",\"incomplete_details\":{{\"reason\":\"max_output_tokens\"}},\"output\":{text}}}"
            )),
        ] {
            assert!(of(cut).said().unwrap().cut_off);
        }
    }

    proptest! {
        #![proptest_config(repeatable())]

        #[test]
        fn any_json_is_read_without_panic(keys in proptest::collection::vec(0usize..8, 1..6)) {
            let names = ["messages", "custom_id", "response", "body", "choices", "output", "error", "input"];
            let mut value = Value::Null;
            for key in keys {
                let inner = if key % 2 == 0 { Value::Array(vec![value]) } else { value };
                value = serde_json::json!({ names[key]: inner, "custom_id": "1" });
            }
            read_line(&value);
        }
    }
}
