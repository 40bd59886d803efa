//! A stand-in for the Hugging Face hub on the loopback address: it serves files from memory, can
//! break connections, and notes what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;
use sha2::{Digest, Sha256};

/// The commit that every revision of the stand-in's models stands for.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the hub does and has seen.
#[derive(Default)]
pub struct State {
    /// The files of the one model, `org/tiny`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Bytes after which the next answers with a file break off, one entry an answer.
    pub cuts: Vec<usize>,
    /// The status of every answer, if it is not that of success.
    pub status: Option<u16>,
    /// A digest that is given for every file in the place of its own.
    pub digest: Option<String>,
    /// `path range authorization` of every request.
    pub seen: Vec<String>,
}

/// A running stand-in; it ends with the test process.
pub struct StandIn {
    pub address: String,
    pub state: Arc<Mutex<State>>,
}

impl StandIn {
    pub fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || answer(stream, &state));
            }
        });
        Self { address, state }
    }

    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<String> {
        self.state.lock().unwrap().seen.clone()
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let (mut range, mut authorization) = (None, String::new());
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        match name.to_lowercase().as_str() {
            "range" => range = Some(value.to_owned()),
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    let mut state = state.lock().unwrap();
    state.seen.push(format!("{path} {} {authorization}", range.clone().unwrap_or_default()));
    if let Some(status) = state.status {
        let head =
            format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return stream.write_all(head.as_bytes()).ok();
    }
    if path.starts_with("/api/models/org/tiny/revision/") {
        let siblings: Vec<_> = state.files.keys().map(|name| json!({"rfilename": name})).collect();
        let body = json!({"sha": COMMIT, "siblings": siblings}).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        return stream.write_all((head + &body).as_bytes()).ok();
    }
    let name = path.strip_prefix(&format!("/org/tiny/resolve/{COMMIT}/"));
    let Some(bytes) = name.and_then(|name| state.files.get(name)).cloned() else {
        let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(head.as_bytes()).ok();
    };
    let range = range?;
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = to.parse::<usize>().map_or(bytes.len(), |to| (to + 1).min(bytes.len()));
    let body = &bytes[from.min(to)..to];
    let digest = state.digest.clone().unwrap_or_else(|| sha256(&bytes));
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n\
         ETag: \"{digest}\"\r\nX-Repo-Commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        body.len(),
        to.saturating_sub(1),
        bytes.len(),
    );
    stream.write_all(head.as_bytes()).ok()?;
    // The one byte that tells a file's size is never cut.
    let whole = to - from.min(to) < 2 || state.cuts.is_empty();
    let sent = if whole { body.len() } else { state.cuts.remove(0).min(body.len()) };
    stream.write_all(&body[..sent]).ok()?;
    stream.flush().ok()
}
