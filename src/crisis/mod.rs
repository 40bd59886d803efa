//! A screen for texts of people in danger, whatever the codebook: what it is for, and what it
//! misses, is told in `CRISIS.md`.

mod features;
mod fit;
mod language;
mod model;

pub use features::{Part, Seen, Sight};
pub use fit::{Example, Kind, LAYERS, fit};
pub use language::is_english;
pub use model::{Judge, Judges, MANIFEST, ScreenManifest, ScreenModel, TrainedOn, WEIGHTS, score};

use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use crate::codebook::hex_sha256;
use crate::encoder::kernels::Level;
use crate::error::Result;

/// What the screen says of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Its writer, or somebody whom it names, may be in danger; the score.
    Crisis(f64),
    /// It shows nothing of that, as far as the screen sees; the score.
    NoCrisis(f64),
    /// It holds no word, is in no language that the screen was tested on, or is too long to be seen whole.
    NotScreened,
}

impl Verdict {
    /// How tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crisis(_) => "crisis",
            Self::NoCrisis(_) => "no_crisis",
            Self::NotScreened => "not_screened",
        }
    }

    /// The score from 0 to 1, if the text was screened.
    pub fn score(self) -> Option<f64> {
        match self {
            Self::Crisis(score) | Self::NoCrisis(score) => Some(score),
            Self::NotScreened => None,
        }
    }
}

/// The screen, ready to be used.
pub struct Screen {
    sight: Sight,
    model: ScreenModel,
    digest: String,
}

impl Screen {
    /// The shipped screen, computed with these instructions.
    ///
    /// # Errors
    /// If this build holds none.
    pub fn shipped(level: Level) -> Result<Self> {
        Self::new(ScreenModel::shipped()?, level)
    }

    /// A screen of this model.
    ///
    /// # Errors
    /// If this build holds no encoder.
    pub fn new(model: ScreenModel, level: Level) -> Result<Self> {
        let sight = Sight::new(model.manifest().layers.clone(), level)?;
        let parts = [&model.digest(), sight.digest(), level.name()];
        let digest = hex_sha256(parts.join(" ").as_bytes());
        Ok(Self { sight, model, digest })
    }

    /// What the verdicts follow from, but for the texts.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What is said of each text, in their order; it depends on no other text. A text that is not
    /// in English can be a crisis, but never none.
    ///
    /// # Errors
    /// As [`Sight::see`].
    pub fn screen(&self, texts: &[&str], stop: &AtomicBool) -> Result<Vec<Verdict>> {
        let seen = self.sight.see(texts, stop)?;
        let verdict = |(text, seen): (&&str, &Seen)| {
            let margin = self.model.margin(seen);
            match margin >= 0.0 {
                true => Verdict::Crisis(score(margin)),
                false if seen.truncated || !is_english(text) => Verdict::NotScreened,
                false => Verdict::NoCrisis(score(margin)),
            }
        };
        Ok(texts.par_iter().zip(&seen).map(verdict).collect())
    }
}
