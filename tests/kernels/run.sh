#!/usr/bin/env bash
# Runs the tests of the kernels where this machine cannot run them itself.
#
#   tests/kernels/run.sh [neon] [miri]   [default: both]
#
# neon: by the instructions of 64-bit ARM under QEMU, once on a processor with dot products, once on one without. Needs qemu-aarch64
#       and aarch64-linux-gnu-gcc (Debian: qemu-user, gcc-aarch64-linux-gnu, g++-aarch64-linux-gnu) and `rustup target add
#       aarch64-unknown-linux-gnu`.
# miri: under Miri, which finds accesses out of bounds, data without a value and aliased borrows. It executes the portable tiles, and
#       those of AVX2, and those of AVX-512 without VNNI; not those of VNNI, of AVX-512 BF16 and of NEON. Needs `rustup toolchain install nightly --component miri`.
#
# Each builds the dependencies anew, below target, and takes some minutes more. Ends with 77 where something is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
lacks() { echo "not tested here: $1"; exit 77; }
# Dependencies need not be fast.
slow=(--config 'profile.dev.opt-level=1' --config 'profile.dev.package."*".opt-level=1')

neon() {
    local target=aarch64-unknown-linux-gnu processor
    command -v qemu-aarch64 >/dev/null || lacks "there is no qemu-aarch64"
    command -v aarch64-linux-gnu-gcc >/dev/null || lacks "there is no compiler for ARM"
    rustup target list --installed | grep -q $target || lacks "Rust's library for ARM is missing"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    for processor in max cortex-a53; do
        export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu $processor"
        cargo test "${slow[@]}" --target $target --lib -- encoder::kernels
    done
}

miri() {
    local features
    cargo +nightly miri --version >/dev/null 2>&1 || lacks "there is no Miri"
    for features in +sse2 +avx2,+fma +avx2,+fma,+avx512f,+avx512bw,+avx512vl; do
        RUSTFLAGS="-C target-feature=$features" cargo +nightly miri test --target-dir target/miri --lib -- encoder::kernels
    done
}

(($#)) || set -- neon miri
for what; do
    case $what in neon | miri) "$what" ;; *) echo "usage: $0 [neon] [miri]"; exit 2 ;; esac
done
