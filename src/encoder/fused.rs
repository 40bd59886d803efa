//! A BERT (or kin) whose weights never change, on the CPU: each layer in a few passes over buffers
//! that a thread keeps, nothing allocated but the result. What a text gets depends on it alone.

mod attention;
mod calibration;
mod passes;

pub use calibration::{calibrate, quantised_shapes};

use std::cell::RefCell;

use candle_core::{Device, Tensor};

use super::affine::values_of;
use super::bert::{KINDS, Names, POSITIONS};
use super::kernels::{Level, Operand, PackedAffine};
use super::ops::{Pooling, pool_rows, tensor, tensor_values};
use super::quantised::QuantisedMatrix;
use super::weights::{Packing, WORD_EMBEDDINGS};
use super::{BertConfig, PackedBatch, Parameters, Precision};
use crate::error::{Error, Result};
use attention::{Shape, attend};
use passes::{Norm, activate, add_and_norm};

/// A BERT encoder on packed weights.
#[derive(Debug)]
pub struct FusedBert {
    words: Tensor,
    /// Positions and the first segment type, added up, `[positions, hidden]`.
    places: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    hidden: usize,
    shape: Shape,
    first_position: usize,
    level: Level,
}

#[derive(Debug)]
struct Layer {
    /// Queries, keys and values of all heads, each head in whole strips; queries scaled.
    attention: PackedAffine,
    context: PackedAffine,
    attention_norm: Norm,
    widen: PackedAffine,
    narrow: PackedAffine,
    output_norm: Norm,
}

/// The maps of a layer by what enters them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Queries, keys and values.
    Attention,
    Context,
    Widen,
    Narrow,
}

impl Part {
    /// The names of the modules.
    fn modules(self, names: &Names, layer: usize) -> Vec<String> {
        let parts = match self {
            Self::Attention => vec![names.query, names.key, names.value],
            Self::Context => vec![names.block.context],
            Self::Widen => vec![names.block.widen],
            Self::Narrow => vec![names.block.narrow],
        };
        parts.into_iter().map(|part| format!("{}.{layer}.{part}", names.layers)).collect()
    }
}

/// Layers, from the first, whose narrow map stays in bf16 where the others are in 8 bits. What
/// leaves the first layers' activation is the most uneven of all: on tweets coded by a fine-tuned
/// MiniLM this one map takes a third of the codes that 8 bits change, for a twentieth more products.
const NARROW_IN_BF16: usize = 1;

/// Is shown the rows that enter a map, and their width.
type Watcher<'a> = &'a mut dyn FnMut(usize, Part, &[f32], usize);

