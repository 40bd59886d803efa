//! Comments as the TikTok Research API answers queries of them: pages of `data.comments`.

mod numbers;

use std::fmt;
use std::io::{BufReader, Read};

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};
use numbers::QuotedNumbers;

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

/// What a file of pages holds besides its comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TikTokPages {
    /// Pages.
    pub pages: usize,
    /// The error codes of pages that are not `ok`.
    pub failed: Vec<String>,
}

/// Reads pages, alone, in a list or one after the other, and hands on each comment as it is read;
/// of the input no more than a block and a comment is held.
///
/// # Errors
/// A data error if it is anything else, or if an id is a rounded number; `name` names the file. Or what
/// `take` fails with.
pub fn read_tiktok(
    input: impl Read,
    name: &str,
    mut take: impl FnMut(TikTokComment) -> Result<()>,
) -> Result<TikTokPages> {
    let mut input = BufReader::new(input);
    skip_mark(&mut input).map_err(|error| Error::reading(name.as_ref(), &error))?;
    let mut reading = Reading { take: &mut take, found: TikTokPages::default(), failure: None };
    let input = BufReader::new(QuotedNumbers::new(input));
    let mut documents = serde_json::Deserializer::from_reader(input);
    loop {
        // Whether anything but white space is left.
        let result = match documents.end() {
            Ok(()) => break,
            Err(error) if error.is_io() => Err(error),
            Err(_) => Pages(&mut reading).deserialize(&mut documents),
        };
        if let Err(error) = result {
            return Err(reading.failure.unwrap_or_else(|| failure(error, name)));
        }
    }
    if reading.found.pages == 0 {
        return Err(Error::data("the file is empty").at(name));
    }
    Ok(reading.found)
}

/// Passes over a byte-order mark.
fn skip_mark(input: &mut impl std::io::BufRead) -> std::io::Result<()> {
    let marked = input.fill_buf()?.starts_with(b"\xef\xbb\xbf");
    input.consume(if marked { 3 } else { 0 });
    Ok(())
}

/// Why pages cannot be read, without what stands in them.
fn failure(error: serde_json::Error, name: &str) -> Error {
    let place = format!("{name}, line {}", error.line());
    if error.is_io() {
        return Error::reading(name.as_ref(), &error.into());
    }
    if error.is_eof() {
        return Error::data("the file ends in the middle of a page")
            .at(place)
            .advise("fetch its last page again");
    }
    Error::data("not pages of TikTok's Research API")
        .at(place)
        .advise("give the JSON as the API answered it, with data.comments")
}

/// What was read so far, and where comments go.
struct Reading<'a> {
    take: &'a mut dyn FnMut(TikTokComment) -> Result<()>,
    found: TikTokPages,
    /// What went wrong beside the JSON itself.
    failure: Option<Error>,
}

/// A page, or a list of pages.
struct Pages<'a, 'r>(&'a mut Reading<'r>);

