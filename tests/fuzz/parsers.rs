//! What each fuzz target does with bytes that anybody may have written: it reads them, and checks what
//! must be true of all that can be read. An error is right; a panic, a hang or a large allocation is not.
#![allow(dead_code, reason = "a target uses its own parser alone")]

use std::alloc::{GlobalAlloc, Layout, System};

use confide::bundle::Manifest;
use confide::codebook::Codebook;
use confide::corpus::{
    Format, Line, ReadOptions, Reply, Row, TableReader, TableWriter, read_answer, read_line,
    read_tiktok,
};
use confide::decision::Decisions;
use confide::encoder::{
    Adapter, Cut, EncoderConfig, ModelFiles, Quantised, TensorSpec, Tokens, listed, load_weights,
    tokenizer_json,
};
use confide::heads::lexical::LexicalHeads;

/// Inputs have a few thousand bytes: more than this at once was asked for by a number in the input.
const LARGEST: usize = 64 << 20;

/// The system's allocator, which ends the process at the first large block.
struct Bounded;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        bounded(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        bounded(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        bounded(size);
        unsafe { System.realloc(block, layout, size) }
    }
}

fn bounded(size: usize) {
    if size > LARGEST {
        std::process::abort();
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// libFuzzer ends the process at every panic, those too that the program catches.
fn catch() {
    #[cfg(fuzzing)]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|panic| {
                if !confide::contained::is_contained() {
                    eprintln!("panicked: {panic}");
                    std::process::abort();
                }
            }));
        });
    }
}

/// What is given bytes, and must neither panic nor take more than they are worth.
pub type Parser = fn(&[u8]);

/// The names of all targets, with what they do.
pub const ALL: [(&str, Parser); 13] = [
    ("codebook", codebook),
    ("csv", csv),
    ("tsv", tsv),
    ("jsonl", jsonl),
    ("openai", openai),
    ("tiktok", tiktok),
    ("manifest", manifest),
    ("decision", decision),
    ("config", config),
    ("weights", weights),
    ("gguf", gguf),
    ("tokenizer", tokenizer),
    ("sentencepiece", sentencepiece),
];

/// A codebook; one that is read is written and read again as the same.
pub fn codebook(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(book) = Codebook::parse(text, "book.toml") else { return };
    let again = Codebook::parse(&book.to_toml(), "again.toml").expect("what was written is read");
    assert_eq!(again.digest(), book.digest());
}

const ENCODINGS: [Option<&str>; 6] = [
    None,
    Some("utf-16le"),
    Some("utf-16be"),
    Some("windows-1252"),
    Some("shift_jis"),
    Some("gb18030"),
];

/// A table whose first byte chooses the encoding of the rest. Rows without a defect are written and
/// read again as they were.
fn table(bytes: &[u8], name: &str) {
    let Some((first, body)) = bytes.split_first() else { return };
    let encoding = ENCODINGS[usize::from(*first) % ENCODINGS.len()];
    let options = ReadOptions { encoding: encoding.map(str::to_owned), ..ReadOptions::default() };
    let Ok(mut reader) = TableReader::from_bytes(body.to_vec(), name, &options) else { return };
    let (columns, format) = (reader.columns().to_vec(), reader.format());
    let mut rows: Vec<Row> = Vec::new();
    let mut end = 0;
    loop {
        match reader.next_row() {
            Ok(Some(row)) => {
                let span = reader.span();
                assert!(span.start >= end && span.end > span.start, "spans follow one another");
                end = span.end;
                assert_eq!(row.number, rows.len() as u64 + 1);
                rows.push(row);
            }
            Ok(None) => break,
            Err(_) => return,
        }
    }
    let whole = |row: &&Row| row.defect.is_none();
    let mut writer = TableWriter::new(Vec::new(), format, &columns).expect("memory takes all");
    for row in rows.iter().filter(whole) {
        writer.write(row, &[]).expect("memory takes all");
    }
    let written = writer.finish().expect("memory takes all");
    if written.is_empty() {
        return;
    }
    let options = match format {
        Format::Csv { delimiter: b'\t' } => Some("tsv"),
        Format::Csv { .. } => Some("csv"),
        Format::Jsonl => Some("jsonl"),
    };
    let options = ReadOptions { format: options.map(str::to_owned), ..ReadOptions::default() };
    let mut again = TableReader::from_bytes(written, "again", &options).expect("a table");
    for row in rows.iter().filter(whole) {
        let read = again.next_row().expect("what was written is read").expect("as many rows");
        for (at, column) in columns.iter().enumerate() {
            let place = again.columns().iter().position(|own| own == column);
            // Columns of objects without a row that holds them are not written; several may be blank.
            let place = if format == Format::Jsonl { place } else { Some(at) };
            assert_eq!(place.map_or("", |place| read.cell(place)), row.cell(at));
        }
    }
    assert!(again.next_row().expect("its end").is_none());
}

/// Comma-separated values.
pub fn csv(bytes: &[u8]) {
    table(bytes, "t.csv");
}