/// The buffers of a thread.
#[derive(Default)]
struct Buffers {
    states: Vec<f32>,
    attention: Vec<f32>,
    context: Vec<f32>,
    sums: Vec<f32>,
    wide: Vec<f32>,
    scratch: attention::Scratch,
    operand: Operand,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// The first `length` values of a buffer that grows when it must.
fn room(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}

impl FusedBert {
    /// Packs the encoder's parameters as they ask for.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(config: &BertConfig, parameters: &Parameters) -> Result<Self> {
        let Some(Packing { precision, level }) = parameters.packing() else {
            return Err(Error::model("an encoder that is trained cannot be packed"));
        };
        let (hidden, names) = (config.hidden_size, config.names());
        let shape = Shape::new(hidden, config.num_attention_heads);
        let get = |name: &str| Ok::<_, Error>(values_of(&parameters.get(name)?)?);
        let norm = |name: String| {
            let (gain, bias) = (get(&format!("{name}.weight"))?, get(&format!("{name}.bias"))?);
            Ok::<_, Error>(Norm { gain, bias, epsilon: config.layer_norm_eps as f32 })
        };
        let layers = (0..config.num_hidden_layers).map(|at| {
            let pack = |part: Part| {
                let precision = match part {
                    Part::Narrow if at < NARROW_IN_BF16 => precision.at_least_bf16(),
                    _ => precision,
                };
                let mut maps = Vec::new();
                for module in part.modules(&names, at) {
                    let weight = get(&format!("{module}.weight"))?;
                    let bias = get(&format!("{module}.bias"))?;
                    let rounded = match precision {
                        Precision::Int8 => parameters.quantised().and_then(|q| q.get(&module)),
                        Precision::F32 | Precision::Bf16 => None,
                    };
                    maps.push(match rounded {
                        Some(matrix) => Rows::Rounded(matrix.clone(), bias),
                        None => Rows::Plain(weight, bias),
                    });
                }
                let (inputs, scale) = (shape.row(), 1.0 / (shape.width as f32).sqrt());
                let maps: Vec<Rows> = match part {
                    Part::Attention => {
                        let scales = [scale, 1.0, 1.0];
                        let pad = |(rows, scale): (Rows, f32)| rows.outputs(shape, hidden, scale);
                        maps.into_iter().zip(scales).map(pad).collect()
                    }
                    Part::Context => maps.into_iter().map(|rows| rows.inputs(shape)).collect(),
                    Part::Widen | Part::Narrow => maps,
                };
                let inputs = match part {
                    Part::Attention | Part::Widen => hidden,
                    Part::Context => inputs,
                    Part::Narrow => config.intermediate_size,
                };
                Ok::<_, Error>(Rows::packed(maps, inputs, precision, level))
            };
            let name = |part: &str| format!("{}.{at}.{part}", names.layers);
            Ok(Layer {
                attention: pack(Part::Attention)?,
                context: pack(Part::Context)?,
                attention_norm: norm(name(names.block.attention_norm))?,
                widen: pack(Part::Widen)?,
                narrow: pack(Part::Narrow)?,
                output_norm: norm(name(names.block.output_norm))?,
            })
        });
        let layers = layers.collect::<Result<_>>()?;
        let mut places = get(POSITIONS)?;
        if config.has_types() {
            let kind = get(KINDS)?;
            for place in places.chunks_exact_mut(hidden) {
                place.iter_mut().zip(&kind).for_each(|(place, kind)| *place += kind);
            }
        }
        Ok(Self {
            words: parameters.get(WORD_EMBEDDINGS)?,
            places,
            norm: norm("embeddings.LayerNorm".into())?,
            layers,
            hidden,
            shape,
            first_position: config.first_position(),
            level,
        })
    }

    /// The states of all tokens, `[tokens, hidden]`.
    ///
    /// # Errors
    /// If an id or a length lies outside the tables.
    pub fn states(&self, batch: &PackedBatch) -> Result<Tensor> {
        let shape = (batch.ids.len(), self.hidden);
        self.with_states(batch, |states| Ok(Tensor::from_slice(states, shape, &Device::Cpu)?))
    }

    /// One vector a window, `[windows, hidden]`.
    ///
    /// # Errors
    /// As [`FusedBert::states`].
    pub fn pooled(&self, batch: &PackedBatch, pooling: Pooling) -> Result<Tensor> {
        let (windows, hidden) = (batch.segments.len(), self.hidden);
        self.with_states(batch, |states| {
            let pooled = pool_rows(states, hidden, &batch.segments, pooling);
            Ok(tensor(pooled, (windows, hidden))?)
        })
    }

    fn with_states<T>(
        &self,
        batch: &PackedBatch,
        use_them: impl FnOnce(&[f32]) -> Result<T>,
    ) -> Result<T> {
        BUFFERS.with_borrow_mut(|buffers| {
            let states = self.compute(batch, buffers, None)?;
            use_them(states)
        })
    }

    /// Shows the rows that enter each map.
    fn watch(&self, batch: &PackedBatch, watcher: Watcher) -> Result<()> {
        BUFFERS.with_borrow_mut(|buffers| self.compute(batch, buffers, Some(watcher)).map(|_| ()))
    }

