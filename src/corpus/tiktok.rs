//! Comments as the TikTok Research API answers queries of them: pages of `data.comments`.

use serde::Deserialize;
use serde_json::{Number, Value};

use crate::error::{Error, Result};

/// One comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TikTokComment {
    /// Its id, digit by digit.
    pub id: String,
    /// The video under which it stands.
    pub video_id: String,
    /// What it says.
    pub text: String,
    /// When it was written, in UTC (ISO 8601).
    pub created: String,
    /// Likes.
    pub like_count: String,
    /// Replies.
    pub reply_count: String,
    /// The comment that it replies to.
    pub parent_comment_id: String,
}

/// The comments of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TikTokPages {
    /// The comments in order, repeats included.
    pub comments: Vec<TikTokComment>,
    /// Pages.
    pub pages: usize,
    /// The error codes of pages that are not `ok`.
    pub failed: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Pages {
    Many(Vec<Page>),
    One(Page),
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    comments: Option<Vec<Stored>>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: Option<Value>,
}

#[derive(Deserialize)]
struct Stored {
    id: Option<Cell>,
    video_id: Option<Cell>,
    text: Option<Cell>,
    create_time: Option<Cell>,
    like_count: Option<Cell>,
    reply_count: Option<Cell>,
    parent_comment_id: Option<Cell>,
}

/// A text or a number; long ids come as either.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cell {
    Text(String),
    Number(Number),
}

impl Cell {
    fn text(self) -> String {
        match self {
            Cell::Text(text) => text,
            Cell::Number(number) => number.to_string(),
        }
    }
}

/// Reads a file of pages: one page, a list of them, or one after the other.
///
/// # Errors
/// A data error if it is anything else; `name` names the file.
pub fn read_tiktok(bytes: &[u8], name: &str) -> Result<TikTokPages> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut found = TikTokPages::default();
    for pages in serde_json::Deserializer::from_slice(bytes).into_iter::<Pages>() {
        let pages = pages.map_err(|error| {
            let place = format!("{name}, line {}, column {}", error.line(), error.column());
            Error::data("not pages of TikTok's Research API")
                .at(place)
                .advise("give the JSON as the API answered it, with data.comments")
        })?;
        let pages = match pages {
            Pages::Many(pages) => pages,
            Pages::One(page) => vec![page],
        };
        for page in pages {
            if page.data.is_none() && page.error.is_none() {
                return Err(Error::data("a JSON object without data and error is no page")
                    .at(name)
                    .advise("give the JSON as the API answered it, with data.comments"));
            }
            found.pages += 1;
            let code = page.error.and_then(|error| error.code);
            if let Some(code) = code.filter(|code| *code != "ok" && !code.is_null()) {
                found.failed.push(code.as_str().map_or_else(|| code.to_string(), str::to_owned));
            }
            let comments = page.data.and_then(|data| data.comments).unwrap_or_default();
            found.comments.extend(comments.into_iter().map(comment));
        }
    }
    if found.pages == 0 {
        return Err(Error::data("the file is empty").at(name));
    }
    Ok(found)
}

fn comment(stored: Stored) -> TikTokComment {
    let text = |cell: Option<Cell>| cell.map_or_else(String::new, Cell::text);
    TikTokComment {
        id: text(stored.id),
        video_id: text(stored.video_id),
        text: text(stored.text),
        created: stored.create_time.map_or_else(String::new, |time| {
            let time = time.text();
            time.parse().map_or(time, utc)
        }),
        like_count: text(stored.like_count),
        reply_count: text(stored.reply_count),
        parent_comment_id: text(stored.parent_comment_id),
    }
}

/// Seconds since 1970 as a date and time in UTC; the calendar after Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`.
fn utc(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(1_709_210_096), "2024-02-29T12:34:56Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn pages_are_read_alone_in_a_list_and_in_a_row() {
        let page = r#"{"data":{"comments":[{"id":7123456789012345678,"video_id":"71","text":"t",
            "like_count":3,"create_time":0,"parent_comment_id":9223372036854775807}],"cursor":1,
            "has_more":false},"error":{"code":"ok","message":""}}"#;
        let one = read_tiktok(page.as_bytes(), "p.json").unwrap();
        assert_eq!(one.comments[0].id, "7123456789012345678");
        assert_eq!(one.comments[0].parent_comment_id, "9223372036854775807");
        assert_eq!(one.comments[0].created, "1970-01-01T00:00:00Z");
        assert_eq!((one.comments[0].reply_count.as_str(), one.failed.len()), ("", 0));
        for twice in [format!("[{page},{page}]"), format!("\u{feff}{page}\n{page}\n")] {
            assert_eq!(read_tiktok(twice.as_bytes(), "p").unwrap().comments.len(), 2);
        }
        let failed = r#"{"data":{},"error":{"code":"rate_limit_exceeded"}}"#;
        assert_eq!(read_tiktok(failed.as_bytes(), "p").unwrap().failed, ["rate_limit_exceeded"]);
        for broken in ["", "{", "hello", "[3]", "{\"foo\":1}"] {
            assert_eq!(read_tiktok(broken.as_bytes(), "p").unwrap_err().exit_code(), 3, "{broken}");
        }
    }
}
