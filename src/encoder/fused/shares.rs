//! The rows of a batch, shared among threads where nothing else keeps these busy. A row's values do
//! not depend on which rows are computed with it.
//!
//! Each thread takes its rows through all layers; only before they attend do the threads meet, to
//! hand one another their keys and values. That happens every few hundred microseconds, so that
//! they wait awake.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;

use super::RowBuffers;
use super::companions::Companions;

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

impl<'a> Share<'a> {
    /// All rows.
    pub fn whole(states: &'a mut [f32], tokens: usize) -> Self {
        Self { rows: 0..tokens, states, tokens, with: None, met: 0 }
    }

    /// Gives some columns of the share's rows of `values`, `[tokens, width]`, to the others and takes
    /// theirs.
    pub fn exchange(&mut self, values: &mut [f32], width: usize, columns: Range<usize>) {
        let Some((meeting, own)) = self.with else { return };
        let slots = &meeting.slots[self.met % 2];
        {
            let mut slot = slots[own].write().unwrap_or_else(PoisonError::into_inner);
            slot.clear();
            let rows = &values[self.rows.start * width..self.rows.end * width];
            rows.chunks_exact(width).for_each(|row| slot.extend_from_slice(&row[columns.clone()]));
        }
        self.met += 1;
        meeting.arrive();
        meeting.wait(self.met);
        let mut start = 0;
        for (at, slot) in slots.iter().enumerate() {
            let slot = slot.read().unwrap_or_else(PoisonError::into_inner);
            let rows = slot.len() / columns.len();
            if at != own {
                let theirs = values[start * width..(start + rows) * width].chunks_exact_mut(width);
                for (row, given) in theirs.zip(slot.chunks_exact(columns.len())) {
                    row[columns.clone()].copy_from_slice(given);
                }
            }
            start += rows;
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

    fn arrive(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
    }

    /// Waits until all have arrived so often.
    ///
    /// # Panics
    /// If another thread did.
    fn wait(&self, met: usize) {
        /// Turns before the processor is left to others.
        const PATIENCE: usize = 20_000;
        let all = met * self.slots[0].len();
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
/// the first on this one, in these buffers. Where no other thread stands by, all rows are one share.
pub fn in_shares(
    shares: usize,
    states: &mut [f32],
    tokens: usize,
    buffers: &mut RowBuffers,
    act: impl Fn(&mut Share, &mut RowBuffers) + Send + Sync + 'static,
) {
    let companions = if shares < 2 { None } else { Companions::take(shares - 1) };
    let Some(companions) = companions else {
        return act(&mut Share::whole(states, tokens), buffers);
    };
    let width = states.len() / tokens;
    let rows = |at: usize| tokens * at / shares..tokens * (at + 1) / shares;
    let of = |rows: Range<usize>| rows.start * width..rows.end * width;
    let (meeting, act) = (Arc::new(Meeting::of(shares)), Arc::new(act));
    let mut others = Vec::with_capacity(shares - 1);
    for at in 1..shares {
        let own = Arc::new(Mutex::new(states[of(rows(at))].to_vec()));
        others.push(Arc::clone(&own));
        let (meeting, act, rows) = (Arc::clone(&meeting), Arc::clone(&act), rows(at));
        let job = move |buffers: &mut RowBuffers| {
            let _watch = Watch(&meeting.failed);
            {
                let mut states = own.lock().unwrap_or_else(PoisonError::into_inner);
                let with = Some((&*meeting, at));
                act(&mut Share { rows, states: &mut states, tokens, with, met: 0 }, buffers);
            }
            meeting.arrive();
        };
        companions.give(at - 1, Box::new(job));
    }
    let _watch = Watch(&meeting.failed);
    let own = &mut states[of(rows(0))];
    let with = Some((&*meeting, 0));
    let mut first = Share { rows: rows(0), states: own, tokens, with, met: 0 };
    act(&mut first, buffers);
    let met = first.met + 1;
    meeting.arrive();
    meeting.wait(met);
    for (at, other) in others.iter().enumerate() {
        let computed = other.lock().unwrap_or_else(PoisonError::into_inner);
        states[of(rows(at + 1))].copy_from_slice(&computed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What rows are after they have thrice taken on the sum of all.
    fn summed(shares: usize) -> Vec<f32> {
        let tokens = 11;
        let mut states: Vec<f32> = (0..2 * tokens).map(|i| i as f32).collect();
        in_shares(shares, &mut states, tokens, &mut RowBuffers::default(), move |share, _| {
            let mut all = vec![0.0; 2 * tokens];
            for _ in 0..3 {
                let own = share.rows.start * 2..share.rows.end * 2;
                all[own].copy_from_slice(share.states);
                share.exchange(&mut all, 2, 0..2);
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
        in_shares(3, &mut [0.0; 6], 6, &mut RowBuffers::default(), |share, _| {
            assert!(share.rows.start < 4, "the last share fails");
            share.exchange(&mut [0.0; 6], 1, 0..1);
        });
    }
}
