//! Calls into libraries that panic where what they are given is damaged: a panic ends the call, not the
//! process, and says nothing.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// What the call gives; `None` if it panics. Only for calls of which nothing is used afterwards that
/// they may have left half-changed.
pub fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    let before = WITHIN.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    WITHIN.set(before);
    outcome.ok()
}

/// Whether a panic of this thread is one that [`contained`] catches, and no fault of the program.
pub fn is_contained() -> bool {
    WITHIN.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_the_call_alone() {
        assert_eq!(contained(|| 1), Some(1));
        assert_eq!(contained(|| std::hint::black_box([1, 2])[std::hint::black_box(1)]), Some(2));
        assert_eq!(contained(|| [1][std::hint::black_box(3)]), None);
        assert!(!is_contained());
        assert_eq!(contained(is_contained), Some(true));
    }
}
