//! How a product is cut into tiles.

use super::STRIP;

/// Rows of a tile at most.
pub const MOST_ROWS: usize = 6;

/// The tiles of one level by rows and strips, from one of each up.
pub type Tiles<P> = &'static [&'static [unsafe fn(&P)]];

/// Lists the instances of a generic tile by rows and strips.
macro_rules! tiles {
    ($tile:path; $($rows:literal)*; $strips:tt) => { &[$(tiles!(@ $tile; $rows; $strips)),*] };
    (@ $tile:path; $rows:literal; [1]) => { &[{ use $tile as t; t::<$rows, 1> }] };
    (@ $tile:path; $rows:literal; [4]) => {
        &[
            { use $tile as t; t::<$rows, 1> },
            { use $tile as t; t::<$rows, 2> },
            { use $tile as t; t::<$rows, 3> },
            { use $tile as t; t::<$rows, 4> },
        ]
    };
}
pub(super) use tiles;

/// A part of a product, and where it lies in the whole.
pub trait Part: Copy {
    /// The same part, moved on by rows and strips.
    ///
    /// # Safety
    /// The part must lie within the matrices.
    unsafe fn moved(&self, rows: usize, strips: usize) -> Self;
    /// The same part with another target.
    fn into_target(self, target: *mut f32, row: usize) -> Self;
    /// The target and the distance of its rows.
    fn target(&self) -> (*mut f32, usize);
}

/// Computes all tiles of a product of `rows` rows and `columns` outputs.
///
/// # Safety
/// The processor must have the instructions of these tiles, and the matrices that `whole` points to
/// must hold so many rows and, in whole strips, so many columns; of the target alone, exactly
/// `columns`.
pub unsafe fn multiply<P: Part>(whole: P, rows: usize, columns: usize, tiles: Tiles<P>) {
    let strips = columns.div_ceil(STRIP);
    // Rows are spread evenly: a tile of one row alone would wait for memory.
    let blocks = rows.div_ceil(tiles.len()).max(1);
    let (few, more) = (rows / blocks, rows % blocks);
    let mut strip = 0;
    while strip < strips {
        let whole_strips = columns / STRIP;
        let most = if strip < whole_strips { whole_strips - strip } else { 1 };
        let width = most.min(tiles[0].len());
        let mut row = 0;
        for block in 0..blocks {
            let height = few + usize::from(block < more);
            if height == 0 {
                break;
            }
            // SAFETY: rows and strips lie within the product, as the caller says; a strip that is
            // not whole goes to a buffer first.
            unsafe {
                let part = whole.moved(row, strip);
                let tile = tiles[height - 1][width - 1];
                if strip < whole_strips {
                    tile(&part);
                } else {
                    let mut buffer = [0f32; MOST_ROWS * STRIP];
                    tile(&part.into_target(buffer.as_mut_ptr(), STRIP));
                    let (target, distance) = part.target();
                    for (r, from) in buffer.chunks_exact(STRIP).enumerate().take(height) {
                        let to = target.add(r * distance);
                        std::ptr::copy_nonoverlapping(from.as_ptr(), to, columns % STRIP);
                    }
                }
            }
            row += height;
        }
        strip += width;
    }
}
