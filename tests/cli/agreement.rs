//! `agree`, `compare` and `prevalence` on plain tables, without any model.

use serde_json::Value;

use crate::harness::Folder;

const BOOK: &str = "format = 1\nname = \"b\"\nversion = \"1\"\nlanguage = \"en\"\ndescription = \"d\"\n\
    [[tier]]\nname = \"use\"\nkind = \"single\"\nquestion = \"q\"\n\
    label = [{ name = \"yes\", definition = \"d\" }, { name = \"no\", definition = \"d\" }]\n\
    [[tier]]\nname = \"topics\"\nkind = \"multi\"\nquestion = \"q\"\nasked_when = { use = [\"yes\"] }\n\
    label = [{ name = \"a\", definition = \"d\" }, { name = \"b\", definition = \"d\" }]\n";

const SECRET: &str = "zanzibar";

/// A study of `rows` rows: gold, two people, a model, and a group for every four rows.
fn study(rows: usize) -> Folder {
    let folder = Folder::new();
    folder.file("b.toml", BOOK);
    let columns = ["", "__ana", "__ben", "__cleo", "__bot"]
        .map(|coder| format!("use{coder},topics{coder}"))
        .join(",");
    let mut table = format!("id,text,group,platform,likes,{columns}\n");
    for row in 0..rows {
        let gold = row % 3 == 0;
        // Each coder is wrong on rows of their own.
        let codes = [0, 7, 11, 13, 5].map(|step| {
            let yes = gold != (step > 0 && row % step == 1);
            let topics = ["a", "b", "a|b", "none"][row % 4];
            if yes { format!("yes,{topics}") } else { "no,".to_owned() }
        });
        let platform = if row % 2 == 0 { "x" } else { "y" };
        table += &format!(
            "{row},{SECRET} {row},g{},{platform},{},{}\n",
            row / 4,
            row % 5,
            codes.join(",")
        );
    }
    folder.file("t.csv", table);
    folder
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn coders_are_compared_with_each_other() {
    let folder = study(240);
    let args =
        ["agree", "b.toml", "t.csv", "--coders", "ana,ben,bot", "--humans", "ana,ben", "--json"];
    let ran = folder.run(&args);
    ran.exits(0).keeps_quiet_about(SECRET);
    let json = ran.json();
    assert_eq!(json["resampled"], "groups");
    let tier = &json["tiers"]["use"];
    // Of a tier of two labels each label's figures are the tier's own.
    let label = &tier["labels"]["yes"];
    for (own, whole) in [
        (&label["percent"]["value"], &tier["percent"]),
        (&label["ac1"]["value"], &tier["ac1"]["value"]),
    ] {
        assert!((number(own) - number(whole)).abs() < 1e-12, "{own} {whole}");
    }
    for (own, whole) in
        label["pairs"].as_array().unwrap().iter().zip(tier["pairs"].as_array().unwrap())
    {
        assert_eq!((&own["a"], &own["b"]), (&whole["a"], &whole["b"]));
        assert!((number(&own["kappa"]["value"]) - number(&whole["kappa"])).abs() < 1e-12);
        assert!(number(&own["kappa"]["lower"]) < number(&own["kappa"]["value"]));
        assert!(number(&whole["percent_lower"]) < number(&whole["percent"]));
    }
    assert_eq!((number(&tier["n"]), tier["pairs"].as_array().unwrap().len()), (240.0, 3));
    let alpha = &tier["alpha"];
    assert!(number(&alpha["lower"]) < number(&alpha["value"]));
    assert!(number(&alpha["value"]) < number(&alpha["upper"]));
    let kinds: Vec<&str> =
        tier["pairs"].as_array().unwrap().iter().map(|p| p["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["human-human", "human-model", "human-model"]);
    // Of the gated tier, rows that all let through, and all rows.
    let topics = &json["tiers"]["topics"];
    assert!(number(&topics["n"]) < number(&topics["with_not_asked"]["n"]));
    assert!(number(&topics["lost_to_gate"]) > 0.0);
    // Those who ask agree wholly: what they differ in is the gate.
    assert_eq!(number(&topics["percent"]), 1.0);
    assert!(number(&topics["with_not_asked"]["percent"]) < 1.0);
    assert_eq!(folder.run(&args).stdout, ran.stdout);
    folder.run(&args[..7]).exits(0).prints(&["human-model", "reliable (.800)"]);
}

#[test]
fn gold_is_no_independent_coder() {
    let folder = study(60);
    let ran = folder.run(&["agree", "b.toml", "t.csv", "--coders", "gold,ana", "--json"]);
    let json = ran.exits(0).json();
    assert_eq!(json["tiers"]["use"]["pairs"][0]["not_independent"], true);
    // Alone with the gold, no two coders are left.
    assert_eq!(json["tiers"]["use"]["alpha"]["value"], Value::Null);
}

#[test]
fn rows_to_adjudicate_are_written() {
    let folder = study(60);
    let args = ["agree", "b.toml", "t.csv", "--coders", "ana,ben", "--disagreements", "d.csv"];
    folder.run(&args).exits(0);
    let table = folder.read("d.csv");
    let head = "id,text,disputed,use__ana,use__ben,topics__ana,topics__ben,use,topics\n";
    assert!(table.starts_with(head), "{table}");
    assert!(table.contains(&format!("8,{SECRET} 8,use|topics,yes,no,a,,,\n")), "{table}");
    folder.run(&args).exits(2);
}

#[test]
fn too_little_to_agree_on_is_said() {
    let folder = study(10);
    folder.run(&["agree", "b.toml", "t.csv", "--coders", "ana"]).exits(3);
    folder.run(&["agree", "b.toml", "t.csv", "--coders", "ana,annika"]).exits(3).says(&["ana"]);
    folder.run(&["agree", "b.toml", "t.csv", "--coders", "ana,ben", "--humans", "zoe"]).exits(3);
    // One row, all the same, a label never used, every gate closed.
    for (name, rows) in [("one", "1,no,,no,\n"), ("same", "1,no,,no,\n2,no,,no,\n3,no,,no,\n")] {
        let file = format!("{name}.csv");
        folder.file(&file, format!("id,use__x,topics__x,use__y,topics__y\n{rows}"));
        let ran = folder.run(&["agree", "b.toml", &file]);
        ran.exits(0).keeps_quiet_about("NaN");
        let json = folder.run(&["agree", "b.toml", &file, "--json"]);
        assert_eq!(json.exits(0).json()["tiers"]["use"]["alpha"]["value"], Value::Null);
    }
}

#[test]
fn two_coders_stand_against_gold() {
    let folder = study(240);
    let args = [
        "compare",
        "b.toml",
        "t.csv",
        "--a",
        "cleo",
        "--b",
        "bot",
        "--humans",
        "ana,ben,cleo",
        "--margin",
        "0.05",
        "--json",
    ];
    let ran = folder.run(&args);
    ran.exits(0).keeps_quiet_about(SECRET).says(&["not independent"]);
    let json = ran.json();
    let tier = &json["tiers"]["use"];
    let difference = number(&tier["a"]["macro_f1"]) - number(&tier["b"]["macro_f1"]);
    assert!((number(&tier["macro_f1_difference"]["value"]) - difference).abs() < 1e-12);
    for figure in ["lower", "upper", "p", "p_holm"] {
        number(&tier["macro_f1_difference"][figure]);
    }
    assert_eq!(tier["mcnemar"]["assumes_independent_rows"], true);
    assert!(number(&tier["mcnemar"]["p_holm"]) >= number(&tier["mcnemar"]["p"]));
    assert_eq!(tier["non_inferiority"]["non_inferior"], true);
    assert_eq!(tier["alternative_annotators"]["a"]["humans"].as_array().unwrap().len(), 3);
    assert_eq!((&json["margin"], json["data"].as_str().unwrap().len()), (&0.05.into(), 64));
    assert!(number(&tier["smallest_margin"]) > 0.0);
    assert!(json["tiers"]["topics"]["asked"]["n"].as_u64() < tier["n"].as_u64());
    assert_eq!(folder.run(&args).stdout, ran.stdout);
    folder.run(&args[..7]).exits(0).prints(&["primary", "assumes independent rows"]);
    folder.run(&["compare", "b.toml", "t.csv", "--a", "bot", "--b", "bot"]).exits(2);
}

#[test]
fn the_figures_are_those_of_evaluate() {
    // 4 rows by hand: gold yes yes no no, a yes no no no, b yes yes no (missing).
    let folder = Folder::new();
    folder.file("b.toml", BOOK);
    folder
        .file("t.csv", "id,use,use__a,use__b\n1,yes,yes,yes\n2,yes,no,yes\n3,no,no,no\n4,no,no,\n");
    let ran = folder.run(&["compare", "b.toml", "t.csv", "--a", "a", "--b", "b", "--json"]);
    let tier = &ran.exits(0).json()["tiers"]["use"];
    assert_eq!((number(&tier["n"]), number(&tier["left_out"]["only_a"])), (3.0, 1.0));
    // F1 of yes 2/3, of no 2/3.
    assert!((number(&tier["a"]["macro_f1"]) - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(number(&tier["b"]["accuracy"]), 1.0);
}

/// The gold of every fourth row, as a table of its own.
fn gold_of(folder: &Folder, rows: usize, pi: &str) {
    let mut table = format!("id,use,topics{}\n", if pi.is_empty() { "" } else { ",pi" });
    for row in (0..rows).step_by(4) {
        let codes = if row % 3 == 0 { "yes,a" } else { "no," };
        let pi = if pi.is_empty() { String::new() } else { format!(",{pi}") };
        table += &format!("{row},{codes}{pi}\n");
    }
    folder.file("gold.csv", table);
}

#[test]
fn shares_are_corrected_by_gold_of_known_design() {
    let folder = study(1_200);
    gold_of(&folder, 1_200, "");
    let args = ["prevalence", "b.toml", "t.csv", "--coder", "bot", "--gold", "gold.csv"];
    folder.run(&args).exits(2).says(&["--design srs"]);
    let run = |more: &[&str]| {
        let mut args = args.to_vec();
        args.extend(more);
        let ran = folder.run(&args);
        ran.exits(0).keeps_quiet_about(SECRET).keeps_quiet_about("NaN");
        ran
    };
    let json = run(&["--design", "srs", "--json"]).json();
    let of = |json: &Value, method: &str, label: &str, of: &str| -> Value {
        let rows = json["rows"].as_array().unwrap();
        let own = rows.iter().find(|r| {
            r["method"] == method && r["label"] == label && r["of"] == of && r["value"].is_null()
        });
        own.unwrap_or_else(|| panic!("no {method} of {label}")).clone()
    };
    let (naive, corrected) =
        (of(&json, "naive", "yes", "all"), of(&json, "ppi_plus_plus", "yes", "all"));
    // A third of the rows are yes; the model says so of rather more.
    assert!(number(&naive["estimate"]) > 0.36, "{naive}");
    assert!((number(&corrected["estimate"]) - 1.0 / 3.0).abs() < 0.03, "{corrected}");
    assert!(number(&corrected["lower"]) < 1.0 / 3.0 && number(&corrected["upper"]) > 1.0 / 3.0);
    assert_eq!(
        (&corrected["primary"], number(&corrected["n_corpus"])),
        (&Value::Bool(true), 1_200.0)
    );
    let asked = of(&json, "gold_only", "a", "asked");
    assert_eq!(number(&asked["estimate"]), 1.0);
    assert!(json["rows"].as_array().unwrap().last().unwrap()["method"] == "naive");
    gold_of(&folder, 1_200, "0.25");
    let with_pi = run(&["--json"]).json();
    let same = of(&with_pi, "ppi_plus_plus", "yes", "all");
    assert!((number(&same["estimate"]) - number(&corrected["estimate"])).abs() < 1e-12);
    let by = run(&["--by", "platform", "--weight", "likes", "--among", "use=yes", "--json"]).json();
    let values: Vec<&str> =
        by["rows"].as_array().unwrap().iter().filter_map(|row| row["value"].as_str()).collect();
    assert!(values.contains(&"x") && values.contains(&"y"));
    let tiers: Vec<&Value> =
        by["rows"].as_array().unwrap().iter().map(|row| &row["tier"]).collect();
    assert!(tiers.iter().all(|tier| **tier == "topics"), "{tiers:?}");
    for column in ["--by", "--weight"] {
        let mut args = args.to_vec();
        args.extend(["--design", "srs", column, "text"]);
        folder.run(&args).exits(2).keeps_quiet_about(SECRET);
    }
    run(&["-o", "p.csv"]).prints(&["of comments"]);
    assert!(folder.read("p.csv").starts_with("tier,label,of,by,value,method,estimate,lower,upper"));
}

#[test]
fn gold_that_trained_estimates_nothing() {
    let folder = study(400);
    let table = folder.read("t.csv");
    let mut lines = table.lines();
    let mut gold = "id,use,topics,split\n".to_owned();
    lines.next();
    for row in 0..400 {
        let codes = if row % 3 == 0 { "yes,a" } else { "no," };
        let split = if row % 2 == 0 { "train" } else { "test" };
        gold += &format!("{row},{codes},{split}\n");
    }
    folder.file("gold.csv", &gold);
    let args = [
        "prevalence",
        "b.toml",
        "t.csv",
        "--coder",
        "bot",
        "--gold",
        "gold.csv",
        "--design",
        "srs",
        "--json",
    ];
    let json = folder.run(&args).exits(0).json();
    assert_eq!((number(&json["counts"]["used"]), number(&json["counts"]["gold"])), (200.0, 200.0));
    // All gold of the rest is known: the share is that of the whole corpus, without error.
    let first = &json["rows"][0];
    assert!((number(&first["estimate"]) - 134.0 / 400.0).abs() < 1e-12, "{first}");
    assert_eq!(first["lower"], first["upper"]);
    folder.file("gold.csv", gold.replace("test", "validation"));
    folder.run(&args).exits(3).says(&["used in training"]);
}

/// A coded corpus in which one row of `every` is yes, with texts of so many words, and its gold.
fn month(folder: &Folder, name: &str, every: usize, words: usize) {
    let mut table = "id,text,use,topics,status\n".to_owned();
    let mut gold = "id,use,topics\n".to_owned();
    for row in 0..600 {
        let codes = |yes: bool| if yes { "yes,a" } else { "no," };
        let truth = row % every == 0;
        let text = vec![if words > 3 { "long" } else { "short" }; words].join(" ");
        let status = if row % 10 == 0 { "review" } else { "ok" };
        let coded = codes(truth != (row % 19 == 1));
        table += &format!("{name}{row},{SECRET} {text},{coded},{status}\n");
        if row % 2 == 0 {
            gold += &format!("{name}{row},{}\n", codes(truth));
        }
    }
    folder.file(&format!("{name}.csv"), table);
    folder.file(&format!("gold-{name}.csv"), gold);
}

#[test]
fn two_corpora_are_called_stable_only_within_a_margin() {
    let folder = Folder::new();
    folder.file("b.toml", BOOK);
    for (name, every, words) in [("may", 3, 3), ("june", 3, 6), ("july", 7, 3)] {
        month(&folder, name, every, words);
    }
    let run = |b: &str, more: &[&str]| {
        let b = format!("{b}.csv");
        let mut args = vec!["drift", "b.toml", "may.csv", &b, "--json"];
        args.extend(more);
        let ran = folder.run(&args);
        ran.exits(0).keeps_quiet_about(SECRET).keeps_quiet_about("NaN");
        ran
    };
    let gold = ["--gold", "gold-may.csv", "gold-june.csv", "gold-july.csv", "--design", "srs"];
    let verdict = |json: &Value| json["labels"][0]["verdict"].as_str().unwrap().to_owned();
    assert_eq!(verdict(&run("june", &gold).json()), "no_difference_shown");
    let wide: Vec<&str> = gold.iter().copied().chain(["--margin", "0.2"]).collect();
    assert_eq!(verdict(&run("june", &wide).json()), "stable");
    let july = run("july", &gold).json();
    assert_eq!(verdict(&july), "different");
    assert!(number(&july["labels"][0]["difference"]["upper"]) < 0.0);
    let untested = run("june", &[]);
    untested.says(&["how well it is coded is not known"]);
    let json = untested.json();
    assert_eq!(verdict(&json), "not_tested");
    assert!(number(&json["a"]["review"]) > 0.09 && number(&json["b"]["strange_words"]) > 0.5);
    assert_eq!((&json["a"]["median_words"], &json["b"]["median_words"]), (&4.into(), &7.into()));
    assert!(number(&run("june", &[]).json()["stability_index"]["use"]) < 1e-12);
    folder.run(&["drift", "b.toml", "may.csv", "june.csv", "--standardise-to", "a"]).exits(3);
    // Words differ, and only three texts are there: nothing for a classifier.
    assert_eq!(json["domain_classifier"]["auc"], Value::Null);
    assert_eq!((&json["b"]["validated"], &july["b"]["validated"]), (&false.into(), &true.into()));
    run("july", &["--by", "status", "--standardise-to", "b"]);
    let by_text = ["drift", "b.toml", "may.csv", "june.csv", "--by", "text"];
    folder.run(&by_text).exits(2).keeps_quiet_about(SECRET);
    // What is said of corpora is not said of people.
    let printed = folder.run(&["drift", "b.toml", "may.csv", "june.csv"]);
    printed.exits(0).prints(&["none between the ages", "never validated", "not tested"]);
}

/// Two corpora of two platforms with the same shares, in other parts: all of the difference is their
/// mix.
fn two_mixes(folder: &Folder) {
    folder.file("b.toml", BOOK);
    let mut gold = "id,use,topics\n".to_owned();
    for (name, more) in [("a", 1), ("b", 3)] {
        let mut table = "id,platform,use,topics\n".to_owned();
        for row in 0..400 * (1 + more) {
            let (platform, yes) = if row < 400 { ("g", row % 5 == 0) } else { ("h", row % 5 != 0) };
            let codes = |yes: bool| if yes { "yes,a" } else { "no," };
            // Wrong in one row of eleven.
            table += &format!("{name}{row},{platform},{}\n", codes(yes != (row % 11 == 1)));
            if row % 3 == 0 {
                gold += &format!("{name}{row},{}\n", codes(yes));
            }
        }
        folder.file(&format!("{name}.csv"), table);
    }
    folder.file("gold.csv", gold);
}

#[test]
fn a_difference_is_split_by_what_changed_and_by_the_mix() {
    let folder = Folder::new();
    two_mixes(&folder);
    let args = [
        "drift",
        "b.toml",
        "a.csv",
        "b.csv",
        "--by",
        "platform",
        "--standardise-to",
        "a",
        "--json",
    ];
    let of = |more: &[&str]| {
        let ran = folder.run(&[&args[..], more].concat());
        ran.exits(0).keeps_quiet_about("NaN");
        ran.json()["labels"][0].clone()
    };
    let naive = of(&[]);
    assert_eq!(
        (&naive["groups"]["corrected"], &naive["groups"]["mix"]["lower"]),
        (&false.into(), &Value::Null)
    );
    let found = of(&["--gold", "gold.csv", "--design", "srs"]);
    let (within, mix) = (&found["groups"]["within"], &found["groups"]["mix"]);
    // Shares go from 0.5 to 0.65 by the mix alone, which the model's errors shrink.
    assert!((number(&mix["value"]) - 0.15).abs() < 0.02, "{found}");
    assert!(number(&naive["groups"]["mix"]["value"]) < 0.14, "{naive}");
    assert!(number(&mix["lower"]) > 0.0 && number(&mix["upper"]) > 0.15);
    assert!(number(&within["lower"]) < 0.0 && number(&within["upper"]) > 0.0, "{found}");
    let both = number(&within["value"]) + number(&mix["value"]);
    assert!((both - number(&found["difference"]["value"])).abs() < 1e-9, "{found}");
    let standard = &found["standardised"];
    assert!((number(&standard["b"]["estimate"]) - 0.5).abs() < 0.03, "{found}");
    assert!(number(&standard["b"]["lower"]) < 0.5 && number(&standard["b"]["upper"]) > 0.5);
    assert!(number(&standard["difference"]["lower"]) < 0.0);
    assert!(number(&standard["difference"]["upper"]) > 0.0);
    folder.run(&args[..8]).exits(0).prints(&[
        "B, mix of A",
        "by platform",
        "naive A (biased)   naive B (biased)\n",
    ]);
    let strange = ["drift", "b.toml", "a.csv", "a.csv", "--by", "id", "--standardise-to", "b"];
    folder.run(&strange).exits(0);
    folder.run(&["drift", "b.toml", "a.csv", "b.csv", "--by", "month"]).exits(3).says(&["month"]);
    folder
        .run(&["drift", "b.toml", "a.csv", "b.csv", "--by", "id", "--standardise-to", "b"])
        .exits(3);
}

#[test]
fn texts_of_another_kind_are_told_apart_and_the_same_are_not() {
    let folder = Folder::new();
    folder.file("b.toml", BOOK);
    let things = [
        "my therapist",
        "the chatbot",
        "a friend",
        "my doctor",
        "this app",
        "nobody",
        "my mother",
        "the group",
    ];
    let days = ["on Monday", "last night", "in the morning", "for years", "once a week"];
    let corpus = |name: &str, begin: &str, from: usize| {
        let rows = things.iter().flat_map(|thing| days.iter().map(move |day| (thing, day)));
        let rows = rows.enumerate().filter(|(at, _)| from == 2 || at % 2 == from);
        let table: String = rows
            .map(|(at, (thing, day))| format!("{name}{at},{begin} {thing} {day},no,\n"))
            .collect();
        // Every text twice: copies are shown once.
        folder.file(
            &format!("{name}.csv"),
            format!("id,text,use,topics\n{table}{}", table.replace(name, "copy")),
        );
    };
    corpus("even", "I talked about it with", 0);
    corpus("odd", "I talked about it with", 1);
    corpus("recipe", "boil the noodles and then ask", 2);
    let of = |b: &str, more: &[&str]| {
        let args = [&["drift", "b.toml", "even.csv", b, "--json"][..], more].concat();
        folder.run(&args).exits(0).json()["domain_classifier"].clone()
    };
    let same = of("odd.csv", &[]);
    assert_eq!(same["texts"], serde_json::json!([20, 20]));
    assert_eq!(same["encoder"], "minilm");
    let other = of("recipe.csv", &[]);
    assert!(number(&other["auc"]) > 0.95, "{other}");
    assert!(number(&same["auc"]) < 0.9, "{same}");
    let few = of("recipe.csv", &["--sample", "12"]);
    assert_eq!(
        (&few["texts"], &few["distinct"]),
        (&serde_json::json!([12, 12]), &serde_json::json!([20, 40]))
    );
    assert_eq!(of("recipe.csv", &["--sample", "0"]), Value::Null);
    let args = ["drift", "b.toml", "even.csv", "recipe.csv"];
    folder.run(&args).exits(0).prints(&["tells A from B with AUC", "20 and 40 distinct texts"]);
    folder.run(&[&args[..], &["--bundle", "nowhere"]].concat()).exits(4);
}

#[test]
fn tables_at_the_edge_are_answered_or_refused_and_never_undefined_in_print() {
    let folder = Folder::new();
    folder.file("b.toml", BOOK);
    let head = "id,text,group,use,topics,use__x,topics__x,use__y,topics__y\n";
    let tables = [
        ("one row", "1,t,g,yes,a,yes,a,no,\n".to_owned()),
        (
            "all the same",
            "0,t,g,no,,no,,no,\n".to_owned()
                + &(1..20).map(|row| format!("{row},t,h,no,,no,,no,\n")).collect::<String>(),
        ),
        ("closed gates", (0..20).map(|row| format!("{row},t{row},g{row},no,,no,,no,\n")).collect()),
        (
            "a label never used",
            (0..20)
                .map(|row| {
                    format!(
                        "{row},t{row},g{row},yes,a,yes,{},yes,a\n",
                        if row % 3 == 0 { "none" } else { "a" }
                    )
                })
                .collect(),
        ),
        (
            "missing coders",
            (0..20)
                .map(|row| {
                    let (x, y) = if row % 2 == 0 { ("yes,b", ",") } else { (",", "yes,a") };
                    format!("{row},t{row},,yes,a,{x},{y}\n")
                })
                .collect(),
        ),
        (
            "missing here and there",
            (0..20)
                .map(|row| {
                    let x = if row % 2 == 0 { "yes,b" } else { "," };
                    format!("{row},t{row},,yes,a|b,{x},no,\n")
                })
                .collect(),
        ),
        ("nothing coded", (0..3).map(|row| format!("{row},t,,,,,,,\n")).collect()),
        ("no rows", String::new()),
    ];
    for (name, rows) in tables {
        folder.file("t.csv", format!("{head}{rows}"));
        folder.file(
            "lone.csv",
            format!("id,use,use__x\n{}", if rows.is_empty() { "" } else { "1,yes,yes\n" }),
        );
        let commands: [&[&str]; 7] = [
            &["agree", "b.toml", "t.csv"],
            &["agree", "b.toml", "t.csv", "--coders", "gold,x,y"],
            &["agree", "b.toml", "t.csv", "--coders", "gold,x"],
            &["compare", "b.toml", "t.csv", "--a", "x", "--b", "y", "--margin", "0.1"],
            &["compare", "b.toml", "t.csv", "--a", "x", "--b", "y", "--humans", "x,y,gold"],
            &["drift", "b.toml", "t.csv", "t.csv", "--standardise-to", "a", "--sample", "0"],
            &[
                "drift", "b.toml", "t.csv", "t.csv", "--gold", "t.csv", "--design", "srs",
                "--coder", "x", "--margin", "0.1", "--sample", "0",
            ],
        ];
        for command in commands {
            for json in [false, true] {
                let more: &[&str] = if json { &["--json"] } else { &[] };
                let ran = folder.run(&[command, more].concat());
                assert!(
                    matches!(ran.code, 0 | 3),
                    "{name}, {command:?}: {}\n{}",
                    ran.code,
                    ran.stderr
                );
                for piece in ["NaN", " inf", "-inf", "panicked", "-0.000"] {
                    assert!(
                        !ran.stdout.contains(piece),
                        "{name}, {command:?}: {piece} in\n{}",
                        ran.stdout
                    );
                    assert!(!ran.stderr.contains(piece), "{name}, {command:?}: {}", ran.stderr);
                }
                if ran.code == 3 {
                    assert!(ran.stdout.is_empty() && ran.stderr.lines().count() >= 1, "{name}");
                }
            }
        }
        // One coder alone is nobody to agree with.
        folder.run(&["agree", "b.toml", "lone.csv"]).exits(3);
    }
}

#[test]
fn a_margin_is_not_shown_by_rows_that_cannot_show_it() {
    let folder = Folder::new();
    folder.file("b.toml", BOOK);
    let compared = |rows: usize| {
        let table: String = (0..rows)
            .map(|row| format!("{row},{0},{0},{0}\n", if row % 2 == 0 { "yes" } else { "no" }))
            .collect();
        folder.file("t.csv", format!("id,use,use__x,use__y\n{table}"));
        let args = ["compare", "b.toml", "t.csv", "--a", "x", "--b", "y", "--margin", "0.1"];
        let ran = folder.run(&args);
        ran.exits(0)
            .prints(&["cannot be tested", "margin 0.1; data "])
            .says(&["the tier topics is left out"]);
        folder.run(&[&args[..], &["--json"]].concat()).json()["tiers"]["use"].clone()
    };
    // Three rows, and a hundred on which neither is ever wrong.
    for rows in [3, 100] {
        let tier = compared(rows);
        assert_eq!(
            (&tier["non_inferiority"], &tier["smallest_margin"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(
            (number(&tier["mcnemar"]["p"]), &tier["macro_f1_difference"]["lower"]),
            (1.0, &Value::Null)
        );
    }
}

#[test]
fn confirmed_codes_give_precision_and_no_share() {
    let folder = Folder::new();
    folder.file("b.toml", BOOK);
    let (mut corpus, mut sheet) =
        ("id,text,use,topics\n".to_owned(), "id,use__verified\n".to_owned());
    for row in 0..12 {
        let own = if row < 8 { "yes,none" } else { "no," };
        corpus += &format!("{row},{SECRET},{own}\n");
        // Six of eight are confirmed; of the others two were checked.
        let seen = ["yes", "yes", "no", "yes", "yes", "no", "yes", "yes", "no", "no"].get(row);
        sheet += &format!("{row},{}\n", seen.unwrap_or(&""));
    }
    sheet += "elsewhere,yes\n";
    folder.file("c.csv", corpus);
    folder.file("v.csv", sheet);
    let args = ["prevalence", "b.toml", "c.csv", "--gold", "v.csv", "--gold-coder", "verified"];
    let ran = folder.run(&[&args[..], &["--json"]].concat());
    ran.exits(0).says(&["precision only", "1 checked rows"]).keeps_quiet_about(SECRET);
    let found = ran.json();
    let labels = found["precision"].as_array().unwrap();
    assert_eq!(labels.len(), 2, "topics were not checked");
    assert_eq!(
        (labels[0]["proposed"].as_u64(), labels[0]["confirmed"].as_u64()),
        (Some(8), Some(6))
    );
    assert!((number(&labels[0]["precision"]) - 0.75).abs() < 1e-12);
    // Clopper and Pearson of 6 in 8, and of 2 in 2.
    assert!((number(&labels[0]["lower"]) - 0.349_143_6).abs() < 1e-6, "{labels:?}");
    assert!((number(&labels[0]["upper"]) - 0.968_145_9).abs() < 1e-6, "{labels:?}");
    assert!((number(&labels[1]["lower"]) - 0.025f64.sqrt()).abs() < 1e-9);
    folder.run(&args).exits(0).prints(&["confirmed", "75.0 %"]);
    folder.run(&[&args[..], &["--by", "use"]].concat()).exits(2).says(&["precision only"]);
}
