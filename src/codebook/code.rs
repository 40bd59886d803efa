//! What one tier says of one text, and whether it was asked at all.

/// A set of labels of one tier, by their position in the codebook.
///
/// For a `single` tier it holds exactly one; for a `multi` tier any number, and the empty
/// set is the code `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSet(Vec<usize>);

impl LabelSet {
    /// A set from label positions in any order, repeats allowed.
    pub fn new(mut labels: Vec<usize>) -> Self {
        labels.sort_unstable();
        labels.dedup();
        Self(labels)
    }

    /// The set of one label.
    pub fn one(label: usize) -> Self {
        Self(vec![label])
    }

    /// Whether the label is in the set.
    pub fn contains(&self, label: usize) -> bool {
        self.0.binary_search(&label).is_ok()
    }

    /// The labels in codebook order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// How many labels the set holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set is empty (the code `none` of a multi tier).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One cell of a coded table: coded, not asked, or missing. The three are never confused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The gate is open (or its answer is itself missing) and nobody coded it.
    Missing,
    /// The gate is closed.
    NotAsked,
    /// These labels; for a single tier exactly one.
    Coded(LabelSet),
}

impl Code {
    /// The labels, if the cell is coded.
    pub fn labels(&self) -> Option<&LabelSet> {
        match self {
            Code::Coded(set) => Some(set),
            _ => None,
        }
    }

    /// The one label of a coded single tier.
    pub fn single(&self) -> Option<usize> {
        self.labels().and_then(|set| set.iter().next())
    }

    /// Whether the cell is coded.
    pub fn is_coded(&self) -> bool {
        matches!(self, Code::Coded(_))
    }
}

/// Whether a gate lets a tier be asked, given the answers above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateState {
    /// Every condition holds.
    Open,
    /// At least one condition fails.
    Closed,
    /// No condition fails, but at least one rests on a missing answer.
    Unknown,
}
