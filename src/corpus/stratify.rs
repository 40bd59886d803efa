//! Iterative stratification over units of rows.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Units of one size that are looked at for an exchange.
const CANDIDATES: usize = 12;

/// Deals units of rows to four sets so that traits keep their shares.
pub(super) struct Dealer<'a> {
    traits: &'a [Vec<usize>],
    /// Rows that each set still wants.
    room: [f64; 4],
    /// Rows with each trait that each set still wants.
    wants: Vec<[f64; 4]>,
    random: ChaCha8Rng,
}

impl<'a> Dealer<'a> {
    /// `traits` of every row, rows `wanted` in every set.
    pub fn new(traits: &'a [Vec<usize>], wanted: [usize; 4], seed: u64) -> Self {
        let count = traits.iter().flatten().max().map_or(0, |most| most + 1);
        let mut totals = vec![0usize; count];
        traits.iter().flatten().for_each(|&t| totals[t] += 1);
        let rows = traits.len().max(1) as f64;
        let room = wanted.map(|size| size as f64);
        let wants =
            totals.iter().map(|&total| room.map(|size| size / rows * total as f64)).collect();
        Self { traits, room, wants, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Gives every unit of the pile a set, by iterative stratification.
    pub fn deal(&mut self, pile: &[&Vec<usize>], sets: &mut [usize]) {
        let mut order: Vec<usize> = (0..pile.len()).collect();
        self.shuffle(&mut order);
        // Large units first: they are the hardest to place.
        order.sort_by_key(|&unit| std::cmp::Reverse(pile[unit].len()));
        let mut left = vec![0usize; self.wants.len()];
        let mut holders: Vec<Vec<usize>> = vec![Vec::new(); self.wants.len()];
        for &unit in &order {
            for (t, count) in self.counts(pile[unit]) {
                left[t] += count;
                holders[t].push(unit);
            }
        }
        let mut dealt = vec![false; pile.len()];
        loop {
            let rarest = (0..left.len()).filter(|&t| left[t] > 0).min_by_key(|&t| left[t]);
            let Some(rarest) = rarest else { break };
            for unit in std::mem::take(&mut holders[rarest]) {
                if !std::mem::replace(&mut dealt[unit], true) {
                    let set = self.choose(Some(rarest), pile[unit].len());
                    for (t, count) in self.counts(pile[unit]) {
                        left[t] -= count;
                    }
                    self.place(pile[unit], set, sets);
                }
            }
        }
        for unit in order {
            if !dealt[unit] {
                let set = self.choose(None, pile[unit].len());
                self.place(pile[unit], set, sets);
            }
        }
    }

    /// How many of a unit's rows have each trait.
    fn counts(&self, unit: &[usize]) -> Vec<(usize, usize)> {
        let mut all: Vec<usize> =
            unit.iter().flat_map(|&row| self.traits[row].iter().copied()).collect();
        all.sort_unstable();
        let mut counts: Vec<(usize, usize)> = Vec::new();
        for t in all {
            match counts.last_mut() {
                Some((last, count)) if *last == t => *count += 1,
                _ => counts.push((t, 1)),
            }
        }
        counts
    }

    /// The set with room that wants the trait most, then rows most; where no set has room
    /// for the whole unit, the one with most room. Ties fall by lot.
    fn choose(&mut self, by: Option<usize>, size: usize) -> usize {
        let fits: Vec<usize> = (0..4).filter(|&set| self.room[set] >= size as f64).collect();
        let key = |set: usize| match by {
            Some(t) if !fits.is_empty() => (self.wants[t][set], self.room[set]),
            _ => (self.room[set], 0.0),
        };
        let among = if fits.is_empty() { (0..4).collect() } else { fits.clone() };
        let best = among.iter().map(|&set| key(set)).fold((f64::MIN, f64::MIN), |a, b| {
            if b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)).is_gt() { b } else { a }
        });
        let tied: Vec<usize> = among.into_iter().filter(|&set| key(set) == best).collect();
        let lot = if tied.len() > 1 { self.below(tied.len()) } else { 0 };
        tied[lot]
    }

