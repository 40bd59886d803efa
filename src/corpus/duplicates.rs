//! Texts that are the same, or nearly so, as one set must not test what another trained.

use std::collections::HashMap;

/// Length of a shingle in characters.
const SHINGLE: usize = 5;
/// Jaccard similarity of shingle sets from which two texts count as near-duplicates.
const SIMILAR: f64 = 0.8;

/// A partition of `0..n` into sets, merged step by step (union-find).
#[derive(Clone, Debug)]
pub struct Partition(Vec<usize>);

impl Partition {
    /// Every element a set of its own.
    pub fn new(n: usize) -> Self {
        Self((0..n).collect())
    }

    /// The smallest element of the set that holds `element`.
    pub fn find(&mut self, element: usize) -> usize {
        let mut root = element;
        while self.0[root] != root {
            root = self.0[root];
        }
        let mut at = element;
        while self.0[at] != root {
            (self.0[at], at) = (root, self.0[at]);
        }
        root
    }

    /// Makes one set of the two that hold `a` and `b`.
    pub fn merge(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }

    /// The sets, each ascending, ordered by their smallest element.
    pub fn sets(&mut self) -> Vec<Vec<usize>> {
        let mut place = HashMap::new();
        let mut sets: Vec<Vec<usize>> = Vec::new();
        for element in 0..self.0.len() {
            let root = self.find(element);
            let at = *place.entry(root).or_insert_with(|| {
                sets.push(Vec::new());
                sets.len() - 1
            });
            sets[at].push(element);
        }
        sets
    }
}

/// The partition of texts into near-duplicates: equal after lower-casing, with web
/// addresses, names of accounts and punctuation dropped, or with at least 0.8 of their character
/// 5-shingles in common (Jaccard). Exact, and the same for the same texts in the same order.
///
/// Candidates are found by prefix filtering (Bayardo, Ma and Srikant, "Scaling up all pairs
/// similarity search", WWW 2007): two similar sets share one of their rarest elements.
pub fn near_duplicates(texts: &[&str]) -> Partition {
    let mut partition = Partition::new(texts.len());
    let normal: Vec<String> = texts.iter().map(|text| normalise(text)).collect();
    let mut first: HashMap<&str, usize> = HashMap::new();
    let mut distinct = Vec::new();
    for (at, text) in normal.iter().enumerate() {
        // Texts without content are no copies of each other.
        if text.is_empty() {
            continue;
        }
        match first.get(text.as_str()) {
            Some(&earlier) => partition.merge(earlier, at),
            None => {
                first.insert(text, at);
                distinct.push(at);
            }
        }
    }
    let sets = rarest_first(&normal, &distinct);
    let mut order: Vec<usize> = (0..distinct.len()).collect();
    order.sort_by_key(|&at| (sets[at].len(), at));
    let mut index: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut last_seen = vec![usize::MAX; distinct.len()];
    for &at in &order {
        let set = &sets[at];
        let least = (set.len() as f64 * SIMILAR).ceil() as usize;
        let prefix = &set[..(set.len() + 1 - least.max(1)).min(set.len())];
        for shingle in prefix {
            let postings = index.entry(*shingle).or_default();
            for &other in postings.iter() {
                if last_seen[other] != at && sets[other].len() >= least {
                    last_seen[other] = at;
                    if similar(set, &sets[other]) {
                        partition.merge(distinct[at], distinct[other]);
                    }
                }
            }
            postings.push(at);
        }
    }
    partition
}

/// Lower case, one space between words, no punctuation, no web addresses or accounts.
fn normalise(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.to_lowercase().split_whitespace() {
        let address = ["http://", "https://", "www."].iter().any(|start| word.starts_with(start));
        if address || (word.len() > 1 && word.starts_with('@')) {
            continue;
        }
        let kept: String = word
            .chars()
            .filter(|c| c.is_alphanumeric() || (!c.is_ascii() && !is_punctuation(*c)))
            .collect();
        if !kept.is_empty() {
            words.push(kept);
        }
    }
    // A text of addresses or signs alone is compared as it stands.
    if !words.is_empty() {
        words.join(" ")
    } else {
        text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
    }
}

fn is_punctuation(c: char) -> bool {
    matches!(c, '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3001}'..='\u{3003}' | '\u{fe0f}' | '«' | '»' | '¡' | '¿')
}

/// Each text's shingles as numbers that rise with their frequency, sorted: rarest first.
fn rarest_first(normal: &[String], distinct: &[usize]) -> Vec<Vec<u32>> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut counts: Vec<u32> = Vec::new();
    let mut sets: Vec<Vec<u32>> = Vec::with_capacity(distinct.len());
    for &at in distinct {
        let text = normal[at].as_str();
        let starts: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
        let mut set = Vec::new();
        for window in starts.windows(SHINGLE + 1) {
            let next = numbers.len() as u32;
            let number = *numbers.entry(&text[window[0]..window[SHINGLE]]).or_insert(next);
            set.push(number);
        }
        set.sort_unstable();
        set.dedup();
        counts.resize(numbers.len(), 0);
        set.iter().for_each(|&number| counts[number as usize] += 1);
        sets.push(set);
    }
    let mut ranked: Vec<u32> = (0..counts.len() as u32).collect();
    ranked.sort_by_key(|&number| (counts[number as usize], number));
    let mut rank = vec![0u32; counts.len()];
    for (place, &number) in ranked.iter().enumerate() {
        rank[number as usize] = place as u32;
    }
    for set in &mut sets {
        set.iter_mut().for_each(|number| *number = rank[*number as usize]);
        set.sort_unstable();
    }
    sets
}

fn similar(a: &[u32], b: &[u32]) -> bool {
    let (mut i, mut j, mut shared) = (0, 0, 0usize);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                shared += 1;
                i += 1;
                j += 1;
            }
        }
    }
    shared as f64 >= SIMILAR * (a.len() + b.len() - shared) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::properties::repeatable;

    #[test]
    fn copies_are_found_and_strangers_kept_apart() {
        let texts = [
            "It helped me more than anyone, honestly!!",
            "it helped me more than anyone honestly",
            "@ana it helped me more than anyone, honestly https://x.example/1",
            "it helped me more than anyone, honestlyy",
            "@lena",
            "@tom",
            "lol",
            "LOL!",
            "",
            " ",
            "the weather is nice and this is another matter",
        ];
        let mut partition = near_duplicates(&texts);
        let roots: Vec<usize> = (0..texts.len()).map(|at| partition.find(at)).collect();
        assert_eq!(roots[1], 0);
        assert_eq!(roots[3], 0);
        assert_eq!(roots[4..], [4, 5, 6, 6, 8, 9, 10]);
    }

    proptest! {
        #![proptest_config(repeatable())]

        #[test]
        fn the_index_finds_what_every_pair_would(
            texts in proptest::collection::vec("[ab ]{0,14}", 0..12)
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let normal: Vec<String> = texts.iter().map(|t| normalise(t)).collect();
            let every: Vec<usize> = (0..texts.len()).collect();
            let sets = rarest_first(&normal, &every);
            let mut slow = Partition::new(texts.len());
            for a in 0..texts.len() {
                for b in 0..a {
                    let equal = normal[a] == normal[b] && !normal[a].is_empty();
                    let near = !sets[a].is_empty() && !sets[b].is_empty() && similar(&sets[a], &sets[b]);
                    if equal || near {
                        slow.merge(a, b);
                    }
                }
            }
            prop_assert_eq!(near_duplicates(&texts).sets(), slow.sets());
        }
    }
}
