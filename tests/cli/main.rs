//! What users see: every test here runs the built `confide` program.

mod bundles;
mod harness;
#[cfg(feature = "hub")]
mod standin;
mod strategies;
mod study;

mod agreement;
mod auto;
mod canary;
mod card;
mod check;
mod classify;
mod classify_bundle;
mod classify_resume;
mod codebook;
mod crisis;
mod devices;
mod doctor;
mod encoders;
mod evaluate;
mod export;
#[cfg(unix)]
mod faults;
mod folds;
mod forget;
mod heads;
mod imports;
mod interruption;
mod lexical;
mod lora;
mod precision;
#[cfg(feature = "hub")]
mod pull;
mod quickstart;
mod redact;
mod report;
mod review;
mod samples;
mod shares;
mod shipped;
mod sources;
mod split;
mod spreadsheet;
mod supply;
mod tables;
mod traced;
mod train;
mod unlabelled;
mod watching;
