//! A library that stands before the C library's calls on files (`LD_PRELOAD`) and lets one of them fail. The tests build it with
//! `rustc --crate-type cdylib`; Linux alone.
//!
//! Only calls on files below the working folder count: on relative paths, on paths below `FAULT_BELOW`, and on what was opened by
//! them. `FAULT_TRACE` names a file in which each is noted, a line each: number, kind, file, second file. Of those of the kind
//! `FAULT_CALL` (or `any`), number `FAULT_AT`, counted from 1, suffers `FAULT_WHAT`:
//!
//! - a number: it fails with that errno, and with a `+` behind, so do all of its kind that follow, as on a disk that is full;
//! - `short`: a read or write does half of it, and the next one fails as on a full disk;
//! - `before:N`, `after:N`: the process gets signal N before the call, or after it.
#![allow(clippy::missing_safety_doc, reason = "the functions are those of the C library")]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering::SeqCst};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn getenv(name: *const c_char) -> *const c_char;
    fn __errno_location() -> *mut c_int;
}

#[cfg(target_arch = "x86_64")]
mod numbers {
    use std::ffi::c_long;
    pub const READ: c_long = 0;
    pub const WRITE: c_long = 1;
    pub const CLOSE: c_long = 3;
    pub const PREAD: c_long = 17;
    pub const WRITEV: c_long = 20;
    pub const GETPID: c_long = 39;
    pub const KILL: c_long = 62;
    pub const FSYNC: c_long = 74;
    pub const FDATASYNC: c_long = 75;
    pub const FTRUNCATE: c_long = 77;
    pub const OPENAT: c_long = 257;
    pub const MKDIRAT: c_long = 258;
    pub const UNLINKAT: c_long = 263;
    pub const RENAMEAT2: c_long = 316;
    pub const LARGE: i32 = 0;
}

#[cfg(target_arch = "aarch64")]
mod numbers {
    use std::ffi::c_long;
    pub const READ: c_long = 63;
    pub const WRITE: c_long = 64;
    pub const CLOSE: c_long = 57;
    pub const PREAD: c_long = 67;
    pub const WRITEV: c_long = 66;
    pub const GETPID: c_long = 172;
    pub const KILL: c_long = 129;
    pub const FSYNC: c_long = 82;
    pub const FDATASYNC: c_long = 83;
    pub const FTRUNCATE: c_long = 46;
    pub const OPENAT: c_long = 56;
    pub const MKDIRAT: c_long = 34;
    pub const UNLINKAT: c_long = 35;
    pub const RENAMEAT2: c_long = 276;
    pub const LARGE: i32 = 0;
}

const HERE: c_int = -100;
const ENOSPC: c_int = 28;

/// Open files that count, and whether the file is a folder's own, by number.
static OPEN: [AtomicBool; 1024] = [const { AtomicBool::new(false) }; 1024];
static NAMES: std::sync::Mutex<Vec<(c_int, Vec<u8>)>> = std::sync::Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);
static ALL: AtomicUsize = AtomicUsize::new(0);
static TRACE: AtomicI32 = AtomicI32::new(-1);
/// 0 not yet, 1 waiting for its call, 2 afterwards.
static STAGE: AtomicU32 = AtomicU32::new(0);
static PLAN: std::sync::OnceLock<Plan> = std::sync::OnceLock::new();

struct Plan {
    below: Vec<u8>,
    call: Vec<u8>,
    at: usize,
    what: What,
}

enum What {
    Nothing,
    Fails { errno: c_int, ever: bool },
    Short,
    Signal { number: c_int, after: bool },
}

fn variable(name: &CStr) -> Option<Vec<u8>> {
    // SAFETY: the environment is not changed while this library starts.
    let value = unsafe { getenv(name.as_ptr()) };
    // SAFETY: what getenv returns is null or a string.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes().to_vec())
}

