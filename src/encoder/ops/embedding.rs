//! The sum of word, position and segment-type embeddings.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::{composed, dims2, tensor, tensor_values, values};

struct Embeddings {
    ids: Vec<u32>,
    positions: Vec<u32>,
}

/// Row `ids[i]` of `words` plus row `positions[i]` of `places` plus row 0 of `kinds`, for each
/// token: `[vocabulary, hidden]`, `[positions, hidden]`, `[types, hidden]` → `[tokens, hidden]`.
///
/// # Errors
/// If an id or a position lies outside its table.
pub fn embeddings(
    words: &Tensor,
    places: &Tensor,
    kinds: &Tensor,
    ids: &[u32],
    positions: &[u32],
) -> Result<Tensor> {
    if !composed::fused(&[words, places, kinds]) {
        let kinds = composed::lookup(kinds, &vec![0; ids.len()])?;
        return (composed::lookup(words, ids)? + composed::lookup(places, positions)?)? + kinds;
    }
    words.apply_op3(places, kinds, Embeddings { ids: ids.to_vec(), positions: positions.to_vec() })
}

struct Lookup(Vec<u32>);

/// Row `ids[i]` of a table `[rows, width]` for each token: `[tokens, width]`.
///
/// # Errors
/// If an id lies outside the table.
pub fn lookup(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    if !composed::fused(&[table]) {
        return composed::lookup(table, ids);
    }
    table.apply_op1(Lookup(ids.to_vec()))
}

impl CustomOp1 for Lookup {
    fn name(&self) -> &'static str {
        "lookup"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let table = values(storage, layout)?;
        let (rows, width) = dims2(layout)?;
        if self.0.iter().any(|&id| id as usize >= rows) {
            bail!("a token or position lies outside its table of {rows} rows");
        }
        let out = self.0.iter().flat_map(|&id| row(table, id, width)).copied().collect();
        Ok((CpuStorage::F32(out), Shape::from((self.0.len(), width))))
    }

    fn bwd(&self, table: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (storage, layout) = grad.storage_and_layout();
        let (rows, width) = table.dims2()?;
        Ok(Some(scatter(rows, width, &self.0, tensor_values(&storage, layout)?)?))
    }
}

fn row(table: &[f32], index: u32, width: usize) -> &[f32] {
    &table[index as usize * width..][..width]
}

fn scatter(rows: usize, width: usize, indices: &[u32], grad: &[f32]) -> Result<Tensor> {
    let mut out = vec![0f32; rows * width];
    for (&index, g) in indices.iter().zip(grad.chunks_exact(width)) {
        for (o, g) in out[index as usize * width..][..width].iter_mut().zip(g) {
            *o += g;
        }
    }
    tensor(out, (rows, width))
}

impl CustomOp3 for Embeddings {
    fn name(&self) -> &'static str {
        "embeddings"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (words, places, kinds) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let ((vocabulary, width), (longest, _)) = (dims2(l1)?, dims2(l2)?);
        let outside = |indices: &[u32], rows| indices.iter().any(|&i| i as usize >= rows);
        if outside(&self.ids, vocabulary) || outside(&self.positions, longest) {
            bail!("a token or position lies outside its table of {vocabulary} or {longest} rows");
        }
        let mut out = Vec::with_capacity(self.ids.len() * width);
        for (&id, &position) in self.ids.iter().zip(&self.positions) {
            let (w, p) = (row(words, id, width), row(places, position, width));
            out.extend(w.iter().zip(p).zip(&kinds[..width]).map(|((w, p), k)| w + p + k));
        }
        Ok((CpuStorage::F32(out), Shape::from((self.ids.len(), width))))
    }

    fn bwd(
        &self,
        words: &Tensor,
        places: &Tensor,
        kinds: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (storage, layout) = grad.storage_and_layout();
        let dy = tensor_values(&storage, layout)?;
        let gradient = |table: &Tensor, indices: &[u32]| -> Result<Option<Tensor>> {
            let (rows, width) = table.dims2()?;
            table.track_op().then(|| scatter(rows, width, indices, dy)).transpose()
        };
        Ok((
            gradient(words, &self.ids)?,
            gradient(places, &self.positions)?,
            gradient(kinds, &vec![0; self.ids.len()])?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::ops::gradient_check::{check, var};

    #[test]
    fn gradients_match_finite_differences() {
        let vars = [var(&[4, 3], 1), var(&[5, 3], 2), var(&[2, 3], 3)];
        check(&vars, 1e-3, |t| {
            embeddings(&t[0], &t[1], &t[2], &[1, 3, 1, 0], &[0, 1, 2, 0]).unwrap()
        });
    }

    #[test]
    fn rows_are_looked_up_and_their_gradients_added() {
        let table = var(&[4, 3], 1);
        let found = lookup(&table, &[2, 0, 2]).unwrap().to_vec2::<f32>().unwrap();
        let rows = table.to_vec2::<f32>().unwrap();
        assert_eq!(found, [rows[2].clone(), rows[0].clone(), rows[2].clone()]);
        check(std::slice::from_ref(&table), 1e-3, |t| lookup(&t[0], &[2, 0, 2]).unwrap());
        assert!(lookup(&table, &[4]).is_err());
    }

    #[test]
    fn an_id_outside_the_vocabulary_is_refused() {
        let (w, p, k) = (var(&[4, 3], 1), var(&[5, 3], 2), var(&[2, 3], 3));
        assert!(embeddings(&w, &p, &k, &[4], &[0]).is_err());
        assert!(embeddings(&w, &p, &k, &[3], &[5]).is_err());
    }
}
