//! Recipes: how a training is done, as data.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::codebook::TierKind;
use crate::encoder::{Cut, LoraConfig, Pooling, Precision};
use crate::error::{Error, Result};
use crate::heads::contrast::Contrast;
use crate::heads::pseudo_labels::Selection;
use crate::heads::{HeadShape, LossForm};

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Encoder and heads.
    Full,
    /// Low-rank adaptations of the encoder's linear maps, and heads.
    Lora,
    /// Heads alone, on embeddings that are computed once.
    Frozen,
}

/// Which state of a training is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// That after the last epoch.
    Last,
    /// That with the best score on the validation rows.
    Best,
}

/// Which heads are fitted on the frozen encoder before encoder and heads are trained; the others
/// start as drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FittedStart {
    /// Every tier's.
    All,
    /// Those of multi tiers, whose many rare labels learn too slowly from nothing.
    Multi,
    /// None.
    None,
}

/// Everything that decides how a training goes, apart from data, codebook, encoder and seed.
/// The shipped recipes document every field with its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Version of the recipe format; 1.
    pub format: u32,
    /// What is trained.
    pub mode: Mode,
    /// How many trainings that differ only in chance have their weights averaged (mode `full`).
    pub members: usize,
    /// Most passes over the training rows.
    pub epochs: usize,
    /// Which state is kept.
    pub keep: Keep,
    /// Epochs without improvement on validation before a training that keeps the best ends.
    pub patience: usize,
    /// Texts of a batch at most.
    pub batch_rows: usize,
    /// Tokens of a batch at most.
    pub batch_tokens: usize,
    /// Parts into which each batch is cut on the CPU; at most as many cores work on one batch.
    pub shards: usize,
    /// Parts into which each batch is cut on a GPU, which computes them one after another and adds
    /// up their gradients: more parts need less of its memory.
    pub accumulation: usize,
    /// Whether the backward pass computes each layer again instead of keeping what it computed:
    /// less memory, a third more time.
    pub gradient_checkpointing: bool,
    /// The format in which matrices are multiplied.
    pub precision: Precision,
    /// Layers, from the top, whose weights begin anew instead of as the encoder has them.
    pub reinitialised_layers: usize,
    /// Tokens of a text at most, special tokens included; longer texts are cut.
    pub max_tokens: usize,
    /// How many tokens each window of a longer text begins after the one before it; the windows'
    /// logits are averaged. 0: longer texts are cut.
    pub window_stride: usize,
    /// How the states of a text's tokens become one vector.
    pub pooling: Pooling,
    /// Width of a hidden layer in every head; 0: the heads are linear.
    pub head_hidden: usize,
    /// Whether a tier's head also sees the probabilities of the tiers above it.
    pub chained: bool,
    /// Peak learning rate of the top encoder layer.
    pub learning_rate: f64,
    /// Peak learning rate of heads that start as drawn, and of a pooling query.
    pub head_learning_rate: f64,
    /// Peak learning rate of heads that start fitted.
    pub fitted_head_learning_rate: f64,
    /// The factor by which each layer learns more slowly than the one above it.
    pub layer_decay: f64,
    /// Decoupled weight decay of the encoder's and heads' matrices.
    pub weight_decay: f64,
    /// The share of the training over which the learning rate rises from zero.
    pub warmup: f64,
    /// The largest norm of a gradient; 0 leaves gradients as they are.
    pub clip_norm: f64,
    /// How much of the running average of the weights each update keeps; the average is what is
    /// validated and kept. 0: the weights themselves.
    pub averaging: f64,
    /// Dropout of hidden states and of the pooled vector.
    pub dropout: f64,
    /// Dropout of attention probabilities.
    pub attention_dropout: f64,
    /// The share of a training text's tokens that are hidden behind the encoder's mask token,
    /// drawn anew in each epoch.
    pub token_masking: f64,
    /// The share of each single tier's target that is spread over the other labels.
    pub label_smoothing: f64,
    /// γ of the focal loss, by which rows that are told well already count little; 0: cross-entropy.
    pub focus: f64,
    /// τ of the logit-adjusted loss of single tiers, by which rare labels need a larger margin; it
    /// stands in for `class_weighting`.
    pub logit_adjustment: f64,
    /// The weight of the divergence between two passes over each row with different dropout
    /// (R-Drop); 0 makes one pass. Two passes take twice the time.
    pub consistency: f64,
    /// The weight of the contrast between a batch's texts (SupCon) by the labels of single tiers.
    pub contrast_single: f64,
    /// The same by the labels of multi tiers.
    pub contrast_multi: f64,
    /// What the contrast divides cosine similarities by.
    pub contrast_temperature: f64,
    /// How many of the epochs come first and tune the encoder on pairs of texts alone, by whether
    /// they share a label (SetFit).
    pub pair_epochs: usize,
    /// Class weights of single tiers: inverse frequency to this power.
    pub class_weighting: f64,
    /// Weights of positives in multi tiers: negatives over positives to this power.
    pub positive_weighting: f64,
    /// The largest weight that either weighting may give.
    pub weight_limit: f64,
    /// The weight of multi tiers in the joint loss; single tiers have weight 1.
    pub multi_weight: f64,
    /// Which heads a training starts fitted on the frozen encoder.
    pub fitted_start: FittedStart,
    /// Passes in which the encoder learns from uncoded texts (`train --unlabelled`) before it learns
    /// any code; 0: it begins as it is.
    pub adaptation_epochs: usize,
    /// Peak learning rate of the top encoder layer in these passes.
    pub adaptation_learning_rate: f64,
    /// How many models, which differ in their seeds, teach what they say of uncoded texts
    /// (`train --unlabelled`).
    pub teachers: usize,
    /// Uncoded texts that are used at most, drawn by the seed.
    pub unlabelled_rows: usize,
    /// Passes over coded and uncoded texts.
    pub student_epochs: usize,
    /// How often each coded text comes in such a pass.
    pub gold_repeats: usize,
    /// The weight of what the teachers say in the joint loss.
    pub soft_weight: f64,
    /// The share of every label's uncoded texts that teach, those that the teachers are surest of.
    pub soft_share: f64,
    /// Uncoded texts weigh by their label's frequency among them to the minus this power.
    pub soft_balance: f64,
    /// L2 penalties that are tried for heads on frozen embeddings.
    pub penalties: Vec<f64>,
    /// N-grams that the lexical heads know at most; 0 trains none.
    pub lexical_features: usize,
    /// L2 penalty of the lexical heads, against the loss summed over rows.
    pub lexical_penalty: f64,
    /// Rank of the low-rank adaptations (mode `lora`).
    pub lora_rank: usize,
    /// The adaptations are scaled by alpha / rank.
    pub lora_alpha: f64,
    /// Dropout of what the adaptations see.
    pub lora_dropout: f64,
    /// Whether the scale is alpha / √rank instead (rsLoRA).
    pub lora_rank_stabilised: bool,
    /// The linear maps that are adapted, by the ends of their names; `all-linear` names all.
    pub lora_targets: Vec<String>,
    /// The largest share of wrong texts, those with a wrong code in any tier, among the texts that
    /// are not for review; 0: no text is for review.
    pub review_risk: f64,
    /// Seconds between checkpoints; they do not change the result.
    pub checkpoint_seconds: f64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            format: 1,
            mode: Mode::Full,
            members: 3,
            epochs: 8,
            keep: Keep::Last,
            patience: 5,
            batch_rows: 16,
            batch_tokens: 4096,
            shards: 4,
            accumulation: 1,
            gradient_checkpointing: false,
            precision: Precision::F32,
            reinitialised_layers: 0,
            max_tokens: 256,
            window_stride: 0,
            pooling: Pooling::Mean,
            head_hidden: 0,
            chained: false,
            learning_rate: 2e-4,
            head_learning_rate: 3e-3,
            fitted_head_learning_rate: 1e-3,
            layer_decay: 0.9,
            weight_decay: 0.01,
            warmup: 0.1,
            clip_norm: 1.0,
            averaging: 0.99,
            dropout: 0.1,
            attention_dropout: 0.1,
            token_masking: 0.1,
            label_smoothing: 0.0,
            focus: 0.0,
            logit_adjustment: 0.0,
            consistency: 0.0,
            contrast_single: 0.0,
            contrast_multi: 0.0,
            contrast_temperature: 0.1,
            pair_epochs: 0,
            class_weighting: 1.0,
            positive_weighting: 0.5,
            weight_limit: 10.0,
            multi_weight: 1.0,
            fitted_start: FittedStart::Multi,
            adaptation_epochs: 0,
            adaptation_learning_rate: 3e-5,
            teachers: 3,
            unlabelled_rows: 4000,
            student_epochs: 3,
            gold_repeats: 2,
            soft_weight: 1.0,
            soft_share: 1.0,
            soft_balance: 0.0,
            penalties: vec![1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1],
            lexical_features: 20_000,
            lexical_penalty: 2.0,
            lora_rank: 8,
            lora_alpha: 16.0,
            lora_dropout: 0.05,
            lora_rank_stabilised: false,
            lora_targets: vec!["all-linear".into()],
            review_risk: 0.0,
            checkpoint_seconds: 30.0,
        }
    }
}

