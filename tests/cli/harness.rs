//! Runs the program in a scratch folder and looks at what it left behind.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What one run of the program ended with.
pub struct Ran {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Asserts the exit code, showing what was printed if it differs.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that a message on standard error holds every one of these pieces.
    #[track_caller]
    pub fn says(&self, pieces: &[&str]) -> &Self {
        for piece in pieces {
            assert!(self.stderr.contains(piece), "no '{piece}' in stderr:\n{}", self.stderr);
        }
        self
    }

    /// Asserts that standard output holds every one of these pieces.
    #[track_caller]
    pub fn prints(&self, pieces: &[&str]) -> &Self {
        for piece in pieces {
            assert!(self.stdout.contains(piece), "no '{piece}' in stdout:\n{}", self.stdout);
        }
        self
    }

    /// Asserts that neither stream holds the piece.
    #[track_caller]
    pub fn keeps_quiet_about(&self, piece: &str) -> &Self {
        assert!(!self.stdout.contains(piece), "'{piece}' in stdout:\n{}", self.stdout);
        assert!(!self.stderr.contains(piece), "'{piece}' in stderr:\n{}", self.stderr);
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("not one JSON document ({error}):\n{}", self.stdout),
        }
    }
}

/// A scratch folder, removed at the end of the test.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a scratch folder"))
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file (folders in its name are made) and returns its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a folder");
        }
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a readable file")
    }

    /// Every file and folder below the scratch folder, as sorted relative paths.
    pub fn entries(&self) -> Vec<String> {
        fn walk(root: &Path, at: &Path, into: &mut Vec<String>) {
            for entry in std::fs::read_dir(at).expect("a folder") {
                let path = entry.expect("an entry").path();
                into.push(path.strip_prefix(root).expect("below").display().to_string());
                if path.is_dir() {
                    walk(root, &path, into);
                }
            }
        }
        let mut all = Vec::new();
        walk(self.root(), self.root(), &mut all);
        all.sort();
        all
    }

    /// Runs `confide` in the folder with nothing on standard input.
    pub fn run<A: Into<OsString> + Clone>(&self, args: &[A]) -> Ran {
        self.run_with(args, b"")
    }

    /// Runs `confide` in the folder with these bytes on standard input.
    pub fn run_with<A: Into<OsString> + Clone>(&self, args: &[A], stdin: &[u8]) -> Ran {
        let mut child = command(self.root())
            .args(args.iter().cloned().map(Into::into))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut input = child.stdin.take().expect("a pipe");
        let bytes = stdin.to_vec();
        // A program that ends before it has read everything closes the pipe: no failure here.
        let feeder = std::thread::spawn(move || drop(input.write_all(&bytes)));
        let output = child.wait_with_output().expect("the program ends");
        feeder.join().expect("the feeder ends");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The program in a folder, with no `CONFIDE_` variable of the outer environment.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_confide"));
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CONFIDE_") {
            command.env_remove(name);
        }
    }
    command
}
