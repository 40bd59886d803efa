//! `confide import`: other people's files to tables.

mod openai;

use std::collections::HashSet;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Subcommand};

use super::messages::Messages;
use super::new_table::NewTable;
use super::{Global, Outcome};
use crate::corpus::{TikTokComment, open_input, read_tiktok, refuse_existing};
use crate::error::Result;

/// Turns files of OpenAI's or TikTok's services into tables; nothing is fetched
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Openai(openai::OpenaiArgs),
    Tiktok(TiktokArgs),
}

/// Reads comments as TikTok's Research API gives them
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  confide import tiktok page-*.json -o comments.csv\n\n\
    Columns: id, group (the video), text, created, like_count, reply_count, parent_comment_id.")]
struct TiktokArgs {
    /// Pages with data.comments: one a file, a list of them, or one a line
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The table to write
    #[arg(short, long, value_name = "OUTPUT", env = "CONFIDE_OUTPUT")]
    output: PathBuf,
    /// Replace an output that exists
    #[arg(long, env = "CONFIDE_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
}

pub fn run(args: &ImportArgs, global: &Global) -> Result<Outcome> {
    let messages = Messages::new(global);
    match &args.from {
        From::Openai(args) => openai::run(args, &messages),
        From::Tiktok(args) => tiktok(args, &messages),
    }
}

fn tiktok(args: &TiktokArgs, messages: &Messages) -> Result<Outcome> {
    refuse_existing(&args.output, args.force)?;
    let header =
        ["id", "group", "text", "created", "like_count", "reply_count", "parent_comment_id"];
    let mut table = NewTable::begin(&args.output, &header.map(str::to_owned), None)?;
    let mut seen = HashSet::new();
    let (mut repeats, mut silent, mut nameless) = (0, 0, 0);
    for file in &args.files {
        let (name, input) = open_input(file)?;
        let pages = read_tiktok(input, &name, |comment| {
            if comment.id.is_empty() {
                nameless += 1;
                return Ok(());
            }
            if !seen.insert(Id::of(&comment.id)) {
                repeats += 1;
                return Ok(());
            }
            silent += usize::from(comment.text.trim().is_empty());
            table.row(cells(comment))
        })?;
        for code in &pages.failed {
            let code = crate::error::shown(code);
            messages.warn(&format!("{name}: a page failed with {code}; its comments are missing"));
        }
    }
    for (count, what) in [
        (repeats, "comments were there already and are left out"),
        (nameless, "comments have no id and are left out"),
        (silent, "comments have no text"),
    ] {
        if count > 0 {
            messages.warn(&format!("{count} {what}"));
        }
    }
    let rows = table.finish()?;
    messages.note(&format!("wrote {rows} comments to {}", args.output.display()));
    Ok(Outcome::Done)
}

/// An id in little room: a corpus has millions of them.
#[derive(PartialEq, Eq, Hash)]
enum Id {
    Number(u128),
    Text(Box<str>),
}

impl Id {
    fn of(id: &str) -> Self {
        // Only a number that is written as one writes it is known by its value.
        let number = id.parse::<u128>().ok().filter(|number| number.to_string() == id);
        number.map_or_else(|| Self::Text(id.into()), Self::Number)
    }
}

fn cells(comment: TikTokComment) -> Vec<String> {
    let TikTokComment { id, video_id, text, created, like_count, reply_count, parent_comment_id } =
        comment;
    vec![id, video_id, text, created, like_count, reply_count, parent_comment_id]
}
