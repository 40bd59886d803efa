//! `prevalence`: which rows are counted, which estimate, and what is said where little is known.

use serde_json::Value;

use crate::harness::{Folder, Ran};
use crate::study::SECRET;

const BOOK: &str = "format = 1\nname = \"b\"\nversion = \"1\"\nlanguage = \"en\"\ndescription = \"d\"\n\
    [[tier]]\nname = \"use\"\nkind = \"single\"\nquestion = \"q\"\n\
    label = [{ name = \"yes\", definition = \"d\" }, { name = \"no\", definition = \"d\" }]\n\
    [[tier]]\nname = \"topics\"\nkind = \"multi\"\nquestion = \"q\"\nasked_when = { use = [\"yes\"] }\n\
    label = [{ name = \"a\", definition = \"d\" }, { name = \"b\", definition = \"d\" }]\n";

const ARGS: [&str; 5] = ["prevalence", "b.toml", "c.csv", "--gold", "g.csv"];

/// A corpus and gold, from what each row holds beside its number.
fn study(corpus: (&str, Vec<String>), gold: (&str, Vec<(usize, String)>)) -> Folder {
    let folder = Folder::new();
    folder.file("b.toml", BOOK);
    let rows = corpus.1.iter().enumerate().map(|(row, cells)| format!("{row},{cells}\n"));
    folder.file("c.csv", format!("id,{}\n{}", corpus.0, rows.collect::<String>()));
    let rows = gold.1.iter().map(|(row, cells)| format!("{row},{cells}\n"));
    folder.file("g.csv", format!("id,{}\n{}", gold.0, rows.collect::<String>()));
    folder
}

fn shares(folder: &Folder, more: &[&str]) -> Ran {
    let ran = folder.run(&[&ARGS[..], more, &["--json"]].concat());
    ran.exits(0).keeps_quiet_about(SECRET).keeps_quiet_about("NaN");
    ran
}

/// The share of a label of all comments, or of those of one value of the column that divides them.
fn of(json: &Value, label: &str, method: &str, value: Option<&str>) -> Value {
    let rows = json["rows"].as_array().unwrap();
    let own = rows.iter().find(|row| {
        row["label"] == label
            && row["method"] == method
            && row["of"] != "asked"
            && row["value"].as_str() == value
    });
    own.unwrap_or_else(|| panic!("no {method} of {label}")).clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[track_caller]
fn close(value: &Value, expected: f64) {
    assert!((number(value) - expected).abs() < 1e-12, "{value} is not {expected}");
}

fn code(yes: bool) -> &'static str {
    if yes { "yes,a" } else { "no," }
}

/// Every second row is coded; a third of the rows are yes, and the model errs in one of eleven.
fn usual(columns: &str, cells: impl Fn(usize) -> String) -> Folder {
    let truth = |row: usize| row.is_multiple_of(3);
    let own = (0..600).map(|row| format!("{}{}", cells(row), code(truth(row) != (row % 11 == 1))));
    let gold = (0..600).step_by(2).map(|row| (row, code(truth(row)).to_owned()));
    study((&format!("{columns}use,topics"), own.collect()), ("use,topics", gold.collect()))
}

#[test]
fn strata_without_a_chance_leave_the_target_and_are_named() {
    let place = |row: usize| match row {
        0..300 => "x",
        300..540 => "y",
        _ => "z",
    };
    let own = |row: usize| format!("{},{}", place(row), code(row.is_multiple_of(3)));
    // A fifth of x, a quarter of y, nothing of z, and one row of x that could not be drawn.
    let mut gold: Vec<(usize, String)> = (0..300)
        .step_by(5)
        .map(|row| (row, format!("{},0.2", code(row % 3 == 0))))
        .chain((300..540).step_by(4).map(|row| (row, format!("{},0.25", code(row % 3 == 0)))))
        .collect();
    let corpus: Vec<String> = (0..600).map(own).collect();
    let build = |gold: &[(usize, String)]| {
        study(("platform,use,topics", corpus.clone()), ("use,topics,pi", gold.to_vec()))
    };
    let folder = build(&gold);
    let whole = shares(&folder, &[]).json();
    assert_eq!(
        (number(&whole["counts"]["no_chance"]), &whole["rows"][0]["n_corpus"]),
        (0.0, &600.into())
    );
    let ran = shares(&folder, &["--strata", "platform"]);
    ran.says(&["'platform' = 'z'", "60 comments had no chance"]);
    let json = ran.json();
    let named = serde_json::json!([{"stratum": "z", "rows": 60}]);
    assert_eq!((&json["no_chance"], &json["rows"][0]["n_corpus"]), (&named, &540.into()));
    close(&of(&json, "yes", "naive", None)["estimate"], 180.0 / 540.0);
    gold.push((1, format!("{},0", code(true))));
    let json = shares(&build(&gold), &["--strata", "platform"]).json();
    let named = serde_json::json!([{"stratum": "z", "rows": 60}, {"stratum": null, "rows": 1}]);
    assert_eq!((&json["no_chance"], &json["rows"][0]["n_corpus"]), (&named, &539.into()));
    assert_eq!(json["counts"]["gold"], 120, "what had no chance estimates nothing");
    folder.run(&[&ARGS[..], &["--strata", "platfrom"]].concat()).exits(3).says(&["platform"]);
}

