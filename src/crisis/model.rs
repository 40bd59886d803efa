//! What the screen has learnt: one judge of comments, one of posts, and what tells the two apart.

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::features::{Part, Seen};
use crate::codebook::hex_sha256;
use crate::encoder::{Parameters, TensorSpec, load_weights, save_weights};
use crate::error::{Error, Result};
use crate::heads::lexical::Lexicon;

/// The names of the files of a screen.
pub const MANIFEST: &str = "screen.json";
/// Its weights.
pub const WEIGHTS: &str = "heads.safetensors";

const COMMENTS: &str = "comments";
const POSTS: &str = "posts";
const REGISTER: &str = "register";
const ORDINARY: &str = "ordinary";

/// What is said of a screen beside its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScreenManifest {
    /// The program's version that fitted it.
    pub confide: String,
    /// The layers of the encoder after which texts are seen, counted from 1.
    pub layers: Vec<usize>,
    /// The language that it was tested on.
    pub language: String,
    /// What it was fitted to.
    pub trained_on: Vec<TrainedOn>,
    /// SHA-256 of the weights.
    pub weights: String,
}

/// A table that a screen was fitted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// What it is called.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// Those of them that show a crisis.
    pub crisis: usize,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// A linear judge over vectors and n-grams: at 0 and above it flags.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    /// One weight for each value of a vector.
    pub weight: Vec<f32>,
    /// The n-grams that it knows.
    pub lexicon: Lexicon,
    /// One weight for each of them.
    pub lexical: Vec<f32>,
    /// What stands for nothing in particular, minus the threshold.
    pub bias: f32,
}

impl Judge {
    /// How far a part lies above the threshold: of the windows that it has, the one that says most.
    pub fn margin(&self, part: &Part) -> f64 {
        seen(&self.weight, part) + said(&self.lexicon, &self.lexical, part) + f64::from(self.bias)
    }
}

/// What weights say of the vectors of a part: of its windows, that which says most.
pub fn seen(weight: &[f32], part: &Part) -> f64 {
    let of_vector = |vector: &Vec<f32>| {
        weight.iter().zip(vector).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>()
    };
    part.vectors.iter().map(of_vector).fold(f64::NEG_INFINITY, f64::max)
}

/// What weights say of the n-grams of a part.
pub fn said(lexicon: &Lexicon, weight: &[f32], part: &Part) -> f64 {
    let known = lexicon.vector(&part.ngrams);
    known.iter().map(|(at, x)| f64::from(weight[*at as usize]) * f64::from(*x)).sum()
}

/// The judges of a screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Judges {
    /// Of short comments.
    pub comments: Judge,
    /// Of longer posts, such as those of a forum.
    pub posts: Judge,
    /// Whether a text reads like a post: the logit of the share in which that judge has the say.
    pub register: Judge,
    /// Of danger against what people ordinarily write; it must agree.
    pub ordinary: Judge,
}

/// A screen: its judges, and what is said of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ScreenModel {
    manifest: ScreenManifest,
    judges: Judges,
}

impl ScreenModel {
    /// A screen of its parts; what the manifest says of the weights is replaced.
    ///
    /// # Errors
    /// If the weights cannot be written.
    pub fn new(manifest: ScreenManifest, judges: Judges) -> Result<Self> {
        let mut model = Self { manifest, judges };
        model.manifest.weights = hex_sha256(&model.weights()?);
        Ok(model)
    }

    /// The screen that the program holds.
    ///
    /// # Errors
    /// If this build holds none.
    #[cfg(feature = "embedded")]
    pub fn shipped() -> Result<Self> {
        Self::read(
            include_bytes!("../../models/crisis/screen.json"),
            include_bytes!("../../models/crisis/heads.safetensors"),
        )
    }

    /// The screen that the program holds.
    ///
    /// # Errors
    /// Always: this build holds none.
    #[cfg(not(feature = "embedded"))]
    pub fn shipped() -> Result<Self> {
        Err(Error::usage("this build holds no screen for crises")
            .at("--crisis")
            .advise("build with the feature 'embedded', or leave the flag out"))
    }