const SHIPPED: &[(&str, &str)] = &[
    ("full", include_str!("../../configs/recipes/full.toml")),
    ("quick", include_str!("../../configs/recipes/quick.toml")),
    ("lora", include_str!("../../configs/recipes/lora.toml")),
    ("frozen", include_str!("../../configs/recipes/frozen.toml")),
];

impl Recipe {
    /// The adapter that mode `lora` trains.
    pub fn lora(&self) -> LoraConfig {
        LoraConfig {
            rank: self.lora_rank,
            alpha: self.lora_alpha,
            dropout: self.lora_dropout,
            rank_stabilised: self.lora_rank_stabilised,
        }
    }

    /// How many trainings have their weights averaged: only encoders trained in full have a mean.
    pub fn members(&self) -> usize {
        if self.mode == Mode::Full { self.members } else { 1 }
    }

    /// Whether a tier's head starts fitted on the frozen encoder.
    pub fn starts_fitted(&self, kind: TierKind) -> bool {
        self.head_hidden == 0
            && match self.fitted_start {
                FittedStart::All => true,
                FittedStart::Multi => kind == TierKind::Multi,
                FittedStart::None => false,
            }
    }

    /// Which of the teachers' answers teach, and how much.
    pub fn selection(&self) -> Selection {
        Selection { share: self.soft_share, balance: self.soft_balance, limit: self.weight_limit }
    }

