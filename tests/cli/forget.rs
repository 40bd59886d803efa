//! `confide forget`: withdrawn comments leave everything but the weights.

use serde_json::Value;

use crate::harness::{Folder, Ran};
use crate::study::{FROZEN, SECRET, bytes, study, table, train};

/// What was withdrawn: two rows that trained, one that validated, one that tested, one unknown.
const IDS: &str = "train3\n train7 \nvalidation2\ntest1\nnobody\n";

#[track_caller]
fn forget(folder: &Folder, more: &[&str]) -> Ran {
    let ran = folder.run(&[&["forget", "--ids", "ids.txt"], more].concat());
    ran.keeps_quiet_about(SECRET);
    ran
}

/// The lines of a table but those of the withdrawn ids.
fn without(text: &str) -> String {
    let gone = |line: &&str| {
        !["train3,", "train7,", "validation2,", "test1,"].iter().any(|id| line.starts_with(id))
    };
    text.split_inclusive('\n').filter(gone).collect()
}

fn json(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(&folder.read(name)).expect("JSON")
}

#[test]
fn rows_digests_and_out_of_fold_codes_go_and_the_bundle_is_named() {
    let folder = study(FROZEN);
    train(&folder, "bundle", &["--folds", "2"]).exits(0);
    folder.run(&["evaluate", "bundle", "coded.csv", "-o", "figures"]).exits(0);
    let corpus = |line: &str| line.splitn(3, ',').take(2).collect::<Vec<_>>().join(",") + "\n";
    folder.file("corpus.csv", table().lines().map(corpus).collect::<String>());
    let coding = ["classify", "bundle", "corpus.csv", "-o", "out.csv", "--folds"];
    folder.run(&[&coding[..], &["--probabilities"]].concat()).exits(0);
    folder.file("ids.txt", IDS);
    let before: Vec<String> =
        ["coded.csv", "out.csv", "bundle.run/oof.csv"].map(|name| folder.read(name)).into();
    let rows = json(&folder, "bundle.run/rows.json");
    let weights = bytes(&folder, "bundle");

    let dry = forget(&folder, &[".", "--dry-run"]);
    dry.exits(0).prints(&["4 of 5", "would be removed", "bundle"]).says(&["train anew"]);
    assert_eq!(folder.read("coded.csv"), before[0], "a dry run changes nothing");
    assert_eq!(json(&folder, "bundle.run/rows.json"), rows);

    let ran = forget(&folder, &[".", "--json"]);
    ran.exits(0).says(&["1 withdrawn ids are in none"]);
    let told = ran.json();
    assert_eq!(
        (&told["ids"], &told["found"], &told["missing"][0]),
        (&5.into(), &4.into(), &"nobody".into())
    );
    for (name, before) in ["coded.csv", "out.csv", "bundle.run/oof.csv"].iter().zip(&before) {
        assert_ne!(&folder.read(name), before);
        assert_eq!(folder.read(name), without(before), "{name}");
    }
    let after = json(&folder, "bundle.run/rows.json");
    let count = |document: &Value, set: &str| document[set].as_array().unwrap().len();
    assert_eq!(count(&after, "train"), count(&rows, "train") - 2);
    assert_eq!(count(&after, "validation"), count(&rows, "validation") - 1);
    let named = |told: &Value, bundle: &str| {
        let all = told["bundles"].as_array().unwrap().clone();
        all.into_iter().find(|own| own["bundle"] == bundle).unwrap_or_else(|| panic!("{told}"))
    };
    let own = named(&told, "./bundle");
    assert_eq!((&own["train"], &own["validation"]), (&2.into(), &1.into()));
    // Every row trained one of the two folds' models.
    let folds = ["1", "2"].map(|fold| {
        named(&told, &format!("./bundle.run/folds-2/{fold}"))["train"].as_u64().unwrap_or(0)
    });
    assert_eq!(folds.iter().sum::<u64>(), 2);
    assert_eq!(bytes(&folder, "bundle"), weights, "weights cannot forget");

    // What depends on digests of the tables still holds.
    let again = folder.run(&["evaluate", "bundle", "coded.csv", "--json"]);
    again.exits(0).says(&["scored 2 times"]);
    let shares = ["prevalence", "llm-mental-health", "out.csv", "--gold", "coded.csv"];
    let oof = ["--design", "srs", "--oof", "bundle.run/oof.csv"];
    folder.run(&[&shares[..], &oof].concat()).exits(0);

    // A second call finds nothing more, and still names the bundle.
    let second = forget(&folder, &["."]);
    second.exits(0).prints(&["0 of 5", "bundle"]);
}

