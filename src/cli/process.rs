//! What every command does before its work: memory settings, workers, stop signal.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Global;
use crate::error::{Error, Result};

/// Keeps freed memory for reuse: by default glibc gives large blocks back to the kernel at once,
/// and half of a training goes into clearing them again.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MANY: libc::c_int = 1 << 30;
        // SAFETY: mallopt only sets parameters of the allocator; it is called at the start of
        // the process, before other threads exist.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MANY);
            libc::mallopt(libc::M_TRIM_THRESHOLD, MANY);
            libc::mallopt(libc::M_TOP_PAD, 64 << 20);
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}

/// The system's allocator. Where it has no more memory to give, the process ends as after any lack of
/// a resource: with a message and exit code 5, and what is unfinished can be continued.
#[derive(Debug)]
pub struct Memory;

// SAFETY: every call is passed on to the system's allocator as it came, and what it gives is given.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        enough(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        enough(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promised.
        enough(unsafe { System.realloc(block, layout, size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline]
fn enough(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        out_of_memory();
    }
    block
}

#[cold]
fn out_of_memory() -> ! {
    #[cfg(unix)]
    {
        const SAID: &str = "error: out of memory\n  try: close other programs, or run it where there is \
            more; what is finished is kept\n";
        // Nothing that takes memory, or waits for a thread that holds a lock.
        // SAFETY: the bytes are there, and the process ends.
        unsafe {
            libc::write(2, SAID.as_ptr().cast(), SAID.len());
            libc::_exit(i32::from(crate::error::Kind::Resource.exit_code()));
        }
    }
    #[cfg(not(unix))]
    std::process::abort();
}

/// Keeps candle's own operations on the thread that calls them: its pool spins between
/// operations, and the work is parallel one level up.
pub fn single_threaded_operations() {
    // SAFETY: called at the start of the process, before any other thread exists that could
    // read the environment.
    unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
}

/// Leaves nothing of a comment where others could read it: files are created readable by their owner
/// only, a crash leaves no image of the memory, and a panic says where it was, not what it held.
pub fn keep_to_owner() {
    #[cfg(unix)]
    {
        // SAFETY: both only set attributes of this process; the structure is whole.
        unsafe {
            libc::umask(0o077);
            libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
        }
    }
    #[cfg(target_os = "linux")]
    {
        // A core may go to a program that no limit binds (core(5)).
        // SAFETY: it only sets an attribute of this process.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
    }
    std::panic::set_hook(Box::new(|panic| {
        if crate::contained::is_contained() {
            return;
        }
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        let line = format!("error: the program has a fault{place}; no text is shown\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }));
}

/// Starts the workers: as many as asked for, else one per core.
///
/// # Errors
/// If the threads cannot be started.
pub fn start_workers(global: &Global) -> Result<()> {
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(threads) = global.threads {
        pool = pool.num_threads(usize::from(threads));
    }
    pool.build_global().map_err(|e| Error::resource(format!("cannot start the workers: {e}")))
}

/// A flag that Ctrl-C (or SIGTERM) sets; a second one ends the process at once.
///
/// # Errors
/// If the signal cannot be watched.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|e| Error::resource(format!("cannot watch for interruptions: {e}")))?;
    Ok(stop)
}

/// The instruction sets that the arithmetic is chosen by, as recorded with every result.
pub fn kernel_level() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let has = |name, there| if there { Some(name) } else { None };
        let found: Vec<&str> = [
            has("avx512f", std::is_x86_feature_detected!("avx512f")),
            has("avx2", std::is_x86_feature_detected!("avx2")),
            has("fma", std::is_x86_feature_detected!("fma")),
        ]
        .into_iter()
        .flatten()
        .collect();
        format!("x86_64 {}", if found.is_empty() { "sse2".into() } else { found.join("+") })
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH.to_owned()
    }
}

/// The largest memory that this process has held, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const ROLE: &str = "CONFIDE_TEST_ROLE";

    #[test]
    fn a_panic_shows_no_text_and_files_are_the_owners() {
        use std::os::unix::fs::PermissionsExt;

        const SECRET: &str = "zanzibar é";
        if std::env::var(ROLE).as_deref() == Ok("panic") {
            keep_to_owner();
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("file");
            std::fs::write(&file, "x").unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0);
            let status = std::fs::read_to_string("/proc/self/limits").unwrap();
            let core = status.lines().find(|line| line.starts_with("Max core file size")).unwrap();
            assert!(core.split_whitespace().nth(4) == Some("0"), "{core}");
            // The end lies within a character: the message would quote the text.
            let end = std::hint::black_box(SECRET.len() - 1);
            std::hint::black_box(&SECRET[..end]);
        }
        let ran = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "cli::process::tests::a_panic_shows_no_text_and_files_are_the_owners",
            ])
            .arg("--nocapture")
            .env(ROLE, "panic")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!ran.status.success());
        assert!(said.contains("has a fault at") && !said.contains("zanzibar"), "{said}");
        assert!(said.lines().filter(|line| line.contains("fault")).count() == 1, "{said}");
    }
}