extern "C" fn start() {
    let text = |name: &CStr| variable(name).map(|v| String::from_utf8_lossy(&v).into_owned());
    let what = text(c"FAULT_WHAT").unwrap_or_default();
    let what = match what.split_once(':') {
        Some((when, number)) => {
            What::Signal { number: number.parse().unwrap_or(9), after: when == "after" }
        }
        None if what == "short" => What::Short,
        None if what.is_empty() => What::Nothing,
        None => What::Fails {
            errno: what.trim_end_matches('+').parse().unwrap_or(5),
            ever: what.ends_with('+'),
        },
    };
    let plan = Plan {
        below: variable(c"FAULT_BELOW").unwrap_or_else(|| b"/nowhere".to_vec()),
        call: variable(c"FAULT_CALL").unwrap_or_default(),
        at: text(c"FAULT_AT").and_then(|at| at.parse().ok()).unwrap_or(0),
        what,
    };
    if let Some(mut trace) = variable(c"FAULT_TRACE") {
        trace.push(0);
        // Written to, created, cut to nothing.
        let opened = unsafe { syscall(numbers::OPENAT, HERE, trace.as_ptr(), 0o1101, 0o600) };
        TRACE.store(opened as i32, SeqCst);
    }
    let _ = PLAN.set(plan);
    STAGE.store(1, SeqCst);
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

fn fail(errno: c_int) -> c_long {
    // SAFETY: the place of this thread's errno.
    unsafe { *__errno_location() = errno };
    -1
}

/// What becomes of a call.
enum Fate {
    Goes,
    Fails(c_int),
    Short,
    Dies(c_int),
}

fn note(kind: &str, first: &[u8], second: &[u8]) {
    let to = TRACE.load(SeqCst);
    if to < 0 {
        return;
    }
    let number = ALL.fetch_add(1, SeqCst) + 1;
    let mut line = format!("{number}\t{kind}\t").into_bytes();
    line.extend_from_slice(first);
    line.push(b'\t');
    line.extend_from_slice(second);
    line.push(b'\n');
    // SAFETY: the bytes are there.
    unsafe { syscall(numbers::WRITE, to, line.as_ptr(), line.len()) };
}

fn fate(kind: &str, first: &[u8], second: &[u8]) -> Fate {
    let Some(plan) = PLAN.get() else { return Fate::Goes };
    note(kind, first, second);
    if plan.call != kind.as_bytes() && plan.call != b"any" {
        return Fate::Goes;
    }
    let number = COUNT.fetch_add(1, SeqCst) + 1;
    match plan.what {
        What::Fails { errno, ever } if number == plan.at || (ever && number > plan.at) => {
            Fate::Fails(errno)
        }
        What::Short if number == plan.at => Fate::Short,
        What::Short if number == plan.at + 1 => Fate::Fails(ENOSPC),
        What::Signal { number: signal, after } if number == plan.at => {
            if after {
                return Fate::Dies(signal);
            }
            send(signal);
            Fate::Goes
        }
        _ => Fate::Goes,
    }
}

fn send(signal: c_int) {
    // SAFETY: a signal to this process itself.
    unsafe { syscall(numbers::KILL, syscall(numbers::GETPID), signal) };
}

/// Makes the call unless it is to fail.
fn made(kind: &str, first: &[u8], second: &[u8], call: impl FnOnce() -> c_long) -> c_long {
    match fate(kind, first, second) {
        Fate::Fails(errno) => fail(errno),
        Fate::Dies(signal) => {
            let outcome = call();
            send(signal);
            outcome
        }
        Fate::Goes | Fate::Short => call(),
    }
}

fn bytes<'a>(path: *const c_char) -> &'a [u8] {
    // SAFETY: callers pass strings.
    unsafe { CStr::from_ptr(path) }.to_bytes()
}

/// Whether a path is one that counts.
fn counts(folder: c_int, path: &[u8]) -> bool {
    let Some(plan) = PLAN.get() else { return false };
    match path.first() {
        Some(b'/') => path.starts_with(&plan.below),
        Some(_) => folder == HERE || is_open(folder),
        None => false,
    }
}

fn is_open(file: c_int) -> bool {
    usize::try_from(file).ok().and_then(|at| OPEN.get(at)).is_some_and(|open| open.load(SeqCst))
}

fn name(file: c_int) -> Vec<u8> {
    let names = NAMES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    names.iter().rev().find(|(of, _)| *of == file).map(|(_, name)| name.clone()).unwrap_or_default()
}

/// A path as it is seen from the working folder.
fn full(folder: c_int, path: &[u8]) -> Vec<u8> {
    if folder == HERE || path.first() == Some(&b'/') {
        return path.to_vec();
    }
    [&name(folder)[..], b"/", path].concat()
}

fn opened(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let call = || unsafe { syscall(numbers::OPENAT, folder, path, flags | numbers::LARGE, mode) };
    let path = bytes(path);
    if !counts(folder, path) {
        return call() as c_int;
    }
    let path = full(folder, path);
    let kind = if flags & 0o100 != 0 { "create" } else { "open" };
    let file = made(kind, &path, b"", call) as c_int;
    if let Some(open) = usize::try_from(file).ok().and_then(|at| OPEN.get(at)) {
        open.store(true, SeqCst);
        let mut names = NAMES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        names.retain(|(of, _)| *of != file);
        names.push((file, path));
    }
    file
}

#[unsafe(no_mangle)]
pub extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    opened(HERE, path, flags, mode)
}

#[unsafe(no_mangle)]
pub extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    opened(HERE, path, flags, mode)
}

