//! Low-rank adaptation (LoRA, Hu et al. 2022): y = W x + s · B A x with W left alone and
//! s = alpha / r, or alpha / √r (rsLoRA, Kalajdzievski 2023). On disk it has the layout and the
//! names of Hugging Face PEFT.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use super::weights::{LowRank, PREFIXES, as_f32};
use super::{Parameters, TensorSpec, save_weights};
use crate::error::{Error, Result, nearest};

/// What PEFT puts before the name of a module of the base model.
const PREFIX: &str = "base_model.model.";
const DOWN: &str = ".lora_A.weight";
const UP: &str = ".lora_B.weight";

/// How an adapter is made, under PEFT's names.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// Rank of the adaptation, `r`.
    pub rank: usize,
    /// `lora_alpha`.
    pub alpha: f64,
    /// `lora_dropout`: the share of a module's inputs that its adaptation does not see.
    pub dropout: f64,
    /// `use_rslora`: alpha is divided by √r instead of r.
    pub rank_stabilised: bool,
}

impl LoraConfig {
    /// The factor of B A.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rank_stabilised { rank.sqrt() } else { rank }
    }
}

/// A linear map of an encoder that can be adapted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdaptedModule {
    /// Its name in the base model.
    pub name: String,
    /// Width of what it gives.
    pub outputs: usize,
    /// Width of what it takes.
    pub inputs: usize,
    /// How far above the embeddings it stands.
    pub depth: usize,
}

/// The linear maps among an encoder's tensors that `targets` name, each by its whole name or
/// the end of it after a dot, as in PEFT; `all-linear` names all.
///
/// # Errors
/// If a target names none.
pub fn adapted_modules(specs: &[TensorSpec], targets: &[String]) -> Result<Vec<AdaptedModule>> {
    let all: Vec<AdaptedModule> = specs
        .iter()
        .filter(|spec| spec.is_linear())
        .filter_map(|spec| {
            let name = spec.name.strip_suffix(".weight")?.to_owned();
            let (outputs, inputs) = (spec.shape[0], spec.shape[1]);
            Some(AdaptedModule { name, outputs, inputs, depth: spec.depth })
        })
        .collect();
    let names = |module: &AdaptedModule, target: &String| {
        target == "all-linear"
            || module.name == *target
            || module.name.ends_with(&format!(".{target}"))
    };
    if let Some(stray) = targets.iter().find(|t| !all.iter().any(|m| names(m, t))) {
        let parts = all.iter().filter_map(|m| m.name.rsplit('.').next());
        let hint = nearest(stray, parts).map(|n| format!(" (did you mean '{n}'?)"));
        return Err(Error::usage(format!(
            "the encoder has no linear map '{stray}'{}",
            hint.unwrap_or_default()
        ))
        .at("lora_targets"));
    }
    Ok(all.into_iter().filter(|m| targets.iter().any(|t| names(m, t))).collect())
}

/// Whether this is the name of a B, which is zero before the first update.
pub fn is_up(name: &str) -> bool {
    name.ends_with(UP)
}

/// Low-rank adaptations of an encoder's modules.
#[derive(Clone, Debug)]
pub struct Adapter {
    config: LoraConfig,
    /// A `[rank, inputs]` and B `[outputs, rank]` by module.
    modules: BTreeMap<String, (Tensor, Tensor)>,
}

