//! How a product is cut into tiles.

use super::STRIP;

/// Rows of a tile at most.
pub const MOST_ROWS: usize = 6;

/// The tiles of one level by rows and strips, from one of each up.
pub type Tiles<P> = &'static [&'static [unsafe fn(&P, Target)]];

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

/// The two sides of a part of a product.
pub trait Part: Copy {
    /// The sides of a part so many rows and strips further on.
    ///
    /// # Safety
    /// The part must lie within the matrices.
    unsafe fn moved(&self, rows: usize, strips: usize) -> Self;

    /// The same, whose tile also fetches the right side of the next strips into a near cache: the first
    /// tile of some strips does so, for all that come after it.
    fn fetching(self) -> Self;
}

/// Where a part of a product goes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its first value.
    pub values: *mut f32,
    /// How many values its rows are apart.
    pub row: usize,
}

impl Target {
    /// The value at a row and a column.
    ///
    /// # Safety
    /// It must lie within the matrix.
    #[inline(always)]
    pub unsafe fn at(self, row: usize, column: usize) -> *mut f32 {
        // SAFETY: the caller keeps it within the matrix.
        unsafe { self.values.add(row * self.row + column) }
    }
}

/// Computes all tiles of a product of `rows` rows and `columns` outputs, each by what `of` gives for
/// one group of inputs after another: the first writes, the others add.
///
/// # Safety
/// The processor must have the instructions of these tiles, and the matrices that `whole` points to
/// must hold so many rows and, in whole strips, so many columns; the target exactly `columns`.
pub unsafe fn multiply<P: Part>(
    groups: usize,
    of: impl Fn(usize) -> P,
    target: Target,
    (rows, columns): (usize, usize),
    tiles: Tiles<P>,
) {
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
                let part = |group| {
                    let part = of(group).moved(row, strip);
                    if block == 0 { part.fetching() } else { part }
                };
                let target = Target { values: target.at(row, strip * STRIP), ..target };
                let tile = tiles[height - 1][width - 1];
                if strip < whole_strips {
                    for group in 0..groups {
                        tile(&part(group), target);
                    }
                } else {
                    let mut buffer = [0f32; MOST_ROWS * STRIP];
                    let whole = Target { values: buffer.as_mut_ptr(), row: STRIP };
                    for group in 0..groups {
                        tile(&part(group), whole);
                    }
                    for (r, from) in buffer.chunks_exact(STRIP).enumerate().take(height) {
                        let to = target.at(r, 0);
                        std::ptr::copy_nonoverlapping(from.as_ptr(), to, columns % STRIP);
                    }
                }
            }
            row += height;
        }
        strip += width;
    }
}