#[test]
fn gold_that_cannot_be_read_is_refused_before_the_corpus_is_read() {
    let folder = usual("", |_| String::new());
    // Whoever reads this corpus ends with 3.
    folder.file("c.csv", "id,use,topics\n1,\"yes,a\n");
    folder.file("g.ods", folder.read("g.csv"));
    let refused = |args: &[&str]| {
        folder.run(args).exits(2).says(&["g.ods", "--format"]).keeps_quiet_about("quote");
    };
    refused(&["prevalence", "b.toml", "c.csv", "--gold", "g.ods", "--design", "srs"]);
    refused(&[&ARGS[..], &["--design", "srs", "--verified", "g.ods"]].concat());
    refused(&["drift", "b.toml", "c.csv", "c.csv", "--gold", "g.ods"]);
    folder.run(&ARGS).exits(3).says(&["quote"]);
}

#[test]
fn verified_codes_enter_beside_blind_gold_of_rows_not_proposed() {
    // The model proposes 100 of 400; four in five are right, and it misses one in ten of the others.
    let truth =
        |row: usize| if row < 100 { !row.is_multiple_of(5) } else { row.is_multiple_of(10) };
    let corpus = (0..400).map(|row| code(row < 100).to_owned()).collect();
    let gold: Vec<(usize, String)> =
        (0..400).step_by(3).map(|row| (row, format!("{},0.3333", code(truth(row))))).collect();
    let folder = study(("use,topics", corpus), ("use,topics,pi", gold.clone()));
    let sheet: String = (0..100)
        .step_by(2)
        .map(|row| format!("{row},{}\n", if truth(row) { "yes" } else { "no" }))
        .collect();
    folder.file("v.csv", format!("id,use__verified\n{sheet}"));
    let alone = of(&shares(&folder, &[]).json(), "yes", "gold_only", None);
    let ran = shares(&folder, &["--verified", "v.csv"]);
    ran.says(&["50 rows have codes given with the model's beside them"]);
    let both = of(&ran.json(), "yes", "gold_only", None);
    // 0.8 of 100 and 0.1 of 300: either set stands for its part.
    close(&both["estimate"], 110.0 / 400.0);
    assert_eq!((&alone["n_gold"], &both["n_gold"]), (&134.into(), &150.into()));
    // Without blind gold of the others they do not enter.
    let proposed: String = gold
        .iter()
        .filter(|(row, _)| *row < 100)
        .map(|(row, cells)| format!("{row},{cells}\n"))
        .collect();
    folder.file("g.csv", format!("id,use,topics,pi\n{proposed}"));
    let refused = shares(&folder, &["--verified", "v.csv"]).json();
    assert_eq!(of(&refused, "yes", "gold_only", None)["n_gold"], 34);
}

#[test]
fn a_share_among_too_few_is_refused() {
    let corpus = |every: usize| {
        (0..900).map(move |row: usize| code(row.is_multiple_of(every)).to_owned()).collect()
    };
    let gold = |every: usize| {
        (0..300)
            .map(move |row: usize| (row * 3, code((row * 3).is_multiple_of(every)).to_owned()))
            .collect()
    };
    let args = ["--design", "srs", "--among", "use=yes"];
    let few = study(("use,topics", corpus(300)), ("use,topics", gold(300)));
    let json = shares(&few, &args).json();
    let found = of(&json, "a", "gold_only", None);
    assert_eq!(
        (&found["note"], &found["estimate"]),
        (&"denominator_may_be_zero".into(), &Value::Null)
    );
    assert!(json["sentences"][0].as_str().unwrap().contains("no share"), "{json}");
    // The same in print and in the table: no figure, and why.
    let ran = few.run(&[&ARGS[..], &args, &["-o", "few.csv"]].concat());
    ran.exits(0).prints(&["no share of comments with use=yes can be given"]);
    let table = few.read("few.csv");
    let corrected: Vec<&str> = table.lines().filter(|line| !line.contains(",naive,")).collect();
    assert_eq!(corrected.len(), 3, "{table}");
    for line in &corrected[1..] {
        assert!(
            line.contains(",gold_only,,,,") && line.contains("denominator_may_be_zero"),
            "{line}"
        );
    }
    let many = study(("use,topics", corpus(4)), ("use,topics", gold(4)));
    let found = of(&shares(&many, &args).json(), "a", "gold_only", None);
    // Every one of them: only one end is known.
    assert_eq!((&found["estimate"], &found["note"]), (&1.0.into(), &"one_sided".into()));
    assert!(number(&found["lower"]) > 0.9 && found["of"] == "use=yes", "{found}");
}