/// `adapter_config.json`, as far as it decides what an adapter does. What is not known here
/// would change the result, so it is refused where it is set.
#[derive(Deserialize)]
struct Stored {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    bias: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

/// Settings of PEFT that change what the tensors mean, unless they are left empty.
const REFUSED: &[&str] = &[
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "fan_in_fan_out",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
];

/// Ways to start A and B that also change the base's weights.
const REFUSED_STARTS: &[&str] = &["pissa", "olora", "corda", "loftq", "lora_ga"];

impl Stored {
    fn parse(json: &[u8], place: &str) -> Result<Self> {
        let bad = |what: String| {
            Error::model(what)
                .at(place)
                .advise("use an adapter that PEFT saved with peft_type LORA and plain settings")
        };
        let stored: Self = serde_json::from_slice(json)
            .map_err(|e| bad(format!("not the configuration of an adapter: {e}")))?;
        if stored.peft_type != "LORA" {
            return Err(bad("the adapter is not a LoRA adapter".into()));
        }
        if stored.r == 0 || stored.r > 4096 || !stored.lora_alpha.is_finite() {
            return Err(bad("r must lie between 1 and 4096, and lora_alpha be a number".into()));
        }
        if stored.bias.as_deref().is_some_and(|bias| bias != "none") {
            return Err(bad("the adapter trains biases; only bias = none is known".into()));
        }
        let empty = |value: &serde_json::Value| match value {
            serde_json::Value::Null => true,
            serde_json::Value::Bool(set) => !set,
            serde_json::Value::Array(items) => items.is_empty(),
            serde_json::Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        let set = |name: &&&str| stored.others.get(**name).is_some_and(|value| !empty(value));
        if let Some(name) = REFUSED.iter().find(set) {
            return Err(bad(format!("the adapter sets '{name}', which is not known here")));
        }
        let start = stored.others.get("init_lora_weights").and_then(|v| v.as_str());
        if let Some(start) = start.map(str::to_lowercase)
            && REFUSED_STARTS.iter().any(|refused| start.starts_with(refused))
        {
            return Err(bad(
                "the adapter was started in a way that changed the base's weights".into()
            ));
        }
        Ok(stored)
    }

    fn config(&self) -> LoraConfig {
        LoraConfig {
            rank: self.r,
            alpha: self.lora_alpha,
            dropout: self.lora_dropout,
            rank_stabilised: self.use_rslora,
        }
    }
}

/// The base that an `adapter_config.json` names.
///
/// # Errors
/// If it is no such file or names none.
pub fn named_base(json: &[u8], place: &str) -> Result<String> {
    Stored::parse(json, place)?.base_model_name_or_path.ok_or_else(|| {
        Error::model("the adapter does not name its base")
            .at(place)
            .advise("set base_model_name_or_path to the model's name or folder")
    })
}

impl Adapter {
    /// An adapter of these A and B by module.
    pub fn new(config: LoraConfig, modules: BTreeMap<String, (Tensor, Tensor)>) -> Self {
        Self { config, modules }
    }

    /// An adapter before its first update, from `draw`, which gives even draws from [-1, 1) for
    /// a module: A even in ±1/√inputs, as PEFT's (He et al. 2015 with a = √5), B zero, so that
    /// the adapted encoder begins as its base.
    ///
    /// # Errors
    /// If a tensor cannot be made.
    pub fn initial<D: FnMut() -> f64>(
        config: LoraConfig,
        modules: &[AdaptedModule],
        draw: impl Fn(&str) -> D,
    ) -> Result<Self> {
        let rank = config.rank;
        let pair = |module: &AdaptedModule| -> Result<(String, (Tensor, Tensor))> {
            let bound = 1.0 / (module.inputs as f64).sqrt();
            let mut draw = draw(&module.name);
            let down: Vec<f32> =
                (0..rank * module.inputs).map(|_| (draw() * bound) as f32).collect();
            let down = Tensor::from_vec(down, (rank, module.inputs), &Device::Cpu)?;
            let up = Tensor::zeros((module.outputs, rank), DType::F32, &Device::Cpu)?;
            Ok((module.name.clone(), (down, up)))
        };
        Ok(Self { modules: modules.iter().map(pair).collect::<Result<_>>()?, config })
    }

    /// An adapter of tensors by their names in the base, `MODULE.lora_A.weight` and
    /// `MODULE.lora_B.weight`.
    ///
    /// # Errors
    /// If a module has but one of them.
    pub fn of_tensors(config: LoraConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let mut modules = BTreeMap::new();
        for (name, down) in tensors {
            let Some(module) = name.strip_suffix(DOWN) else { continue };
            let up = tensors.get(&format!("{module}{UP}")).ok_or_else(|| {
                Error::model(format!("the adaptation of '{module}' is not whole"))
            })?;
            modules.insert(module.to_owned(), (down.clone(), up.clone()));
        }
        Ok(Self { config, modules })
    }

    /// How it was made.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// Its tensors by their names in the base.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let both = |(name, (down, up)): (&String, &(Tensor, Tensor))| {
            [(format!("{name}{DOWN}"), down.clone()), (format!("{name}{UP}"), up.clone())]
        };
        self.modules.iter().flat_map(both).collect()
    }

