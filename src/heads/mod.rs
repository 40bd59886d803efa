//! From tiers to answers: what a text's probabilities mean under the codebook's gates.

pub mod joint;
