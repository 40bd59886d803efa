//! The standard Hugging Face cache: where a pulled model lies.

use std::path::{Path, PathBuf};

/// A model of the hub, `name` or `owner/name`, at a revision: `owner/name@revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubId {
    /// `name` or `owner/name`.
    pub name: String,
    /// A branch, a tag or a commit; `main` where none is named.
    pub revision: String,
}

impl HubId {
    /// Reads `owner/name` or `owner/name@revision`; `None` if it cannot be one.
    pub fn parse(model: &str) -> Option<Self> {
        let (name, revision) = model.split_once('@').unwrap_or((model, "main"));
        let plain = |p: &str| {
            let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !p.is_empty() && !p.starts_with('.') && p.chars().all(letter)
        };
        let known = name.split('/').count() <= 2
            && name.split('/').all(plain)
            && revision.split('/').all(plain);
        known.then(|| Self { name: name.to_owned(), revision: revision.to_owned() })
    }

    /// The model's folder in a cache.
    pub fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(format!("models--{}", self.name.replace('/', "--")))
    }

    /// The folder of the revision's files in a cache, if they are there.
    pub fn snapshot(&self, cache: &Path) -> Option<PathBuf> {
        let folder = self.folder(cache);
        let named = std::fs::read_to_string(folder.join("refs").join(&self.revision)).ok();
        let commit = named.as_deref().map_or(self.revision.as_str(), str::trim);
        let snapshot = folder.join("snapshots").join(commit);
        (!commit.is_empty() && snapshot.is_dir()).then_some(snapshot)
    }
}

/// The cache of Hugging Face's own programs: `HF_HUB_CACHE`, else `hub` below [`hub_home`].
pub fn hub_cache() -> Option<PathBuf> {
    match set("HF_HUB_CACHE") {
        Some(cache) => Some(cache),
        None => Some(hub_home()?.join("hub")),
    }
}

/// `HF_HOME`, else `huggingface` in the user's folder for caches.
pub fn hub_home() -> Option<PathBuf> {
    if let Some(home) = set("HF_HOME") {
        return Some(home);
    }
    let caches = match set("XDG_CACHE_HOME") {
        Some(caches) => caches,
        None => std::env::home_dir()?.join(".cache"),
    };
    Some(caches.join("huggingface"))
}

fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        let id = HubId::parse("org/name-v1.0@refs/pr/1").unwrap();
        assert_eq!((id.name.as_str(), id.revision.as_str()), ("org/name-v1.0", "refs/pr/1"));
        assert_eq!(HubId::parse("name").unwrap().revision, "main");
        for path in ["../name", "/abs/olute", "a b", "a/b/c", "", "a@", "a@../b", "a@.."] {
            assert_eq!(HubId::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_revision_is_a_name_or_a_commit() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("models--org--name");
        std::fs::create_dir_all(folder.join("snapshots/0af3")).unwrap();
        std::fs::create_dir_all(folder.join("refs")).unwrap();
        std::fs::write(folder.join("refs/main"), "0af3\n").unwrap();
        let found = |model: &str| HubId::parse(model).unwrap().snapshot(cache.path());
        assert_eq!(found("org/name"), Some(folder.join("snapshots/0af3")));
        assert_eq!(found("org/name@0af3"), found("org/name"));
        assert_eq!((found("org/name@v2"), found("org/other")), (None, None));
    }
}
