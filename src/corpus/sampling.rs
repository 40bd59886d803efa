//! Random samples whose inclusion probabilities are known exactly. Each gives the rows chosen, in
//! ascending order, with their probabilities.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows of a stratum that are drawn at least, so that its variance can be seen.
const LEAST: usize = 2;

/// A row of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// The row.
    pub row: usize,
    /// The probability with which it was to be drawn.
    pub pi: f64,
}

/// A simple random sample within each stratum, `strata[row]` numbered from 0. Strata get rows in
/// proportion to their size, but at least two, or all that they have; so the sample may be a little
/// larger than `n`.
pub fn stratified(strata: &[u32], n: usize, seed: u64) -> Vec<Drawn> {
    let count = strata.iter().max().map_or(0, |most| *most as usize + 1);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (row, stratum) in strata.iter().enumerate() {
        members[*stratum as usize].push(row);
    }
    let sizes: Vec<usize> = members.iter().map(Vec::len).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = Vec::new();
    for (mut rows, take) in members.into_iter().zip(allocation(&sizes, n)) {
        let pi = take as f64 / rows.len().max(1) as f64;
        for at in 0..take {
            let other = at + below(&mut random, rows.len() - at);
            rows.swap(at, other);
            drawn.push(Drawn { row: rows[at], pi });
        }
    }
    drawn.sort_by_key(|own| own.row);
    drawn
}

/// How many rows each stratum gives: in proportion, by largest remainders.
fn allocation(sizes: &[usize], n: usize) -> Vec<usize> {
    let all: usize = sizes.iter().sum();
    let n = n.min(all);
    let share = |size: usize| n as f64 * size as f64 / all.max(1) as f64;
    let mut taken: Vec<usize> = sizes.iter().map(|size| share(*size) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&a, &b| {
        share(sizes[b]).fract().total_cmp(&share(sizes[a]).fract()).then(a.cmp(&b))
    });
    let mut left = n - taken.iter().sum::<usize>();
    for &stratum in &order {
        if left > 0 && taken[stratum] < sizes[stratum] {
            taken[stratum] += 1;
            left -= 1;
        }
    }
    sizes.iter().zip(taken).map(|(size, own)| own.max(LEAST.min(*size))).collect()
}

/// A sample of `n` rows drawn with probabilities in proportion to `size` (all above 0): systematic
/// sampling of the rows in random order (Madow 1949). A row that is due more than once is taken for
/// certain, and the others share what is left.
pub fn proportional(size: &[f64], n: usize, seed: u64) -> Vec<Drawn> {
    let pi = probabilities(size, n.min(size.len()));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..size.len()).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, below(&mut random, at + 1));
    }
    let (mut sum, mut next) = (0.0, (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64);
    let mut drawn = Vec::new();
    for row in order {
        sum += pi[row];
        // The last sum may fall short of a whole number by rounding.
        if sum > next - 1e-9 && drawn.len() < n {
            drawn.push(Drawn { row, pi: pi[row] });
            next += 1.0;
        }
    }
    drawn.sort_by_key(|own| own.row);
    drawn
}

fn probabilities(size: &[f64], n: usize) -> Vec<f64> {
    let mut certain = vec![false; size.len()];
    loop {
        let taken = certain.iter().filter(|certain| **certain).count();
        let rest: f64 = size.iter().zip(&certain).filter(|(_, c)| !**c).map(|(s, _)| s).sum();
        let scale = if rest > 0.0 { (n - taken) as f64 / rest } else { 0.0 };
        let mut more = false;
        for (size, certain) in size.iter().zip(&mut certain) {
            if !*certain && size * scale >= 1.0 {
                *certain = true;
                more = true;
            }
        }
        if !more {
            let of = |(size, certain): (&f64, &bool)| if *certain { 1.0 } else { size * scale };
            return size.iter().zip(&certain).map(of).collect();
        }
    }
}

/// A simple random sample of a stream of unknown length (Vitter 1985, algorithm R).
#[derive(Clone, Debug)]
pub struct Reservoir<T> {
    kept: Vec<T>,
    size: usize,
    seen: usize,
    random: ChaCha8Rng,
}

impl<T> Reservoir<T> {
    /// A sample of at most `size` items.
    pub fn new(size: usize, seed: u64) -> Self {
        Self { kept: Vec::new(), size, seen: 0, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Offers an item, which is made only if it is kept.
    pub fn offer(&mut self, make: impl FnOnce() -> T) {
        self.seen += 1;
        if self.kept.len() < self.size {
            self.kept.push(make());
            return;
        }
        let place = below(&mut self.random, self.seen);
        if let Some(own) = self.kept.get_mut(place) {
            *own = make();
        }
    }

    /// How many items were offered.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The sample.
    pub fn into_kept(self) -> Vec<T> {
        self.kept
    }
}

/// A number below `n`, all equally likely.
pub fn below(random: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(random.next_u64()) * n as u128) >> 64) as usize
}

/// The rows in an order that follows from the seed alone.
pub fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for at in (1..n).rev() {
        order.swap(at, below(&mut random, at + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each row is drawn over many seeds, less its probability.
    fn check(rows: usize, draw: impl Fn(u64) -> Vec<Drawn>) {
        const SEEDS: u64 = 4_000;
        let (mut often, mut pi) = (vec![0.0; rows], vec![0.0; rows]);
        for seed in 0..SEEDS {
            for own in draw(seed) {
                often[own.row] += 1.0 / SEEDS as f64;
                pi[own.row] = own.pi;
            }
        }
        for (often, pi) in often.iter().zip(&pi) {
            // Four standard errors of a share.
            assert!((often - pi).abs() < 4.0 * (0.25 / SEEDS as f64).sqrt(), "{often} {pi}");
        }
    }

    #[test]
    fn strata_give_what_is_due() {
        assert_eq!(allocation(&[60, 30, 10], 10), [6, 3, 2]);
        assert_eq!(allocation(&[97, 1, 2], 10), [10, 1, 2]);
        assert_eq!(allocation(&[3, 2], 99), [3, 2]);
        assert_eq!(allocation(&[], 3), Vec::<usize>::new());
        let strata: Vec<u32> = (0..20).map(|row| u32::from(row % 5 == 0)).collect();
        check(20, |seed| stratified(&strata, 10, seed));
        assert_eq!(stratified(&[0; 50], 7, 1).len(), 7);
    }

    #[test]
    fn a_stream_is_sampled_evenly() {
        check(20, |seed| {
            let mut reservoir = Reservoir::new(5, seed);
            (0..20).for_each(|row| reservoir.offer(|| row));
            assert_eq!(reservoir.seen(), 20);
            reservoir.into_kept().into_iter().map(|row| Drawn { row, pi: 0.25 }).collect()
        });
        let mut few = Reservoir::new(5, 1);
        (0..3).for_each(|row| few.offer(|| row));
        assert_eq!(few.into_kept(), [0, 1, 2]);
    }

    #[test]
    fn sizes_give_their_probabilities() {
        let size: Vec<f64> = (0..20).map(|row| 1.0 + f64::from(row)).collect();
        check(20, |seed| proportional(&size, 5, seed));
        for seed in 0..200 {
            let drawn = proportional(&size, 5, seed);
            assert_eq!(drawn.len(), 5);
        }
        let pi = probabilities(&[100.0, 1.0, 1.0, 2.0], 2);
        assert_eq!(pi, [1.0, 0.25, 0.25, 0.5]);
        assert_eq!(probabilities(&[1.0, 1.0], 2), [1.0, 1.0]);
    }
}
