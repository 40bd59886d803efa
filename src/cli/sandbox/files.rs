//! What Landlock refuses: writing and reading where the command line gives no reason for it.

use super::places::Places;

/// How far the kernel keeps this process to its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// Writing is limited, at this level of the kernel's Landlock.
    InForce {
        /// The level (ABI) that is used.
        level: u32,
        /// Whether reading is limited as well.
        reading: bool,
        /// Whether TCP is refused here, too.
        tcp: bool,
    },
    /// Nothing is refused; why.
    Off(String),
}

/// Limits this thread, and all that it starts, to these places; to be called before another exists.
#[cfg(target_os = "linux")]
pub fn restrict(places: &Places, may_connect: bool) -> Files {
    match apply(places, may_connect) {
        Ok(files) => files,
        Err(error) => Files::Off(error),
    }
}

#[cfg(target_os = "linux")]
fn apply(places: &Places, may_connect: bool) -> Result<Files, String> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
        Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, path_beneath_rules,
    };

    let failed = |error: landlock::RulesetError| error.to_string();
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    // No devices, pipes or sockets are made.
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    // Without it (before Linux 5.19) no file can be moved between folders, and bundles are.
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)
        .map_err(|_| "this kernel has no Landlock, or an early one".to_owned())?;
    let mut ruleset = ruleset
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V3))
        .map_err(failed)?;
    if !may_connect {
        ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4)).map_err(failed)?;
    }
    let ruleset = ruleset
        .create()
        .map_err(failed)?
        .add_rules(path_beneath_rules(&places.written, write))
        .map_err(failed)?
        .add_rules(path_beneath_rules(&places.devices, read | AccessFs::WriteFile))
        .map_err(failed)?;
    let ruleset = match &places.read {
        Some(paths) => ruleset.add_rules(path_beneath_rules(paths, read)),
        None => ruleset.add_rules(path_beneath_rules(["/"], read)),
    };
    let status = ruleset.map_err(failed)?.restrict_self().map_err(failed)?;
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return Err("this kernel has no Landlock".into());
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("this kernel's Landlock refuses nothing".into());
    }
    let level = (1..=10).filter(|level| ABI::from(*level) <= effective_abi).max().unwrap_or(0);
    let tcp = !may_connect && effective_abi >= ABI::V4;
    Ok(Files::InForce { level: level.unsigned_abs(), reading: places.read.is_some(), tcp })
}

/// Limits nothing.
#[cfg(not(target_os = "linux"))]
pub fn restrict(_: &Places, _: bool) -> Files {
    Files::Off("this system has no Landlock; the program writes where it is told to alone".into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::io::ErrorKind::PermissionDenied;
    use std::path::Path;

    use super::*;

    const ROLE: &str = "CONFIDE_TEST_ROLE";
    const OWN: &str = "cli::sandbox::files::tests::only_what_was_named_is_read_and_written";

    fn refused<T>(outcome: std::io::Result<T>) -> bool {
        outcome.err().is_some_and(|error| error.kind() == PermissionDenied)
    }

    fn check_files(inside: &Path, named: &Path, outside: &Path) {
        let file = inside.join("b.csv");
        fs::write(inside.join("a.tmp"), "new").unwrap();
        fs::rename(inside.join("a.tmp"), &file).unwrap();
        fs::create_dir_all(inside.join("run/deep")).unwrap();
        fs::rename(inside.join("run/deep"), inside.join("deep")).unwrap();
        fs::remove_dir(inside.join("deep")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::read_to_string(named).unwrap(), "named");
        assert!(refused(fs::write(named, "x")), "what is read is not written");
        assert!(refused(fs::write(outside.join("new"), "x")), "a new file");
        assert!(refused(fs::write(outside.join("there"), "x")), "a file that is there");
        assert!(refused(fs::OpenOptions::new().append(true).open(outside.join("there"))));
        assert!(refused(fs::create_dir(outside.join("folder"))), "a folder");
        assert!(refused(fs::remove_file(outside.join("there"))), "a removal");
        assert!(fs::rename(&file, outside.join("moved")).is_err(), "a move");
        assert!(fs::hard_link(outside.join("there"), inside.join("link")).is_err(), "a link");
        assert!(refused(fs::read(outside.join("there"))), "reading");
        assert!(refused(fs::read_dir(outside)), "listing");
        fs::write("/dev/null", "x").unwrap();
        fs::read("/proc/self/status").unwrap();
    }

    fn check() {
        let root = tempfile::tempdir().unwrap();
        let [inside, outside] = ["inside", "outside"].map(|name| root.path().join(name));
        let named = root.path().join("named");
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("there"), "there").unwrap();
        fs::write(&named, "named").unwrap();
        let places = Places {
            written: vec![inside.clone()],
            read: Some(vec![named.clone(), "/proc".into()]),
            devices: vec!["/dev/null".into()],
        };
        let Files::InForce { level, tcp, .. } = restrict(&places, false) else { panic!() };
        check_files(&inside, &named, &outside);
        std::thread::scope(|scope| {
            scope.spawn(|| check_files(&inside, &named, &outside)).join().unwrap();
        });
        assert!(refused(std::process::Command::new("/bin/true").status()), "a child");
        assert_eq!(tcp, level >= 4);
        if tcp {
            assert!(refused(std::net::TcpListener::bind("127.0.0.1:0")), "TCP, without seccomp");
            assert!(refused(std::net::TcpStream::connect("127.0.0.1:9")), "TCP, without seccomp");
        }
        // What this process made outside cannot be removed by it any more.
        std::mem::forget(root);
    }

    #[test]
    fn only_what_was_named_is_read_and_written() {
        let role = std::env::var(ROLE);
        let play = |role: &str, folder: &Path| {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            let command = command.args(["--exact", OWN, "--nocapture"]).env(ROLE, role);
            command.env("TMPDIR", folder).output().unwrap()
        };
        match role.as_deref() {
            Ok("probe") => {
                let places = Places { written: vec![], read: None, devices: vec![] };
                println!("found: {:?}", restrict(&places, false));
            }
            Ok(_) => check(),
            Err(_) => {
                let folder = tempfile::tempdir().unwrap();
                let probed = play("probe", folder.path()).stdout;
                let probed = String::from_utf8_lossy(&probed).into_owned();
                if !probed.contains("found: InForce") {
                    eprintln!("skipped: this kernel limits no files ({probed})");
                    return;
                }
                let ran = play("limited", folder.path());
                let said = String::from_utf8_lossy(&ran.stderr).into_owned();
                assert!(ran.status.success(), "{said}");
            }
        }
    }
}
