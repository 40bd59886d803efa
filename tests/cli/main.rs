//! What users see: every test here runs the built `confide` program.

mod bundles;
mod harness;

mod check;
mod classify;
mod classify_bundle;
mod classify_resume;
mod codebook;
mod split;
mod tables;
