//! Llama models in GGUF files (llama.cpp): configuration and tokenizer from the metadata, the
//! weights made f32 again.

use std::io::Cursor;

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{DType, Device, Tensor};
use serde_json::{Map, json};

use super::{LlamaConfig, Parameters, TensorSpec};
use crate::error::{Error, Result};

/// Whether these are the bytes of a GGUF file.
pub(super) fn is_gguf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"GGUF")
}

/// A GGUF file's description, its tensors still in the bytes.
pub(super) struct Gguf<'a> {
    content: Content,
    bytes: &'a [u8],
    place: &'a str,
}

impl<'a> Gguf<'a> {
    /// Reads the description; `place` names the file.
    ///
    /// # Errors
    /// If the file is damaged or holds no Llama model.
    pub fn parse(bytes: &'a [u8], place: &'a str) -> Result<Self> {
        let content = Content::read(&mut Cursor::new(bytes)).map_err(|e| {
            Error::model(format!("not a whole GGUF file: {}", first_line(&e)))
                .at(place)
                .advise("copy or download the model again")
        })?;
        let gguf = Self { content, bytes, place };
        let architecture = gguf.string("general.architecture")?;
        if architecture != "llama" {
            return Err(
                gguf.bad("the file holds no Llama model; of GGUF files only these are known")
            );
        }
        if gguf.content.tensor_infos.contains_key("rope_freqs.weight") {
            return Err(
                gguf.bad("the model changes its rotary frequencies, which is not known here")
            );
        }
        Ok(gguf)
    }

    fn bad(&self, what: &str) -> Error {
        Error::model(what.to_owned())
            .at(self.place)
            .advise("use the model's folder with config.json and model.safetensors")
    }

    fn value(&self, key: &str) -> Result<&Value> {
        let missing = || self.bad(&format!("the metadata lack '{key}'"));
        self.content.metadata.get(key).ok_or_else(missing)
    }

    fn string(&self, key: &str) -> Result<&str> {
        let wrong = |_| self.bad(&format!("the metadata hold no text at '{key}'"));
        self.value(key)?.to_string().map(String::as_str).map_err(wrong)
    }

    fn size(&self, key: &str) -> Result<usize> {
        let wrong = |_| self.bad(&format!("the metadata hold no count at '{key}'"));
        Ok(self.value(key)?.to_u32().map_err(wrong)? as usize)
    }

    fn list(&self, key: &str) -> Result<&Vec<Value>> {
        self.value(key)?
            .to_vec()
            .map_err(|_| self.bad(&format!("the metadata hold no list at '{key}'")))
    }

    fn texts(&self, key: &str) -> Result<Vec<&str>> {
        let wrong = || self.bad(&format!("the metadata hold something else than texts at '{key}'"));
        self.list(key)?
            .iter()
            .map(|v| v.to_string().map(String::as_str).map_err(|_| wrong()))
            .collect()
    }

    /// The sizes of the model, as a `config.json`.
    ///
    /// # Errors
    /// If one is missing.
    pub fn config(&self) -> Result<Vec<u8>> {
        let number = |key: &str| -> Result<f64> {
            let wrong = |_| self.bad(&format!("the metadata hold no number at '{key}'"));
            // Through its shortest decimal form, so that 1e-5 stays 1e-5.
            let value = self.value(key)?.to_f32().map_err(wrong)?;
            Ok(value.to_string().parse().unwrap_or(f64::from(value)))
        };
        let heads = self.size("llama.attention.head_count")?;
        let config = LlamaConfig {
            model_type: "llama".into(),
            vocab_size: self.texts("tokenizer.ggml.tokens")?.len(),
            hidden_size: self.size("llama.embedding_length")?,
            num_hidden_layers: self.size("llama.block_count")?,
            num_attention_heads: heads,
            num_key_value_heads: Some(self.size("llama.attention.head_count_kv").unwrap_or(heads)),
            head_dim: self.size("llama.rope.dimension_count").ok(),
            intermediate_size: self.size("llama.feed_forward_length")?,
            max_position_embeddings: self.size("llama.context_length")?,
            rms_norm_eps: number("llama.attention.layer_norm_rms_epsilon")?,
            hidden_act: "silu".into(),
            attention_bias: false,
            mlp_bias: false,
            rope_theta: number("llama.rope.freq_base").ok(),
            rope_scaling: None,
            rope_parameters: None,
            use_sliding_window: false,
        };
        serde_json::to_vec_pretty(&config)
            .map_err(|e| self.bad(&format!("the sizes cannot be written: {e}")))
    }

