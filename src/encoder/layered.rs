//! Encoders as a row of layers: one pass through them, with or without keeping what each
//! computed for the backward pass.

use std::sync::{Arc, Mutex};

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::ops::step;
use super::{Noise, PackedBatch};
use crate::error::Result;

/// What an architecture computes before, in and after its layers.
pub(super) trait Layered: Send + Sync + 'static {
    /// What the layers of one pass need besides the states.
    type Shared: Clone + Send + Sync + 'static;

    /// The states before the first layer, `[tokens, hidden]`, and what the layers share.
    ///
    /// # Errors
    /// If an id or a length lies outside the tables.
    fn begin(&self, batch: &PackedBatch, noise: &mut dyn Noise) -> Result<(Tensor, Self::Shared)>;

    /// The number of layers.
    fn layers(&self) -> usize;

    /// The states after a layer, from those before it.
    ///
    /// # Errors
    /// If the device takes no more.
    fn layer(
        &self,
        at: usize,
        x: &Tensor,
        shared: &Self::Shared,
        batch: &PackedBatch,
        noise: &mut dyn Noise,
    ) -> Result<Tensor>;

    /// The states as the encoder gives them, from those after the last layer.
    ///
    /// # Errors
    /// If the device takes no more.
    fn end(&self, x: Tensor) -> Result<Tensor> {
        Ok(x)
    }

    /// The tensor among what is shared that is trained, if there is one.
    fn trained(_: &Self::Shared) -> Option<&Tensor> {
        None
    }

    /// The same with another tensor in its place.
    fn replaced(shared: &Self::Shared, _: Tensor) -> Self::Shared {
        shared.clone()
    }
}

/// One pass through all layers.
///
/// # Errors
/// As the layers.
pub(super) fn forward<L: Layered>(
    model: &L,
    batch: &PackedBatch,
    noise: &mut dyn Noise,
) -> Result<Tensor> {
    let (mut x, shared) = model.begin(batch, noise)?;
    for at in 0..model.layers() {
        x = model.layer(at, &x, &shared, batch, noise)?;
    }
    model.end(x)
}

/// The gradients that layers find when they are computed again in the backward pass.
#[derive(Clone, Debug, Default)]
pub struct Recomputed(Arc<Mutex<Option<GradStore>>>);

impl Recomputed {
    /// Adds them to those of the rest.
    ///
    /// # Errors
    /// If the device takes no more.
    pub fn join(&self, gradients: &mut GradStore) -> Result<()> {
        let found = self.0.lock().ok().and_then(|mut found| found.take());
        Ok(found.map_or(Ok(()), |found| gradients.extend(found))?)
    }

    fn add(&self, gradients: GradStore) -> candle_core::Result<()> {
        let Ok(mut found) = self.0.lock() else {
            candle_core::bail!("the gradients of a layer were lost");
        };
        match &mut *found {
            Some(found) => found.extend(gradients),
            None => {
                *found = Some(gradients);
                Ok(())
            }
        }
    }
}

/// One pass that keeps the states between layers only: the backward pass computes each layer
/// again (Chen et al. 2016, "Training deep nets with sublinear memory cost"). `plain` is the same
/// model without a record of its operations; what the layers' own tensors are due goes to
/// `found`.
///
/// # Errors
/// As the layers.
pub(super) fn forward_recomputing<L: Layered>(
    tracked: &Arc<L>,
    plain: &L,
    batch: &Arc<PackedBatch>,
    noise: &mut dyn Noise,
    found: &Recomputed,
) -> Result<Tensor> {
    let (mut x, shared) = tracked.begin(batch, noise)?;
    if !x.track_op() {
        // The first layer's tensors are trained even where the states before it are not.
        x = Var::from_tensor(&x)?.into_inner();
    }
    let fixed = match L::trained(&shared) {
        Some(tensor) => L::replaced(&shared, tensor.detach()),
        None => shared.clone(),
    };
    for at in 0..tracked.layers() {
        let replay = noise.fork();
        let before = x.detach();
        let value = plain.layer(at, &before, &fixed, batch, noise)?;
        let mut inputs = vec![&x];
        inputs.extend(L::trained(&shared));
        let (tracked, batch, found, fixed) =
            (tracked.clone(), batch.clone(), found.clone(), fixed.clone());
        x = step(&inputs, value, move |gradient| {
            let before = Var::from_tensor(&before)?;
            let own = L::trained(&fixed).map(Var::from_tensor).transpose()?;
            let shared = match &own {
                Some(own) => L::replaced(&fixed, own.as_tensor().clone()),
                None => fixed.clone(),
            };
            let mut noise = replay.fork();
            let after = tracked
                .layer(at, &before, &shared, &batch, &mut *noise)
                .map_err(|e| candle_core::Error::Msg(e.to_string()))?;
            let given = gradient.clone();
            // A root whose gradient with respect to the layer's states is the one that is given.
            let root = Tensor::zeros((), gradient.dtype(), gradient.device())?;
            let root = step(&[&after], root, move |_| Ok(vec![Some(given.clone())]))?;
            let mut gradients = root.backward()?;
            let mut out = vec![gradients.remove(&before)];
            out.extend(own.map(|own| gradients.remove(&own)));
            found.add(gradients)?;
            Ok(out)
        })?;
    }
    tracked.end(x)
}
