//! The library that lets calls fail, built once, and the calls that a command makes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Folder, Ran, command};

/// The built library.
pub struct Injector(PathBuf);

/// A call on a file, as the library notes it.
#[derive(Clone, Debug)]
pub struct Call {
    pub kind: String,
    pub file: String,
    pub second: String,
}

impl Injector {
    /// Builds it, once for all tests; `None`, with a message, where that cannot be.
    pub fn build() -> Option<Self> {
        static BUILT: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
        BUILT.get_or_init(built).clone().map(Self)
    }

    /// The command with the library before it; `settings` are its variables.
    pub fn prepare(&self, folder: &Folder, args: &[&str], settings: &[(&str, &str)]) -> Command {
        let mut command = command(folder.root());
        command
            .args(args)
            .env("LD_PRELOAD", &self.0)
            .env("FAULT_BELOW", folder.root())
            .envs(settings.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, folder: &Folder, args: &[&str], settings: &[(&str, &str)]) -> Ran {
        let output = self.prepare(folder, args, settings).output().expect("the program ends");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it unharmed; how it ended, and its calls in order.
    pub fn trace(&self, folder: &Folder, args: &[&str]) -> (Ran, Vec<Call>) {
        let outside = tempfile::NamedTempFile::new().expect("a file");
        let place = outside.path().display().to_string();
        let ran = self.run(folder, args, &[("FAULT_TRACE", &place)]);
        let text = std::fs::read_to_string(outside.path()).expect("a trace");
        let call = |line: &str| {
            let mut fields = line.split('\t').skip(1).map(str::to_owned);
            let mut next = || fields.next().expect("four fields");
            Call { kind: next(), file: next(), second: next() }
        };
        (ran, text.lines().map(call).collect())
    }
}

fn built() -> Option<PathBuf> {
    if !cfg!(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")) {
        eprintln!("skipped: calls are made to fail on Linux alone");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.rs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (built, part) =
        (folder.join("shim.so"), folder.join(format!("shim-{}.so", std::process::id())));
    let ran = Command::new(option_env!("RUSTC").unwrap_or("rustc"))
        .args(["--edition", "2024", "-O", "-C", "panic=abort", "--crate-type", "cdylib", "-o"])
        .args([&part, &source])
        .output();
    let Ok(ran) = ran else {
        eprintln!("skipped: there is no rustc");
        return None;
    };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    // Tests that run beside this one may have it open.
    std::fs::rename(&part, &built).expect("a place for it");
    Some(built)
}
