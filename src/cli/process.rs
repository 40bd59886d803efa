//! What every command does before its work: no network, memory settings, workers, stop signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Global;
use crate::error::{Error, Result};

/// What the kernel keeps this process from doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Every socket is refused by the kernel, for all threads and children.
    NoSockets,
    /// Every socket but local ones, which can neither connect, nor send, nor accept a connection.
    NoConnections,
    /// Nothing; why.
    Off(String),
}

impl Sandbox {
    /// A sentence for people.
    pub fn describe(&self) -> String {
        match self {
            Self::NoSockets => "the kernel refuses this process every socket (seccomp)".into(),
            Self::NoConnections => {
                "the kernel refuses this process every socket but local ones without a \
                                    connection, which the graphics driver opens (seccomp)"
                    .into()
            }
            Self::Off(why) => format!("not in force: {why}"),
        }
    }
}

/// Denies this process and its children the network; to be called before any thread exists. CUDA's
/// driver does not start without a local socket, so a build with it is left those, to no use.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn deny_network() -> Sandbox {
    match (apply_denial(cfg!(feature = "cuda")), cfg!(feature = "cuda")) {
        (Ok(()), false) => Sandbox::NoSockets,
        (Ok(()), true) => Sandbox::NoConnections,
        (Err(error), _) => Sandbox::Off(error.to_string()),
    }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn apply_denial(has_local_sockets: bool) -> std::result::Result<(), seccompiler::Error> {
    use std::collections::BTreeMap;

    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, apply_filter_all_threads,
    };

    let mut denied = vec![libc::SYS_connect, libc::SYS_io_uring_setup];
    let mut rules: BTreeMap<_, _> = BTreeMap::new();
    let unless = |argument, length, value| -> std::result::Result<_, seccompiler::BackendError> {
        let condition = SeccompCondition::new(argument, length, SeccompCmpOp::Ne, value)?;
        Ok(vec![SeccompRule::new(vec![condition])?])
    };
    if has_local_sockets {
        let local = unless(0, SeccompCmpArgLen::Dword, libc::AF_UNIX as u64)?;
        rules.insert(libc::SYS_socket, local);
        // To the other end of a pair, but to no address.
        rules.insert(libc::SYS_sendto, unless(4, SeccompCmpArgLen::Qword, 0)?);
        denied.extend([libc::SYS_accept, libc::SYS_accept4, libc::SYS_sendmsg, libc::SYS_sendmmsg]);
    } else {
        denied.push(libc::SYS_socket);
    }
    rules.extend(denied.into_iter().map(|call| (call, Vec::new())));
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    apply_filter_all_threads(&program)
}

/// Denies this process and its children every socket; to be called before any thread exists.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub fn deny_network() -> Sandbox {
    Sandbox::Off("this system has no seccomp; the program opens no connection of its own".into())
}

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

    /// Whether this process is refused the network, and local sockets or only their use.
    fn refused(has_local_sockets: bool) -> bool {
        use std::io::ErrorKind::PermissionDenied;
        use std::net::{TcpListener, TcpStream, UdpSocket};
        use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("socket");
        let local = match UnixDatagram::unbound() {
            Ok(socket) if has_local_sockets => {
                [socket.connect("/x").err(), socket.send_to(&[0], "/x").err()]
            }
            Ok(_) => return false,
            Err(error) => [Some(error), UnixStream::connect("/x").err()],
        };
        let accept = |socket: UnixListener| {
            socket.set_nonblocking(true)?;
            socket.accept()
        };
        let kinds = [
            TcpStream::connect("127.0.0.1:9").err(),
            TcpStream::connect("[::1]:9").err(),
            TcpListener::bind("127.0.0.1:0").err(),
            UdpSocket::bind("127.0.0.1:0").err(),
            UnixListener::bind(place).and_then(accept).err(),
        ];
        let mut kinds = kinds.iter().chain(&local);
        kinds.all(|error| error.as_ref().is_some_and(|e| e.kind() == PermissionDenied))
    }

    /// Runs this test again in a process of its own with a part to play.
    fn play(role: &str) -> bool {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::process::tests::sockets_are_refused_to_threads_and_children"])
            .env(ROLE, role)
            .output()
            .unwrap()
            .status
            .success()
    }

    fn deny_and_check(has_local_sockets: bool, child: &str) {
        let early = std::sync::Arc::new(std::sync::Barrier::new(2));
        let wait = early.clone();
        let thread = std::thread::spawn(move || {
            wait.wait();
            refused(has_local_sockets)
        });
        assert!(!refused(has_local_sockets), "sockets work before");
        apply_denial(has_local_sockets).unwrap();
        early.wait();
        assert!(refused(has_local_sockets));
        assert!(thread.join().unwrap(), "a thread that was there before");
        let new = std::thread::spawn(move || refused(has_local_sockets));
        assert!(new.join().unwrap(), "a new thread");
        assert!(play(child), "a child");
    }

    #[test]
    fn sockets_are_refused_to_threads_and_children() {
        match std::env::var(ROLE).as_deref() {
            Ok("denied") => deny_and_check(false, "child"),
            Ok("local") => deny_and_check(true, "child of local"),
            Ok("child") => assert!(refused(false)),
            Ok(_) => assert!(refused(true)),
            Err(_) => {
                for role in ["denied", "local"] {
                    assert!(play(role), "{role}");
                }
                for role in ["child", "child of local"] {
                    assert!(!play(role), "the test must be able to fail");
                }
            }
        }
    }

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
