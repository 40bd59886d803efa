//! Models of another kind than the student that say what they think of uncoded texts: larger ones,
//! or several together (distillation; Hinton, Vinyals and Dean 2015).

use sha2::{Digest, Sha256};

use crate::codebook::hex;
use crate::encoder::ModelFiles;
use crate::error::Result;
use crate::training::Recipe;

/// An encoder, and how a teacher is made of it.
pub(super) struct Teacher {
    /// The encoder, as the user names it.
    pub base: String,
    /// How it is trained.
    pub recipe: Recipe,
}

impl Teacher {
    /// One for each of these encoders, trained by the recipe that is named, else a decoder by
    /// adapters and any other encoder as the student.
    ///
    /// # Errors
    /// If an encoder or the recipe cannot be read.
    pub fn all(bases: &[String], recipe: Option<&str>, student: &Recipe) -> Result<Vec<Self>> {
        let of = |base: &String| {
            let recipe = match recipe {
                Some(name) => Recipe::find(name)?,
                None if ModelFiles::find(base)?.config()?.causal() => Recipe::find("lora")?,
                None => student.clone(),
            };
            // Doubt about the teachers' answers is the student's matter.
            Ok(Self { base: base.clone(), recipe: Recipe { review_risk: 0.0, ..recipe } })
        };
        bases.iter().map(of).collect()
    }

    /// SHA-256 over encoders and recipes; none of none.
    ///
    /// # Errors
    /// If an encoder cannot be read.
    pub fn digest(all: &[Self]) -> Result<Option<String>> {
        let mut hash = Sha256::new();
        for teacher in all {
            hash.update(ModelFiles::find(&teacher.base)?.digest());
            hash.update(teacher.recipe.resolved()?);
        }
        Ok((!all.is_empty()).then(|| hex(&hash.finalize())))
    }
}
