//! The one error type of the product: what is wrong, where, and what to do about it.
//!
//! No error carries the text of a comment. A cell's value may be shown only through
//! [`shown`], which hides everything that could be prose.

use std::fmt;
use std::path::Path;

/// The kinds of failure, one per exit code of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Wrong usage, unreadable codebook or recipe, output that exists (exit 2).
    Usage,
    /// Data that cannot be used (exit 3).
    Data,
    /// A bad model or bundle (exit 4).
    Model,
    /// Out of memory, disk or device (exit 5).
    Resource,
    /// Interrupted by the user; the state is saved (exit 130).
    Interrupted,
}

impl Kind {
    /// The process exit code that DESIGN section 5 gives this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Data => 3,
            Self::Model => 4,
            Self::Resource => 5,
            Self::Interrupted => 130,
        }
    }
}

/// A failure with the place it happened and the advice that mends it.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    place: Option<String>,
    advice: Option<String>,
}

/// The result type of every fallible function of the crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), place: None, advice: None }
    }

    /// Wrong usage, a bad codebook or recipe, or an output in the way (exit 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Data that cannot be used (exit 3).
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Kind::Data, message)
    }

    /// A bad model or bundle (exit 4).
    pub fn model(message: impl Into<String>) -> Self {
        Self::new(Kind::Model, message)
    }

    /// Out of memory, disk or device (exit 5).
    pub fn resource(message: impl Into<String>) -> Self {
        Self::new(Kind::Resource, message)
    }

    /// Stopped on the user's wish, with the state saved (exit 130).
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, message)
    }

    /// Adds where it happened: file, row, line, column, tier or label.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The process exit code of its kind.
    pub fn exit_code(&self) -> u8 {
        self.kind.exit_code()
    }

    /// A failed write: a resource failure (disk full, no permission) that names the file.
    pub fn writing(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as E;
        let advice = match error.kind() {
            E::StorageFull | E::QuotaExceeded => {
                "free some space and run the same command again; finished work is kept"
            }
            E::PermissionDenied | E::ReadOnlyFilesystem => "choose a folder that you may write to",
            _ => "check that the folder exists and can be written to",
        };
        Self::resource(format!("cannot write: {}", reason(error)))
            .at(path.display().to_string())
            .advise(advice)
    }

    /// A failed read of an input file: data that cannot be used.
    pub fn reading(path: &Path, error: &std::io::Error) -> Self {
        Self::data(format!("cannot read: {}", reason(error)))
            .at(path.display().to_string())
            .advise("check the path and that you may read the file")
    }
}

fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(cut) => text[..cut].to_lowercase(),
        None => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.message)?;
        if let Some(advice) = &self.advice {
            write!(f, "\n  try: {advice}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// A failure inside candle: shapes, dtypes or devices, never the user's data.
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        let said = error.to_string();
        // What CUDA's driver and cuBLAS, and Metal, call it.
        let full = ["OUT_OF_MEMORY", "ALLOC_FAILED", "out of memory", "Insufficient Memory"];
        if full.iter().any(|name| said.contains(name)) {
            return Self::resource("the GPU is out of memory")
                .advise("free its memory, or compute with --device cpu");
        }
        // The first line: candle appends a trace.
        Self::model(format!(
            "the model cannot be computed: {}",
            said.lines().next().unwrap_or_default()
        ))
    }
}

/// A cell's value as a message may show it: itself if it is at most 40 characters of
/// `[A-Za-z0-9_|-]`, otherwise only its length (DESIGN section 3). Never call it on the
/// text column.
pub fn shown(value: &str) -> String {
    let harmless = !value.is_empty()
        && value.len() <= 40
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'|' | b'-'));
    if harmless {
        format!("'{value}'")
    } else {
        format!("a value of {} characters", value.chars().count())
    }
}

/// The candidate nearest to `name`, if any is near enough to be what was meant
/// (Jaro-Winkler similarity of at least 0.75, case ignored).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(&name, &c.to_lowercase()), c))
        .filter(|(similarity, _)| *similarity >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_never_shown() {
        assert_eq!(shown("personal_use"), "'personal_use'");
        assert_eq!(shown("i told it everything"), "a value of 20 characters");
        assert_eq!(shown(&"a".repeat(41)), "a value of 41 characters");
        assert_eq!(shown(""), "a value of 0 characters");
    }

    #[test]
    fn a_full_gpu_is_a_resource() {
        let said = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")\n  0: trace";
        let error = Error::from(candle_core::Error::Cuda(said.into()));
        assert_eq!(error.exit_code(), 5);
        let error = Error::from(candle_core::Error::Msg("shapes differ".into()));
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains("shapes differ"));
    }

    #[test]
    fn nearest_finds_typos_and_refuses_strangers() {
        let labels = ["personal_use", "no_personal_use", "off_topic"];
        assert_eq!(nearest("Personal_Use", labels), Some("personal_use"));
        assert_eq!(nearest("offtopic", labels), Some("off_topic"));
        assert_eq!(nearest("zzz", labels), None);
    }
}
