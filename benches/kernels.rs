//! Products at MiniLM's shapes, in each format at each level of this processor.

use std::hint::black_box;

use confide::encoder::Precision;
use confide::encoder::kernels::{Level, Operand, PackedAffine};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn products(criterion: &mut Criterion) {
    for (rows, inputs, outputs) in
        [(192, 384, 1152), (192, 384, 1536), (192, 1536, 384), (25, 384, 1536)]
    {
        let mut group = criterion.benchmark_group(format!("{rows}x{inputs}x{outputs}"));
        // Counted as operations: two a product and its addition.
        group.throughput(Throughput::Elements(2 * (rows * inputs * outputs) as u64));
        let wave = |n: usize| (0..n).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<_>>();
        let (x, weight) = (wave(rows * inputs), wave(outputs * inputs));
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            for level in Level::ALL.into_iter().filter(|level| level.is_here()) {
                let packed = PackedAffine::new(&weight, inputs, None, precision, level);
                let mut operand = Operand::default();
                operand.load(&x, &packed);
                let mut y = vec![0.0; rows * outputs];
                let name = BenchmarkId::new(format!("{precision:?}"), level);
                group.bench_function(name, |bencher| {
                    bencher.iter(|| packed.multiply(black_box(&x), &operand, black_box(&mut y)));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
