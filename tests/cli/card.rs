//! The model card of a bundle: read as model hubs read it.

use pulldown_cmark::{Event, Options, Parser, Tag};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;

use crate::harness::Folder;
use crate::study::{FROZEN, FULL, SECRET, same, study, table, train};

/// What no codebook would hold, and any may.
const ODD: &str = "a \"quoted\": 'name' # --- \\ <b>bold</b> &amp; *stars* _under_ **x** [l](http://x.y) \
    ![i](j) `c` $m$ | ~~s~~ @me me@x.org www.x.org https://x.org :smile: {{x}} %YAML éß漢 😀";

/// [`ODD`] with everything that ends a line, or cannot be printed.
fn odder() -> String {
    format!("{ODD}\n---\r\n- {ODD}\u{7f}\u{85}\u{2028}\u{feff}\u{0}\t|\n# {ODD}")
}

/// The head of a card as YAML, and the rest.
fn parts(card: &str) -> (Yaml<'_>, &str) {
    let rest = card.strip_prefix("---\n").expect("a head");
    let (head, body) = rest.split_once("\n---\n").expect("its end");
    let mut documents = Yaml::load_from_str(head).expect("YAML");
    assert_eq!(documents.len(), 1);
    (documents.remove(0), body)
}

fn card(folder: &Folder, name: &str) -> String {
    folder.read(&format!("{name}/README.md"))
}

fn manifest(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(&folder.read(&format!("{name}/manifest.json"))).unwrap()
}

