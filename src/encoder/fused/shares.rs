//! The rows of a batch, shared among threads where nothing else keeps these busy. A row's values do
//! not depend on which rows are computed with it.
//!
//! Each thread takes its rows through all layers; only before they attend do the threads meet, to
//! hand one another their keys and values. That happens every few hundred microseconds, so that
//! they wait awake.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::thread;

use super::RowBuffers;

/// Some rows of a batch.
pub struct Share<'a> {
    /// Which they are.
    pub rows: Range<usize>,
    /// Their states.
    pub states: &'a mut [f32],
    /// All rows of the batch.
    pub tokens: usize,
    with: Option<(&'a Meeting, usize)>,
    /// How often it has met the others.
    met: usize,
}

impl Share<'_> {
    /// Gives the share's rows of `values`, `[tokens, width]`, to the others and takes theirs.
    pub fn exchange(&mut self, values: &mut [f32], width: usize) {
        let Some((meeting, own)) = self.with else { return };
        let slots = &meeting.slots[self.met % 2];
        {
            let mut slot = slots[own].write().unwrap_or_else(PoisonError::into_inner);
            slot.clear();
            slot.extend_from_slice(&values[self.rows.start * width..self.rows.end * width]);
        }
        self.met += 1;
        meeting.wait(self.met);
        let mut start = 0;
        for (at, slot) in slots.iter().enumerate() {
            let slot = slot.read().unwrap_or_else(PoisonError::into_inner);
            if at != own {
                values[start..start + slot.len()].copy_from_slice(&slot);
            }
            start += slot.len();
        }
    }
}

/// Where threads meet.
struct Meeting {
    /// What each gives, in turns: who is a meeting ahead does not touch what others still read.
    slots: [Vec<RwLock<Vec<f32>>>; 2],
    /// How often all together have arrived.
    arrived: AtomicUsize,
    /// Whether one of them failed.
    failed: AtomicBool,
}

impl Meeting {
    fn of(threads: usize) -> Self {
        let slots = || (0..threads).map(|_| RwLock::default()).collect();
        Self { slots: [slots(), slots()], arrived: AtomicUsize::new(0), failed: false.into() }
    }

    /// Waits until all have come as often as this one.
    ///
    /// # Panics
    /// If another thread did.
    fn wait(&self, met: usize) {
        /// Turns before the processor is left to others.
        const PATIENCE: usize = 20_000;
        let all = met * self.slots[0].len();
        self.arrived.fetch_add(1, Ordering::AcqRel);
        let mut turns = 0;
        while self.arrived.load(Ordering::Acquire) < all {
            assert!(!self.failed.load(Ordering::Relaxed), "a thread beside this one failed");
            turns += 1;
            if turns < PATIENCE { std::hint::spin_loop() } else { thread::yield_now() }
        }
    }
}

/// Tells the others when its thread fails.
struct Watch<'a>(&'a AtomicBool);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Does something to so many shares of the rows, of about equal size, each on a thread of its own;
/// the first on this one, in these buffers.
pub fn in_shares(
    shares: usize,
    states: &mut [f32],
    tokens: usize,
    buffers: &mut RowBuffers,
    act: impl Fn(Share, &mut RowBuffers) + Sync,
) {
    if shares < 2 {
        return act(Share { rows: 0..tokens, states, tokens, with: None, met: 0 }, buffers);
    }
    let meeting = Meeting::of(shares);
    let width = states.len() / tokens;
    thread::scope(|scope| {
        let (mut left, mut first) = (states, None);
        for at in 0..shares {
            let rows = tokens * at / shares..tokens * (at + 1) / shares;
            let (states, rest) = left.split_at_mut(rows.len() * width);
            left = rest;
            let with = Some((&meeting, at));
            let share = Share { rows, states, tokens, with, met: 0 };
            if at == 0 {
                first = Some(share);
                continue;
            }
            let (act, failed) = (&act, &meeting.failed);
            scope.spawn(move || {
                let _watch = Watch(failed);
                act(share, &mut RowBuffers::default());
            });
        }
        let _watch = Watch(&meeting.failed);
        if let Some(share) = first {
            act(share, buffers);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What rows are after they have thrice taken on the sum of all.
    fn summed(shares: usize) -> Vec<f32> {
        let tokens = 11;
        let mut states: Vec<f32> = (0..2 * tokens).map(|i| i as f32).collect();
        in_shares(shares, &mut states, tokens, &mut RowBuffers::default(), |mut share, _| {
            let mut all = vec![0.0; 2 * tokens];
            for _ in 0..3 {
                let own = share.rows.start * 2..share.rows.end * 2;
                all[own].copy_from_slice(share.states);
                share.exchange(&mut all, 2);
                let total: f32 = all.iter().sum();
                share.states.iter_mut().for_each(|v| *v = (*v + total) % 1009.0);
            }
        });
        states
    }

    #[test]
    fn shares_see_the_rows_of_all() {
        let alone = summed(1);
        for shares in 2..6 {
            assert_eq!(summed(shares), alone, "{shares} shares");
        }
    }

    #[test]
    #[should_panic(expected = "a thread beside this one failed")]
    fn a_failure_ends_all() {
        in_shares(3, &mut [0.0; 6], 6, &mut RowBuffers::default(), |mut share, _| {
            assert!(share.rows.start < 4, "the last share fails");
            share.exchange(&mut [0.0; 6], 1);
        });
    }
}
