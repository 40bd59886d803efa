//! What patterns add to sums, without the zeros.

/// What each of several patterns adds to sums: places of sums with amounts.
#[derive(Clone, Debug)]
pub struct Parts {
    sums: usize,
    /// Where each pattern's entries begin, and where the last's end.
    starts: Vec<usize>,
    places: Vec<u32>,
    amounts: Vec<f64>,
}

impl Parts {
    /// No pattern yet, over so many sums.
    pub fn new(sums: usize) -> Self {
        Self { sums, starts: vec![0], places: Vec::new(), amounts: Vec::new() }
    }

    /// Patterns of which each is counted in a sum of its own.
    pub fn counts(patterns: usize) -> Self {
        let mut parts = Self::new(patterns);
        (0..patterns).for_each(|pattern| parts.push([(pattern, 1.0)]));
        parts
    }

    /// One more pattern. A place may come more than once; amounts are not negative.
    pub fn push(&mut self, entries: impl IntoIterator<Item = (usize, f64)>) {
        for (place, amount) in entries.into_iter().filter(|(_, amount)| *amount > 0.0) {
            self.places.push(place as u32);
            self.amounts.push(amount);
        }
        self.starts.push(self.places.len());
    }

    /// How many patterns there are.
    pub fn patterns(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many amounts all patterns have.
    pub fn amounts(&self) -> usize {
        self.places.len()
    }

    /// How many sums there are.
    pub fn sums_of_each(&self) -> usize {
        self.sums
    }

    /// The sums where each pattern comes `times[pattern]` times, for several such choices at once:
    /// `[sum][choice]`.
    pub fn sums<const N: usize>(&self, times: &[[f64; N]]) -> Vec<[f64; N]> {
        let mut sums = vec![[0.0; N]; self.sums];
        for (own, times) in self.starts.windows(2).zip(times) {
            if *times == [0.0; N] {
                continue;
            }
            let own = own[0]..own[1];
            for (place, amount) in self.places[own.clone()].iter().zip(&self.amounts[own]) {
                let sum = &mut sums[*place as usize];
                for (sum, times) in sum.iter_mut().zip(times) {
                    *sum += times * amount;
                }
            }
        }
        sums
    }

    /// To merge patterns of these.
    pub fn merger(&self) -> Merger<'_> {
        Merger { parts: self, sums: vec![0.0; self.sums], touched: Vec::new() }
    }
}

/// Adds up what several patterns add.
pub struct Merger<'a> {
    parts: &'a Parts,
    sums: Vec<f64>,
    touched: Vec<u32>,
}

impl Merger<'_> {
    /// Pushes what patterns with counts add together.
    pub fn merge(&mut self, patterns: &[(u32, u32)], into: &mut Parts) {
        for (pattern, count) in patterns {
            let own =
                self.parts.starts[*pattern as usize]..self.parts.starts[*pattern as usize + 1];
            for (place, amount) in
                self.parts.places[own.clone()].iter().zip(&self.parts.amounts[own])
            {
                let sum = &mut self.sums[*place as usize];
                if *sum == 0.0 {
                    self.touched.push(*place);
                }
                *sum += amount * f64::from(*count);
            }
        }
        let Self { sums, touched, .. } = self;
        let of_place = |place: u32| (place as usize, std::mem::take(&mut sums[place as usize]));
        into.push(touched.drain(..).map(of_place));
    }
}
