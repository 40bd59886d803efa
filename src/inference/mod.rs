//! Coding a corpus: window by window, in constant memory, resumable (DESIGN sections 3 and 5).
//!
//! Rows are read in windows whose borders follow from the table alone, so that a resumed job
//! forms the same windows, the same batches and therefore the same bytes as an unbroken one.

mod budget;
mod coder;
mod columns;
mod crisis_file;
mod embedding;
mod job;
mod ledger;
mod partial;
mod places;
mod second_pass;
mod sink;
mod source;
mod state;
mod window;

pub use columns::{CellProbability, ColumnOptions, fold_coder};
pub use crisis_file::{CrisisFile, is_crisis_file};
pub use embedding::Embedder;
pub use job::{Destination, Job, Observer, classify};
pub use source::Source;
pub use state::Counts;