#[test]
fn weights_make_one_row_count_for_more() {
    // Gold of every row: the share is that of the weights, without any error.
    let own = |row: usize| format!("{},{}", if row < 100 { 3 } else { 1 }, code(row < 50));
    let gold = (0..400).map(|row| (row, code(row % 2 == 0).to_owned())).collect();
    let folder = study(("strength,use,topics", (0..400).map(own).collect()), ("use,topics", gold));
    let json = shares(&folder, &["--design", "srs", "--weight", "strength"]).json();
    close(&of(&json, "yes", "gold_only", None)["estimate"], 0.5);
    close(&of(&json, "yes", "naive", None)["estimate"], 150.0 / 600.0);
    assert_eq!(json["weight"], "strength");
    folder.file("c.csv", folder.read("c.csv").replacen(",1,", ",-1,", 1));
    let ran = folder.run(&[&ARGS[..], &["--design", "srs", "--weight", "strength"]].concat());
    ran.exits(3).says(&["a weight is a number of at least 0"]);
}

#[test]
fn duplicates_are_counted_and_left_out() {
    let text = |row: usize| format!("{SECRET} {}", if row < 100 { 0 } else { row });
    let own = |row: usize| format!("{},{}", text(row), code(row < 150));
    let gold = (0..300).map(|row| (row, code(row < 150).to_owned())).collect();
    let folder = study(("text,use,topics", (0..300).map(own).collect()), ("use,topics", gold));
    let json = shares(&folder, &["--design", "srs"]).json();
    assert_eq!(json["counts"]["duplicates"], 99);
    close(&of(&json, "yes", "gold_only", None)["estimate"], 0.5);
    close(&of(&json, "yes", "gold_only", Some("left out"))["estimate"], 51.0 / 201.0);
}

#[test]
fn few_groups_are_warned_of_and_widen_intervals() {
    let grouped = usual("group,", |row| format!("g{},", row / 30));
    let ran = shares(&grouped, &["--design", "srs"]);
    ran.says(&["fewer than 30 groups", "design as stated"]);
    let json = ran.json();
    assert_eq!((&json["design"], &json["clustered"]), (&"srs".into(), &true.into()));
    let own = of(&json, "yes", "ppi_plus_plus", None);
    assert_eq!(own["note"], "few_clusters");
    let many = shares(&usual("group,", |row| format!("g{},", row / 5)), &["--design", "srs"]);
    many.keeps_quiet_about("fewer than 30");
    let plain = of(
        &shares(&usual("", |_| String::new()), &["--design", "srs"]).json(),
        "yes",
        "ppi_plus_plus",
        None,
    );
    close(&own["estimate"], number(&plain["estimate"]));
    let width = |share: &Value| number(&share["upper"]) - number(&share["lower"]);
    assert!((width(&own) - width(&plain)).abs() > 1e-6, "{own} {plain}");
}

#[test]
fn a_level_is_corrected_by_its_own_gold_alone() {
    let platform = |row: usize| match row {
        0..300 => "x,",
        300..599 => "y,",
        _ => "w,",
    };
    let folder = usual("platform,", |row| platform(row).to_owned());
    let json = shares(&folder, &["--design", "srs", "--by", "platform"]).json();
    let own = of(&json, "yes", "ppi_plus_plus", Some("x"));
    assert_eq!((&own["n_gold"], &own["n_corpus"]), (&150.into(), &300.into()));
    let none = of(&json, "yes", "gold_only", Some("w"));
    assert_eq!((&none["note"], &none["estimate"]), (&"no_gold".into(), &Value::Null));
    // The same as of a corpus that holds nothing else.
    let lines = folder.read("c.csv");
    folder.file("c.csv", lines.lines().take(301).collect::<Vec<&str>>().join("\n"));
    let alone = of(&shares(&folder, &["--design", "srs"]).json(), "yes", "ppi_plus_plus", None);
    for field in ["estimate", "lower", "upper"] {
        close(&own[field], number(&alone[field]));
    }
}