    /// Reads PEFT's `adapter_config.json` and `adapter_model.safetensors` for an encoder with
    /// these tensors.
    ///
    /// # Errors
    /// If a file is damaged, a setting is not known, or a tensor does not fit the encoder.
    pub fn parse(
        config: &[u8],
        weights: &[u8],
        specs: &[TensorSpec],
        folder: &str,
    ) -> Result<Self> {
        let config = Stored::parse(config, &format!("{folder}/adapter_config.json"))?.config();
        let place = format!("{folder}/adapter_model.safetensors");
        let bad = |what: String, advice: &str| Error::model(what).at(&place).advise(advice);
        let file = match SafeTensors::deserialize(weights) {
            Ok(file) => file,
            Err(e) => {
                let what = format!("not a whole safetensors file: {e}");
                return Err(bad(what, "copy the adapter again"));
            }
        };
        let other_base = "use the base that the adapter was trained on";
        let mut modules = BTreeMap::new();
        let mut read = 0;
        for module in adapted_modules(specs, &["all-linear".to_owned()])? {
            let find = |part: &str, shape: [usize; 2]| -> Result<Option<Tensor>> {
                let found = PREFIXES.iter().find_map(|prefix| {
                    file.tensor(&format!("{PREFIX}{prefix}{}{part}", module.name)).ok()
                });
                let Some(view) = found else { return Ok(None) };
                if view.shape() != shape {
                    let (name, found) = (&module.name, view.shape());
                    let what =
                        format!("'{name}{part}' has shape {found:?}, the base asks for {shape:?}");
                    return Err(bad(what, other_base));
                }
                as_f32(&view, &format!("{}{part}", module.name), &place).map(Some)
            };
            let down = find(DOWN, [config.rank, module.inputs])?;
            let up = find(UP, [module.outputs, config.rank])?;
            match (down, up) {
                (Some(down), Some(up)) => {
                    read += 2;
                    modules.insert(module.name, (down, up));
                }
                (None, None) => {}
                _ => {
                    let what = format!("the adaptation of '{}' is not whole", module.name);
                    return Err(bad(what, "copy the adapter again"));
                }
            }
        }
        if modules.is_empty() || read != file.len() {
            let what = format!(
                "{} of its {} tensors adapt nothing in this base",
                file.len() - read,
                file.len()
            );
            return Err(bad(what, other_base));
        }
        Ok(Self { config, modules })
    }