/// The text of a card as readers see it, white space as single spaces. No event may be markup
/// other than what the card's own sentences have.
fn shown(body: &str) -> String {
    let options = Options::all() - Options::ENABLE_SMART_PUNCTUATION;
    let mut text = String::new();
    for event in Parser::new_ext(body, options) {
        match event {
            Event::Text(own) | Event::Code(own) => text += &own,
            Event::Start(
                Tag::Heading { .. }
                | Tag::Paragraph
                | Tag::List(None)
                | Tag::Item
                | Tag::Table(_)
                | Tag::TableHead
                | Tag::TableRow
                | Tag::TableCell,
            )
            | Event::End(_)
            | Event::SoftBreak => text.push(' '),
            other => panic!("{other:?}"),
        }
    }
    one_line(&text)
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[test]
fn no_word_of_a_codebook_is_markup() {
    let folder = study(FROZEN);
    let odd = toml::Value::String(odder()).to_string();
    let label = |name: &str, more: &str| {
        format!(
            "{{ name = \"{name}\", definition = {odd}, group = {odd}, examples = [\"{SECRET} it is\"]{more} }}"
        )
    };
    let book = format!(
        "format = 1\nname = {odd}\nversion = {odd}\nlanguage = {odd}\ndescription = {odd}\n\
         [[tier]]\nname = \"experience\"\nkind = \"single\"\nquestion = {odd}\nlabel = [{}, {}, {}]\n\
         [[tier]]\nname = \"attitude\"\nkind = \"single\"\nquestion = {odd}\n\
         asked_when = {{ experience = [\"personal_use\", \"no_personal_use\"] }}\n\
         label = [{}, {}, {}, {}]\n",
        label("personal_use", ""),
        label("no_personal_use", ""),
        label("off_topic", ""),
        label("positive", ""),
        label("negative", ""),
        label("mixed", ", only_when = { experience = [\"personal_use\"] }"),
        label("neutral", ""),
    );
    folder.file("odd.toml", book);
    let arguments = "train odd.toml --data coded.csv --base base --recipe recipe.toml -o bundle";
    folder.run(&arguments.split(' ').collect::<Vec<_>>()).exits(0);
    let card = card(&folder, "bundle");
    assert!(!card.contains(SECRET), "an example may be a comment");
    let (head, body) = parts(&card);
    let title = format!("{} {}", odder(), odder());
    assert_eq!(head["model-index"][0]["name"].as_str(), Some(title.as_str()));
    assert_eq!(head["library_name"].as_str(), Some("confide"));
    assert!(head.as_mapping_get("language").is_none(), "the hub takes codes alone");
    let (text, odd) = (shown(body), one_line(&odder()));
    // Title twice, description, language, two questions, seven definitions.
    assert_eq!(text.matches(&odd).count(), 13, "{body}");
    assert!(text.contains("asked only when experience is personal_use or no_personal_use"));

    let export = "export bundle --tier experience -o exported";
    folder.run(&export.split(' ').collect::<Vec<_>>()).exits(0);
    let card = folder.read("exported/README.md");
    let (head, body) = parts(&card);
    assert_eq!(head["library_name"].as_str(), Some("transformers"));
    assert!(shown(body).contains(&odd));
}

#[test]
fn figures_and_counts_are_those_of_the_manifest() {
    let folder = study(FULL);
    train(&folder, "bundle", &["--folds", "3"]).exits(0);
    let (card, manifest) = (card(&folder, "bundle"), manifest(&folder, "bundle"));
    let (head, body) = parts(&card);
    assert_eq!(head["language"].as_str(), Some("en"));
    assert_eq!(head["pipeline_tag"].as_str(), Some("text-classification"));
    assert!(head.as_mapping_get("base_model").is_none(), "a folder is no name on a hub");
    let results = &head["model-index"][0]["results"];
    let sets = [&manifest["validation"], &manifest["cross_validation"]["tiers"]];
    let tiers = sets.iter().flat_map(|set| set.as_array().unwrap());
    let text = shown(body);
    let mut at = 0;
    for tier in tiers {
        let result = &results[at];
        at += 1;
        assert_eq!(result["dataset"]["config"].as_str(), tier["tier"].as_str());
        let names =
            ["oracle_macro_f1", "pipeline_macro_f1", "oracle_accuracy", "pipeline_accuracy"];
        for (metric, name) in names.iter().enumerate() {
            let (own, value) = (&result["metrics"][metric], tier[name].as_f64().unwrap());
            assert!((own["value"].as_floating_point().unwrap() - value).abs() < 5.1e-5, "{name}");
            let words: Vec<&str> = name.splitn(2, '_').collect();
            let said = format!("{}, {} view", words[1].replace("macro_f1", "macro-F1"), words[0]);
            assert_eq!(own["name"].as_str(), Some(said.as_str()));
        }
        for view in ["oracle", "pipeline"] {
            let figure = |name: &str| format!("{:.3}", tier[name].as_f64().unwrap());
            let rows = if view == "oracle" { &tier["n"] } else { &tier["pipeline_n"] };
            let row = [
                tier["tier"].as_str().unwrap().to_owned(),
                view.to_owned(),
                rows.to_string(),
                figure(&format!("{view}_macro_f1")),
                figure(&format!("{view}_majority_macro_f1")),
                figure(&format!("{view}_accuracy")),
            ];
            assert!(text.contains(&row.join(" ")), "{row:?} in {text}");
        }
    }
    assert_eq!(at, 6);
    let folds: Value = serde_json::from_str(&folder.read("bundle.run/folds.json")).unwrap();
    for tier in manifest["cross_validation"]["tiers"].as_array().unwrap() {
        let own = &folds["tiers"][tier["tier"].as_str().unwrap()];
        assert_eq!(tier["pipeline_macro_f1"], own["pipeline"]["macro_f1"]);
        assert_eq!(tier["n"], own["n"]);
    }

    let counts = |tier: usize, set: &str| -> (u64, u64) {
        let tier = &manifest["rows"][tier];
        let labels = tier["labels"].as_array().unwrap().iter();
        let others =
            tier["not_asked"][set].as_u64().unwrap() + tier["missing"][set].as_u64().unwrap();
        (labels.map(|label| label[set].as_u64().unwrap()).sum(), others)
    };
    assert_eq!(counts(0, "train"), (24, 0));
    assert_eq!(counts(1, "train"), (20, 4));
    assert_eq!(counts(1, "validation"), (7, 2));
    assert!(text.contains("experience personal_use 12 4"), "{text}");
    assert!(text.contains("attitude not asked 4 2"), "{text}");
    assert!(text.contains("fewer than 10 training rows"), "{text}");
    for heading in ["Intended use", "Unsuitable use", "Limits", "Licence", "Reproducibility"] {
        assert!(body.contains(&format!("\n## {heading}\n\n")), "{heading}");
    }
    for digest in ["data", "base", "recipe", "codebook"] {
        assert!(body.contains(manifest["plan"][digest].as_str().unwrap()), "{digest}");
    }
}

#[test]
fn rows_without_codes_are_counted_as_such() {
    let folder = study(FROZEN);
    folder.file(
        "coded.csv",
        table().replace(
            "my cousin asks it things,no_personal_use,neutral,",
            "my cousin asks it things,no_personal_use,,",
        ),
    );
    train(&folder, "bundle", &[]).exits(0);
    let (card, manifest) = (card(&folder, "bundle"), manifest(&folder, "bundle"));
    assert_eq!(manifest["rows"][1]["missing"]["train"], 4);
    let (_, body) = parts(&card);
    assert!(shown(body).contains("attitude not coded 4 1"), "{body}");
    assert!(!body.contains("Cross-validated"));
    train(&folder, "again", &["--threads", "1"]).exits(0);
    same(&folder, "bundle", "again");
}
