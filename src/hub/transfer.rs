//! One file at a time: fetched beside the cache, checked, then put into it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::Repo;
use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiError};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::Watcher;
use crate::codebook::hex;
use crate::error::{Error, Result};

/// How often a file is begun or gone on with before the user is asked to.
const ATTEMPTS: u64 = 5;

/// The download of one commit of one model.
///
/// hf-hub's own client makes the requests and goes on with files of which a part is there. It
/// does so in a folder of its own, since it checks no digest: into the cache come whole files.
pub(super) struct Transfer<'a> {
    pub api: &'a Api,
    pub repo: Repo,
    /// Where hf-hub's client works.
    pub staging: &'a Path,
    /// The model's folder in the cache.
    pub folder: &'a Path,
    pub commit: &'a str,
    pub failed: &'a dyn Fn(&ApiError) -> Error,
    pub watcher: &'a mut dyn Watcher,
}

struct Counter<'a>(&'a mut dyn Watcher, bool);

impl Progress for Counter<'_> {
    fn init(&mut self, _: usize, _: &str) {
        // What follows first is the part that was there.
        self.1 = false;
    }

    fn update(&mut self, size: usize) {
        if self.1 {
            self.0.received(size as u64);
        }
        self.1 = true;
    }

    fn finish(&mut self) {}
}

impl Transfer<'_> {
    /// Fetches a file unless it is in the cache; returns its size in bytes.
    ///
    /// # Errors
    /// As [`super::pull`].
    pub fn fetch(&mut self, name: &str) -> Result<u64> {
        let place = self.folder.join("snapshots").join(self.commit).join(name);
        if let Ok(there) = std::fs::metadata(&place) {
            return Ok(there.len());
        }
        let handle = self.api.repo(self.repo.clone());
        let url = handle.url(name);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome = self.once(&handle, &url, name);
            let broke = outcome.as_ref().err().is_some_and(|f| f.again) && attempt < ATTEMPTS;
            if !broke {
                let digest = outcome.map_err(|failure| failure.error)?;
                return self.put(&digest, &place);
            }
            self.watcher.again(name);
            std::thread::sleep(Duration::from_millis(100 * attempt * attempt));
        }
    }

    fn blob(&self, digest: &str) -> PathBuf {
        let name = self.repo.folder_name();
        self.staging.join(name).join("blobs").join(digest)
    }

    /// One attempt; the digest under which the checked file lies in the staging folder.
    fn once(
        &mut self,
        handle: &hf_hub::api::sync::ApiRepo,
        url: &str,
        name: &str,
    ) -> std::result::Result<String, Failure> {
        let said = self.api.metadata(url).map_err(|e| self.failure(&e))?;
        let (digest, size) = (said.etag().trim_start_matches("W/").to_owned(), said.size() as u64);
        let named = said.commit_hash() == self.commit
            && matches!(digest.len(), 40 | 64)
            && digest.bytes().all(|b| b.is_ascii_hexdigit());
        if !named {
            return Err(Failure::last(
                Error::model("the hub gives no digest of this commit's file to check it by")
                    .at(name),
            ));
        }
        let blob = self.blob(&digest);
        let part = blob.with_extension("part");
        let here = std::fs::metadata(&part).map_or(0, |m| m.len());
        self.watcher.begins(name, here.min(size), size);
        if here > size {
            remove(&part);
        }
        if here == size && size > 0 {
            std::fs::rename(&part, &blob).map_err(|e| Failure::last(Error::writing(&blob, &e)))?;
        } else {
            // hf-hub's client stumbles over its own link to a file that was taken away.
            let _ = std::fs::remove_dir_all(
                self.staging.join(self.repo.folder_name()).join("snapshots"),
            );
            let counter = Counter(self.watcher, false);
            let done = handle.download_with_progress(name, counter);
            done.map_err(|e| self.failure(&e))?;
        }
        let (found, length) = digest_of(&blob, digest.len() == 40)
            .map_err(|e| Failure::last(Error::writing(&blob, &e)))?;
        if found == digest {
            return Ok(digest);
        }
        if length < size {
            // The connection ended early and in good order.
            let kept = std::fs::rename(&blob, &part);
            kept.map_err(|e| Failure::last(Error::writing(&part, &e)))?;
            let error = Error::resource("the connection ended before the file did").at(name);
            return Err(Failure { error: error.advise(super::AGAIN), again: true });
        }
        remove(&blob);
        let error = Error::model("what came has another digest than the hub gives for it")
            .at(name)
            .advise("run the same command again; if it happens again, do not use this source");
        // A part from another source may have spoilt it: once more from the beginning.
        Err(Failure { error, again: here > 0 && here < size })
    }

    fn failure(&self, error: &ApiError) -> Failure {
        let again = match error {
            ApiError::IoError(io) => io.kind() != std::io::ErrorKind::StorageFull,
            ApiError::RequestError(request) => match request.as_ref() {
                ureq::Error::StatusCode(code) => *code >= 500 || *code == 429,
                ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => true,
                _ => false,
            },
            _ => false,
        };
        Failure { error: (self.failed)(error), again }
    }

    /// Puts a checked file into the cache: a blob of its digest, and its name in the snapshot.
    fn put(&self, digest: &str, place: &Path) -> Result<u64> {
        let blobs = self.folder.join("blobs");
        let parent = place.parent().unwrap_or(self.folder);
        for folder in [&blobs, parent] {
            std::fs::create_dir_all(folder).map_err(|e| Error::writing(folder, &e))?;
        }
        let blob = blobs.join(digest);
        std::fs::rename(self.blob(digest), &blob).map_err(|e| Error::writing(&blob, &e))?;
        let size = std::fs::metadata(&blob).map_err(|e| Error::writing(&blob, &e))?.len();
        link(digest, &blob, place).map_err(|e| Error::writing(place, &e))?;
        Ok(size)
    }
}

/// A failed attempt, and whether another may do better.
struct Failure {
    error: Error,
    again: bool,
}

impl Failure {
    fn last(error: Error) -> Self {
        Self { error, again: false }
    }
}

fn remove(path: &Path) {
    // A file that stays is met again, and told, by the next attempt.
    let _ = std::fs::remove_file(path);
}

/// The name of a blob in a snapshot: a link as in Hugging Face's own programs.
#[cfg(unix)]
fn link(digest: &str, _blob: &Path, place: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(Path::new("../../blobs").join(digest), place)
}

/// The name of a blob in a snapshot: the file itself, where links need rights.
#[cfg(not(unix))]
fn link(_digest: &str, blob: &Path, place: &Path) -> std::io::Result<()> {
    std::fs::rename(blob, place)
}

/// SHA-256 of a file, or the SHA-1 by which git names it as a blob, in hexadecimal; and its
/// length.
fn digest_of(path: &Path, git: bool) -> std::io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let (mut sha256, mut sha1) = (Sha256::new(), Sha1::new());
    sha1.update(format!("blob {length}\0"));
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        match git {
            true => sha1.update(&buffer[..read]),
            false => sha256.update(&buffer[..read]),
        }
    }
    Ok((if git { hex(&sha1.finalize()) } else { hex(&sha256.finalize()) }, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_git_and_of_sha256() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello\n").unwrap();
        let of = |git| digest_of(file.path(), git).unwrap();
        // git hash-object and sha256sum of the same six bytes.
        assert_eq!(of(true), ("ce013625030ba8dba906f756967f9e9ca394464a".into(), 6));
        assert_eq!(of(false).0, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    }
}
