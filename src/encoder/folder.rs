//! Files of folders that come from strangers: what lies outside such a folder is not read, nothing is
//! waited for, and a size that no such file has is refused before any memory is taken.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a configuration, at most.
pub const LONGEST_CONFIG: u64 = 4 << 20;
/// Bytes of a tokenizer, an index or a manifest, at most.
pub const LONGEST_TOKENIZER: u64 = 128 << 20;
/// Bytes of weights, at most.
pub const LONGEST_WEIGHTS: u64 = 64 << 30;

/// Why a file of a folder cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// There is none of that name.
    Missing,
    /// What else is wrong with it.
    Refused(String),
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::Missing,
            kind => Self::Refused(format!("the file cannot be read: {kind}")),
        }
    }
}

/// The bytes of a file in a folder, which are at most so many. A link is followed if it stays in the
/// folder, or, from a snapshot in a cache of Hugging Face's layout, among the files of its model.
///
/// # Errors
/// If it is missing, leads elsewhere, is no file or a larger one, or cannot be read.
pub fn read_within(folder: &Path, file: &str, most: u64) -> Result<Vec<u8>, Unreadable> {
    let path = folder.join(file);
    if path.symlink_metadata()?.is_symlink() {
        let (real, root) = (path.canonicalize()?, root_of(folder)?);
        if !real.starts_with(root) {
            return Err(Unreadable::Refused("it is a link to a file outside its folder".into()));
        }
    }
    // A pipe would be waited for as soon as it is opened.
    if !path.metadata()?.is_file() {
        return Err(Unreadable::Refused("it is no file".into()));
    }
    read_at_most(&path, most)
}

/// The bytes of a file, which are at most so many.
fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>, Unreadable> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let too_large = || {
        let most = most >> 20;
        Err(Unreadable::Refused(format!("it has more than {most} MB, too many for such a file")))
    };
    if size > most {
        return too_large();
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { too_large() } else { Ok(bytes) }
}

/// The folder that links may lead into.
fn root_of(folder: &Path) -> std::io::Result<PathBuf> {
    let folder = folder.canonicalize()?;
    let snapshots = folder.parent().filter(|parent| parent.ends_with("snapshots"));
    let model = snapshots.and_then(Path::parent).filter(|model| model.join("blobs").is_dir());
    Ok(model.map(Path::to_path_buf).unwrap_or(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(folder: &Path, file: &str, most: u64, why: &str) -> bool {
        let read = read_within(folder, file, most);
        matches!(read, Err(Unreadable::Refused(said)) if said.contains(why))
    }

    #[test]
    fn sizes_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "1234").unwrap();
        assert_eq!(read_within(folder.path(), "a", 4).unwrap(), b"1234");
        assert!(refused(folder.path(), "a", 3, "more than"));
        assert_eq!(read_within(folder.path(), "b", 4), Err(Unreadable::Missing));
        assert!(refused(folder.path(), ".", 4, "no file"));
        // A hole takes no room on the disk.
        let large = File::create(folder.path().join("large")).unwrap();
        large.set_len(LONGEST_WEIGHTS + 1).unwrap();
        assert!(refused(folder.path(), "large", LONGEST_WEIGHTS, "more than 65536 MB"));
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_within_the_folder() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(root.path().join("outside"), "secret").unwrap();
        std::fs::write(folder.join("inside"), "own").unwrap();
        symlink("inside", folder.join("a")).unwrap();
        symlink("../outside", folder.join("b")).unwrap();
        symlink(root.path().join("outside"), folder.join("c")).unwrap();
        symlink("b", folder.join("d")).unwrap();
        symlink("nowhere", folder.join("e")).unwrap();
        assert_eq!(read_within(&folder, "a", 9).unwrap(), b"own");
        for link in ["b", "c", "d"] {
            assert!(refused(&folder, link, 9, "outside its folder"), "{link}");
        }
        assert_eq!(read_within(&folder, "e", 9), Err(Unreadable::Missing));
        // As `confide pull` and Hugging Face's own programs lay them.
        let model = root.path().join("models--a--b");
        let snapshot = model.join("snapshots/0af3");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::create_dir_all(model.join("blobs")).unwrap();
        std::fs::write(model.join("blobs/1"), "blob").unwrap();
        symlink("../../blobs/1", snapshot.join("a")).unwrap();
        symlink("../../../outside", snapshot.join("b")).unwrap();
        assert_eq!(read_within(&snapshot, "a", 9).unwrap(), b"blob");
        assert!(refused(&snapshot, "b", 9, "outside its folder"));
        // The folder itself may be reached by a link.
        symlink(&folder, root.path().join("link")).unwrap();
        assert_eq!(read_within(&root.path().join("link"), "a", 9).unwrap(), b"own");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero")).unwrap();
        assert!(refused(folder.path(), "zero", 9, "outside"));
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        assert!(refused(folder.path(), "s", 9, "no file"));
    }
}