#[unsafe(no_mangle)]
pub extern "C" fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    opened(folder, path, flags, mode)
}

#[unsafe(no_mangle)]
pub extern "C" fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    opened(folder, path, flags, mode)
}

#[unsafe(no_mangle)]
pub extern "C" fn close(file: c_int) -> c_int {
    if let Some(open) = usize::try_from(file).ok().and_then(|at| OPEN.get(at)) {
        open.store(false, SeqCst);
    }
    unsafe { syscall(numbers::CLOSE, file) as c_int }
}

/// A read or write of so many bytes.
fn moved(kind: &str, file: c_int, size: usize, call: impl Fn(usize) -> c_long) -> isize {
    if !is_open(file) {
        return call(size) as isize;
    }
    let name = name(file);
    let outcome = match fate(kind, &name, b"") {
        Fate::Fails(errno) => fail(errno),
        Fate::Short => call(size.div_ceil(2)),
        Fate::Goes => call(size),
        Fate::Dies(signal) => {
            let outcome = call(size.div_ceil(2));
            send(signal);
            outcome
        }
    };
    outcome as isize
}

#[unsafe(no_mangle)]
pub extern "C" fn read(file: c_int, to: *mut c_void, size: usize) -> isize {
    moved("read", file, size, |size| unsafe { syscall(numbers::READ, file, to, size) })
}

#[unsafe(no_mangle)]
pub extern "C" fn pread64(file: c_int, to: *mut c_void, size: usize, at: i64) -> isize {
    moved("read", file, size, |size| unsafe { syscall(numbers::PREAD, file, to, size, at) })
}

#[unsafe(no_mangle)]
pub extern "C" fn write(file: c_int, from: *const c_void, size: usize) -> isize {
    moved("write", file, size, |size| unsafe { syscall(numbers::WRITE, file, from, size) })
}

#[unsafe(no_mangle)]
pub extern "C" fn writev(file: c_int, parts: *const c_void, count: c_int) -> isize {
    moved("write", file, 0, |_| unsafe { syscall(numbers::WRITEV, file, parts, count) })
}

/// A call on an open file.
fn on(kind: &str, file: c_int, call: impl FnOnce() -> c_long) -> c_int {
    if !is_open(file) {
        return call() as c_int;
    }
    made(kind, &name(file), b"", call) as c_int
}

#[unsafe(no_mangle)]
pub extern "C" fn fsync(file: c_int) -> c_int {
    on("sync", file, || unsafe { syscall(numbers::FSYNC, file) })
}

#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: c_int) -> c_int {
    on("sync", file, || unsafe { syscall(numbers::FDATASYNC, file) })
}

#[unsafe(no_mangle)]
pub extern "C" fn ftruncate64(file: c_int, size: i64) -> c_int {
    on("truncate", file, || unsafe { syscall(numbers::FTRUNCATE, file, size) })
}

/// A call on paths.
fn at(kind: &str, first: (c_int, *const c_char), second: (c_int, *const c_char), call: impl FnOnce() -> c_long) -> c_int {
    let path = bytes(first.1);
    if !counts(first.0, path) {
        return call() as c_int;
    }
    let to = if second.1.is_null() { Vec::new() } else { full(second.0, bytes(second.1)) };
    made(kind, &full(first.0, path), &to, call) as c_int
}

const NONE: (c_int, *const c_char) = (HERE, std::ptr::null());

#[unsafe(no_mangle)]
pub extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    at("rename", (HERE, from), (HERE, to), || unsafe {
        syscall(numbers::RENAMEAT2, HERE, from, HERE, to, 0)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn renameat2(a: c_int, from: *const c_char, b: c_int, to: *const c_char, flags: c_uint) -> c_int {
    let kind = if flags & 2 != 0 { "exchange" } else { "rename" };
    at(kind, (a, from), (b, to), || unsafe { syscall(numbers::RENAMEAT2, a, from, b, to, flags) })
}

#[unsafe(no_mangle)]
pub extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    at("mkdir", (HERE, path), NONE, || unsafe { syscall(numbers::MKDIRAT, HERE, path, mode) })
}

#[unsafe(no_mangle)]
pub extern "C" fn unlink(path: *const c_char) -> c_int {
    at("remove", (HERE, path), NONE, || unsafe { syscall(numbers::UNLINKAT, HERE, path, 0) })
}

#[unsafe(no_mangle)]
pub extern "C" fn rmdir(path: *const c_char) -> c_int {
    at("remove", (HERE, path), NONE, || unsafe { syscall(numbers::UNLINKAT, HERE, path, 0x200) })
}

#[unsafe(no_mangle)]
pub extern "C" fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int {
    at("remove", (folder, path), NONE, || unsafe { syscall(numbers::UNLINKAT, folder, path, flags) })
}
