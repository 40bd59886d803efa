//! Encodings, separators and broken tables, through the program.
