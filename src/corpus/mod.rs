//! Tables of comments: reading, writing, gold codes, splits and duplicates (DESIGN section 3).

mod coding;
mod codings;
mod counts;
mod duplicates;
mod encoding;
mod folds;
mod format;
mod gold;
mod jsonl;
mod openai;
mod problem;
mod reader;
mod records;
pub mod redaction;
mod roles;
mod row;
mod sampling;
mod split;
mod spreadsheet;
mod stratify;
mod tiktok;
mod whole_file;
mod whole_folder;
mod writer;

pub use codings::{
    Answer, Codings, CodingsRequest, GOLD, JoinedTable, KeptColumn, Patterns, read_codings,
};
pub use counts::{SetCounts, TierCounts, count_codes};
pub use duplicates::{Partition, near_duplicates};
pub use folds::{folds, stratified_folds};
pub use format::{Format, ReadOptions};
pub use gold::{GoldRow, GoldTable, Split, coders, read_gold, read_gold_from};
pub use openai::{
    Answered, JsonLine, JsonLines, Line, Reply, Said, Unmatched, read_answer, read_line,
};
pub use problem::{Problem, ProblemCode, Severity};
pub use reader::{TableReader, contents, open_input};
pub use roles::Roles;
pub use row::{Defect, Row};
pub use sampling::{Drawn, Reservoir, below, proportional, shuffled, stratified};
pub use split::{SplitSizes, code_traits, split, units};
pub use spreadsheet::{harmless, harmless_heading};
pub use tiktok::{TikTokComment, TikTokPages, read_tiktok};
pub use whole_file::{WholeFile, refuse_existing, sync_folder_of};
pub use whole_folder::replace_folder;
pub use writer::TableWriter;
