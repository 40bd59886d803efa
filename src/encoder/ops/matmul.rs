//! Strided f32 matrix products on one thread, over the `gemm` crate.

/// A strided view of f32 values; entry (i, j) is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row_stride + (columns - 1) * column_stride < len
}

impl<'a> Matrix<'a> {
    /// A view of `rows` rows that begin `row_stride` apart, each of `columns` adjacent values.
    ///
    /// # Panics
    /// If the view reaches beyond the data.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride, 1), "matrix view out of bounds");
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// A row-major matrix.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// The view of some of the rows.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn only(self, rows: std::ops::Range<usize>) -> Self {
        assert!(rows.end <= self.rows && rows.start <= rows.end, "rows out of bounds");
        Self { data: &self.data[rows.start * self.row_stride..], rows: rows.len(), ..self }
    }

    /// The transposed view.
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// Writes `scale · a · b` into `out` (rows `out_stride` apart), or adds it to what stands there.
///
/// # Panics
/// If the shapes do not match or `out` is too short.
pub fn multiply(out: &mut [f32], out_stride: usize, a: Matrix, b: Matrix, scale: f32, add: bool) {
    assert_eq!(a.columns, b.rows, "inner dimensions differ");
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert!(fits(out.len(), m, n, out_stride, 1) && (n <= out_stride || m <= 1));
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the constructors of `Matrix` and the assertions above keep every entry that the
    // shapes and strides reach inside its slice; `out` is borrowed mutably, so it overlaps none.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0f32,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_match_hand_computed_ones() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [7.0, 8.0, 9.0, 10.0, 11.0, 12.0];
        let mut out = [0.0; 4];
        multiply(&mut out, 2, Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), 1.0, false);
        assert_eq!(out, [58.0, 64.0, 139.0, 154.0]);
        multiply(&mut out, 2, Matrix::new(&a, 2, 3), Matrix::new(&b, 2, 3).transposed(), 2.0, true);
        assert_eq!(out, [58.0 + 100.0, 64.0 + 136.0, 139.0 + 244.0, 154.0 + 334.0]);
    }

    #[test]
    #[should_panic(expected = "out of bounds")]
    fn a_view_beyond_the_data_is_refused() {
        let _ = Matrix::strided(&[0.0; 5], 2, 3, 3);
    }
}
