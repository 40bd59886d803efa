//! `confide report`: what it makes of a study's folder, whole or in part.

use std::collections::BTreeMap;

use crate::harness::Folder;

const BOOK: &str = "format = 1\nname = \"b\"\nversion = \"1\"\nlanguage = \"en\"\n\
    description = \"<script>alert(1)</script> & \\\"quoted\\\" \\\\input{x} 5 % of $y$\"\n\
    [[tier]]\nname = \"use\"\nkind = \"single\"\nquestion = \"q\"\n\
    label = [{ name = \"yes\", definition = \"d\" }, { name = \"no\", definition = \"d\" }]\n\
    [[tier]]\nname = \"topics\"\nkind = \"multi\"\nquestion = \"q\"\nasked_when = { use = [\"yes\"] }\n\
    label = [{ name = \"a\", definition = \"d\" }, { name = \"b\", definition = \"d\" }]\n";

const SECRET: &str = "zanzibar";
const HOSTILE: &str = "<script>alert(2)</script>\\input{evil}_&%";

/// A study made by the program itself: shares, agreement, comparison, drift and a coded corpus.
fn study(rows: usize) -> Folder {
    let folder = Folder::new();
    folder.file("b.toml", BOOK);
    let mut gold = String::from(
        "id,text,group,use,topics,use__ana,topics__ana,use__ben,topics__ben,use__bot,topics__bot\n",
    );
    let mut corpus = String::from(
        "id,text,platform,created,paraphrase,use,use_p,topics,topics_p,status,reason\n",
    );
    for row in 0..rows {
        let codes = |step: usize| {
            let yes = (row % 3 == 0) != (step > 0 && row % step == 1);
            if yes { format!("yes,{}", ["a", "b", "a|b", "none"][row % 4]) } else { "no,".into() }
        };
        let coders = [0, 7, 11, 5].map(codes).join(",");
        gold += &format!("{row},{SECRET} {row},g{},{coders}\n", row / 4);
        let own = codes(5);
        let (answer, topics) = own.split_once(',').unwrap();
        let platform = if row % 2 == 0 { HOSTILE } else { "y" };
        let reason = if row == 0 { "crisis" } else { "" };
        let status = if row == 0 { "review" } else { "ok" };
        corpus += &format!(
            "{row},{SECRET} {row},\"{platform}\",2025-0{}-01,our words {row},{answer},0.9,{topics},,{status},{reason}\n",
            1 + row % 4
        );
    }
    folder.file("gold.csv", gold);
    folder.file("study/coded.csv", corpus);
    let write = |name: &str, args: &[&str]| {
        let ran = folder.run(args);
        ran.exits(0);
        folder.file(name, ran.json().to_string());
    };
    write(
        "study/people.json",
        &[
            "agree",
            "b.toml",
            "gold.csv",
            "--coders",
            "ana,ben,bot",
            "--humans",
            "ana,ben",
            "--json",
        ],
    );
    write(
        "study/hosted.json",
        &["compare", "b.toml", "gold.csv", "--a", "ana", "--b", "bot", "--margin", "0.1", "--json"],
    );
    write(
        "study/change.json",
        &["drift", "b.toml", "study/coded.csv", "study/coded.csv", "--json"],
    );
    let shares = [
        "prevalence",
        "b.toml",
        "study/coded.csv",
        "--gold",
        "gold.csv",
        "--design",
        "srs",
        "--by",
        "platform",
        "-o",
        "study/shares.csv",
    ];
    folder.run(&shares).exits(0);
    folder
}

const REPORT: [&str; 4] = ["report", "study", "--codebook", "b.toml"];

/// All files of the report, by name.
fn report_files(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    folder
        .entries()
        .into_iter()
        .filter(|name| name.starts_with("study/report") && folder.path(name).is_file())
        .map(|name| (name.clone(), std::fs::read(folder.path(&name)).unwrap()))
        .collect()
}

