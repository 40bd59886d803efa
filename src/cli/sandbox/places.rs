//! The places that a command line gives reason to read and to write.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};
use serde_json::Value;

use crate::encoder::{ADAPTER_CONFIG, hub_cache};

/// What a command may read and write; everything below a folder is meant with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Folders in which files are made, replaced and removed.
    pub written: Vec<PathBuf>,
    /// What is read; `None` is everything.
    pub read: Option<Vec<PathBuf>>,
    /// Files that are written, but neither made nor removed.
    pub devices: Vec<PathBuf>,
}

/// Arguments that name what is written: a file or a folder that is first made beside its place.
const OUTPUTS: [&str; 6] =
    ["output", "answers", "disagreements", "manual", "salt_file", "crisis_file"];
/// Commands that fill the folder of their output in place.
const FILLING: [&str; 3] = ["evaluate", "quickstart", "split"];
/// What the system itself is read from: processors, memory, settings, libraries.
const SYSTEM: [&str; 8] = ["/proc", "/sys", "/etc", "/usr", "/lib", "/lib64", "/opt", "/dev"];
/// Links in a folder that are followed, at most.
const LINKS: usize = 1000;
/// A longer description of an adapter is not looked into.
const LONGEST_CONFIG: u64 = 1 << 20;

impl Places {
    /// Those of a command line. Every argument that is the name of something there may be read.
    pub fn of(command: &Command, matches: &ArgMatches, may_connect: bool) -> Self {
        let mut places = Self {
            devices: ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty"].map(Into::into).to_vec(),
            ..Self::default()
        };
        let mut named = Vec::new();
        let (mut command, mut matches, mut first) = (command, matches, None);
        loop {
            let verb = first.unwrap_or_default();
            for argument in command.get_arguments() {
                let values = matches.try_get_raw(argument.get_id().as_str()).ok().flatten();
                for value in values.into_iter().flatten().filter(|value| *value != "-") {
                    places.name(verb, argument.get_id().as_str(), value);
                    named.push(PathBuf::from(value));
                }
            }
            let Some((name, inner)) = matches.subcommand() else { break };
            let Some(own) = command.find_subcommand(name) else { break };
            first = first.or(Some(own.get_name()));
            (command, matches) = (own, inner);
        }
        if first == Some("report") && matches.try_get_raw("output").ok().flatten().is_none() {
            let folder = matches.try_get_raw("folders").ok().flatten();
            places.written.extend(folder.and_then(|mut all| all.next()).map(PathBuf::from));
        }
        if may_connect {
            // A connection needs names, certificates and a token, which lie in places of their own.
            places.written.extend(hub_cache().map(|cache| nearest(&cache)));
            return places;
        }
        places.read = Some(readable(&named));
        places
    }

    /// Notes what the value of an argument gives reason to write.
    fn name(&mut self, verb: &str, argument: &str, value: &OsStr) {
        let path = Path::new(value);
        match argument {
            "output" if FILLING.contains(&verb) => self.written.push(nearest(path)),
            "bundle" if matches!(verb, "evaluate" | "classify") => {
                self.written.push(run_of(path));
            }
            "places" => {
                // What a link leads to is written, not the link.
                let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
                let own = if real.is_dir() { real.as_path() } else { folder_of(&real) };
                self.written.extend([nearest(own), run_of(path), run_of(&real)]);
            }
            _ if OUTPUTS.contains(&argument) => {
                // The folder itself, too: it may be a link to elsewhere.
                self.written.extend([nearest(folder_of(path)), run_of(path)]);
                self.written.extend(path.is_dir().then(|| path.to_path_buf()));
            }
            _ => {}
        }
    }
}

/// The folder that holds a path.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A path, or of the folders above it the nearest that is there.
fn nearest(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|path| !path.as_os_str().is_empty() && path.exists());
    there.unwrap_or(Path::new(".")).to_path_buf()
}

/// What happened on the way to a bundle stands beside it.
fn run_of(bundle: &Path) -> PathBuf {
    crate::training::RunFolder::of(bundle).path().to_path_buf()
}

/// What belongs to the names on a command line, beside the system.
fn readable(named: &[PathBuf]) -> Vec<PathBuf> {
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    read.extend(hub_cache());
    for path in named.iter().filter(|path| path.exists()) {
        read.extend([path.clone(), run_of(path)]);
        let folder = folder_of(path);
        if folder.extension().is_some_and(|ending| ending == "run") {
            read.push(folder.to_path_buf());
        }
        let mut left = LINKS;
        linked(path, 3, &mut left, &mut read);
        read.extend(adapted(path));
    }
    read
}

/// Where the links in a folder lead: parts of models and studies may lie elsewhere.
fn linked(folder: &Path, depth: usize, left: &mut usize, read: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_symlink() && *left > 0 => {
                *left -= 1;
                read.push(path);
            }
            Ok(kind) if kind.is_dir() && depth > 1 => linked(&path, depth - 1, left, read),
            _ => {}
        }
    }
}

/// The model that a folder with an adapter names, if it is one in a folder.
fn adapted(folder: &Path) -> Option<PathBuf> {
    let file = folder.join(ADAPTER_CONFIG);
    if file.metadata().ok()?.len() > LONGEST_CONFIG {
        return None;
    }
    let config: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let base = config["base_model_name_or_path"].as_str()?;
    let mut places = [folder.join(base), PathBuf::from(base)].into_iter();
    // An adapter opens no folder but a model's.
    places.find(|place| place.join("config.json").is_file() || is_gguf(place))
}

fn is_gguf(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|ending| ending == "gguf")
}