#[test]
fn an_interval_for_the_process_is_wider() {
    let folder = usual("", |_| String::new());
    let width = |target: &str| {
        let json = shares(&folder, &["--design", "srs", "--target", target]).json();
        assert_eq!(json["target"], target);
        let own = of(&json, "yes", "ppi_plus_plus", None);
        number(&own["upper"]) - number(&own["lower"])
    };
    assert!(width("process") > 1.1 * width("corpus"));
}

#[test]
fn sentences_say_what_the_models_codes_are_worth() {
    let folder = usual("", |_| String::new());
    let json = shares(&folder, &["--design", "srs"]).json();
    let own = of(&json, "yes", "ppi_plus_plus", None);
    let alone = number(&own["ess_gain"]) * number(&own["n_gold"]);
    assert!(alone > 1.5 * number(&own["n_gold"]), "{own}");
    let sentence = json["sentences"][0].as_str().unwrap();
    assert!(sentence.contains(&format!("{alone:.0}")), "{sentence}");
}

#[test]
fn sentences_are_of_comments() {
    let folder = usual("", |_| String::new());
    for more in [&["--design", "srs"][..], &["--design", "srs", "--among", "use=yes"]] {
        let json = shares(&folder, more).json();
        let sentences = json["sentences"].as_array().unwrap();
        assert!(!sentences.is_empty());
        for sentence in sentences {
            let sentence = sentence.as_str().unwrap();
            assert!(sentence.contains("of comments") && !sentence.contains("people"), "{sentence}");
        }
    }
}

#[test]
fn tables_with_little_in_them_give_a_sensible_answer_or_none() {
    let few = |corpus: &[&str], gold: &[(usize, &str)]| {
        let corpus = corpus.iter().map(|cells| (*cells).to_owned()).collect();
        let gold = gold.iter().map(|(row, cells)| (*row, (*cells).to_owned())).collect();
        study(("use,topics", corpus), ("use,topics", gold))
    };
    let one = few(&["yes,a"], &[(0, "yes,a")]);
    let one_of_many = few(&["yes,a"; 50], &[(7, "no,")]);
    let equal = few(&["yes,a"; 50], &std::array::from_fn::<_, 30, _>(|row| (row, "yes,a")));
    let closed = few(&["no,"; 50], &std::array::from_fn::<_, 30, _>(|row| (row, "no,")));
    let partly =
        few(&["yes,a", "no,", "yes,", ","], &[(0, "yes,"), (1, "no,"), (2, "yes,b"), (3, "no,")]);
    for (name, folder) in [
        ("one", &one),
        ("one of many", &one_of_many),
        ("equal", &equal),
        ("closed", &closed),
        ("partly", &partly),
    ] {
        for more in [&[][..], &["--among", "use=yes"], &["--target", "process"], &["--by", "use"]] {
            let json = shares(folder, &[&["--design", "srs"], more].concat()).json();
            for row in json["rows"].as_array().unwrap() {
                let ends = ["lower", "estimate", "upper"].map(|field| row[field].as_f64());
                let known: Vec<f64> = ends.into_iter().flatten().collect();
                assert!(known.iter().all(|end| (0.0..=1.0).contains(end)), "{name} {row}");
                assert!(known.is_sorted(), "{name} {row}");
                assert!(!known.is_empty() || !row["note"].is_null(), "{name} {row}");
            }
        }
        let args = [&ARGS[..], &["--design", "srs", "-o", "out.csv", "--force"]].concat();
        let ran = folder.run(&args);
        for word in ["NaN", "inf %", "inf."] {
            ran.exits(0).keeps_quiet_about(word);
        }
        assert!(!folder.read("out.csv").contains("NaN"));
    }
    // Nobody is asked: of nobody a share of those asked is told, and never is certain.
    let json = shares(&closed, &["--design", "srs"]).json();
    let rows = json["rows"].as_array().unwrap();
    let asked = rows.iter().find(|row| row["of"] == "asked").unwrap();
    assert_eq!((&asked["estimate"], &asked["note"]), (&Value::Null, &"no_gold".into()));
    let never = of(&json, "yes", "gold_only", None);
    assert_eq!((&never["estimate"], &never["note"]), (&0.0.into(), &"one_sided".into()));
    assert!((0.05..0.12).contains(&number(&never["upper"])), "{never}");
}