#[test]
fn a_study_becomes_a_page_and_files_for_a_paper() {
    let folder = study(240);
    let ran = folder.run(&REPORT);
    ran.exits(0).says(&["report.html", "confide evaluate"]);
    let page = folder.read("study/report.html");
    let agreement: serde_json::Value =
        serde_json::from_str(&folder.read("study/people.json")).unwrap();
    let alpha = agreement["tiers"]["use"]["alpha"]["value"].as_f64().unwrap();
    assert!(page.contains(&format!("{alpha:.3}")));
    assert!(folder.read("study/report/tables/agreement-tiers.csv").contains(&alpha.to_string()));
    for part in [
        "id=\"shares\"",
        "id=\"answers\"",
        "id=\"agreement\"",
        "id=\"comparison\"",
        "id=\"change\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.contains("id=\"missing\"") && page.contains("confide train"));
    assert!(!page.contains("src=") && !page.contains("http://") && !page.contains("https://"));
    for figure in [
        "answers",
        "shares-use",
        "agreement",
        "comparison",
        "drift",
        "topics-by-use",
        "use-by-month-uncorrected",
    ] {
        for (ending, start) in [("svg", "<svg"), ("png", "\u{89}PNG"), ("csv", "")] {
            let bytes =
                std::fs::read(folder.path(&format!("study/report/figures/{figure}.{ending}")));
            let bytes = bytes.unwrap_or_else(|e| panic!("{figure}.{ending}: {e}"));
            let start: Vec<u8> = start.chars().map(|c| c as u8).collect();
            assert!(bytes.starts_with(&start) && bytes.len() > 20, "{figure}.{ending}");
        }
    }
    let methods = folder.read("study/report/methods.tex");
    for key in ["krippendorff2018", "angelopoulos2023"] {
        assert!(methods.contains(&format!("\\cite{{{key}}}")));
        assert!(folder.read("study/report/references.bib").contains(key));
    }
    assert!(
        folder.entries().iter().all(|name| !name.contains("partial") && !name.contains(".tmp"))
    );
    folder.run(&REPORT).exits(2).says(&["--force"]);
}

/// The document that a command printed.
fn document(folder: &Folder, name: &str) -> serde_json::Value {
    serde_json::from_str(&folder.read(name)).unwrap()
}

#[test]
fn a_comparison_is_told_with_the_smallest_margin_that_its_rows_could_show() {
    let folder = study(240);
    let with = document(&folder, "study/hosted.json");
    let args = ["compare", "b.toml", "gold.csv", "--a", "ben", "--b", "bot", "--json"];
    let ran = folder.run(&args);
    folder.file("study/unnamed.json", ran.exits(0).json().to_string());
    let without = document(&folder, "study/unnamed.json");
    folder.run(&REPORT).exits(0);
    let page = folder.read("study/report.html");
    for (found, table) in [(&with, "comparison-tiers"), (&without, "comparison-tiers-2")] {
        let table = folder.read(&format!("study/report/tables/{table}.csv"));
        for tier in ["use", "topics"] {
            let margin = found["tiers"][tier]["smallest_margin"].as_f64().unwrap();
            assert!(page.contains(&format!("{tier}: {margin:.3}")), "{tier} {margin}");
            assert!(table.contains(&margin.to_string()), "{tier} {margin} in {table}");
        }
    }
    // A test with a margin is told of the one comparison that named one.
    assert_eq!(page.matches("no worse than bot by more than 0.100").count(), 1);
    assert_eq!(page.matches("No margin was named").count(), 1);
}

#[test]
fn the_test_against_people_is_shown_as_compare_prints_it() {
    let folder = study(240);
    folder.run(&REPORT).exits(0);
    assert!(!folder.read("study/report.html").contains("Alternative annotator test"));
    let args = ["compare", "b.toml", "gold.csv", "--a", "ana", "--b", "bot", "--humans"];
    let args = [&args[..], &["ana,ben,bot"]].concat();
    let printed = folder.run(&args);
    printed.exits(0).prints(&["winning rate", "can stand in for a person", "wins"]);
    let ran = folder.run(&[&args[..], &["--json"]].concat());
    folder.file("study/hosted.json", ran.exits(0).json().to_string());
    folder.run(&[&REPORT[..], &["--force"]].concat()).exits(0);
    let page = folder.read("study/report.html");
    let people = folder.read("study/report/tables/annotators.csv");
    let overall = folder.read("study/report/tables/annotators-overall.csv");
    assert!(people.starts_with("tier,coder,in place of,n,advantage,the person's,p (BY),remark\n"));
    assert_eq!((people.lines().count(), overall.lines().count()), (1 + 12, 1 + 4), "{people}");
    let found = document(&folder, "study/hosted.json");
    let bot = &found["tiers"]["use"]["alternative_annotators"]["b"];
    let ben = &bot["humans"][1];
    let figures = [&ben["n"], &ben["advantage"], &ben["human_advantage"], &ben["p_adjusted"]];
    let line = figures.map(|figure| figure.as_f64().unwrap().to_string()).join(",");
    assert!(people.contains(&format!("\nuse,bot,ben,{line},")), "{line} in {people}");
    let advantage = format!("{:.3}", ben["advantage"].as_f64().unwrap());
    let mean = format!("{:.3}", bot["mean_advantage"].as_f64().unwrap());
    for shown in ["epsilon 0.2: person by person", &advantage, &mean] {
        assert!(page.contains(shown) && printed.stdout.contains(shown), "{shown}");
    }
}

