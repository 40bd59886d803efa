//! The texts of a packed batch side by side, padded to the longest: what attention computes on.

use candle_core::{DType, Device, Result, Tensor};

use super::super::{DropoutMask, Heads, Segments};

/// Says of an index that nothing stands there; candle's `index_select` then gives zero.
const NOTHING: u32 = u32::MAX;

/// The score of what a token must not see: far below any other, yet finite, so that a row that
/// sees nothing (one of padding) stays finite, too.
const UNSEEN: f32 = -1e30;

/// Where the tokens of a batch stand when its texts are padded.
pub struct Padded {
    texts: usize,
    longest: usize,
    lengths: Vec<usize>,
    /// `[texts · longest]`: the token that stands there.
    tokens: Tensor,
    /// `[tokens]`: where the token stands.
    places: Tensor,
}

impl Padded {
    /// The padding of these texts.
    ///
    /// # Errors
    /// If the device takes no more.
    pub fn new(segments: &Segments, device: &Device) -> Result<Self> {
        let longest = segments.longest();
        let mut tokens = vec![NOTHING; segments.len() * longest];
        let mut places = Vec::with_capacity(segments.tokens());
        for (text, range) in segments.ranges().enumerate() {
            for (at, token) in range.enumerate() {
                tokens[text * longest + at] = token as u32;
                places.push((text * longest + at) as u32);
            }
        }
        Ok(Self {
            texts: segments.len(),
            longest,
            lengths: segments.ranges().map(|range| range.len()).collect(),
            tokens: Tensor::from_vec(tokens, segments.len() * longest, device)?,
            places: Tensor::from_vec(places, segments.tokens(), device)?,
        })
    }

    /// The number of texts and the tokens of the longest.
    pub fn size(&self) -> (usize, usize) {
        (self.texts, self.longest)
    }

    /// `[tokens, width]` → `[texts, longest, width]`, zeros where there is no token.
    pub fn spread(&self, x: &Tensor) -> Result<Tensor> {
        let width = x.dim(1)?;
        let x = x.contiguous()?.index_select(&self.tokens, 0)?;
        x.reshape((self.texts, self.longest, width))
    }

    /// `[texts, longest, width]` → `[tokens, width]`, the reverse of [`Padded::spread`] and its
    /// gradient.
    pub fn gather(&self, x: &Tensor) -> Result<Tensor> {
        let width = x.dim(2)?;
        x.reshape((self.texts * self.longest, width))?.index_select(&self.places, 0)
    }

    /// `[tokens, heads · width]` → `[texts, heads, longest, width]`.
    pub fn heads(&self, x: &Tensor, heads: usize) -> Result<Tensor> {
        let width = x.dim(1)? / heads;
        let x = self.spread(x)?.reshape((self.texts, self.longest, heads, width))?;
        x.transpose(1, 2)?.contiguous()
    }

    /// `[texts, heads, longest, width]` → `[tokens, heads · width]`.
    pub fn joined(&self, x: &Tensor) -> Result<Tensor> {
        let (_, heads, _, width) = x.dims4()?;
        let x = x.transpose(1, 2)?.reshape((self.texts, self.longest, heads * width))?;
        self.gather(&x)
    }

    /// `scores` `[texts, heads, longest, longest]` with what a token does not see put out of
    /// reach.
    pub fn hide(&self, mut scores: Tensor, heads: Heads) -> Result<Tensor> {
        let device = scores.device().clone();
        let n = self.longest;
        let add = |scores: &Tensor, values: Vec<f32>, shape: (usize, usize, usize, usize)| {
            let bias = Tensor::from_vec(values, shape, &device)?.to_dtype(scores.dtype())?;
            scores.broadcast_add(&bias)
        };
        // What follows a text's end lies beyond the reach of a causal token anyway.
        if !heads.causal && self.lengths.iter().any(|&length| length < n) {
            let open = |at: usize, length: usize| if at < length { 0.0 } else { UNSEEN };
            let keys =
                self.lengths.iter().flat_map(|&length| (0..n).map(move |at| open(at, length)));
            scores = add(&scores, keys.collect(), (self.texts, 1, 1, n))?;
        }
        let reach = heads.window.unwrap_or(n);
        if heads.causal || reach < n {
            let sees = |i: usize, j: usize| (!heads.causal || j <= i) && i.abs_diff(j) <= reach;
            let all = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
            let pairs = all.map(|(i, j)| if sees(i, j) { 0.0 } else { UNSEEN }).collect();
            scores = add(&scores, pairs, (1, 1, n, n))?;
        }
        Ok(scores)
    }

    /// The factors of the attention probabilities, `[texts, heads, longest, longest]`.
    pub fn factors(
        &self,
        mask: &DropoutMask,
        heads: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let n = self.longest;
        let mut keep = vec![0u8; self.texts * heads * n * n];
        let mut from = mask.kept();
        for (text, &length) in self.lengths.iter().enumerate() {
            for head in 0..heads {
                for row in 0..length {
                    let (kept, rest) = from.split_at(length);
                    keep[((text * heads + head) * n + row) * n..][..length].copy_from_slice(kept);
                    from = rest;
                }
            }
        }
        let keep = Tensor::from_vec(keep, (self.texts, heads, n, n), device)?;
        keep.to_dtype(dtype)? * f64::from(mask.scale())
    }
}
