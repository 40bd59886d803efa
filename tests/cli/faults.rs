//! Commands whose calls on files fail, one after another, and that are killed, stopped and short of memory: under the final
//! name is the old output or the new one, never half of one, and the same command then ends in the bytes of an unbroken run.
//!
//! Here stands a small part of it, in an order that never changes. `tests/faults/run.sh` runs all of it and keeps count.

mod cases;
mod injector;
mod order;
mod sweep;
mod together;

use cases::{CASES, case};
use injector::Injector;
use sweep::{Fault, Sweep};

/// Every so-manieth fault of these commands.
#[test]
fn a_part_of_all_faults_loses_nothing() {
    let Some(injector) = Injector::build() else { return };
    for (name, share) in [
        ("split", 9),
        ("classify", 60),
        ("replace", 50),
        ("crisis", 90),
        ("frozen", 60),
        ("train", 240),
    ] {
        let sweep = Sweep::new(case(name), &injector);
        let all = sweep.faults();
        assert!(all.len() > 2 * share, "{name} makes too few calls");
        for fault in all.iter().step_by(share) {
            if let Err(wrong) = sweep.suffer(fault) {
                panic!("{name}, {fault}: {wrong}");
            }
        }
    }
}

#[test]
fn the_injector_does_what_it_is_asked_for() {
    let Some(injector) = Injector::build() else { return };
    let sweep = Sweep::new(case("split"), &injector);
    let ended = |fault: &str| {
        let ran = sweep.broken(&fault.parse().expect("a fault"));
        (ran.code, ran.stderr)
    };
    assert_eq!(ended("write 1 28").0, 5);
    assert_eq!(ended("read 1 5").0, 3);
    assert_eq!(ended("rename 1 before:9").0, -1);
    assert!(ended("create 1 13").1.contains("permission denied"));
    assert_eq!(ended("write 1000000 28").0, 0);
}

/// All that is not in the ledger yet, for as long as the variable says: `tests/faults/run.sh`.
#[test]
#[ignore = "tests/faults/run.sh runs it, which keeps count"]
fn all_faults_lose_nothing() {
    let injector = Injector::build().expect("Linux, and rustc");
    let wanted = std::env::var("FAULTS_CASES").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    let seconds = std::env::var("FAULTS_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(600);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    let mut ledger = sweep::Ledger::open();
    let sweeps: Vec<Sweep> = CASES
        .iter()
        .filter(|case| wanted.is_empty() || wanted.contains(&case.name))
        .map(|case| Sweep::new(case, &injector))
        .collect();
    let mut left: Vec<(&Sweep, Fault)> = sweeps
        .iter()
        .flat_map(|sweep| sweep.faults().into_iter().map(move |fault| (sweep, fault)))
        .filter(|(sweep, fault)| !ledger.has(sweep.name(), fault))
        .collect();
    // Those of all commands and kinds in turn, whenever the time is over.
    left.sort_by_key(|(sweep, fault)| sweep::spread(sweep.name(), fault));
    for (sweep, fault) in left {
        if std::time::Instant::now() > until {
            break;
        }
        let wrong = sweep.suffer(&fault).err();
        if let Some(wrong) = &wrong {
            eprintln!("{}, {fault}: {wrong}", sweep.name());
        }
        ledger.note(sweep.name(), &fault, wrong.as_deref());
    }
    let (all, failed) = ledger.totals();
    println!("{all} faults, {failed} with a loss");
    assert_eq!(failed, 0);
}
