//! Threads that stand by to compute rows beside the thread that has them: a text alone takes one or
//! two milliseconds, of which starting a thread would be a tenth.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, Thread};

use super::RowBuffers;

/// What a companion is given to do, in buffers that it keeps.
pub type Job = Box<dyn FnOnce(&mut RowBuffers) + Send>;

/// Turns for which a companion waits awake for its next job: texts follow one another closely, and
/// waking up takes as long as a layer.
const PATIENCE: usize = 20_000;

static COMPANIONS: Mutex<Vec<Companion>> = Mutex::new(Vec::new());

struct Companion {
    desk: Arc<Desk>,
    thread: Thread,
}

#[derive(Default)]
struct Desk {
    job: Mutex<Option<Job>>,
    given: AtomicBool,
}

impl Companion {
    fn new() -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let own = Arc::clone(&desk);
        let started = thread::Builder::new().spawn(move || stand_by(&own))?;
        Ok(Self { desk, thread: started.thread().clone() })
    }
}

fn stand_by(desk: &Desk) {
    let mut buffers = RowBuffers::default();
    loop {
        let mut turns = 0;
        while !desk.given.load(Ordering::Acquire) {
            turns += 1;
            if turns < PATIENCE { std::hint::spin_loop() } else { thread::park() }
        }
        desk.given.store(false, Ordering::Relaxed);
        let job = desk.job.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(job) = job {
            // Who gave the job learns of its failure; the companion stands by for the next.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&mut buffers)));
        }
    }
}

/// All companions, of one thread at a time: jobs wait for one another, and two threads with some of
/// them each would wait for ever.
pub struct Companions(MutexGuard<'static, Vec<Companion>>);

impl Companions {
    /// So many of them; none if another thread has them, or if they cannot be started.
    pub fn take(count: usize) -> Option<Self> {
        let mut all = match COMPANIONS.try_lock() {
            Ok(all) => all,
            Err(TryLockError::Poisoned(all)) => all.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        while all.len() < count {
            all.push(Companion::new().ok()?);
        }
        Some(Self(all))
    }

    /// Gives one of them a job.
    pub fn give(&self, at: usize, job: Job) {
        let Companion { desk, thread } = &self.0[at];
        *desk.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
        desk.given.store(true, Ordering::Release);
        thread.unpark();
    }
}