#[test]
fn two_corpora_are_told_with_how_well_their_texts_are_told_apart() {
    let folder = study(120);
    let other: String = (0..60)
        .map(|row| format!("{row},boil {} noodles in {row} pots of water,no,\n", row + 2))
        .collect();
    folder.file("other.csv", format!("id,text,use,topics\n{other}"));
    let args = ["drift", "b.toml", "study/coded.csv", "other.csv", "--json"];
    let ran = folder.run(&args);
    folder.file("study/change.json", ran.exits(0).json().to_string());
    let found = document(&folder, "study/change.json");
    folder.run(&REPORT).exits(0);
    let page = folder.read("study/report.html");
    let domain = &found["domain_classifier"];
    let auc = domain["auc"].as_f64().unwrap();
    assert!(auc > 0.9, "{domain}");
    assert!(page.contains(&format!("(AUC) of {auc:.3}")), "{domain}");
    let table = folder.read("study/report/tables/drift-classifier.csv");
    assert!(table.contains(&auc.to_string()), "{domain} in {table}");
    for end in ["lower", "upper"].map(|end| domain[end].as_f64()).into_iter().flatten() {
        assert!(
            page.contains(&format!("{end:.3}")) && table.contains(&end.to_string()),
            "{domain}"
        );
    }
    // Neither corpus has gold, and no difference is one between ages.
    assert!(page.contains("first nor of the second") && page.contains("none between the ages"));
    let corpora = folder.read("study/report/tables/drift-corpora.csv");
    assert!(corpora.contains("\nfirst,120,") && corpora.contains("\nsecond,60,"), "{corpora}");
}

#[test]
fn shares_that_nothing_corrects_stand_last_and_are_marked_as_biased() {
    let folder = study(240);
    folder.run(&REPORT).exits(0);
    for (table, heads) in [
        ("tables/shares", "naive (biased)"),
        ("tables/codes", "of all (biased),of those asked (biased)"),
        ("tables/drift", "naive first (biased),naive second (biased)"),
        ("figures/shares-use", "naive (biased)"),
        ("figures/topics-by-use", "naive (biased)"),
        ("figures/use-by-month-uncorrected", "naive (biased)"),
        ("figures/drift", "naive first (biased),naive second (biased)"),
    ] {
        let table = folder.read(&format!("study/report/{table}.csv"));
        let head = table.lines().next().unwrap();
        assert!(head.ends_with(heads) && head.matches("naive").count() < 3, "{head}");
    }
    // Neither corpus of the comparison has gold: what is drawn is no corrected share.
    let drawn = folder.read("study/report/figures/drift.csv");
    assert!(drawn.lines().skip(1).all(|line| line.contains(",,,,,")), "{drawn}");
    let chart = folder.read("study/report/figures/drift.svg");
    assert!(chart.contains("second, naive (biased)"), "{chart}");
    let page = folder.read("study/report.html");
    assert!(!page.contains(">naive<") && page.contains(">naive (biased)<"));
}

#[test]
fn nothing_is_said_of_a_hosted_model_before_its_answers_are_imported() {
    let folder = study(120);
    std::fs::remove_file(folder.path("study/hosted.json")).unwrap();
    let compare = |tables: &[&str]| {
        let args = [&["compare", "b.toml"], tables, &["--a", "bot", "--b", "gpt4o"]].concat();
        folder.run(&[&args[..], &["--margin", "0.1", "--json"]].concat())
    };
    let report = || {
        folder.run(&[&REPORT[..], &["--force"]].concat()).exits(0);
        (folder.read("study/report.html"), folder.read("study/report/limitations.tex"))
    };
    let early = compare(&["gold.csv"]);
    early.exits(3).says(&["gpt4o"]);
    assert!(early.stdout.is_empty(), "{}", early.stdout);
    let (page, limitations) = report();
    assert!(!page.contains("no worse than") && !page.contains("id=\"comparison\""));
    assert!(limitations.contains("nothing is claimed about one"), "{limitations}");
    let answers: String = (0..120)
        .map(|row| {
            let content = if row % 3 == 0 { "use: yes\\ntopics: a" } else { "use: no" };
            format!(
                "{{\"custom_id\":\"{row}\",\"error\":null,\"response\":{{\"status_code\":200,\"body\":\
                 {{\"choices\":[{{\"message\":{{\"content\":\"{content}\",\"refusal\":null}}}}]}}}}}}\n"
            )
        })
        .collect();
    folder.file("out.jsonl", answers);
    let import = [
        "import",
        "openai",
        "out.jsonl",
        "--codebook",
        "b.toml",
        "--coder",
        "gpt4o",
        "-o",
        "h.csv",
    ];
    folder.run(&import).exits(0);
    let ran = compare(&["gold.csv", "h.csv"]);
    folder.file("study/hosted.json", ran.exits(0).json().to_string());
    let (page, limitations) = report();
    assert!(page.contains("That bot is no worse than gpt4o by more than 0.100"));
    assert!(!limitations.contains("nothing is claimed about one"), "{limitations}");
}