#[test]
fn all_other_bytes_stay() {
    let folder = Folder::new();
    folder.file("ids.csv", "why,id\nasked,b\nasked,d\n");
    let csv = "\u{feff}id;text;note\r\na;\"one\r\n\"\"two\"\"\";x\r\n\r\nb;withdrawn;y\r\nc;  spaced ;\r\nd;last";
    folder.file("t.csv", csv);
    let jsonl = "{\"text\":\"x\", \"id\": \"a\",\"n\":1.50}\n\n{\"id\":\"b\",\"text\":\"y\"}\n{ \"id\":\"c\" }\n";
    folder.file("t.jsonl", jsonl);
    let ran = folder.run(&["forget", "--ids", "ids.csv", "t.csv", "t.jsonl"]);
    ran.exits(0).prints(&["2 of 2", "t.csv"]).keeps_quiet_about("withdrawn;");
    assert_eq!(folder.read("t.csv"), csv.replace("b;withdrawn;y\r\n", "").replace("d;last", ""));
    assert_eq!(folder.read("t.jsonl"), jsonl.replace("{\"id\":\"b\",\"text\":\"y\"}\n", ""));
    assert_eq!(folder.entries(), ["ids.csv", "t.csv", "t.jsonl"], "nothing is left beside them");
}

#[cfg(unix)]
#[test]
fn links_lead_to_what_is_changed() {
    let folder = Folder::new();
    folder.file("ids.txt", "1\n");
    folder.file("real/t.csv", "id,text\n1,a\n2,b\n");
    std::os::unix::fs::symlink("real/t.csv", folder.path("link.csv")).unwrap();
    folder.run(&["forget", "--ids", "ids.txt", "link.csv"]).exits(0);
    assert_eq!(folder.read("real/t.csv"), "id,text\n2,b\n");
    assert!(folder.path("link.csv").is_symlink());
    // Within a folder a link is not followed, and told of.
    folder.run(&["forget", "--ids", "ids.txt", "."]).exits(0).says(&["link.csv", "not followed"]);
}

#[test]
fn what_cannot_be_searched_is_told_before_anything_changes() {
    let folder = Folder::new();
    folder.file("ids.txt", "1\n");
    folder.file("good.csv", "id,text\n1,a\n2,b\n");
    let good = folder.read("good.csv");
    for (name, content, code) in [
        ("none.csv", &b"text\nzanzibar\n"[..], 3),
        ("open.csv", b"id,text\n1,\"zanzibar\n", 3),
        ("wide.csv", b"\xff\xfei\0d\0\n\0", 3),
        ("page.html", b"<p>zanzibar", 2),
    ] {
        folder.file(&format!("bad/{name}"), content);
        let path = format!("bad/{name}");
        let ran = folder.run(&["forget", "--ids", "ids.txt", "good.csv", &path]);
        ran.exits(code).says(&[name]).keeps_quiet_about("zanzibar");
        assert_eq!(folder.read("good.csv"), good);
    }
    // Found in a folder, they are passed over by name.
    let ran = folder.run(&["forget", "--ids", "ids.txt", "."]);
    ran.exits(0)
        .says(&["open.csv", "wide.csv", "1 tables have no column"])
        .keeps_quiet_about("zanzibar");
    assert_eq!(folder.read("good.csv"), "id,text\n2,b\n");
    folder.file("odd.csv", "comment_id,why\n2,asked\n");
    folder.run(&["forget", "--ids", "odd.csv", "good.csv"]).exits(3).says(&["odd.csv", "--id"]);
    folder.file("ids.txt", "\n");
    folder.run(&["forget", "--ids", "ids.txt", "good.csv"]).exits(3).says(&["ids.txt"]);
    folder.run(&["forget", "--ids", "ids.txt", "nowhere"]).exits(3);
    folder.run(&["forget", "good.csv"]).exits(2).says(&["--ids"]);
}

#[test]
fn an_unfinished_coding_that_holds_one_is_discarded() {
    let folder = Folder::new();
    folder.file("ids.txt", "1\n");
    folder.file("in.csv", "id,text\n1,a\n2,b\n");
    folder.file("out.csv.partial/coded.part", "id,text,status\n1,a,ok\n");
    folder.file("out.csv.partial/state.json", "{}");
    folder.file("other.csv.partial/coded.part", "id,text,status\n2,b,ok\n");
    folder.run(&["forget", "--ids", "ids.txt", "."]).exits(0).prints(&["out.csv.partial"]);
    assert!(!folder.path("out.csv.partial").exists());
    assert!(folder.path("other.csv.partial/coded.part").exists());
}
