//! One tier's head on its encoder as the tensors of Hugging Face's classes.
//!
//! These classes read one token's state (the first; of causal models the last), where a bundle
//! may read the mean of all. For a mean the export adds one layer to the encoder, in which that
//! token attends to every token alike and writes the features of the mean beside a constant so
//! large that the layer's norms divide by next to nothing else: what they give is then linear in
//! the features, up to parts in a million. tanh and ReLU, through which some classes pass the
//! features, are linear where these are made small or lifted.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde_json::{Map, Value, json};

use crate::codebook::Tier;
use crate::encoder::{EncoderConfig, LlamaConfig, POOLING_QUERY, Parameters, Pooling};
use crate::error::{Error, Result};
use crate::heads::HeadShape;

/// A factor beside which the token's own state is nothing.
const LOUD: f64 = 1e7;

/// The same for causal models, whose states may hold entries of some thousands.
const LOUD_CAUSAL: f64 = 1e9;

/// A constant beside which even loud features are nothing.
const STEADY: f64 = 1e5;

/// A factor that brings features to where tanh is linear.
const SMALL: f64 = 1e-4;

/// What a classifier is made of.
pub(super) struct Source<'a> {
    pub tier: &'a Tier,
    /// Whether it is the codebook's first tier.
    pub first: bool,
    pub shape: HeadShape,
    pub pooling: Pooling,
    pub heads: &'a Parameters,
    pub encoder: &'a Parameters,
    /// The bundle, for messages.
    pub place: &'a str,
}

/// A classifier as Hugging Face's class has it.
pub(super) struct Classifier {
    pub tensors: BTreeMap<String, Tensor>,
    pub class: &'static str,
    /// Entries of `config.json` that differ from the base's.
    pub changes: Map<String, Value>,
}

/// An affine map, `weight` row by row.
struct Affine {
    weight: Vec<Vec<f32>>,
    bias: Vec<f32>,
}

impl Affine {
    fn zero(outputs: usize, inputs: usize) -> Self {
        Self { weight: vec![vec![0.0; inputs]; outputs], bias: vec![0.0; outputs] }
    }

    fn read(heads: &Parameters, name: &str) -> Result<Self> {
        Ok(Self {
            weight: heads.get(&format!("{name}.weight"))?.to_vec2()?,
            bias: heads.get(&format!("{name}.bias"))?.to_vec1()?,
        })
    }

    /// The map from `n` features, each times `factor` and lifted by `level`, back to themselves.
    fn restoring(n: usize, width: usize, factor: f64, level: f64) -> Self {
        let mut map = Self::zero(n, width);
        for k in 0..n {
            map.weight[k][k] = (1.0 / factor) as f32;
            map.bias[k] = (-level / factor) as f32;
        }
        map
    }

    fn store(&self, name: &str, into: &mut BTreeMap<String, Tensor>) -> Result<()> {
        into.insert(format!("{name}.weight"), matrix(&self.weight)?);
        into.insert(format!("{name}.bias"), vector(&self.bias)?);
        Ok(())
    }
}

fn matrix(rows: &[Vec<f32>]) -> Result<Tensor> {
    let shape = (rows.len(), rows.first().map_or(0, Vec::len));
    Ok(Tensor::from_vec(rows.concat(), shape, &Device::Cpu)?)
}

fn vector(values: &[f32]) -> Result<Tensor> {
    Ok(Tensor::from_slice(values, values.len(), &Device::Cpu)?)
}

impl Source<'_> {
    fn cannot(&self, why: &str) -> Error {
        Error::model(format!("this tier cannot be exported: {why}"))
            .at(format!("{}: tier {}", self.place, self.tier.name))
            .advise("train with another recipe, or export the encoder alone with --merged")
    }

    /// The features that the encoder's vector is mapped to, and the map from their tanh to the
    /// logits; without a hidden layer the features are the logits.
    fn features(&self) -> Result<(Affine, Option<Affine>)> {
        if self.shape.chained && !self.first {
            return Err(self.cannot("its head sees the probabilities of the tiers above"));
        }
        let output = Affine::read(self.heads, &self.tier.name)?;
        if self.shape.hidden == 0 {
            return Ok((output, None));
        }
        let hidden = Affine::read(self.heads, &format!("{}.hidden", self.tier.name))?;
        Ok((hidden, Some(output)))
    }
}

/// How a family of encoders names what the export touches.
struct Family {
    class: &'static str,
    prefix: &'static str,
    layers: &'static str,
    value: &'static str,
    context: &'static str,
    /// The maps on the first token's state, and whether tanh stands between them (else ReLU).
    dense: &'static str,
    output: &'static str,
    tanh: bool,
}

const BERT: Family = Family {
    class: "BertForSequenceClassification",
    prefix: "bert.",
    layers: "encoder.layer.",
    value: "attention.self.value",
    context: "attention.output.dense",
    dense: "bert.pooler.dense",
    output: "classifier",
    tanh: true,
};

const ROBERTA: Family = Family {
    class: "RobertaForSequenceClassification",
    prefix: "roberta.",
    dense: "classifier.dense",
    output: "classifier.out_proj",
    ..BERT
};