    /// A screen from the bytes of its files.
    ///
    /// # Errors
    /// If they are damaged or do not belong together.
    pub fn read(manifest: &[u8], weights: &[u8]) -> Result<Self> {
        let damaged =
            |what: &str| Error::model(format!("the screen for crises {what}")).at(WEIGHTS);
        let manifest: ScreenManifest =
            serde_json::from_slice(manifest).map_err(|_| damaged("has a damaged manifest"))?;
        if manifest.weights != hex_sha256(weights) {
            return Err(damaged("has weights of another manifest"));
        }
        let file = SafeTensors::deserialize(weights).map_err(|_| damaged("has damaged weights"))?;
        let judge = |name: &str| -> Result<Judge> {
            let features = file
                .tensor(&format!("{name}.features"))
                .ok()
                .filter(|tensor| tensor.dtype() == Dtype::U32)
                .ok_or_else(|| damaged("lacks its n-grams"))?;
            let (hashes, _) = features.data().as_chunks::<4>();
            let hashes: Vec<u32> = hashes.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
            let width = file.tensor(&format!("{name}.weight")).map(|w| w.shape().iter().product());
            let width = width.map_err(|_| damaged("lacks weights"))?;
            let spec = |part: &str, length: usize| TensorSpec {
                name: format!("{name}.{part}"),
                shape: vec![length],
                depth: 0,
                effective: true,
            };
            let specs = [
                spec("weight", width),
                spec("idf", hashes.len()),
                spec("lexical", hashes.len()),
                spec("bias", 1),
            ];
            let tensors = load_weights(weights, &specs, WEIGHTS)?;
            let values = |part: &str| -> Result<Vec<f32>> {
                Ok(tensors.get(&format!("{name}.{part}"))?.to_vec1::<f32>()?)
            };
            Ok(Judge {
                weight: values("weight")?,
                lexicon: Lexicon::from_parts(hashes, values("idf")?)
                    .ok_or_else(|| damaged("has n-grams out of order"))?,
                lexical: values("lexical")?,
                bias: values("bias")?[0],
            })
        };
        let judges = Judges {
            comments: judge(COMMENTS)?,
            posts: judge(POSTS)?,
            register: judge(REGISTER)?,
            ordinary: judge(ORDINARY)?,
        };
        Ok(Self { manifest, judges })
    }

