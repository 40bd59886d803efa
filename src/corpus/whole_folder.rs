//! Folders that stand under their final name only when they are whole.

use std::fs::File;
use std::io;
use std::path::Path;

use super::whole_file::sync_folder_of;
use crate::error::{Error, Result};

/// Gives a finished folder its final name, in the place of what stands there. On Linux both change
/// places in one step, so that the old or the new one stands there at every moment; elsewhere, and on
/// file systems that cannot do this, the old one is moved aside first, and back if that fails.
///
/// # Errors
/// A resource error that names the target; then what stood there still stands.
pub fn replace_folder(finished: &Path, target: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::writing(target, &error);
    if let Ok(folder) = File::open(finished) {
        // Not every system can.
        let _ = folder.sync_all();
    }
    if target.symlink_metadata().is_err() {
        std::fs::rename(finished, target).map_err(failed)?;
    } else {
        exchange(finished, target).map_err(failed)?;
        let old = finished;
        let removed = if old.is_dir() && !old.is_symlink() {
            std::fs::remove_dir_all(old)
        } else {
            std::fs::remove_file(old)
        };
        // The new one stands. What is left of the old one goes when the next is begun.
        let _ = removed;
    }
    sync_folder_of(target);
    sync_folder_of(finished);
    Ok(())
}

/// Two paths change places.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            outcome => return outcome.map_err(Into::into),
        }
    }
    let mut aside = one.as_os_str().to_os_string();
    aside.push(".old");
    let aside = Path::new(&aside);
    std::fs::rename(other, aside)?;
    if let Err(error) = std::fs::rename(one, other) {
        // What stood there stands there again.
        std::fs::rename(aside, other)?;
        return Err(error);
    }
    std::fs::rename(aside, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_folder_takes_the_place_of_the_old() {
        let folder = tempfile::tempdir().unwrap();
        let [new, target] = ["new", "target"].map(|name| folder.path().join(name));
        for content in ["1", "2"] {
            std::fs::create_dir(&new).unwrap();
            std::fs::write(new.join(content), content).unwrap();
            replace_folder(&new, &target).unwrap();
            let names: Vec<_> = std::fs::read_dir(&target).unwrap().flatten().collect();
            assert!(names.len() == 1 && names[0].file_name() == content);
            assert!(!new.exists());
        }
        std::fs::create_dir(&new).unwrap();
        std::fs::remove_dir_all(&target).unwrap();
        std::fs::write(&target, "a file").unwrap();
        replace_folder(&new, &target).unwrap();
        assert!(target.is_dir() && !new.exists());
        assert_eq!(replace_folder(&new, &target).unwrap_err().exit_code(), 5);
        assert!(target.is_dir(), "what stood there still stands");
    }
}
