//! A codebook as a page to print, for those who code by it.

use std::fmt::Write as _;

use super::{Codebook, Gate, Label, Tier, TierKind};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;\
color:#1a1a1a;background:#fff}h1,h2,h3{line-height:1.2}h2{margin-top:2.5rem;border-top:2px solid;padding-top:1rem}\
h3{margin-bottom:.2rem}code{font-size:.95em}.gate{font-style:italic}ul{margin:.3rem 0}\
dt{font-weight:600}dd{margin:0 0 .4rem 1.2rem}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}}\
@media print{body{color:#000;background:#fff;max-width:none}h3,dl{break-inside:avoid}}";

impl Codebook {
    /// The coding manual: one self-contained HTML page with every tier, its question, when it is
    /// asked, and every label with what counts and what does not.
    pub fn manual(&self) -> String {
        let mut page = String::new();
        let (name, version) = (escaped(&self.name), escaped(&self.version));
        // Writing to a string cannot fail.
        let _ = write!(
            page,
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>Coding manual: {name} {version}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <main>\n<h1>Coding manual: {name} {version}</h1>\n<p>{}</p>\n<p>Digest <code>{}</code></p>\n",
            escaped(&self.language),
            escaped(&self.description),
            self.digest()
        );
        page += "<h2>How to fill the sheet</h2>\n<ul>\n\
                 <li>Read the comment, then answer the tiers in their order, by the label's name as it stands here.</li>\n\
                 <li>Leave a tier blank where it is not asked. A blank where it is asked means that nobody has coded it.</li>\n\
                 <li>A tier with several labels joins them with <code>|</code>; <code>none</code> says that you looked, and no label applies.</li>\n\
                 <li>Code what the comment says, not what you expect of its author.</li>\n</ul>\n";
        for (at, tier) in self.tiers.iter().enumerate() {
            let _ = write!(
                page,
                "<section>\n<h2>{}. {}</h2>\n<p><strong>{}</strong></p>\n<p>{}</p>\n",
                at + 1,
                escaped(&tier.name),
                escaped(&tier.question),
                match tier.kind {
                    TierKind::Single => "Give exactly one label.",
                    TierKind::Multi => "Give every label that applies, or <code>none</code>.",
                }
            );
            if let Some(gate) = self.in_words(&tier.asked_when) {
                let _ = writeln!(page, "<p class=\"gate\">Asked only when {gate}.</p>");
            }
            tier.labels.iter().for_each(|label| self.label(tier, label, &mut page));
            page += "</section>\n";
        }
        page + "</main>\n</body>\n</html>\n"
    }

    fn label(&self, tier: &Tier, label: &Label, page: &mut String) {
        let group =
            label.group.as_ref().map(|group| format!(" <small>({})</small>", escaped(group)));
        let _ = write!(
            page,
            "<h3 id=\"{0}-{1}\"><code>{1}</code>{2}</h3>\n<p>{3}</p>\n",
            escaped(&tier.name),
            escaped(&label.name),
            group.unwrap_or_default(),
            escaped(&label.definition)
        );
        if let Some(gate) = self.in_words(&label.only_when) {
            let _ = writeln!(page, "<p class=\"gate\">Permitted only when {gate}.</p>");
        }
        let lists = [
            ("Counts", &label.include),
            ("Does not count", &label.exclude),
            ("For example", &label.examples),
        ];
        if lists.iter().all(|(_, items)| items.is_empty()) {
            return;
        }
        *page += "<dl>\n";
        for (what, items) in lists.iter().filter(|(_, items)| !items.is_empty()) {
            let _ = writeln!(page, "<dt>{what}</dt>");
            items.iter().for_each(|item| {
                let _ = writeln!(page, "<dd>{}</dd>", escaped(item));
            });
        }
        *page += "</dl>\n";
    }

    /// A gate as a clause, if it has conditions.
    fn in_words(&self, gate: &Gate) -> Option<String> {
        let clause = |condition: &super::Condition| {
            let tier = &self.tiers[condition.tier];
            let names: Vec<String> = condition
                .labels
                .iter()
                .map(|label| format!("<code>{}</code>", escaped(&tier.labels[*label].name)))
                .collect();
            format!("{} is {}", escaped(&tier.name), names.join(" or "))
        };
        let clauses: Vec<String> = gate.conditions.iter().map(clause).collect();
        (!clauses.is_empty()).then(|| clauses.join(" and "))
    }
}

/// Text as HTML shows it, in elements and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stands_in_the_manual_as_text() {
        let mut book = Codebook::find("llm-mental-health").unwrap();
        book.tiers[0].labels[0].definition = "<script>\"&'".into();
        let page = book.manual();
        assert!(page.contains("&lt;script&gt;&quot;&amp;&#39;") && !page.contains("<script"));
        for tier in &book.tiers {
            for label in &tier.labels {
                assert!(page.contains(&format!("id=\"{}-{}\"", tier.name, label.name)));
            }
        }
        assert!(page.contains("Asked only when experience is <code>personal_use</code> or"));
        assert!(page.contains(&book.digest()));
    }
}
