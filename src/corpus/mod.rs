//! Tables of comments: reading, writing, gold codes, splits and duplicates (DESIGN section 3).

mod encoding;
mod format;
mod jsonl;
mod reader;
mod records;
mod roles;
mod row;
mod whole_file;
mod writer;

pub use format::{Format, ReadOptions};
pub use reader::TableReader;
pub use roles::Roles;
pub use row::{Defect, Row};
pub use whole_file::{WholeFile, refuse_existing};
pub use writer::TableWriter;
