//! From a text's vector to the answers of every tier.

pub mod joint;
pub mod loss;
