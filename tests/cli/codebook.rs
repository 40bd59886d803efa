//! Codebooks that cannot be used, through the program.
