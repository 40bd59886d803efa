//! Windows of rows, cut at places that follow from the table alone.

use crate::corpus::{Row, TableReader};
use crate::error::Result;

/// Rows after which a window ends, counted from the first row of the table.
pub(super) const WINDOW_ROWS: u64 = 4096;

/// Bytes of cells after which a window ends before its time, so that memory stays bounded.
const WINDOW_BYTES: usize = 32 << 20;

/// Reads the next window; empty at the end of the table.
///
/// # Errors
/// As [`TableReader::next_row`].
pub(super) fn read_window(reader: &mut TableReader) -> Result<Vec<Row>> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < WINDOW_BYTES
        && let Some(row) = reader.next_row()?
    {
        // A blank cell takes memory, too, and a row that cannot be used as much as any.
        let cells = row.cells.iter().map(|cell| cell.len() + size_of::<String>()).sum::<usize>();
        let span = reader.span();
        bytes += cells.max(usize::try_from(span.end - span.start).unwrap_or(usize::MAX));
        let last = row.number % WINDOW_ROWS == 0;
        rows.push(row);
        if last {
            break;
        }
    }
    Ok(rows)
}

/// Passes over the rows that an earlier run has coded; `false` if there are fewer.
///
/// # Errors
/// As [`TableReader::next_row`].
pub(super) fn pass_over(reader: &mut TableReader, rows: u64) -> Result<bool> {
    for _ in 0..rows {
        if reader.next_row()?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::ReadOptions;

    fn windows(table: String, skip: u64) -> Vec<Vec<u64>> {
        let mut reader = TableReader::from_bytes(table, "t.csv", &ReadOptions::default()).unwrap();
        assert!(pass_over(&mut reader, skip).unwrap());
        let mut windows = Vec::new();
        loop {
            let rows = read_window(&mut reader).unwrap();
            if rows.is_empty() {
                return windows;
            }
            windows.push(rows.iter().map(|row| row.number).collect());
        }
    }

    #[test]
    fn windows_end_at_fixed_rows() {
        let table = format!("text,a\n{}", "x,y\n".repeat(10_000));
        let all = windows(table.clone(), 0);
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [4096, 4096, 1808]);
        assert_eq!(windows(table, 4096), all[1..]);
    }

    #[test]
    fn long_cells_end_a_window_early_and_the_next_one_at_its_place() {
        let long = "z".repeat(20 << 20);
        let table = format!("text,a\n{long},b\n{long},b\n{}", "x,y\n".repeat(5000));
        let all = windows(table.clone(), 0);
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [2, 4094, 906]);
        assert_eq!(windows(table, 2), all[1..]);
    }

    #[test]
    fn too_few_rows_are_noticed() {
        let mut reader =
            TableReader::from_bytes("text,a\nx,y\n", "t.csv", &ReadOptions::default()).unwrap();
        assert!(!pass_over(&mut reader, 2).unwrap());
    }
}
