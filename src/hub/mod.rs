//! Fetching models from the Hugging Face hub into its standard cache: the only network code.

mod choice;
mod transfer;

use std::path::PathBuf;

use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};

use crate::encoder::{EncoderConfig, HubId, INDEX, hub_cache, hub_home, listed};
use crate::error::{Error, Result};
use choice::Choice;
use transfer::Transfer;

/// Is told how a download goes.
pub trait Watcher {
    /// A file begins, of which so many bytes of all are here from an earlier attempt.
    fn begins(&mut self, file: &str, here: u64, bytes: u64);
    /// More bytes have come.
    fn received(&mut self, bytes: u64);
    /// The connection broke; the file is tried again.
    fn again(&mut self, file: &str);
}

/// A model in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The commit that the revision stands for.
    pub commit: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its files, and how many bytes each has.
    pub files: Vec<(String, u64)>,
}

/// Where models come from: the hub, or what `HF_ENDPOINT` names in its place.
fn endpoint() -> Result<String> {
    let named = std::env::var("HF_ENDPOINT").unwrap_or_default();
    let endpoint = named.trim_end_matches('/');
    if endpoint.is_empty() {
        return Ok("https://huggingface.co".into());
    }
    if !(endpoint.starts_with("https://") || endpoint.starts_with("http://")) {
        return Err(Error::usage("it is no http or https address").at("HF_ENDPOINT"));
    }
    Ok(endpoint.to_owned())
}

/// The user's token for models that are not public: `HF_TOKEN`, else the file that Hugging
/// Face's login writes.
fn token() -> Option<String> {
    let stored = || std::fs::read_to_string(hub_home()?.join("token")).ok();
    let token = std::env::var("HF_TOKEN").ok().or_else(stored)?;
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

fn offline() -> bool {
    let set = |name: &str| {
        let value = std::env::var(name).unwrap_or_default().to_uppercase();
        ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
    };
    set("HF_HUB_OFFLINE")
}

/// Fetches the files of a model that training and coding need, each whole and checked against
/// the digest that the hub gives; a file of which a part is here goes on where it ended.
///
/// # Errors
/// If the hub does not give the model, holds no weights that are read here, or sends bytes of
/// another digest; if the connection breaks time and again (what has come is kept), or the
/// cache cannot be written.
pub fn pull(id: &HubId, watcher: &mut dyn Watcher) -> Result<Pulled> {
    let cache = hub_cache().ok_or_else(|| {
        Error::usage("there is no home folder for the cache of models").advise("set HF_HOME")
    })?;
    if offline() {
        return Err(Error::usage("HF_HUB_OFFLINE forbids every download")
            .advise("unset it, or copy the model's folder here and name that"));
    }
    let endpoint = endpoint()?;
    let folder = id.folder(&cache);
    let staging = folder.join(".pull");
    let api = ApiBuilder::from_cache(Cache::new(staging.clone()))
        .with_endpoint(endpoint.clone())
        .with_token(token())
        .with_progress(false)
        .with_user_agent("confide", env!("CARGO_PKG_VERSION"))
        .build()
        .map_err(|e| failed(&e, id, &endpoint))?;
    let repo =
        |revision: &str| Repo::with_revision(id.name.clone(), RepoType::Model, revision.to_owned());
    let info = api.repo(repo(&id.revision)).info().map_err(|e| failed(&e, id, &endpoint))?;
    let commit = info.sha;
    if commit.is_empty() || !commit.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Error::model("the hub names no commit").at(id.name.clone()));
    }
    let names: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
    let choice = Choice::of(&names).map_err(|error| error.at(id.name.clone()))?;
    let mut transfer = Transfer {
        api: &api,
        repo: repo(&commit),
        staging: &staging,
        folder: &folder,
        commit: &commit,
        failed: &|error| failed(error, id, &endpoint),
        watcher,
    };
    let mut files = Vec::new();
    for name in &choice.first {
        files.push((name.clone(), transfer.fetch(name)?));
    }
    let snapshot = folder.join("snapshots").join(&commit);
    let read = |name: &str| {
        std::fs::read(snapshot.join(name)).map_err(|e| Error::writing(&snapshot.join(name), &e))
    };
    if choice.first.iter().any(|name| name == "config.json") {
        // Before gigabytes of weights that nothing here could use.
        EncoderConfig::parse(&read("config.json")?, &format!("{}/config.json", id.name))?;
    }
    let mut weights = choice.weights;
    if let [index] = &weights[..]
        && index == INDEX
    {
        files.push((index.clone(), transfer.fetch(index)?));
        weights = listed(&read(INDEX)?, &format!("{}/{INDEX}", id.name))?;
    }
    for name in &weights {
        files.push((name.clone(), transfer.fetch(name)?));
    }
    // Only now does the revision have a name: a cache that knows it holds all of it.
    name_revision(&folder, &id.revision, &commit)?;
    let _ = std::fs::remove_dir_all(&staging);
    Ok(Pulled { commit, folder: snapshot, files })
}

fn name_revision(folder: &std::path::Path, revision: &str, commit: &str) -> Result<()> {
    if revision == commit {
        return Ok(());
    }
    let path = folder.join("refs").join(revision);
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).map_err(|e| Error::writing(parent, &e))?;
    crate::corpus::WholeFile::write_all_to(&path, commit.as_bytes())
}

/// A failed request in the words of the user: what the hub said, and what can be done.
fn failed(error: &ApiError, id: &HubId, endpoint: &str) -> Error {
    let named = format!("{}@{}", id.name, id.revision);
    let ApiError::RequestError(request) = error else {
        let message = match error {
            ApiError::IoError(io) => return Error::resource(broken(io)).at(named).advise(AGAIN),
            ApiError::LockAcquisition(_) => "another program is fetching the same file",
            _ => "the hub's answer is not understood",
        };
        return Error::resource(message).at(named).advise("try again later");
    };
    match request.as_ref() {
        ureq::Error::StatusCode(401 | 403) => {
            Error::model("the hub does not give you this model, or there is none of that name")
                .at(named)
                .advise(
                    "look at the name; if its owners want to be asked, accept their terms on its \
                     page and put a token of yours into HF_TOKEN",
                )
        }
        ureq::Error::StatusCode(404) => Error::model("the hub has no such model, revision or file")
            .at(named)
            .advise(format!("look for its exact name at {endpoint}; names look like owner/name")),
        ureq::Error::StatusCode(code) => {
            Error::resource(format!("the hub answers with status {code}"))
                .at(named)
                .advise("try again later")
        }
        ureq::Error::Io(io) => Error::resource(broken(io)).at(endpoint).advise(AGAIN),
        other => Error::resource(format!("the hub cannot be reached: {other}"))
            .at(endpoint)
            .advise("check the network, a proxy, or HF_ENDPOINT"),
    }
}

const AGAIN: &str = "run the same command again; what has come is kept";

fn broken(io: &std::io::Error) -> String {
    match io.kind() {
        std::io::ErrorKind::StorageFull => "the disk is full".into(),
        kind => format!("the connection or the cache failed: {kind}"),
    }
}