    /// How texts are drawn together and apart by the labels of tiers of this kind, if they are.
    pub fn contrast(&self, kind: TierKind) -> Option<Contrast> {
        let weight = match kind {
            TierKind::Single => self.contrast_single,
            TierKind::Multi => self.contrast_multi,
        };
        (weight > 0.0).then_some(Contrast { weight, temperature: self.contrast_temperature })
    }

    /// The form of the loss on gold codes.
    pub fn loss_form(&self) -> LossForm {
        LossForm {
            smoothing: self.label_smoothing,
            focus: self.focus,
            adjustment: self.logit_adjustment,
        }
    }

    /// How the heads are built.
    pub fn head_shape(&self) -> HeadShape {
        HeadShape { hidden: self.head_hidden, chained: self.chained }
    }

    /// What becomes of texts that are longer than `max_tokens`.
    pub fn cut(&self) -> Cut {
        let stride = (self.window_stride > 0).then_some(self.window_stride);
        Cut { longest: self.max_tokens, stride }
    }

    /// Finds a recipe: a shipped name (`full`, `quick`, `lora`, `frozen`) or a file.
    ///
    /// # Errors
    /// If there is neither, or the recipe is not valid.
    pub fn find(name: &str) -> Result<Self> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(text, name);
        }
        let text = std::fs::read_to_string(Path::new(name)).map_err(|e| {
            let names: Vec<&str> = SHIPPED.iter().map(|(n, _)| *n).collect();
            Error::usage(format!("cannot read the recipe: {}", e.kind()))
                .at(name)
                .advise(format!("name a file or a shipped recipe: {}", names.join(", ")))
        })?;
        Self::parse(&text, name)
    }

    /// Reads a recipe; fields that are left out take their defaults.
    ///
    /// # Errors
    /// If it is no TOML, has an unknown field, or a value out of range; `place` names it.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let recipe: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |s| text[..s.start].matches('\n').count() + 1);
            Error::usage(e.message().replace('\n', " ")).at(format!("{place}:{line}"))
        })?;
        recipe.validate().map_err(|(field, what)| {
            Error::usage(what)
                .at(format!("{place}: {field}"))
                .advise("see configs/recipes/full.toml")
        })?;
        Ok(recipe)
    }

    /// The recipe with every field, as TOML.
    ///
    /// # Errors
    /// If it cannot be written as TOML.
    pub fn resolved(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|e| Error::usage(format!("the recipe cannot be written: {e}")))
    }

    fn validate(&self) -> std::result::Result<(), (&'static str, String)> {
        let counts = [
            ("members", self.members, 1, 20),
            ("epochs", self.epochs, 1, 10_000),
            ("patience", self.patience, 1, 10_000),
            ("batch_rows", self.batch_rows, 1, 4096),
            ("batch_tokens", self.batch_tokens, 8, 1 << 20),
            ("shards", self.shards, 1, 256),
            ("accumulation", self.accumulation, 1, 4096),
            ("max_tokens", self.max_tokens, 3, 1 << 15),
            ("reinitialised_layers", self.reinitialised_layers, 0, 1000),
            ("pair_epochs", self.pair_epochs, 0, 10_000),
            ("window_stride", self.window_stride, 0, 1 << 15),
            ("head_hidden", self.head_hidden, 0, 1 << 14),
            ("lexical_features", self.lexical_features, 0, 1 << 20),
            ("lora_rank", self.lora_rank, 1, 4096),
            ("adaptation_epochs", self.adaptation_epochs, 0, 1000),
            ("teachers", self.teachers, 1, 20),
            ("unlabelled_rows", self.unlabelled_rows, 1, 1_000_000),
            ("student_epochs", self.student_epochs, 1, 1000),
            ("gold_repeats", self.gold_repeats, 1, 1000),
        ];
        if self.format != 1 {
            return Err(("format", format!("format {} is not known, only 1", self.format)));
        }
        for (name, value, low, high) in counts {
            if value < low || value > high {
                return Err((name, format!("{value} is outside {low} to {high}")));
            }
        }
        let numbers = [
            ("learning_rate", self.learning_rate, 0.0, 1.0),
            ("head_learning_rate", self.head_learning_rate, 0.0, 1.0),
            ("fitted_head_learning_rate", self.fitted_head_learning_rate, 0.0, 1.0),
            ("layer_decay", self.layer_decay, 0.01, 1.0),
            ("weight_decay", self.weight_decay, 0.0, 1.0),
            ("warmup", self.warmup, 0.0, 0.99),
            ("clip_norm", self.clip_norm, 0.0, 1e6),
            ("averaging", self.averaging, 0.0, 0.9999),
            ("dropout", self.dropout, 0.0, 0.9),
            ("attention_dropout", self.attention_dropout, 0.0, 0.9),
            ("token_masking", self.token_masking, 0.0, 0.9),
            ("label_smoothing", self.label_smoothing, 0.0, 0.9),
            ("focus", self.focus, 0.0, 10.0),
            ("logit_adjustment", self.logit_adjustment, 0.0, 4.0),
            ("consistency", self.consistency, 0.0, 100.0),
            ("contrast_single", self.contrast_single, 0.0, 100.0),
            ("contrast_multi", self.contrast_multi, 0.0, 100.0),
            ("contrast_temperature", self.contrast_temperature, 1e-3, 1e3),
            ("class_weighting", self.class_weighting, 0.0, 2.0),
            ("positive_weighting", self.positive_weighting, 0.0, 2.0),
            ("weight_limit", self.weight_limit, 1.0, 1e6),
            ("multi_weight", self.multi_weight, 0.0, 1e3),
            ("adaptation_learning_rate", self.adaptation_learning_rate, 0.0, 1.0),
            ("soft_weight", self.soft_weight, 0.0, 1e3),
            ("soft_share", self.soft_share, 0.01, 1.0),
            ("soft_balance", self.soft_balance, 0.0, 2.0),
            ("lexical_penalty", self.lexical_penalty, 1e-6, 1e6),
            ("lora_alpha", self.lora_alpha, 0.0, 1e6),
            ("lora_dropout", self.lora_dropout, 0.0, 0.9),
            ("review_risk", self.review_risk, 0.0, 1.0),
            ("checkpoint_seconds", self.checkpoint_seconds, 0.0, 1e6),
        ];
        for (name, value, low, high) in numbers {
            if !(value >= low && value <= high) {
                return Err((name, format!("{value} is outside {low} to {high}")));
            }
        }
        if self.precision == Precision::Int8 {
            return Err(("precision", "a training computes in f32 or bf16".into()));
        }
        if self.penalties.is_empty() || self.penalties.iter().any(|p| !(*p > 0.0 && *p < 1e3)) {
            return Err(("penalties", "it must list numbers above 0".into()));
        }
        let frozen = self.mode == Mode::Frozen;
        let linear = "heads on a frozen encoder are fitted as linear ones on pooled vectors";
        if frozen && self.head_shape() != HeadShape::default() {
            let field = if self.chained { "chained" } else { "head_hidden" };
            return Err((field, linear.into()));
        }
        if frozen && self.pooling == Pooling::Attention {
            return Err(("pooling", format!("{linear}, which have no query to learn")));
        }
        let formed = [("focus", self.focus), ("logit_adjustment", self.logit_adjustment)];
        if let Some((field, _)) = formed.into_iter().find(|(_, size)| frozen && *size > 0.0) {
            return Err((field, "heads on a frozen encoder are fitted by cross-entropy".into()));
        }
        if self.reinitialised_layers > 0 && self.mode != Mode::Full {
            let what = "only an encoder that is trained in full can learn a layer anew";
            return Err(("reinitialised_layers", what.into()));
        }
        if self.adaptation_epochs > 0 && self.mode != Mode::Full {
            let what = "a bundle with an adapter, or with heads alone, has its encoder as it was";
            return Err(("adaptation_epochs", what.into()));
        }
        if self.pair_epochs >= self.epochs {
            let what = format!("of {} epochs one at least trains the heads", self.epochs);
            return Err(("pair_epochs", what));
        }
        if self.lora_targets.is_empty() {
            return Err(("lora_targets", "it must name a linear map, or all-linear".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_full_recipe_states_the_defaults() {
        assert_eq!(Recipe::find("full").unwrap(), Recipe::default());
        assert_eq!(Recipe::find("frozen").unwrap().mode, Mode::Frozen);
        let quick = Recipe { members: 1, ..Recipe::default() };
        assert_eq!(Recipe::find("quick").unwrap(), quick);
    }

    #[test]
    fn only_encoders_trained_in_full_are_trained_several_times() {
        let of = |name: &str| Recipe::find(name).unwrap().members();
        assert_eq!([of("full"), of("quick"), of("lora"), of("frozen")], [3, 1, 1, 1]);
    }

    #[test]
    fn a_resolved_recipe_reads_back() {
        let recipe = Recipe { epochs: 3, ..Recipe::default() };
        assert_eq!(Recipe::parse(&recipe.resolved().unwrap(), "r").unwrap(), recipe);
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, named) in [
            ("epochs = 3\nlearning_rat = 1", "r.toml:2"),
            ("epochs = 0", "epochs"),
            ("dropout = nan", "dropout"),
            ("mode = \"half\"", "r.toml:1"),
            ("mode = \"lora\"\nreinitialised_layers = 1", "reinitialised_layers"),
            ("epochs = 2\npair_epochs = 2", "pair_epochs"),
            ("mode = \"lora\"\nadaptation_epochs = 1", "adaptation_epochs"),
            ("soft_share = 0", "soft_share"),
            ("focus = -1", "focus"),
            ("mode = \"frozen\"\nlogit_adjustment = 1", "logit_adjustment"),
            ("x", "r.toml:1"),
        ] {
            let error = Recipe::parse(text, "r.toml").unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
