//! What users see: every test here runs the built `confide` program.

mod harness;
mod study;

mod check;
mod codebook;
mod doctor;
mod evaluate;
mod interruption;
mod quickstart;
mod split;
mod tables;
mod train;
