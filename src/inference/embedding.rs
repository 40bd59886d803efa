//! Texts as vectors by the encoder of a bundle, or by one that was not trained on anything.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::bundle::Bundle;
use crate::encoder::{
    Compute, ComputeRequest, Cut, Encoder, ModelFiles, Precision, TokenizedText, Tokens,
    text_vectors,
};
use crate::error::Result;

/// Tokens of a text that an encoder without a bundle sees.
const LONGEST: usize = 128;

/// What turns texts into vectors.
pub struct Embedder(From);

enum From {
    Bundle(Box<Bundle>),
    Encoder { encoder: Box<Encoder>, tokens: Box<Tokens> },
}

impl Embedder {
    /// The encoder of a bundle, whose base is looked for as `base` if it holds an adapter.
    ///
    /// # Errors
    /// If the bundle cannot be opened.
    pub fn of_bundle(bundle: &Path, base: Option<&str>, request: &ComputeRequest) -> Result<Self> {
        Ok(Self(From::Bundle(Box::new(Bundle::load(bundle, base, request)?))))
    }

    /// An encoder as it is, by its folder or name, with the mean of its states.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn of_model(model: &str, request: &ComputeRequest) -> Result<Self> {
        let files = ModelFiles::find(model)?;
        let ComputeRequest { device, precision, level } = request.clone();
        let compute = Compute { device, precision: precision.unwrap_or(Precision::F32), level };
        let (encoder, tokens) =
            files.for_coding(Cut { longest: LONGEST, stride: None }, &compute)?;
        Ok(Self(From::Encoder { encoder: Box::new(encoder), tokens: Box::new(tokens) }))
    }

    /// One vector a text, in their order; `done` is told how many texts more are finished.
    ///
    /// # Errors
    /// If the encoder cannot be computed, or as interrupted once `stop` is set.
    pub fn vectors(
        &self,
        texts: &[&str],
        stop: &AtomicBool,
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Vec<f32>>> {
        match &self.0 {
            From::Bundle(bundle) => bundle.vectors(&bundle.read(texts)?, stop, done),
            From::Encoder { encoder, tokens } => {
                let read: Vec<TokenizedText> =
                    texts.par_iter().map(|text| tokens.tokenize(text)).collect::<Result<_>>()?;
                text_vectors(encoder, &read.iter().collect::<Vec<_>>(), stop, done)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_texts_have_like_vectors() {
        let embedder = Embedder::of_model("minilm", &ComputeRequest::default()).unwrap();
        let texts = ["it helped me sleep", "it has helped me to sleep", "the price of petrol rose"];
        let stop = AtomicBool::new(false);
        let done = std::sync::atomic::AtomicUsize::new(0);
        let count = |texts| {
            done.fetch_add(texts, std::sync::atomic::Ordering::Relaxed);
        };
        let vectors = embedder.vectors(&texts, &stop, &count).unwrap();
        assert_eq!((vectors.len(), vectors[0].len(), done.into_inner()), (3, 384, 3));
        let cosine = |a: &[f32], b: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.2);
        let stopped = AtomicBool::new(true);
        assert_eq!(embedder.vectors(&texts, &stopped, &|_| ()).unwrap_err().exit_code(), 130);
    }
}