    fn place(&mut self, unit: &[usize], set: usize, sets: &mut [usize]) {
        self.room[set] -= unit.len() as f64;
        for &row in unit {
            sets[row] = set;
            for &t in &self.traits[row] {
                self.wants[t][set] -= 1.0;
            }
        }
    }

    /// Moves units, alone or in exchange for one other, while that brings the sizes of the
    /// sets nearer to those wanted; of equal steps the one that keeps the shares best.
    pub fn even_out(&mut self, units: &[Vec<usize>], sets: &mut [usize]) {
        while let Some((from, to, out, back)) = self.best_step(units, sets) {
            self.take_back(&units[out], from);
            self.place(&units[out], to, sets);
            if let Some(back) = back {
                self.take_back(&units[back], to);
                self.place(&units[back], from, sets);
            }
        }
    }

    /// From set, to set, the unit that goes, and the unit that comes back.
    fn best_step(
        &self,
        units: &[Vec<usize>],
        sets: &[usize],
    ) -> Option<(usize, usize, usize, Option<usize>)> {
        if self.room.iter().all(|&room| room == 0.0) {
            return None;
        }
        let mut by_size: [BTreeMap<usize, Vec<usize>>; 4] = Default::default();
        for (at, unit) in units.iter().enumerate() {
            let of_size = by_size[sets[unit[0]]].entry(unit.len()).or_default();
            if of_size.len() < CANDIDATES {
                of_size.push(at);
            }
        }
        let mut best = (0.0, f64::MAX);
        let mut step = None;
        for (from, to) in (0..4).flat_map(|from| (0..4).map(move |to| (from, to))) {
            if from == to {
                continue;
            }
            for (&gone, outs) in &by_size[from] {
                let none = (&0, &Vec::new());
                for (&came, backs) in
                    by_size[to].iter().chain([none]).filter(|(came, _)| **came < gone)
                {
                    let moved = gone as f64 - came as f64;
                    let gain = self.room[from].abs() + self.room[to].abs()
                        - (self.room[from] + moved).abs()
                        - (self.room[to] - moved).abs();
                    if gain <= 0.0 || gain < best.0 {
                        continue;
                    }
                    for &out in outs {
                        for back in
                            backs.iter().map(|&b| Some(b)).chain(backs.is_empty().then_some(None))
                        {
                            let harm =
                                self.harm(from, to, &units[out], back.map(|b| &units[b][..]));
                            if gain > best.0 || harm < best.1 {
                                best = (gain, harm);
                                step = Some((from, to, out, back));
                            }
                        }
                    }
                }
            }
        }
        step
    }

    /// How much further from their shares the traits of two sets come by an exchange, in
    /// squared rows.
    fn harm(&self, from: usize, to: usize, out: &[usize], back: Option<&[usize]>) -> f64 {
        let mut net: BTreeMap<usize, f64> = BTreeMap::new();
        for (unit, sign) in [(out, 1.0), (back.unwrap_or(&[]), -1.0)] {
            for (t, count) in self.counts(unit) {
                *net.entry(t).or_default() += sign * count as f64;
            }
        }
        net.into_iter()
            .map(|(t, n)| {
                let (a, b) = (self.wants[t][from], self.wants[t][to]);
                (a + n).powi(2) + (b - n).powi(2) - a * a - b * b
            })
            .sum()
    }

    fn take_back(&mut self, unit: &[usize], set: usize) {
        self.room[set] += unit.len() as f64;
        for &row in unit {
            for &t in &self.traits[row] {
                self.wants[t][set] += 1.0;
            }
        }
    }

    fn shuffle(&mut self, order: &mut [usize]) {
        for at in (1..order.len()).rev() {
            let other = self.below(at + 1);
            order.swap(at, other);
        }
    }

    /// A number below `n`; the bias of the product is below n / 2^64.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.random.next_u64()) * n as u128) >> 64) as usize
    }
}
