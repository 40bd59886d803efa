//! Confide codes short, sensitive texts with a tiered codebook, on the lab's own machine.
//!
//! The data flows one way, and a module knows only those before it:
//! codebook → corpus → encoder → heads → training → decision → evaluation → prevalence → crisis → inference → report → cli.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]
#![warn(missing_docs)]

pub mod contained;
pub mod error;
#[cfg(test)]
mod properties;

pub mod codebook;

pub mod corpus;

pub mod encoder;

pub mod heads;

pub mod training;

pub mod decision;

pub mod evaluation;

pub mod prevalence;

pub mod bundle;

pub mod crisis;

pub mod inference;

pub mod report;

#[cfg(feature = "hub")]
pub mod hub;

pub mod cli;