/// Tab-separated values.
pub fn tsv(bytes: &[u8]) {
    table(bytes, "t.tsv");
}

/// An object a line.
pub fn jsonl(bytes: &[u8]) {
    table(bytes, "t.jsonl");
}

fn book() -> &'static Codebook {
    static BOOK: std::sync::OnceLock<Codebook> = std::sync::OnceLock::new();
    BOOK.get_or_init(|| {
        let text = include_str!("../../configs/codebooks/llm-mental-health.toml");
        Codebook::parse(text, "book.toml").expect("a shipped codebook")
    })
}

/// Lines of OpenAI's files, and the answers in them.
pub fn openai(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(value) = serde_json::from_slice(line) else { continue };
        if let Line::Example { reply: Reply::Said(said), .. }
        | Line::Answered { reply: Reply::Said(said), .. } = read_line(&value)
        {
            read_answer(book(), None, &said.content, said.cut_off);
            read_answer(book(), Some(1), &said.content, said.cut_off);
        }
    }
}

/// Pages of TikTok's Research API.
pub fn tiktok(bytes: &[u8]) {
    let _ = read_tiktok(bytes, "pages.json", |_| Ok(()));
}

/// A bundle's manifest.
pub fn manifest(bytes: &[u8]) {
    let _ = Manifest::from_json(bytes, "manifest.json");
}

/// A bundle's decisions.
pub fn decision(bytes: &[u8]) {
    let Ok(decisions) = Decisions::from_json(bytes, "decision.json", book()) else { return };
    let logits: Vec<Vec<f64>> = book().tiers.iter().map(|t| vec![0.5; t.labels.len()]).collect();
    decisions.probabilities(book(), &logits);
    decisions.to_json().expect("what was read is written");
}

/// A model's configuration.
pub fn config(bytes: &[u8]) {
    let Ok(config) = EncoderConfig::parse(bytes, "config.json") else { return };
    for spec in config.tensors() {
        assert!(spec.shape.iter().try_fold(4usize, |all, size| all.checked_mul(*size)).is_some());
    }
    assert!(config.longest() >= 3 && config.hidden_size() > 0 && config.layers() > 0);
}

/// Weights, an adapter, heads and rounded matrices as safetensors, and the index of several files.
pub fn weights(bytes: &[u8]) {
    let spec = |name: &str, shape: &[usize]| TensorSpec {
        name: name.into(),
        shape: shape.into(),
        depth: 1,
        effective: true,
    };
    let specs = [spec("a.weight", &[2, 2]), spec("b", &[3])];
    let _ = load_weights(bytes, &specs, "model.safetensors");
    let adapter = br#"{"peft_type":"LORA","r":1,"lora_alpha":1.0}"#;
    let _ = Adapter::parse(adapter, bytes, &specs, "adapter");
    let _ = Quantised::from_bytes(bytes, |_| Some((2, 2)), "int8.safetensors");
    let _ = LexicalHeads::read(bytes, book(), "heads.safetensors");
    if let Ok(files) = listed(bytes, "index.json") {
        assert!(files.iter().all(|file| !file.contains(['/', '\\'])));
    }
}

const TEXTS: [&str; 5] = [
    "",
    "it listens at 3 a.m. - never sighs!",
    "é\u{301}\u{200d}😀 漢字",
    "<0x41>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b",
];
const CUT: Cut = Cut { longest: 8, stride: Some(4) };

fn cuts(tokens: &Tokens) {
    for text in TEXTS {
        if let Ok(cut) = tokens.tokenize(text) {
            assert!(cut.windows.iter().all(|window| (1..=CUT.longest).contains(window)));
            assert_eq!(cut.windows.iter().sum::<usize>(), cut.ids.len());
        }
    }
}

/// A GGUF file: its sizes, its tokenizer, its tensors.
pub fn gguf(bytes: &[u8]) {
    catch();
    let Ok(files) = ModelFiles::of_gguf(bytes.to_vec(), "m", "m.gguf") else { return };
    let Ok(config) = files.config() else { return };
    if let Ok(tokens) = files.tokens(&config, CUT) {
        cuts(&tokens);
    }
    let _ = files.parameters(&config);
}

/// A `tokenizer.json`.
pub fn tokenizer(bytes: &[u8]) {
    catch();
    if let Ok(tokens) = Tokens::new(bytes, CUT, 1000, "tokenizer.json") {
        cuts(&tokens);
    }
}

/// A model of SentencePiece; the first byte chooses the encoder that uses it.
pub fn sentencepiece(bytes: &[u8]) {
    catch();
    let Some((first, model)) = bytes.split_first() else { return };
    let family = ["deberta-v2", "xlm-roberta"][usize::from(*first) % 2];
    let config = format!("{{\"model_type\":\"{family}\"}}");
    let Ok(json) = tokenizer_json(model, config.as_bytes(), "spm.model") else { return };
    if let Ok(tokens) = Tokens::new(&json, CUT, 1000, "spm.model") {
        cuts(&tokens);
    }
}
