//! One command and all faults that it can suffer.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::cases::Case;
use super::injector::Injector;
use crate::harness::{Folder, Ran};
use crate::study::SECRET;

/// A fault: the kind of call, which one of that kind, and what it suffers.
#[derive(Clone, Debug)]
pub struct Fault {
    call: String,
    at: usize,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.call, self.at, self.what)
    }
}

impl FromStr for Fault {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let [call, at, what] = text.split(' ').collect::<Vec<_>>().try_into().map_err(|_| ())?;
        Ok(Self { call: call.into(), at: at.parse().map_err(|_| ())?, what: what.into() })
    }
}

impl Fault {
    /// Whether nothing can be tidied up after it: the process is gone, or every further call fails.
    fn is_final(&self) -> bool {
        self.what.ends_with('+')
            || self.what.contains(':')
            || ["remove", "memory", "time"].contains(&&*self.call)
    }

    /// Whether the call is only to be made again.
    fn is_harmless(&self) -> bool {
        self.what == "4"
    }
}

/// What each kind of call can suffer: EIO 5, ENOSPC 28, EACCES 13, EINTR 4, EMFILE 24; signals KILL 9, INT 2, TERM 15.
const SUFFERED: [(&str, &[&str]); 9] = [
    ("open", &["13", "5", "24", "4"]),
    ("create", &["13", "28", "5", "28+"]),
    ("read", &["5", "short", "4"]),
    ("write", &["28", "5", "short", "28+", "4"]),
    ("sync", &["5", "28+"]),
    ("rename", &["13", "28", "5"]),
    ("exchange", &["13", "5"]),
    ("truncate", &["5"]),
    ("mkdir", &["13", "28"]),
];

const SIGNALS: [&str; 4] = ["before:9", "after:9", "before:2", "before:15"];

/// What stands in a folder, by name.
type Files = BTreeMap<String, Vec<u8>>;

/// A command with what it reads and what it leaves where nothing fails.
pub struct Sweep<'a> {
    case: &'static Case,
    injector: &'a Injector,
    folder: Folder,
    inputs: Files,
    /// What stood under the output's name before, if anything did.
    old: Files,
    new: Files,
    /// Everything that is there afterwards.
    left: Vec<String>,
    calls: BTreeMap<String, usize>,
    milliseconds: u64,
}

impl<'a> Sweep<'a> {
    /// Runs the command once unharmed.
    pub fn new(case: &'static Case, injector: &'a Injector) -> Self {
        let folder = (case.inputs)();
        let inputs = files(&folder);
        let old = below(&inputs, case.output);
        let begun = std::time::Instant::now();
        let (ran, calls) = injector.trace(&folder, &(case.args)());
        let milliseconds = begun.elapsed().as_millis() as u64;
        ran.exits(case.code);
        let after = files(&folder);
        let new = below(&after, case.output);
        assert!(!new.is_empty() && new != old, "{} writes nothing", case.name);
        let mut counts = BTreeMap::from([("any".to_owned(), calls.len())]);
        for call in calls {
            *counts.entry(call.kind).or_default() += 1;
        }
        let left = after.into_keys().collect();
        Self { case, injector, folder, inputs, old, new, left, calls: counts, milliseconds }
    }