const XLM_ROBERTA: Family = Family { class: "XLMRobertaForSequenceClassification", ..ROBERTA };

const DISTILBERT: Family = Family {
    class: "DistilBertForSequenceClassification",
    prefix: "distilbert.",
    layers: "transformer.layer.",
    value: "attention.v_lin",
    context: "attention.out_lin",
    dense: "pre_classifier",
    tanh: false,
    ..BERT
};

const DEBERTA: Family = Family {
    class: "DebertaV2ForSequenceClassification",
    prefix: "deberta.",
    value: "attention.self.value_proj",
    dense: "pooler.dense",
    ..BERT
};

/// The tier's head and its encoder as the class of the encoder's family.
///
/// # Errors
/// If that class cannot compute what the head does.
pub(super) fn of(config: &EncoderConfig, source: &Source) -> Result<Classifier> {
    let (family, mut changes) = match config {
        EncoderConfig::Llama(llama) => return causal(llama, source),
        EncoderConfig::Bert(bert) => match bert.model_type.as_str() {
            "roberta" => (ROBERTA, Map::new()),
            "xlm-roberta" => (XLM_ROBERTA, Map::new()),
            "distilbert" => (DISTILBERT, Map::new()),
            _ => (BERT, Map::new()),
        },
        EncoderConfig::ModernBert(_) => {
            return Err(source.cannot("its class puts a norm after the pooling"));
        }
        EncoderConfig::Deberta(deberta) => {
            let mut changes = Map::new();
            changes.insert("pooler_hidden_act".into(), json!("tanh"));
            changes.insert("pooler_hidden_size".into(), json!(deberta.hidden_size));
            (DEBERTA, changes)
        }
    };
    let (width, layers) = (config.hidden_size(), config.layers());
    let (features, logits) = source.features()?;
    let n = features.bias.len();
    if logits.is_some() && !family.tanh {
        return Err(source.cannot("its class has no tanh for a head with a hidden layer"));
    }
    let (factor, level) = match (&logits, family.tanh) {
        (Some(_), _) => (1.0, 0.0),
        (None, true) => (SMALL, 0.0),
        (None, false) => (0.01, 1.0),
    };
    let mut tensors: BTreeMap<String, Tensor> =
        source.encoder.iter().map(|(n, t)| (format!("{}{n}", family.prefix), t.clone())).collect();
    let mut dense = Affine::zero(width, width);
    let room = match source.pooling {
        Pooling::Cls => width,
        Pooling::Mean => width.saturating_sub(3),
        Pooling::Last | Pooling::Attention => {
            let how = if source.heads.get(POOLING_QUERY).is_ok() { "attention" } else { "last" };
            return Err(source.cannot(&format!("its class has no pooling = \"{how}\"")));
        }
    };
    if n > room {
        return Err(source.cannot(&format!("its head has {n} features, room is for {room}")));
    }
    if source.pooling == Pooling::Cls {
        for (k, row) in features.weight.iter().enumerate() {
            dense.weight[k] = row.iter().map(|w| (f64::from(*w) * factor) as f32).collect();
            dense.bias[k] = (f64::from(features.bias[k]) * factor + level) as f32;
        }
    } else {
        averaging_layer(&family, layers, width, &features, &mut tensors)?;
        let count = if family.class == DISTILBERT.class { "n_layers" } else { "num_hidden_layers" };
        changes.insert(count.into(), json!(layers + 1));
        // What the norm divides by: the deviation of two entries of ±STEADY · LOUD.
        let quiet = STEADY * (2.0 / width as f64).sqrt();
        for k in 0..n {
            dense.weight[k][2 + k] = (quiet * factor) as f32;
            dense.weight[k][2 + n] = (-quiet * factor) as f32;
            dense.bias[k] = level as f32;
        }
    }
    dense.store(family.dense, &mut tensors)?;
    let output = match logits {
        None => Affine::restoring(n, width, factor, level),
        Some(mut output) => {
            output.weight.iter_mut().for_each(|row| row.resize(width, 0.0));
            output
        }
    };
    output.store(family.output, &mut tensors)?;
    Ok(Classifier { tensors, class: family.class, changes })
}

/// Adds a layer that writes the features of the tokens' mean into the first token's state: entry
/// 2 + k holds feature k, and the first that holds none what the norms took from all.
fn averaging_layer(
    family: &Family,
    layers: usize,
    width: usize,
    features: &Affine,
    tensors: &mut BTreeMap<String, Tensor>,
) -> Result<()> {
    let of_layer = |at: usize| format!("{}{}{at}.", family.prefix, family.layers);
    let last = of_layer(layers - 1);
    let like: Vec<(String, Tensor)> = tensors
        .iter()
        .filter_map(|(name, t)| Some((name.strip_prefix(&last)?.to_owned(), t.clone())))
        .collect();
    let new = of_layer(layers);
    for (name, tensor) in like {
        let gain = name.to_lowercase().contains("norm") && name.ends_with("weight");
        let empty = if gain { tensor.ones_like()? } else { tensor.zeros_like()? };
        tensors.insert(format!("{new}{name}"), empty);
    }
    let mut value = Affine::zero(width, width);
    (0..width).for_each(|i| value.weight[i][i] = 1.0);
    value.store(&format!("{new}{}", family.value), tensors)?;
    let mut context = Affine::zero(width, width);
    context.bias[0] = (STEADY * LOUD) as f32;
    context.bias[1] = (-STEADY * LOUD) as f32;
    for (k, (row, bias)) in features.weight.iter().zip(&features.bias).enumerate() {
        context.weight[2 + k] = row.iter().map(|w| (f64::from(*w) * LOUD) as f32).collect();
        context.bias[2 + k] = (f64::from(*bias) * LOUD) as f32;
    }
    context.store(&format!("{new}{}", family.context), tensors)
}