#[test]
fn equal_studies_have_equal_reports_without_any_text() {
    let folder = study(120);
    folder.run(&REPORT).exits(0);
    let first = report_files(&folder);
    let again: Vec<&str> = REPORT.iter().copied().chain(["--force"]).collect();
    folder.run(&again).exits(0);
    assert_eq!(first, report_files(&folder));
    for (name, bytes) in first {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(SECRET) && !text.contains("our words"), "{name}");
    }
}

#[test]
fn data_stay_text_in_html_svg_and_latex() {
    let folder = study(120);
    folder.run(&REPORT).exits(0);
    for (name, bytes) in report_files(&folder) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if name.ends_with(".html") || name.ends_with(".svg") {
            assert!(!text.contains("<script") && !text.contains("alert(2)</"), "{name}");
        }
        if name.ends_with(".tex") {
            assert!(!text.contains("\\input{evil}") && !text.contains("\\input{x}"), "{name}");
        }
    }
    let page = folder.read("study/report.html");
    assert!(page.contains("&lt;script&gt;alert(1)"), "the codebook's description is shown");
    assert!(page.contains("&lt;script&gt;alert(2)"), "the platform's name is shown");
    let table = folder.read("study/report/tables/shares-by-platform.tex");
    assert!(table.contains("\\textbackslash{}input\\{evil\\}\\_\\&\\%"), "{table}");
}

#[test]
fn a_folder_with_nothing_gives_a_page_that_says_how_to_begin() {
    let folder = Folder::new();
    folder.file("study/notes.txt", "x");
    folder
        .run(&["report", "study"])
        .exits(0)
        .says(&["missing: corrected shares", "confide prevalence"]);
    let page = folder.read("study/report.html");
    for command in ["prevalence", "classify", "evaluate", "agree", "compare", "drift", "train"] {
        assert!(page.contains(&format!("confide {command}")), "{command}");
    }
    folder.run(&["report", "nowhere"]).exits(3).says(&["nowhere"]);
}

#[test]
fn figures_of_written_comments_say_so() {
    let folder = study(120);
    folder.run(&REPORT).exits(0);
    let says = "these shares describe nobody";
    assert!(!folder.read("study/report.html").contains(says));
    folder.file("study/data/CARD.md", "# Comments\n**Written, not collected.** For tests.\n");
    let again: Vec<&str> = REPORT.iter().copied().chain(["--force"]).collect();
    folder.run(&again).exits(0);
    assert!(folder.read("study/report.html").contains(says));
    let mut figures = 0;
    for (name, bytes) in report_files(&folder) {
        if name.ends_with(".svg") {
            figures += 1;
            assert!(String::from_utf8_lossy(&bytes).contains(says), "{name}");
        }
    }
    assert!(figures > 5);
}

#[test]
fn examples_are_paraphrases_unless_comments_are_asked_for() {
    let folder = study(120);
    let with = |more: &[&str]| -> Vec<String> {
        REPORT.iter().chain(more).chain(&["--force"]).map(ToString::to_string).collect()
    };
    folder.run(&with(&["--paraphrases", "paraphrase"])).exits(0);
    let page = folder.read("study/report.html");
    assert!(page.contains("our words 3") && !page.contains(SECRET));
    assert!(!page.contains("our words 0<"), "a row flagged for a crisis is never shown");
    folder.run(&with(&["--paraphrases", "text"])).exits(2).says(&["--verbatim"]);
    folder.run(&with(&["--paraphrases", "nothing"])).exits(3).says(&["nothing"]);
    folder.run(&with(&["--verbatim"])).exits(0).says(&["finds their authors"]);
    let page = folder.read("study/report.html");
    assert!(page.contains(SECRET) && page.contains("finds their authors"));
    assert!(!page.contains(&format!("{SECRET} 0<")));
}
