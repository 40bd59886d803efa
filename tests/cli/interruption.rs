//! Trainings that are killed, stopped or changed half-way.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Folder, command};
use crate::study::{
    FROZEN, SECRET, bytes, holds_no_text, rows, same, study, table, train, training,
};

/// A checkpoint after each of 240 batches, no early end.
pub const LONG: &str = "members = 1\nepochs = 40\npatience = 40\nbatch_rows = 4\nlearning_rate = 0.01\n\
    head_learning_rate = 0.03\npenalties = [900.0]\ncheckpoint_seconds = 0.0\n";

/// Starts the study's training, with more arguments, and leaves it running.
pub fn start(folder: &Folder, output: &str, more: &[&str]) -> Child {
    command(folder.root())
        .args(training(output))
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn updates(folder: &Folder, output: &str) -> usize {
    let log = folder.path(&format!("{output}.run/log.jsonl"));
    std::fs::read_to_string(log).map_or(0, |text| text.matches("grad_norm").count())
}

/// Waits until the training has logged so many updates; false if it ended before.
pub fn reaches(folder: &Folder, output: &str, count: usize, child: &mut Child) -> bool {
    let begun = Instant::now();
    while updates(folder, output) < count {
        if child.try_wait().expect("a process").is_some() {
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "no {count} updates in two minutes");
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Kills a training of the study once it has logged so many updates.
#[track_caller]
pub fn kill_at(folder: &Folder, output: &str, count: usize) {
    kill_with(folder, output, &[], count);
}

/// The same with more arguments.
#[track_caller]
pub fn kill_with(folder: &Folder, output: &str, more: &[&str], count: usize) {
    let mut child = start(folder, output, more);
    assert!(reaches(folder, output, count, &mut child), "it ended before update {count}");
    child.kill().expect("a kill");
    child.wait().expect("its end");
    assert!(!folder.path(output).exists());
}

#[test]
fn a_killed_training_ends_in_the_same_bytes() {
    let folder = study(LONG);
    train(&folder, "unbroken", &[]).exits(0);
    let log = folder.read("unbroken.run/log.jsonl");
    assert_eq!(updates(&folder, "unbroken"), 240);
    for count in [1, 2, 37, 90] {
        kill_at(&folder, "killed", count);
        holds_no_text(&folder, &["killed.run"]);
    }
    let ran = train(&folder, "killed", &["--threads", "1"]);
    ran.exits(0).says(&["continuing"]);
    same(&folder, "unbroken", "killed");
    assert_eq!(folder.read("killed.run/log.jsonl"), log);
    assert!(bytes(&folder, "killed.run").keys().eq(bytes(&folder, "unbroken.run").keys()));
}

#[test]
fn a_kill_between_checkpoints_loses_only_what_came_after() {
    let folder = study(LONG);
    train(&folder, "unbroken", &[]).exits(0);
    // Checkpoints at the ends of epochs alone: nothing of the result depends on them, but they
    // are part of the recipe, so the weights are compared and not the manifest.
    folder
        .file("recipe.toml", LONG.replace("checkpoint_seconds = 0.0", "checkpoint_seconds = 1e6"));
    kill_at(&folder, "killed", 33);
    train(&folder, "killed", &[]).exits(0).says(&["continuing"]);
    assert!(folder.read("killed.run/log.jsonl") == folder.read("unbroken.run/log.jsonl"));
    for file in ["model.safetensors", "heads.safetensors", "decision.json"] {
        let read = |name: &str| bytes(&folder, name).remove(file);
        assert!(read("unbroken") == read("killed"), "{file}");
    }
}

#[test]
fn ctrl_c_saves_the_state_and_the_same_command_continues() {
    let folder = study(LONG);
    train(&folder, "unbroken", &[]).exits(0);
    let mut child = start(&folder, "stopped", &[]);
    assert!(reaches(&folder, "stopped", 5, &mut child));
    // SAFETY: kill(2) with the id of a child that has not been waited for.
    let sent = unsafe { libc::kill(child.id().cast_signed(), libc::SIGINT) };
    assert_eq!(sent, 0);
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("same command") && !said.contains(SECRET), "{said}");
    assert!(!folder.path("stopped").exists());
    train(&folder, "stopped", &[]).exits(0).says(&["continuing"]);
    same(&folder, "unbroken", "stopped");
}

#[test]
fn what_changed_since_is_named_and_force_starts_over() {
    let folder = study(LONG);
    train(&folder, "fresh", &["--seed", "3"]).exits(0);
    kill_at(&folder, "bundle", 4);
    let before = bytes(&folder, "bundle.run");
    train(&folder, "bundle", &["--seed", "3"]).exits(2).says(&["bundle.run", "seed", "--force"]);

    folder.file("recipe.toml", LONG.replace("epochs = 40", "epochs = 41"));
    train(&folder, "bundle", &[]).exits(2).says(&["changed since then: recipe"]);
    folder.file("recipe.toml", LONG);

    for changed in [
        table().replacen("a 5 ", "changed 5 ", 1),
        table().replacen("no_personal_use,neutral", "off_topic,", 1),
        format!("{}{}", table(), rows("train", 1, "one more")),
    ] {
        folder.file("coded.csv", changed);
        train(&folder, "bundle", &[]).exits(2).says(&["changed since then: data"]);
    }
    folder.file("coded.csv", table());

    let codebook = include_str!("../../configs/codebooks/llm-mental-health.toml");
    let other = codebook.replacen("version = \"", "version = \"9.", 1);
    assert_ne!(other, codebook);
    folder.file("other.toml", other);
    let mut command = training("bundle");
    command[1] = "other.toml";
    folder.run(&command).exits(2).says(&["changed since then: codebook"]);

    let config = folder.read("base/config.json");
    folder.file("base/config.json", config.replace("1e-12", "1e-11"));
    train(&folder, "bundle", &[]).exits(2).says(&["changed since then: base encoder"]);
    folder.file("base/config.json", config);

    // None of this has touched what there is to continue.
    assert!(bytes(&folder, "bundle.run") == before);
    let ran = train(&folder, "bundle", &["--seed", "3", "--force"]);
    ran.exits(0).keeps_quiet_about("continuing");
    same(&folder, "fresh", "bundle");
}

/// Runs the study's training where no file may become longer than `limit` bytes, as on a disk
/// that is nearly full; what it ended with and said.
#[cfg(target_os = "linux")]
fn cramped(folder: &Folder, output: &str, limit: u64) -> (Option<i32>, String) {
    use std::os::unix::process::CommandExt;
    let mut command = command(folder.root());
    // SAFETY: between fork and exec only two system calls are made.
    unsafe {
        command.pre_exec(move || {
            let size = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            match libc::setrlimit(libc::RLIMIT_FSIZE, &raw const size) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let output = command.args(training(output)).output().expect("the program runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_room_loses_nothing() {
    for recipe in [LONG, FROZEN] {
        let folder = study(recipe);
        train(&folder, "unbroken", &[]).exits(0);
        let size = bytes(&folder, "unbroken")["model.safetensors"].len() as u64;
        let (code, said) = cramped(&folder, "bundle", size - 1000);
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains("bundle.run") && said.contains("cannot write"), "{said}");
        assert!(!folder.path("bundle").exists());
        train(&folder, "bundle", &[]).exits(0);
        same(&folder, "unbroken", "bundle");
        let left = bytes(&folder, "bundle.run");
        assert!(left.keys().eq(bytes(&folder, "unbroken.run").keys()), "{:?}", left.keys());
    }
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let folder = study(LONG);
    kill_at(&folder, "bundle", 4);
    let checkpoint = "bundle.run/checkpoint.safetensors";
    let whole = std::fs::read(folder.path(checkpoint)).unwrap();
    for length in [0, 7, 100, whole.len() - 1] {
        folder.file(checkpoint, &whole[..length]);
        train(&folder, "bundle", &[]).exits(4).says(&["checkpoint.safetensors", "--force"]);
    }
    folder.file(checkpoint, &whole);
    train(&folder, "bundle", &[]).exits(0).says(&["continuing"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_running_training_is_denied_every_socket() {
    let folder = study(LONG);
    let mut child = start(&folder, "bundle", &[]);
    assert!(reaches(&folder, "bundle", 1, &mut child));
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let states: Vec<String> = tasks
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap())
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(states.len() > 1, "the workers are there");
    assert!(states.iter().all(|state| state.contains("Seccomp:\t2")), "{states:?}");
}
