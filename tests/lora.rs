//! Adapters against Hugging Face PEFT, both ways: its adapters are read here, ours there. The
//! expected values are made by `tests/fixtures/parity/lora.py`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use confide::encoder::{
    Adapter, Encoder, EncoderConfig, LoraConfig, PackedBatch, Parameters, Pooling, Quiet,
    TokenizedText, adapted_modules, load_weights,
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name)
}

fn bytes(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn config() -> EncoderConfig {
    EncoderConfig::parse(&bytes(folder("bert-tiny/config.json")), "tiny").unwrap()
}

fn base() -> Parameters {
    load_weights(&bytes(folder("bert-tiny/model.safetensors")), &config().tensors(), "tiny")
        .unwrap()
}

fn adapter(name: &str) -> Adapter {
    let file = |file: &str| bytes(folder(name).join(file));
    let (config_json, weights) = (file("adapter_config.json"), file("adapter_model.safetensors"));
    Adapter::parse(&config_json, &weights, &config().tensors(), name).unwrap()
}

fn expected(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(folder(name).join("expected.safetensors"), &Device::Cpu).unwrap()
}

fn batch(expected: &HashMap<String, Tensor>) -> PackedBatch {
    let ids = expected["input_ids"].to_vec2::<i64>().unwrap();
    let mask = expected["attention_mask"].to_vec2::<i64>().unwrap();
    let real = |(ids, mask): (&Vec<i64>, &Vec<i64>)| {
        let ids = ids.iter().zip(mask).filter(|(_, m)| **m == 1);
        TokenizedText::whole(ids.map(|(id, _)| *id as u32).collect())
    };
    PackedBatch::new(&ids.iter().zip(&mask).map(real).collect::<Vec<_>>())
}

fn gap(a: &Tensor, b: &Tensor) -> f32 {
    let gap = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    gap.max(0).unwrap().to_scalar::<f32>().unwrap()
}

fn outputs_agree(encoder: &Encoder, expected: &HashMap<String, Tensor>, what: &str) {
    let pooled = encoder.embed(&batch(expected), &mut Quiet).unwrap();
    assert!(gap(&pooled, &expected["pooled"]) < 1e-4, "{what}: pooled");
    let logits = pooled.matmul(&expected["head"].t().unwrap()).unwrap();
    assert!(gap(&logits, &expected["logits"]) < 1e-4, "{what}: logits");
}

#[test]
fn adapters_of_peft_give_its_outputs_and_gradients() {
    for (name, tensors) in [("lora-peft", 8), ("lora-peft-rs", 24)] {
        let (expected, adapter) = (expected(name), adapter(name));
        let merged =
            Encoder::new(&config(), Pooling::Mean, &adapter.merge(&base()).unwrap()).unwrap();
        outputs_agree(&merged, &expected, name);
        let vars: BTreeMap<String, Var> = adapter
            .tensors()
            .into_iter()
            .map(|(name, tensor)| (name, Var::from_tensor(&tensor).unwrap()))
            .collect();
        let tracked = vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
        let beside = Adapter::of_tensors(adapter.config().clone(), &tracked).unwrap();
        let encoder = Encoder::new(&config(), Pooling::Mean, &beside.beside(base())).unwrap();
        outputs_agree(&encoder, &expected, name);
        let pooled = encoder.embed(&batch(&expected), &mut Quiet).unwrap();
        let grads = (pooled * &expected["r"]).unwrap().sum_all().unwrap().backward().unwrap();
        assert_eq!(vars.len(), tensors);
        for (tensor, var) in &vars {
            let theirs = &expected[&format!("grad.{tensor}")];
            let scale = gap(theirs, &theirs.zeros_like().unwrap());
            let gap = gap(grads.get(var).unwrap(), theirs);
            assert!(scale > 0.0 && gap <= 1e-3 * scale, "{name}: {tensor}: {gap} at {scale}");
        }
    }
}

#[test]
fn peft_reads_what_is_written_here() {
    let lora = LoraConfig { rank: 2, alpha: 3.0, dropout: 0.1, rank_stabilised: true };
    let targets = ["attention.self.query".to_owned(), "output.dense".to_owned()];
    let modules = adapted_modules(&config().tensors(), &targets).unwrap();
    let mut state = 1u64;
    let mut draw = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f64 / f64::from(1u32 << 23) - 1.0) as f32 * 0.2
    };
    let modules: BTreeMap<String, (Tensor, Tensor)> = modules
        .iter()
        .map(|module| {
            let mut tensor = |rows: usize, columns: usize| {
                let values: Vec<f32> = (0..rows * columns).map(|_| draw()).collect();
                Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
            };
            let pair = (tensor(2, module.inputs), tensor(module.outputs, 2));
            (module.name.clone(), pair)
        })
        .collect();
    let own = Adapter::new(lora, modules);
    let (config_json, weights) = own.files("../bert-tiny").unwrap();
    let at = folder("lora-own");
    if std::env::var_os("CONFIDE_WRITE_FIXTURES").is_some() {
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join("adapter_config.json"), &config_json).unwrap();
        std::fs::write(at.join("adapter_model.safetensors"), &weights).unwrap();
    }
    assert!(bytes(at.join("adapter_config.json")) == config_json);
    assert!(bytes(at.join("adapter_model.safetensors")) == weights);
    let merged = Encoder::new(&config(), Pooling::Mean, &own.merge(&base()).unwrap()).unwrap();
    outputs_agree(&merged, &expected("lora-own"), "lora-own");
}