    /// The byte-level BPE tokenizer (Sennrich et al. 2016, on bytes), as a `tokenizer.json`.
    ///
    /// # Errors
    /// If the metadata describe another kind of tokenizer.
    pub fn tokenizer(&self) -> Result<Vec<u8>> {
        if self.string("tokenizer.ggml.model")? != "gpt2" {
            return Err(
                self.bad("the tokenizer is no byte-level BPE; of GGUF files only that is known")
            );
        }
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": true});
        let pieces = match self.string("tokenizer.ggml.pre")? {
            "smollm" => json!({"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": true}, bytes]}),
            "gpt-2" => bytes.clone(),
            _ => return Err(self.bad("the tokenizer cuts texts in a way that is not known here")),
        };
        let tokens = self.texts("tokenizer.ggml.tokens")?;
        let kinds = self.list("tokenizer.ggml.token_type")?;
        let merges: Option<Vec<[&str; 2]>> = self
            .texts("tokenizer.ggml.merges")?
            .into_iter()
            .map(|merge| merge.split_once(' ').map(|(left, right)| [left, right]))
            .collect();
        let merges = merges.ok_or_else(|| self.bad("a merge of the tokenizer is no pair"))?;
        // Kinds 3 and 4 are control tokens and those that a user defined.
        let added: Vec<_> = tokens
            .iter()
            .zip(kinds)
            .enumerate()
            .filter_map(|(id, (token, kind))| {
                let kind = kind.to_i32().ok().filter(|kind| [3, 4].contains(kind))?;
                Some(json!({"id": id, "content": token, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": kind == 3}))
            })
            .collect();
        let begin = self.value("tokenizer.ggml.add_bos_token").and_then(|v| {
            v.to_bool().map_err(|_| self.bad("add_bos_token is neither true nor false"))
        });
        let post = match begin {
            Ok(true) => {
                let id = self.size("tokenizer.ggml.bos_token_id")?;
                let token =
                    tokens.get(id).ok_or_else(|| self.bad("there is no token to begin with"))?;
                json!({"type": "TemplateProcessing",
                    "single": [{"SpecialToken": {"id": token, "type_id": 0}},
                        {"Sequence": {"id": "A", "type_id": 0}}],
                    "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                        {"Sequence": {"id": "B", "type_id": 1}}],
                    "special_tokens": {*token: {"id": token, "ids": [id], "tokens": [token]}}})
            }
            _ => json!(null),
        };
        let vocab: Map<String, serde_json::Value> =
            tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
        let document = json!({"version": "1.0", "truncation": null, "padding": null,
            "added_tokens": added, "normalizer": null, "pre_tokenizer": pieces,
            "post_processor": post, "decoder": bytes,
            "model": {"type": "BPE", "dropout": null, "unk_token": null,
                "continuing_subword_prefix": null, "end_of_word_suffix": null,
                "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocab, "merges": merges}});
        serde_json::to_vec(&document)
            .map_err(|e| self.bad(&format!("the tokenizer cannot be written: {e}")))
    }

    /// The specified tensors as f32 under their Hugging Face names, the rows of queries and
    /// keys back in the order of Hugging Face's rotations.
    ///
    /// # Errors
    /// If one is missing, has another shape, or holds values that are not finite.
    pub fn parameters(&self, config: &LlamaConfig, specs: &[TensorSpec]) -> Result<Parameters> {
        let mut reader = Cursor::new(self.bytes);
        let mut tensors = std::collections::BTreeMap::new();
        for spec in specs {
            let name = gguf_name(&spec.name);
            let Some(info) = self.content.tensor_infos.get(&name) else {
                return Err(self.bad(&format!("the tensor '{name}' is missing")));
            };
            // Before anything is made of the sizes that the file claims.
            if info.shape.dims() != spec.shape {
                let (found, asked) = (info.shape.dims(), &spec.shape);
                return Err(self.bad(&format!("the tensor '{name}' is {found:?}, not {asked:?}")));
            }
            let damaged = |e: candle_core::Error| {
                let what = format!("the tensor '{name}' cannot be read: {}", first_line(&e));
                Error::model(what).at(self.place).advise("copy or download the model again")
            };
            let read = self.content.tensor(&mut reader, &name, &Device::Cpu).map_err(damaged)?;
            let mut tensor = read
                .dequantize(&Device::Cpu)
                .and_then(|t| t.to_dtype(DType::F32))
                .map_err(damaged)?;
            for (part, heads) in
                [("q_proj", config.num_attention_heads), ("k_proj", config.key_heads())]
            {
                if spec.name.contains(part) {
                    tensor = in_halves(&tensor, heads)?;
                }
            }
            let total = tensor.abs()?.sum_all()?.to_scalar::<f32>()?;
            if !total.is_finite() {
                return Err(
                    self.bad(&format!("the tensor '{name}' holds values that are not finite"))
                );
            }
            tensors.insert(spec.name.clone(), tensor);
        }
        Ok(Parameters::new(tensors))
    }
}

/// Rows 0, 1, 2, 3, ... of every head, which GGUF turns in pairs (0, 1), (2, 3), as rows 0, 2, 4,
/// ..., 1, 3, ..., which turn in pairs of one from each half.
fn in_halves(rows: &Tensor, heads: usize) -> Result<Tensor> {
    let (outputs, inputs) = rows.dims2()?;
    let pairs = rows.reshape((heads, outputs / heads / 2, 2, inputs))?;
    Ok(pairs.transpose(1, 2)?.contiguous()?.reshape((outputs, inputs))?)
}

/// The name of a tensor in GGUF files.
fn gguf_name(name: &str) -> String {
    let parts = [
        ("embed_tokens.", "token_embd."),
        ("layers.", "blk."),
        ("self_attn.q_proj.", "attn_q."),
        ("self_attn.k_proj.", "attn_k."),
        ("self_attn.v_proj.", "attn_v."),
        ("self_attn.o_proj.", "attn_output."),
        ("mlp.gate_proj.", "ffn_gate."),
        ("mlp.up_proj.", "ffn_up."),
        ("mlp.down_proj.", "ffn_down."),
        ("input_layernorm.", "attn_norm."),
        ("post_attention_layernorm.", "ffn_norm."),
    ];
    if name == "norm.weight" {
        return "output_norm.weight".into();
    }
    parts.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// The message of an error of candle's without its stack.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_back_to_halves() {
        let rows: Vec<f32> = (0..8u8).map(f32::from).collect();
        let rows = Tensor::from_vec(rows, (8, 1), &Device::Cpu).unwrap();
        let back = in_halves(&rows, 2).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(back, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }

    #[test]
    fn names_are_those_of_gguf() {
        assert_eq!(gguf_name("layers.3.self_attn.q_proj.weight"), "blk.3.attn_q.weight");
        assert_eq!(gguf_name("layers.0.input_layernorm.weight"), "blk.0.attn_norm.weight");
        assert_eq!(gguf_name("layers.0.post_attention_layernorm.weight"), "blk.0.ffn_norm.weight");
        assert_eq!(gguf_name("norm.weight"), "output_norm.weight");
    }

    #[test]
    fn damage_is_an_error() {
        for bytes in
            [&b"GGUF"[..], b"GGUF\x03\0\0\0\xff\xff\xff\xff", b"GGUFxxxxxxxxxxxxxxxxxxxxxxx"]
        {
            assert!(is_gguf(bytes));
            let error = Gguf::parse(bytes, "m.gguf").err().unwrap();
            assert!(error.exit_code() == 4 && error.to_string().contains("m.gguf"));
        }
    }
}
