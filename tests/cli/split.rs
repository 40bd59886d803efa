//! `confide split`: sizes, groups, and what it refuses.