    /// `adapter_config.json` and `adapter_model.safetensors` as PEFT reads them, for a base
    /// of this name.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn files(&self, base: &str) -> Result<(Vec<u8>, Vec<u8>)> {
        #[derive(Serialize)]
        struct Config<'a> {
            base_model_name_or_path: &'a str,
            bias: &'a str,
            fan_in_fan_out: bool,
            inference_mode: bool,
            lora_alpha: f64,
            lora_dropout: f64,
            peft_type: &'a str,
            r: usize,
            target_modules: Vec<&'a String>,
            task_type: &'a str,
            use_rslora: bool,
        }
        let config = Config {
            base_model_name_or_path: base,
            bias: "none",
            fan_in_fan_out: false,
            inference_mode: true,
            lora_alpha: self.config.alpha,
            lora_dropout: self.config.dropout,
            peft_type: "LORA",
            r: self.config.rank,
            target_modules: self.modules.keys().collect(),
            task_type: "FEATURE_EXTRACTION",
            use_rslora: self.config.rank_stabilised,
        };
        let json = serde_json::to_string_pretty(&config)
            .map_err(|e| Error::model(format!("the adapter cannot be described: {e}")))?;
        let tensors: BTreeMap<String, Tensor> = self
            .tensors()
            .into_iter()
            .map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor))
            .collect();
        Ok(((json + "\n").into_bytes(), save_weights(&tensors, None)?))
    }

    /// The base with the adaptations beside its modules.
    pub fn beside(&self, base: Parameters) -> Parameters {
        let scale = self.config.scale() as f32;
        let low_rank: BTreeMap<String, LowRank> = self
            .modules
            .iter()
            .map(|(name, (down, up))| (name.clone(), (down.clone(), up.clone(), scale)))
            .collect();
        base.adapted(low_rank)
    }

    /// The base with W + s · B A in the place of every adapted W: an encoder as fast as the
    /// base.
    ///
    /// # Errors
    /// If the base lacks a module.
    pub fn merge(&self, base: &Parameters) -> Result<Parameters> {
        self.shifted(base, self.config.scale())
    }

    /// The base from a merged encoder, up to rounding.
    ///
    /// # Errors
    /// As [`Adapter::merge`].
    pub fn unmerge(&self, merged: &Parameters) -> Result<Parameters> {
        self.shifted(merged, -self.config.scale())
    }

    fn shifted(&self, parameters: &Parameters, scale: f64) -> Result<Parameters> {
        let mut out = parameters.clone();
        for (name, (down, up)) in &self.modules {
            let name = format!("{name}.weight");
            let sum = (parameters.get(&name)? + (up.matmul(down)? * scale)?)?;
            out.replace(&name, sum);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::values;

    fn specs() -> Vec<TensorSpec> {
        let spec = |name: &str, shape: &[usize], depth| TensorSpec {
            name: name.into(),
            shape: shape.into(),
            depth,
            effective: true,
        };
        vec![
            spec("embeddings.word_embeddings.weight", &[9, 4], 0),
            spec("layer.0.query.weight", &[4, 4], 1),
            spec("layer.0.query.bias", &[4], 1),
            spec("layer.0.output.dense.weight", &[4, 6], 1),
        ]
    }

    fn tensor(rows: usize, columns: usize, seed: u64) -> Tensor {
        Tensor::from_vec(values(rows * columns, seed), (rows, columns), &Device::Cpu).unwrap()
    }

    fn adapter(rank_stabilised: bool) -> Adapter {
        let config = LoraConfig { rank: 2, alpha: 8.0, dropout: 0.1, rank_stabilised };
        let modules =
            [("layer.0.output.dense".to_owned(), (tensor(2, 6, 1), tensor(4, 2, 2)))].into();
        Adapter::new(config, modules)
    }

    fn base() -> Parameters {
        Parameters::new([("layer.0.output.dense.weight".to_owned(), tensor(4, 6, 3))].into())
    }

    fn flat(parameters: &Parameters) -> Vec<f32> {
        let tensor = parameters.get("layer.0.output.dense.weight").unwrap();
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    }

    #[test]
    fn targets_are_named_as_in_peft() {
        let names = |targets: &[&str]| -> Vec<String> {
            let targets: Vec<String> = targets.iter().map(|t| (*t).to_owned()).collect();
            adapted_modules(&specs(), &targets).unwrap().into_iter().map(|m| m.name).collect()
        };
        assert_eq!(names(&["query"]), ["layer.0.query"]);
        assert_eq!(names(&["output.dense", "query"]), ["layer.0.query", "layer.0.output.dense"]);
        assert_eq!(names(&["all-linear"]).len(), 2);
        let error = adapted_modules(&specs(), &["quer".to_owned()]).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("'query'"), "{error}");
    }

    #[test]
    fn merging_adds_the_scaled_product_and_unmerging_takes_it_away() {
        let merged = adapter(false).merge(&base()).unwrap();
        let (a, b) = (values(12, 1), values(8, 2));
        let first = values(24, 3)[0] + 4.0 * (b[0] * a[0] + b[1] * a[6]);
        assert!((flat(&merged)[0] - first).abs() < 1e-6);
        let back = adapter(false).unmerge(&merged).unwrap();
        for (a, b) in flat(&back).iter().zip(values(24, 3)) {
            assert!((a - b).abs() < 1e-6);
        }
        assert!((adapter(true).config.scale() - 8.0 / 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_is_written_is_read() {
        let (config, weights) = adapter(true).files("some/base").unwrap();
        let read = Adapter::parse(&config, &weights, &specs(), "m").unwrap();
        assert_eq!(read.config, adapter(true).config);
        assert_eq!(
            flat(&read.merge(&base()).unwrap()),
            flat(&adapter(true).merge(&base()).unwrap())
        );
        assert_eq!(named_base(&config, "m").unwrap(), "some/base");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (config, weights) = adapter(false).files("b").unwrap();
        let text = String::from_utf8(config.clone()).unwrap();
        let with = |from: &str, to: &str| text.replacen(from, to, 1).into_bytes();
        let narrow: Vec<TensorSpec> = specs().into_iter().take(3).collect();
        let mut wide = specs();
        wide[3].shape = vec![4, 7];
        let cases = [
            (with("LORA", "IA3"), &weights[..], specs()),
            (with("\"r\": 2", "\"r\": 3"), &weights[..], specs()),
            (with("\"r\": 2", "\"r\": 0"), &weights[..], specs()),
            (with("\"none\"", "\"all\""), &weights[..], specs()),
            (with("\"r\": 2", "\"r\": 2, \"use_dora\": true"), &weights[..], specs()),
            (with("{", "["), &weights[..], specs()),
            (config.clone(), &weights[..weights.len() - 1], specs()),
            (config.clone(), &weights[..], narrow),
            (config.clone(), &weights[..], wide),
        ];
        for (at, (config, weights, specs)) in cases.into_iter().enumerate() {
            let error = Adapter::parse(&config, weights, &specs, "m").unwrap_err();
            assert!(error.exit_code() == 4 && error.to_string().contains("m/adapter"), "case {at}");
        }
    }
}
