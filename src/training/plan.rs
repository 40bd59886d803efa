//! What a training is made of, so that a resumed one cannot silently be another.

use serde::{Deserialize, Serialize};

/// The digests of everything that a training follows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the program.
    pub version: String,
    /// The seed.
    pub seed: u64,
    /// SHA-256 of the resolved recipe.
    pub recipe: String,
    /// SHA-256 of the training and validation rows.
    pub data: String,
    /// Digest of the codebook.
    pub codebook: String,
    /// SHA-256 of the encoder's files.
    pub base: String,
    /// The instruction sets that the arithmetic uses.
    pub kernel: String,
    /// Parts of the training rows whose answers by other models fitted the decisions, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// SHA-256 of the uncoded texts that teachers spoke of, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<String>,
    /// SHA-256 of the teachers' encoders and recipes, where they are others than the student's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teachers: Option<String>,
}

impl Plan {
    /// The names of the parts in which two plans differ.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let pairs = [
            ("program version", self.version == other.version),
            ("seed", self.seed == other.seed),
            ("recipe", self.recipe == other.recipe),
            ("data", self.data == other.data),
            ("codebook", self.codebook == other.codebook),
            ("base encoder", self.base == other.base),
            ("kernel level", self.kernel == other.kernel),
            ("number of folds", self.folds == other.folds),
            ("uncoded texts", self.unlabelled == other.unlabelled),
            ("teachers", self.teachers == other.teachers),
        ];
        pairs.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let plan = Plan {
            version: "1".into(),
            seed: 0,
            recipe: "a".into(),
            data: "b".into(),
            codebook: "c".into(),
            base: "d".into(),
            kernel: "e".into(),
            folds: None,
            unlabelled: None,
            teachers: None,
        };
        let other = Plan { seed: 1, data: "x".into(), folds: Some(5), ..plan.clone() };
        assert_eq!(plan.differences(&other), ["seed", "data", "number of folds"]);
        assert!(plan.differences(&plan).is_empty());
    }
}