    fn compute<'b>(
        &self,
        batch: &PackedBatch,
        buffers: &'b mut Buffers,
        mut watcher: Option<Watcher>,
    ) -> Result<&'b [f32]> {
        let tokens = batch.ids.len();
        let mut show = |layer, part, rows: &[f32], width| {
            if let Some(watcher) = &mut watcher {
                watcher(layer, part, rows, width);
            }
        };
        let Buffers { states, attention, context, sums, wide, scratch, operand } = buffers;
        let states = room(states, tokens * self.hidden);
        self.embed(batch, states)?;
        let sums = room(sums, tokens * self.hidden);
        let attention = room(attention, tokens * 3 * self.shape.row());
        let context = room(context, tokens * self.shape.row());
        let first = self.layers.first().map(|first| &first.attention);
        sums.fill(0.0);
        add_and_norm(self.level, states, sums, &self.norm, first, operand);
        for (at, layer) in self.layers.iter().enumerate() {
            show(at, Part::Attention, states, self.hidden);
            layer.attention.multiply(states, operand, attention);
            attend(self.level, self.shape, &batch.segments, attention, context, scratch);
            operand.load(context, &layer.context);
            show(at, Part::Context, context, self.shape.row());
            layer.context.multiply(context, operand, sums);
            add_and_norm(
                self.level,
                states,
                sums,
                &layer.attention_norm,
                Some(&layer.widen),
                operand,
            );
            let wide = room(wide, tokens * layer.widen.outputs());
            show(at, Part::Widen, states, self.hidden);
            layer.widen.multiply(states, operand, wide);
            activate(self.level, wide, &layer.narrow, operand);
            show(at, Part::Narrow, wide, layer.widen.outputs());
            layer.narrow.multiply(wide, operand, sums);
            let next = self.layers.get(at + 1).map(|next| &next.attention);
            add_and_norm(self.level, states, sums, &layer.output_norm, next, operand);
        }
        Ok(states)
    }

    /// Writes the sums of the embeddings.
    fn embed(&self, batch: &PackedBatch, states: &mut [f32]) -> Result<()> {
        let (storage, layout) = self.words.storage_and_layout();
        let (words, hidden) = (tensor_values(&storage, layout)?, self.hidden);
        let row = |table: &'_ [f32], at: usize| -> Option<std::ops::Range<usize>> {
            let start = at.checked_mul(hidden)?;
            (start + hidden <= table.len()).then_some(start..start + hidden)
        };
        let outside = || Error::model("a token or position lies outside its table");
        let places = batch.segments.ranges().flat_map(|text| 0..text.len());
        for ((&id, place), state) in
            batch.ids.iter().zip(places).zip(states.chunks_exact_mut(hidden))
        {
            let word = row(words, id as usize).ok_or_else(outside)?;
            let place = row(&self.places, place + self.first_position).ok_or_else(outside)?;
            for ((state, word), place) in
                state.iter_mut().zip(&words[word]).zip(&self.places[place])
            {
                *state = word + place;
            }
        }
        Ok(())
    }
}

/// Outputs of a map before they are packed: their weights and biases.
enum Rows {
    Plain(Vec<f32>, Vec<f32>),
    Rounded(QuantisedMatrix, Vec<f32>),
}

impl Rows {
    /// The outputs of heads in whole strips, times `scale`.
    fn outputs(self, shape: Shape, inputs: usize, scale: f32) -> Self {
        let scaled = |values: &[f32], each: usize| -> Vec<f32> {
            shape.pad_outputs(values, each).into_iter().map(|v| v * scale).collect()
        };
        match self {
            Self::Plain(weight, bias) => Self::Plain(scaled(&weight, inputs), scaled(&bias, 1)),
            Self::Rounded(matrix, bias) => {
                let codes = shape.pad_outputs(&matrix.codes, inputs);
                let matrix = QuantisedMatrix { codes, steps: scaled(&matrix.steps, 1), ..matrix };
                Self::Rounded(matrix, scaled(&bias, 1))
            }
        }
    }

    /// The inputs of heads in whole strips; what was rounded has them so already.
    fn inputs(self, shape: Shape) -> Self {
        match self {
            Self::Plain(weight, bias) => Self::Plain(shape.pad_inputs(&weight), bias),
            rounded @ Self::Rounded(..) => rounded,
        }
    }

    /// All outputs of these as one map.
    fn packed(all: Vec<Self>, inputs: usize, precision: Precision, level: Level) -> PackedAffine {
        let (mut weight, mut all_bias) = (Vec::new(), Vec::new());
        let mut rounded: Option<QuantisedMatrix> = None;
        for rows in all {
            match rows {
                Self::Plain(w, bias) => {
                    weight.extend(w);
                    all_bias.extend(bias);
                }
                Self::Rounded(matrix, bias) => {
                    all_bias.extend(bias);
                    match &mut rounded {
                        Some(all) => {
                            all.codes.extend(matrix.codes);
                            all.steps.extend(matrix.steps);
                        }
                        None => rounded = Some(matrix),
                    }
                }
            }
        }
        match rounded {
            Some(matrix) => PackedAffine::rounded(&matrix, &all_bias, level),
            None => PackedAffine::new(&weight, inputs, Some(&all_bias), precision, level),
        }
    }
}
