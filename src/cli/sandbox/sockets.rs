//! What seccomp refuses: every socket.

/// How far the kernel keeps this process from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Every socket is refused by the kernel, for all threads and children.
    NoSockets,
    /// Every socket but local ones, which can neither connect, nor send, nor accept a connection.
    NoConnections,
    /// Nothing is refused; why.
    Off(String),
}

/// Denies this process and its children the network; to be called before any thread exists. CUDA's
/// driver does not start without a local socket, so a build with it is left those, to no use.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn deny_network() -> Network {
    match (apply_denial(cfg!(feature = "cuda")), cfg!(feature = "cuda")) {
        (Ok(()), false) => Network::NoSockets,
        (Ok(()), true) => Network::NoConnections,
        (Err(error), _) => Network::Off(error.to_string()),
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
pub fn deny_network() -> Network {
    Network::Off("this system has no seccomp; the program opens no connection of its own".into())
}

#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use std::net::ToSocketAddrs;

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
            .args([
                "--exact",
                "cli::sandbox::sockets::tests::sockets_are_refused_to_threads_and_children",
            ])
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
        assert!(("confide.invalid", 53).to_socket_addrs().is_err(), "a name is looked up");
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
}
