//! Texts to vectors with the shipped MiniLM on one core, tokenized beforehand, in each format.

use std::hint::black_box;

use confide::encoder::kernels::Level;
use confide::encoder::{
    Compute, Cut, Encoder, ModelFiles, PackedBatch, Pooling, Precision, Quiet, TokenizedText,
    batch_tokens, by_length,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Comments of the quick-start data.
fn texts() -> Vec<String> {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/data/therapy-comments/corpus.csv");
    let mut reader = csv::Reader::from_path(table).expect("the quick-start data");
    let column = reader.headers().expect("a header").iter().position(|name| name == "text");
    let column = column.expect("a text column");
    reader.records().take(400).map(|row| row.expect("a row")[column].to_owned()).collect()
}

fn encode(criterion: &mut Criterion) {
    let files = ModelFiles::find("minilm").expect("the shipped encoder");
    let config = files.config().expect("its configuration");
    let tokens = files.tokens(&config, Cut { longest: 128, stride: None }).expect("its tokenizer");
    let texts: Vec<TokenizedText> =
        texts().iter().map(|text| tokens.tokenize(text).expect("tokens")).collect();
    let all: usize = texts.iter().map(|text| text.ids.len()).sum();
    let references: Vec<&TokenizedText> = texts.iter().collect();
    let mut group = criterion.benchmark_group("tokens");
    group.throughput(Throughput::Elements(all as u64)).sample_size(10);
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let compute = Compute { precision, ..Compute::default() };
        let parameters = files.parameters(&config).expect("its weights");
        let parameters = parameters.for_coding(&config.tensors(), &compute).expect("room");
        let encoder = Encoder::new(&config, Pooling::Mean, &parameters).expect("an encoder");
        let batches: Vec<PackedBatch> =
            by_length(&references, batch_tokens(&compute.device), usize::MAX)
                .into_iter()
                .map(|batch| PackedBatch::new(batch.into_iter().map(|text| references[text])))
                .collect();
        let name = BenchmarkId::new(format!("{precision:?}"), Level::best());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for batch in &batches {
                    black_box(encoder.embed(batch, &mut Quiet).expect("vectors"));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