impl<'de> DeserializeSeed<'de> for Pages<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pages<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("pages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pages: A) -> std::result::Result<(), A::Error> {
        while pages.next_element_seed(Page(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, page: A) -> std::result::Result<(), A::Error> {
        Page(self.0).visit_map(page)
    }
}

/// One page: an object with `data`, `error` or both.
struct Page<'a, 'r>(&'a mut Reading<'r>);

impl<'de> DeserializeSeed<'de> for Page<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Page<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a page")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut page: A) -> std::result::Result<(), A::Error> {
        let mut is_page = false;
        while let Some(key) = page.next_key::<String>()? {
            match key.as_str() {
                "data" => {
                    page.next_value_seed(Within("comments", Comments(self.0)))?;
                    is_page = true;
                }
                "error" => {
                    let mut code = String::new();
                    page.next_value_seed(Within("code", Text(&mut code)))?;
                    if !code.is_empty() && code != "ok" {
                        self.0.found.failed.push(code);
                    }
                    is_page = true;
                }
                _ => {
                    page.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !is_page {
            return Err(serde::de::Error::custom("an object without data and error"));
        }
        self.0.found.pages += 1;
        Ok(())
    }
}

/// What stands under one key of an object; null is an object without keys.
struct Within<S>(&'static str, S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Within<S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Within<S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<(), A::Error> {
        let mut seed = Some(self.1);
        while let Some(key) = object.next_key::<String>()? {
            match seed.take_if(|_| key == self.0) {
                Some(seed) => {
                    object.next_value_seed(seed)?;
                }
                None => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A list of comments.
struct Comments<'a, 'r>(&'a mut Reading<'r>);

impl<'de> DeserializeSeed<'de> for Comments<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Comments<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of comments")
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut comments: A) -> std::result::Result<(), A::Error> {
        while let Some(comment) = comments.next_element_seed(Comment)? {
            let taken = sound(comment).and_then(|comment| (self.0.take)(comment));
            if let Err(error) = taken {
                self.0.failure = Some(error);
                return Err(serde::de::Error::custom("not taken"));
            }
        }
        Ok(())
    }
}

/// A comment whose id has all its digits.
fn sound(comment: TikTokComment) -> Result<TikTokComment> {
    let rounded = comment.id.contains(['.', 'e', 'E']) && comment.id.parse::<f64>().is_ok();
    if rounded {
        return Err(Error::data("the id of a comment is a rounded number")
            .at(crate::error::shown(&comment.id))
            .advise("a spreadsheet or a script has cut its digits: give the JSON as the API answered it"));
    }
    Ok(comment)
}

struct Comment;

impl<'de> DeserializeSeed<'de> for Comment {
    type Value = TikTokComment;

    fn deserialize<D: Deserializer<'de>>(
        self,
        from: D,
    ) -> std::result::Result<TikTokComment, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Comment {
    type Value = TikTokComment;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a comment")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut object: A,
    ) -> std::result::Result<TikTokComment, A::Error> {
        let mut comment = TikTokComment::default();
        while let Some(key) = object.next_key::<String>()? {
            let cell = match key.as_str() {
                "id" => &mut comment.id,
                "video_id" => &mut comment.video_id,
                "text" => &mut comment.text,
                "create_time" => &mut comment.created,
                "like_count" => &mut comment.like_count,
                "reply_count" => &mut comment.reply_count,
                "parent_comment_id" => &mut comment.parent_comment_id,
                _ => {
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            object.next_value_seed(Text(cell))?;
        }
        if let Ok(seconds) = comment.created.parse() {
            comment.created = utc(seconds);
        }
        Ok(comment)
    }
}

/// A text; anything that is none leaves it as it was.
struct Text<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<(), E> {
        self.0.clear();
        self.0.push_str(text);
        Ok(())
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<(), A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
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
    use proptest::prelude::*;

    use crate::properties::repeatable;

    fn read(bytes: &[u8]) -> Result<(TikTokPages, Vec<TikTokComment>)> {
        let mut comments = Vec::new();
        let pages = read_tiktok(bytes, "p.json", |comment| {
            comments.push(comment);
            Ok(())
        })?;
        Ok((pages, comments))
    }

    const PAGE: &str = r#"{"data":{"comments":[{"id":7123456789012345678,"video_id":"71","text":"t",
        "like_count":3,"create_time":0,"parent_comment_id":9223372036854775807}],"cursor":1,
        "has_more":false},"error":{"code":"ok","message":""}}"#;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(1_709_210_096), "2024-02-29T12:34:56Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn pages_are_read_alone_in_a_list_and_in_a_row() {
        let (pages, comments) = read(PAGE.as_bytes()).unwrap();
        assert_eq!(comments[0].id, "7123456789012345678");
        assert_eq!(comments[0].parent_comment_id, "9223372036854775807");
        assert_eq!(comments[0].created, "1970-01-01T00:00:00Z");
        assert_eq!((comments[0].reply_count.as_str(), pages.failed.len()), ("", 0));
        for twice in [format!("[{PAGE},{PAGE}]"), format!("\u{feff}{PAGE}\n{PAGE}\n")] {
            let (pages, comments) = read(twice.as_bytes()).unwrap();
            assert_eq!((pages.pages, comments.len()), (2, 2));
        }
        let failed = r#"{"data":{},"error":{"code":"rate_limit_exceeded"}}"#;
        assert_eq!(read(failed.as_bytes()).unwrap().0.failed, ["rate_limit_exceeded"]);
        for broken in ["", "{", "hello", "[3]", "{\"foo\":1}", "7", "null", "[]"] {
            assert_eq!(read(broken.as_bytes()).unwrap_err().exit_code(), 3, "{broken}");
        }
    }

    #[test]
    fn ids_keep_every_digit() {
        let page = |id: &str| format!("{{\"data\":{{\"comments\":[{{\"id\":{id},\"text\":5}}]}}}}");
        for id in ["184467440737095516170123", "007", "\"007\"", "18446744073709551616"] {
            let (_, comments) = read(page(id).as_bytes()).unwrap();
            assert_eq!(
                (comments[0].id.as_str(), comments[0].text.as_str()),
                (id.trim_matches('"'), "5")
            );
        }
        for rounded in ["7.123456789012346e+18", "\"7.1E18\""] {
            assert_eq!(read(page(rounded).as_bytes()).unwrap_err().exit_code(), 3, "{rounded}");
        }
        for none in ["null", "true", "{\"a\":[1]}", "[[2]]"] {
            assert_eq!(read(page(none).as_bytes()).unwrap().1[0].id, "", "{none}");
        }
    }

    proptest! {
        #![proptest_config(repeatable())]

        #[test]
        fn any_bytes_are_pages_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            at in 0usize..PAGE.len(),
            cut in 0usize..40,
        ) {
            let damaged = [&PAGE.as_bytes()[..at], &bytes, &PAGE.as_bytes()[(at + cut).min(PAGE.len())..]];
            for input in [bytes.clone(), damaged.concat()] {
                if let Err(error) = read(&input) {
                    prop_assert_eq!(error.exit_code(), 3);
                }
            }
        }
    }
}