    /// The weights as safetensors: `NAME.weight`, `NAME.features` (hashes, u32), `NAME.idf`,
    /// `NAME.lexical` and `NAME.bias` of the judges `comments`, `posts`, `register`
    /// and `ordinary`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn weights(&self) -> Result<Vec<u8>> {
        use candle_core::{Device, Tensor};
        let mut all = Parameters::default();
        let Judges { comments, posts, register, ordinary } = &self.judges;
        let judges =
            [(COMMENTS, comments), (POSTS, posts), (REGISTER, register), (ORDINARY, ordinary)];
        for (name, judge) in judges {
            let (hashes, idf) = judge.lexicon.parts();
            let features = Tensor::from_slice(hashes, hashes.len(), &Device::Cpu)?;
            all.replace(&format!("{name}.features"), features);
            let bias = [judge.bias];
            let parts: [(&str, &[f32]); 4] = [
                ("weight", &judge.weight),
                ("idf", idf),
                ("lexical", &judge.lexical),
                ("bias", &bias),
            ];
            for (part, values) in parts {
                let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu)?;
                all.replace(&format!("{name}.{part}"), tensor);
            }
        }
        save_weights(all.iter(), None)
    }

    /// What is said of the screen.
    pub fn manifest(&self) -> &ScreenManifest {
        &self.manifest
    }

    /// What its verdicts follow from, but for the encoder and the texts.
    pub fn digest(&self) -> String {
        let manifest = serde_json::to_vec(&self.manifest).unwrap_or_default();
        hex_sha256(&manifest)
    }

    /// How far a text lies above the threshold, by the part that lies highest.
    pub fn margin(&self, seen: &Seen) -> f64 {
        let Judges { comments, posts, register, ordinary } = &self.judges;
        let of_part = |part: &Part| {
            let like_a_post = score(register.margin(part));
            let of_kind =
                like_a_post * posts.margin(part) + (1.0 - like_a_post) * comments.margin(part);
            of_kind.min(ordinary.margin(part))
        };
        seen.parts.iter().map(of_part).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// A margin as a score from 0 to 1; at a half and above it flags.
pub fn score(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::lexical::NGrams;

    fn part(vectors: &[[f32; 2]], text: &str) -> Part {
        let vectors = vectors.iter().map(|vector| vector.to_vec()).collect();
        Part { vectors, ngrams: NGrams::of(text) }
    }

    fn seen(parts: Vec<Part>) -> Seen {
        let large = parts.len();
        Seen { parts, large, truncated: false }
    }

    fn judge(weight: [f32; 2], bias: f32) -> Judge {
        let texts = ["pills", "pills"].map(NGrams::of);
        let lexicon = Lexicon::learn(&texts, 100);
        let lexical = vec![1.0; lexicon.len()];
        Judge { weight: weight.to_vec(), lexicon, lexical, bias }
    }

    fn model(register: f32, ordinary: f32) -> ScreenModel {
        let manifest = ScreenManifest {
            confide: "0".into(),
            layers: vec![6],
            language: "en".into(),
            trained_on: Vec::new(),
            weights: String::new(),
        };
        let constant = |bias| {
            let own = judge([0.0; 2], bias);
            Judge { lexical: vec![0.0; own.lexicon.len()], ..own }
        };
        let judges = Judges {
            comments: judge([1.0, 0.0], 0.0),
            posts: judge([0.0, 1.0], 0.0),
            register: constant(register),
            ordinary: constant(ordinary),
        };
        ScreenModel::new(manifest, judges).unwrap()
    }

    #[test]
    fn what_reads_like_a_post_is_judged_like_one() {
        let text = seen(vec![part(&[[2.0, -3.0]], "x")]);
        assert_eq!(model(-100.0, 100.0).margin(&text), 2.0);
        assert_eq!(model(100.0, 100.0).margin(&text), -3.0);
        assert_eq!(model(0.0, 100.0).margin(&text), -0.5);
        // Where it reads like everyday life, nothing else counts.
        assert_eq!(model(-100.0, -4.0).margin(&text), -4.0);
    }

    #[test]
    fn the_worst_part_and_window_decide_and_words_count() {
        let model = model(-100.0, 100.0);
        let calm = part(&[[-1.0, 0.0]], "x");
        let late = part(&[[-1.0, 0.0], [3.0, 0.0]], "x");
        assert_eq!(model.margin(&seen(vec![calm.clone(), late, calm.clone()])), 3.0);
        let named = part(&[[-1.0, 0.0]], "pills");
        assert!(model.margin(&seen(vec![named])) > model.margin(&seen(vec![calm])));
    }

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_refused() {
        let model = model(0.0, 1.0);
        let manifest = serde_json::to_vec(model.manifest()).unwrap();
        let weights = model.weights().unwrap();
        assert_eq!(ScreenModel::read(&manifest, &weights).unwrap(), model);
        let mut other = weights.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(ScreenModel::read(&manifest, &other).unwrap_err().exit_code(), 4);
        assert_eq!(ScreenModel::read(b"{", &weights).unwrap_err().exit_code(), 4);
    }

    #[cfg(feature = "embedded")]
    #[test]
    fn the_shipped_screen_is_whole_and_small() {
        let model = ScreenModel::shipped().unwrap();
        assert!(model.weights().unwrap().len() < 5_000_000);
        assert_eq!(model.manifest().layers, crate::crisis::LAYERS);
    }
}
