//! The seeds of the fuzz targets and everything that fuzzing has found, read again.

use std::path::Path;

#[path = "fuzz/parsers.rs"]
mod parsers;

/// Every file of a folder in `tests/fuzz`, with its name.
fn inputs(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(folder);
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            (path.display().to_string(), std::fs::read(path).expect("a readable file"))
        })
        .collect()
}

#[test]
fn seeds_and_findings_are_read_without_panic() {
    for (target, parse) in parsers::ALL {
        let seeds = inputs(&format!("seeds/{target}"));
        assert!(!seeds.is_empty(), "{target} has no seed");
        for (name, bytes) in seeds.into_iter().chain(inputs(&format!("findings/{target}"))) {
            eprintln!("{name}");
            parse(&bytes);
        }
    }
}

/// A few thousand damages of each seed, the same in every run: bytes changed, cut out, doubled.
#[test]
fn damaged_seeds_are_read_without_panic() {
    for (target, parse) in parsers::ALL {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut below = |most: usize| {
            // Xorshift (Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % most.max(1) as u64) as usize
        };
        for (_, seed) in inputs(&format!("seeds/{target}")) {
            let rounds = (400_000 / seed.len().max(1)).clamp(20, 1000);
            for _ in 0..rounds {
                let mut bytes = seed.clone();
                for _ in 0..=below(4) {
                    let (at, length) = (below(bytes.len()), 1 + below(16));
                    let end = bytes.len().min(at + length);
                    match below(4) {
                        0 if at < bytes.len() => bytes[at] = below(256) as u8,
                        1 => drop(bytes.drain(at..end)),
                        2 => bytes.extend_from_within(at..end),
                        _ => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0xff),
                    }
                }
                parse(&bytes);
            }
        }
    }
}
