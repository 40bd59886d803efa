//! `confide check`: what it finds, and where it says it is.