    pub fn name(&self) -> &'static str {
        self.case.name
    }

    /// Every fault, in order.
    pub fn faults(&self) -> Vec<Fault> {
        let fault =
            |call: &str, at: usize, what: &str| Fault { call: call.into(), at, what: what.into() };
        let mut all = Vec::new();
        let kinds =
            SUFFERED.iter().copied().chain([("remove", &["13"][..]), ("any", &SIGNALS[..])]);
        for (call, suffered) in kinds {
            for at in 1..=self.calls.get(call).copied().unwrap_or(0) {
                all.extend(suffered.iter().map(|what| fault(call, at, what)));
            }
        }
        // MiB of addresses; the program itself needs some of them.
        all.extend((1..=24).map(|step| fault("memory", 40 + 12 * step, "limit")));
        let of_time = |step: u64| (self.milliseconds * step / 12) as usize;
        all.extend((1..=12).map(|step| fault("time", of_time(step), "kill")));
        all
    }

    /// The command with this fault, in a folder as it was at first.
    pub fn broken(&self, fault: &Fault) -> Ran {
        restore(&self.folder, &self.inputs);
        match &*fault.call {
            "memory" => self.cramped(fault.at),
            "time" => self.killed(fault.at),
            _ => self.injector.run(
                &self.folder,
                &(self.case.args)(),
                &[
                    ("FAULT_CALL", &fault.call),
                    ("FAULT_AT", &fault.at.to_string()),
                    ("FAULT_WHAT", &fault.what),
                ],
            ),
        }
    }

    /// The command with so many MiB of addresses.
    fn cramped(&self, mib: usize) -> Ran {
        let own = crate::harness::command(self.folder.root());
        let output = std::process::Command::new("sh")
            .current_dir(self.folder.root())
            .args(["-c", &format!("ulimit -v {}; exec \"$@\"", mib * 1024), "sh"])
            .arg(own.get_program())
            .args((self.case.args)())
            .output()
            .expect("a shell");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The command killed after so many milliseconds.
    fn killed(&self, milliseconds: usize) -> Ran {
        let mut command = self.injector.prepare(&self.folder, &(self.case.args)(), &[]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        std::thread::sleep(std::time::Duration::from_millis(milliseconds as u64));
        // It may have ended.
        let _ = child.kill();
        let output = child.wait_with_output().expect("its end");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Lets the command suffer a fault and run again; what was lost, if anything was.
    pub fn suffer(&self, fault: &Fault) -> Result<(), String> {
        let ran = self.broken(fault);
        let said = ran.stderr.trim().to_owned();
        let wrong = |what: &str| Err(format!("{what} (exit code {}: {said})", ran.code));
        let gone = fault.is_final();
        if ran.code == 101 || said.contains("has a fault") {
            return wrong("it panics");
        }
        // The system itself may not be able to load the program.
        let unloaded = fault.call == "memory" && [126, 127].contains(&ran.code);
        let known =
            [0, 1, 2, 3, 4, 5, 130].contains(&ran.code) || (gone && ran.code == -1) || unloaded;
        if !known {
            return wrong("it ends in no way that is known");
        }
        if said.contains(SECRET) || ran.stdout.contains(SECRET) {
            return wrong("it tells a text");
        }
        let done = ran.code == self.case.code;
        if ran.code != -1
            && !unloaded
            && !done
            && !said.contains("error:")
            && !said.contains("interrupted")
            && ran.code != 130
        {
            return wrong("it fails without a reason");
        }
        if fault.is_harmless() && !done {
            return wrong("it fails for a call that was only to be made again");
        }
        let after = files(&self.folder);
        self.check_files(&after, gone).or_else(|what| wrong(&what))?;
        let stands = below(&after, self.case.output);
        if done && stands != self.new {
            return wrong("it says that all is done, and the output is another");
        }
        if stands != self.new && stands != self.old {
            return wrong("the output is neither the old one nor the new one");
        }
        if done {
            return Ok(());
        }
        let again = self.injector.run(&self.folder, &(self.case.args)(), &[]);
        let told = again.stderr.trim().to_owned();
        let wrong = |what: &str| {
            Err(format!("{what} (first {}: {said}; again {}: {told})", ran.code, again.code))
        };
        // Where only the tidying up failed, the output is there already.
        let exists = stands == self.new && again.code == 2;
        if again.code != self.case.code && !exists {
            return wrong("the same command does not end what was begun");
        }
        if again.stderr.contains(SECRET) {
            return wrong("it tells a text");
        }
        let after = files(&self.folder);
        if below(&after, self.case.output) != self.new {
            return wrong("the same command ends in other bytes");
        }
        if let Some(name) = after.keys().find(|name| !self.left.contains(name))
            && !exists
        {
            return wrong(&format!("{name} is left behind"));
        }
        Ok(())
    }

    /// Only what may be there is there, and only what may hold texts does.
    fn check_files(&self, after: &Files, gone: bool) -> Result<(), String> {
        for (name, bytes) in after {
            let own = |names: &[&str]| names.iter().any(|own| name.starts_with(own));
            let is_temporary = name.ends_with(".tmp");
            let expected = self.inputs.contains_key(name)
                || name.starts_with(self.case.output)
                || own(self.case.beside);
            if !expected || (is_temporary && !gone) {
                return Err(format!("{name} is left behind"));
            }
            let has_text = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            if has_text && !own(self.case.texts) {
                return Err(format!("{name} holds a text"));
            }
        }
        let changed = |(name, bytes): (&String, &Vec<u8>)| {
            let is_output = name.starts_with(self.case.output);
            (!is_output && after.get(name) != Some(bytes)).then(|| name.clone())
        };
        match self.inputs.iter().find_map(changed) {
            Some(name) => Err(format!("{name} is another")),
            None => Ok(()),
        }
    }
}

/// Every file below the folder.
fn files(folder: &Folder) -> Files {
    let all = folder.entries().into_iter().filter(|name| folder.path(name).is_file());
    all.map(|name| (name.clone(), std::fs::read(folder.path(&name)).expect("a readable file")))
        .collect()
}

/// The output itself: the file of that name, or the files in the folder of that name.
fn below(files: &Files, output: &str) -> Files {
    let inside = format!("{output}/");
    let own = |name: &str| name == output || name.starts_with(&inside);
    files.iter().filter(|(name, _)| own(name)).map(|(n, b)| (n.clone(), b.clone())).collect()
}

/// Makes a folder hold these files and nothing else.
fn restore(folder: &Folder, wanted: &Files) {
    for entry in std::fs::read_dir(folder.root()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let untouched = std::fs::read(&path).is_ok_and(|bytes| wanted.get(&name) == Some(&bytes));
        let inside = format!("{name}/");
        let is_input = path.is_dir() && wanted.keys().any(|own| own.starts_with(&inside));
        match path.is_dir() {
            true if is_input && below(&files(folder), &name) == below(wanted, &name) => {}
            true => std::fs::remove_dir_all(&path).expect("a removal"),
            false if untouched => {}
            false => std::fs::remove_file(&path).expect("a removal"),
        }
    }
    for (name, bytes) in wanted {
        if !folder.path(name).exists() {
            folder.file(name, bytes);
        }
    }
}

/// An order in which the faults of all commands and kinds alternate.
pub fn spread(name: &str, fault: &Fault) -> u64 {
    // FNV-1a.
    let key = format!("{name} {fault}");
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// What has been suffered, a line each: command, fault, and what was lost.
pub struct Ledger {
    path: PathBuf,
    lines: BTreeMap<String, String>,
}

impl Ledger {
    /// Opens `FAULTS_LEDGER`, or the one in the folder for what is built.
    pub fn open() -> Self {
        let path = std::env::var_os("FAULTS_LEDGER").map_or_else(
            || Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.tsv"),
            PathBuf::from,
        );
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let line =
            |line: &str| line.split_once('\t').map(|(key, lost)| (key.to_owned(), lost.to_owned()));
        Self { path, lines: text.lines().filter_map(line).collect() }
    }

    pub fn has(&self, name: &str, fault: &Fault) -> bool {
        self.lines.contains_key(&format!("{name} {fault}"))
    }

    pub fn note(&mut self, name: &str, fault: &Fault, lost: Option<&str>) {
        use std::io::Write;
        let (key, lost) =
            (format!("{name} {fault}"), lost.unwrap_or("").replace(['\n', '\t'], " "));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path);
        writeln!(file.expect("a ledger"), "{key}\t{lost}").expect("a line");
        self.lines.insert(key, lost);
    }

    /// All faults, and those after which something was lost.
    pub fn totals(&self) -> (usize, usize) {
        (self.lines.len(), self.lines.values().filter(|lost| !lost.is_empty()).count())
    }
}