/// Llama's class knows neither a bias of the scores nor a mean: an added layer writes both into
/// the last token's state, and the biases that it needs are zero in all others.
fn causal(config: &LlamaConfig, source: &Source) -> Result<Classifier> {
    if config.model_type != "llama" {
        return Err(source.cannot("the class of Qwen models has no place for its biases"));
    }
    let (features, logits) = source.features()?;
    if logits.is_some() {
        return Err(source.cannot("its class has no tanh for a head with a hidden layer"));
    }
    let mean = match source.pooling {
        Pooling::Mean => true,
        Pooling::Last => false,
        Pooling::Cls | Pooling::Attention => {
            return Err(source.cannot("its class has no attention pooling"));
        }
    };
    let (width, layers, n) = (config.hidden_size, config.num_hidden_layers, features.bias.len());
    let mut tensors: BTreeMap<String, Tensor> =
        source.encoder.iter().map(|(n, t)| (format!("model.{n}"), t.clone())).collect();
    let maps = |at: usize| {
        ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
            .into_iter()
            .chain(["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"])
            .map(move |map| format!("model.layers.{at}.{map}"))
    };
    let shape = |tensors: &BTreeMap<String, Tensor>, map: &str| -> Result<(usize, usize)> {
        let name = format!("{map}.weight");
        let found = tensors.get(&name).map(Tensor::dims2).transpose()?;
        found.ok_or_else(|| Error::model(format!("the model lacks the tensor '{name}'")))
    };
    for at in 0..layers {
        for map in maps(at) {
            let (outputs, _) = shape(&tensors, &map)?;
            let bias = vector(&vec![0.0; outputs])?;
            tensors.entry(format!("{map}.bias")).or_insert(bias);
        }
    }
    for (like, new) in maps(layers - 1).zip(maps(layers)) {
        let (outputs, inputs) = shape(&tensors, &like)?;
        Affine::zero(outputs, inputs).store(&new, &mut tensors)?;
    }
    let norm = source.encoder.get("norm.weight")?;
    for part in ["input_layernorm", "post_attention_layernorm"] {
        tensors.insert(format!("model.layers.{layers}.{part}.weight"), norm.clone());
    }
    tensors.insert("model.norm.weight".into(), norm.ones_like()?);
    let new: Vec<String> = maps(layers).collect();
    let [_, _, value, context, gate, up, down] = &new[..] else {
        return Err(source.cannot("its layers are not those of a Llama"));
    };
    let (reader, writer) = if mean { (value, context) } else { (up, down) };
    let ((room, inputs), (_, columns)) = (shape(&tensors, reader)?, shape(&tensors, writer)?);
    if n > room.min(width - 1) {
        return Err(source.cannot(&format!("its head has {n} features, room is for {room}")));
    }
    // Values of one head serve a group of query heads, of which the first is read.
    let (head, group) = if mean { (room / config.key_heads(), columns / room) } else { (1, 1) };
    // What the gate lets through: SiLU of its bias, one.
    let share = if mean { 1.0 } else { 1.0 / (1.0 + (-1f64).exp()) };
    let (mut reading, mut writing) = (Affine::zero(room, inputs), Affine::zero(width, columns));
    writing.bias[0] = (STEADY * LOUD_CAUSAL) as f32;
    for (k, (row, bias)) in features.weight.into_iter().zip(features.bias).enumerate() {
        (reading.weight[k], reading.bias[k]) = (row, bias);
        let column = k / head * head * group + k % head;
        writing.weight[1 + k][column] = (LOUD_CAUSAL / share) as f32;
    }
    reading.store(reader, &mut tensors)?;
    writing.store(writer, &mut tensors)?;
    if !mean {
        let mut open = Affine::zero(room, inputs);
        open.bias.fill(1.0);
        open.store(gate, &mut tensors)?;
    }
    let mut score = vec![vec![0.0; width]; n];
    (0..n).for_each(|k| score[k][1 + k] = (STEADY / (width as f64).sqrt()) as f32);
    tensors.insert("score.weight".into(), matrix(&score)?);
    let mut changes = Map::new();
    changes.insert("num_hidden_layers".into(), json!(layers + 1));
    changes.insert("attention_bias".into(), json!(true));
    changes.insert("mlp_bias".into(), json!(true));
    Ok(Classifier { tensors, class: "LlamaForSequenceClassification", changes })
}
