//! The commands that suffer, on tiny data.

use crate::bundles::tiny_bundle;
use crate::classify::text;
use crate::harness::Folder;
use crate::study::{FROZEN, SECRET, study, table, training};

/// A command, what it reads, and what it leaves.
pub struct Case {
    pub name: &'static str,
    /// Makes what it reads.
    pub inputs: fn() -> Folder,
    pub args: fn() -> Vec<&'static str>,
    /// How it ends where nothing fails.
    pub code: i32,
    /// The file or folder that it writes.
    pub output: &'static str,
    /// What it may leave beside it, as beginnings of names.
    pub beside: &'static [&'static str],
    /// Files that hold texts by design, as beginnings of names.
    pub texts: &'static [&'static str],
}

/// The case of that name.
pub fn case(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).expect("a case")
}

pub const CASES: [Case; 10] = [
    Case {
        name: "classify",
        inputs: corpus,
        args: || vec!["classify", "b", "t.csv", "-o", "o.csv", "--threads", "1"],
        code: 1,
        output: "o.csv",
        beside: &["o.csv.rejects.csv", "o.csv.partial"],
        texts: &["t.csv", "o.csv"],
    },
    Case {
        name: "replace",
        inputs: coded_corpus,
        args: || vec!["classify", "b", "t.csv", "-o", "o.csv", "--threads", "1", "--force"],
        code: 1,
        output: "o.csv",
        beside: &["o.csv.rejects.csv", "o.csv.partial"],
        texts: &["t.csv", "o.csv"],
    },
    Case {
        name: "budget",
        inputs: corpus,
        args: || {
            vec!["classify", "b", "t.csv", "-o", "o.csv", "--threads", "1", "--review-budget", "9"]
        },
        code: 1,
        output: "o.csv",
        beside: &["o.csv.rejects.csv", "o.csv.partial"],
        texts: &["t.csv", "o.csv"],
    },
    Case {
        name: "crisis",
        inputs: corpus_in_danger,
        args: || vec!["classify", "b", "t.csv", "-o", "o.csv", "--threads", "1", "--crisis"],
        code: 0,
        output: "o.csv",
        beside: &["o.csv.crisis.csv", "o.csv.partial"],
        texts: &["t.csv", "o.csv"],
    },
    Case {
        name: "frozen",
        inputs: || study(FROZEN),
        args: single,
        code: 0,
        output: "bundle",
        beside: &["bundle.run"],
        texts: &["coded.csv"],
    },
    Case {
        name: "train",
        inputs: || study(SHORT),
        args: single,
        code: 0,
        output: "bundle",
        beside: &["bundle.run"],
        texts: &["coded.csv"],
    },
    Case {
        name: "retrain",
        inputs: trained,
        args: || [single(), vec!["--force"]].concat(),
        code: 0,
        output: "bundle",
        beside: &["bundle.run"],
        texts: &["coded.csv"],
    },
    Case {
        name: "split",
        inputs: || study(FROZEN),
        args: || {
            vec!["split", "coded.csv", "-o", "s", "--train", "20", "--validation", "5", "--force"]
        },
        code: 0,
        output: "s/coded.csv",
        beside: &[],
        texts: &["coded.csv", "s/coded.csv"],
    },
    Case {
        name: "prevalence",
        inputs: shares,
        args: || {
            vec![
                "prevalence",
                "llm-mental-health",
                "out.csv",
                "--coder",
                "bot",
                "--gold",
                "out.csv",
                "--design",
                "srs",
                "-o",
                "p.csv",
            ]
        },
        code: 0,
        output: "p.csv",
        beside: &[],
        texts: &["out.csv"],
    },
    Case {
        name: "import",
        inputs: answers,
        args: || {
            vec![
                "import",
                "openai",
                "out.jsonl",
                "--codebook",
                "llm-mental-health",
                "--coder",
                "gpt4o",
                "-o",
                "gpt4o.csv",
                "--input",
                "in.jsonl",
            ]
        },
        code: 0,
        output: "gpt4o.csv",
        beside: &[],
        texts: &["out.jsonl", "in.jsonl", "gpt4o.csv"],
    },
];

/// Trains on one thread.
fn single() -> Vec<&'static str> {
    [training("bundle"), vec!["--threads", "1"]].concat()
}

/// A checkpoint after each of a dozen updates.
const SHORT: &str = "members = 1\nepochs = 2\nbatch_rows = 4\nlearning_rate = 0.01\nhead_learning_rate = 0.03\n\
    penalties = [900.0]\ncheckpoint_seconds = 0.0\n";

/// Three windows of two texts, one of which is flagged now and then.
fn corpus_in_danger() -> Folder {
    let folder = Folder::new();
    tiny_bundle(folder.root(), "b", "llm-mental-health", None);
    let mut table = "id,text\n".to_string();
    for row in 0..8500 {
        match row % 1000 {
            3 => table.push_str(&format!("{row},{SECRET} i will kill myself tonight\n")),
            _ => table.push_str(&format!("{row},{SECRET} the cake is great\n")),
        }
    }
    folder.file("t.csv", table);
    folder
}

/// Three windows of texts, most of them equal, a few rows broken or empty.
fn corpus() -> Folder {
    let folder = Folder::new();
    tiny_bundle(folder.root(), "b", "llm-mental-health", None);
    let mut table = "id,text,note\n".to_string();
    for row in 0..8500 {
        match row % 1000 {
            3 => table.push_str(&format!("{row},{SECRET}\n")),
            4 => table.push_str(&format!("{row},,n\n")),
            _ => table.push_str(&format!("{row},{SECRET} {},n\n", text(row % 17))),
        }
    }
    folder.file("t.csv", table);
    folder
}

/// The same with an output of another table in its place, which has a list of rejected rows, too.
fn coded_corpus() -> Folder {
    let folder = corpus();
    folder.file("o.csv", format!("id,text\n1,{SECRET} of an earlier run\n"));
    folder.file("o.csv.rejects.csv", "row,line,reason,detail\n9,9,ragged,x\n");
    folder
}

/// A study with a bundle of other heads in its place.
fn trained() -> Folder {
    let folder = study(SHORT);
    tiny_bundle(folder.root(), "bundle", "olid", None);
    folder.file("bundle.run/plan.json", "{}");
    folder
}

/// Coded rows with a coder's codes beside the gold ones.
fn shares() -> Folder {
    let folder = Folder::new();
    let table = table();
    let mut lines = table.lines();
    let heading = lines.next().expect("a heading");
    let bot = "experience__bot,attitude__bot,topics__bot";
    let mut out = format!("{heading},{bot}\n");
    lines.for_each(|line| {
        let codes: Vec<&str> = line.split(',').collect();
        out.push_str(&format!("{line},{}\n", codes[2..5].join(",")));
    });
    folder.file("out.csv", out);
    folder
}

/// Answers of a hosted model and what it was asked.
fn answers() -> Folder {
    let folder = Folder::new();
    let (mut out, mut asked) = (String::new(), String::new());
    for row in 0..20 {
        out.push_str(&format!(
            "{{\"custom_id\":\"{row}\",\"error\":null,\"response\":{{\"status_code\":200,\"body\":{{\"choices\":[{{\
             \"message\":{{\"content\":\"experience: off_topic\",\"refusal\":null}}}}]}}}}}}\n"
        ));
        asked.push_str(&format!(
            "{{\"custom_id\":\"{row}\",\"body\":{{\"input\":\"{SECRET} {row}\"}}}}\n"
        ));
    }
    folder.file("out.jsonl", out);
    folder.file("in.jsonl", asked);
    folder
}
