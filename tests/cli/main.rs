//! What users see: every test here runs the built `confide` program.

mod harness;

mod check;
mod codebook;
mod split;
mod tables;
