//! A BERT (or kin) whose weights never change, on the CPU: each layer in a few passes over buffers
//! that a thread keeps, nothing allocated but the result. What a text gets depends on it alone.

mod attention;
mod calibration;
mod companions;
mod depths;
mod maps;
mod passes;
mod shares;

pub use calibration::{calibrate, quantised_shapes};

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::affine::values_of;
use super::bert::{KINDS, POSITIONS};
use super::kernels::{Level, Operand, PackedAffine};
use super::ops::{Pooling, pool_rows, tensor, tensor_values};
use super::weights::WORD_EMBEDDINGS;
use super::{BertConfig, PackedBatch, Parameters, Segments};
use crate::error::{Error, Result};
use attention::{Shape, attend};
use maps::{Maps, Part};
use passes::{Norm, activate, add_and_norm};
use shares::{Share, in_shares};

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

/// Is shown the rows that enter a map, and their width.
type Watcher<'a> = &'a (dyn Fn(usize, Part, &[f32], usize) + Sync);

/// The buffers of a thread.
#[derive(Default)]
struct Buffers {
    states: Vec<f32>,
    rest: RowBuffers,
}

/// What the rows that a thread computes go through.
#[derive(Default)]
struct RowBuffers {
    /// Queries, keys and values of all rows, whoever computes them.
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

/// Rows that are worth a thread of their own.
const SHARE_ROWS: usize = 8;

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
        let Some(packing) = parameters.packing() else {
            return Err(Error::model("an encoder that is trained cannot be packed"));
        };
        let (hidden, names) = (config.hidden_size, config.names());
        let shape = Shape::new(hidden, config.num_attention_heads);
        let get = |name: &str| Ok::<_, Error>(values_of(&parameters.get(name)?)?);
        let norm = |name: String| {
            let (gain, bias) = (get(&format!("{name}.weight"))?, get(&format!("{name}.bias"))?);
            Ok::<_, Error>(Norm { gain, bias, epsilon: config.layer_norm_eps as f32 })
        };
        let maps = Maps { config, parameters, names: &names, shape, packing };
        let layers = (0..config.num_hidden_layers).map(|at| {
            let name = |part: &str| format!("{}.{at}.{part}", names.layers);
            Ok(Layer {
                attention: maps.packed(at, Part::Attention)?,
                context: maps.packed(at, Part::Context)?,
                attention_norm: norm(name(names.block.attention_norm))?,
                widen: maps.packed(at, Part::Widen)?,
                narrow: maps.packed(at, Part::Narrow)?,
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
            level: packing.level,
        })
    }

    /// The states of all tokens, `[tokens, hidden]`.
    ///
    /// # Errors
    /// If an id or a length lies outside the tables.
    pub fn states(self: &Arc<Self>, batch: &PackedBatch) -> Result<Tensor> {
        let shape = (batch.ids.len(), self.hidden);
        self.with_states(batch, |states| Ok(Tensor::from_slice(states, shape, &Device::Cpu)?))
    }

    /// One vector a window, `[windows, hidden]`.
    ///
    /// # Errors
    /// As [`FusedBert::states`].
    pub fn pooled(self: &Arc<Self>, batch: &PackedBatch, pooling: Pooling) -> Result<Tensor> {
        let (windows, hidden) = (batch.segments.len(), self.hidden);
        self.with_states(batch, |states| {
            let pooled = pool_rows(states, hidden, &batch.segments, pooling);
            Ok(tensor(pooled, (windows, hidden))?)
        })
    }

    fn with_states<T>(
        self: &Arc<Self>,
        batch: &PackedBatch,
        use_them: impl FnOnce(&[f32]) -> Result<T>,
    ) -> Result<T> {
        BUFFERS.with_borrow_mut(|Buffers { states, rest }| {
            let tokens = batch.ids.len();
            let states = room(states, tokens * self.hidden);
            self.embed(batch, states)?;
            let shares = match batch.alone {
                true => rayon::current_num_threads().min(tokens / SHARE_ROWS).max(1),
                false => 1,
            };
            let (encoder, segments) = (Arc::clone(self), batch.segments.clone());
            in_shares(shares, states, tokens, rest, move |share, buffers| {
                encoder.rows(&segments, share, buffers, &|_, _, _, _| ());
            });
            use_them(states)
        })
    }

    /// Shows the rows that enter each map, and the states at the end.
    fn watch<T>(
        &self,
        batch: &PackedBatch,
        watcher: Watcher,
        use_them: impl FnOnce(&[f32]) -> T,
    ) -> Result<T> {
        BUFFERS.with_borrow_mut(|Buffers { states, rest }| {
            let tokens = batch.ids.len();
            let states = room(states, tokens * self.hidden);
            self.embed(batch, states)?;
            self.rows(&batch.segments, &mut Share::whole(states, tokens), rest, watcher);
            Ok(use_them(states))
        })
    }

    /// Takes some rows of embeddings through all layers.
    fn rows(
        &self,
        segments: &Segments,
        share: &mut Share,
        buffers: &mut RowBuffers,
        show: Watcher,
    ) {
        let (level, shape, hidden) = (self.level, self.shape, self.hidden);
        let (rows, tokens) = (share.rows.clone(), share.tokens);
        let RowBuffers { attention, context, sums, wide, scratch, operand } = buffers;
        let width = 3 * shape.row();
        let attention = room(attention, tokens * width);
        let own = rows.start * width..rows.end * width;
        let context = room(context, rows.len() * shape.row());
        let sums = room(sums, rows.len() * hidden);
        let first = self.layers.first().map(|first| &first.attention);
        sums.fill(0.0);
        add_and_norm(level, share.states, sums, &self.norm, first, operand);
        for (at, layer) in self.layers.iter().enumerate() {
            show(at, Part::Attention, share.states, hidden);
            layer.attention.multiply(share.states, operand, &mut attention[own.clone()]);
            share.exchange(attention, width, shape.row()..width);
            attend(level, shape, segments, &rows, attention, context, scratch);
            operand.load(context, &layer.context);
            show(at, Part::Context, context, shape.row());
            layer.context.multiply(context, operand, sums);
            let (norm, widen) = (&layer.attention_norm, Some(&layer.widen));
            add_and_norm(level, share.states, sums, norm, widen, operand);
            let wide = room(wide, rows.len() * layer.widen.outputs());
            show(at, Part::Widen, share.states, hidden);
            layer.widen.multiply(share.states, operand, wide);
            activate(level, wide, &layer.narrow, operand);
            show(at, Part::Narrow, wide, layer.widen.outputs());
            layer.narrow.multiply(wide, operand, sums);
            let next = self.layers.get(at + 1).map(|next| &next.attention);
            add_and_norm(level, share.states, sums, &layer.output_norm, next, operand);
        }
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
