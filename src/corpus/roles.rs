//! Which column of a table is what.

use super::format::ReadOptions;
use crate::error::{Error, Result, nearest, shown};

/// What people call the text column when they do not call it `text`.
const USUAL_TEXT_NAMES: [&str; 8] =
    ["comment", "comments", "body", "content", "tweet", "message", "post", "comment_text"];

/// Positions of the columns that are known by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The row's own name; without it the row number stands for it.
    pub id: Option<usize>,
    /// The text to be coded.
    pub text: usize,
    /// Author or thread, never split across sets.
    pub group: Option<usize>,
    /// `train`, `validation` or `test`.
    pub split: Option<usize>,
    /// Where the text was posted.
    pub platform: Option<usize>,
    /// When it was posted.
    pub created: Option<usize>,
    /// Inclusion probability of a sampled row.
    pub pi: Option<usize>,
}

impl Roles {
    /// Finds the columns by their names, those of id and text as the options say.
    ///
    /// # Errors
    /// A data error that lists the columns and names the nearest, if the text column or a
    /// named id column is missing.
    pub fn find(columns: &[String], options: &ReadOptions) -> Result<Self> {
        let known = |name: &str| columns.iter().position(|column| column == name);
        let id = match &options.id {
            None => known("id"),
            Some(name) => Some(known(name).ok_or_else(|| missing(columns, name, "--id"))?),
        };
        let name = options.text.as_deref().unwrap_or("text");
        let text = known(name).ok_or_else(|| missing(columns, name, "--text"))?;
        Ok(Self {
            id,
            text,
            group: known("group"),
            split: known("split"),
            platform: known("platform"),
            created: known("created"),
            pi: known("pi"),
        })
    }

    /// Every column that is not a code: those known by name.
    pub fn known(&self) -> Vec<usize> {
        let optional = [self.id, self.group, self.split, self.platform, self.created, self.pi];
        optional.into_iter().flatten().chain([self.text]).collect()
    }
}

/// The error for a column that is not there: what was found, and what was probably meant.
pub(super) fn missing(columns: &[String], name: &str, flag: &str) -> Error {
    let names: Vec<String> = columns.iter().map(|column| shown(column)).collect();
    let error = Error::data(format!(
        "there is no column {}; the columns are {}",
        shown(name),
        names.join(", ")
    ));
    let usual = columns
        .iter()
        .map(String::as_str)
        .find(|column| USUAL_TEXT_NAMES.contains(&column.to_lowercase().as_str()));
    let near = nearest(name, columns.iter().map(String::as_str))
        .or(usual.filter(|_| flag == "--text"))
        // What would not be shown cannot be typed from a message either.
        .filter(|near| shown(near).starts_with('\''));
    match (near, flag) {
        (Some(near), "") => error.advise(format!("did you mean the column '{near}'? Rename it")),
        (Some(near), flag) => error.advise(format!("{flag} {near}")),
        (None, "") => error.advise("add the column, or choose a codebook that fits the data"),
        (None, flag) => error.advise(format!("{flag} NAME, with the name of the right column")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn roles_are_found_by_name() {
        let roles = Roles::find(&columns(&["text", "x", "id", "pi"]), &ReadOptions::default());
        let roles = roles.unwrap();
        assert_eq!((roles.id, roles.text, roles.pi, roles.group), (Some(2), 0, Some(3), None));
        let options = ReadOptions { text: Some("x".into()), ..ReadOptions::default() };
        assert_eq!(Roles::find(&columns(&["text", "x"]), &options).unwrap().text, 1);
    }

    #[test]
    fn a_missing_column_is_named_with_the_nearest() {
        let find = |names: &[&str]| {
            Roles::find(&columns(names), &ReadOptions::default()).unwrap_err().to_string()
        };
        assert!(find(&["id", "texts"]).contains("--text texts"));
        assert!(find(&["id", "comment"]).contains("--text comment"));
        let headless = find(&["i feel so alone", "x"]);
        assert!(!headless.contains("alone"), "{headless}");
    }
}
