#!/usr/bin/env bash
# Builds Confide for NVIDIA GPUs on a machine that may have neither GPU, nor driver, nor CUDA
# toolkit: the compiler comes from pip's wheels, and the libraries that only a GPU machine has are
# replaced by stubs at link time.
#
#   benches/gpu/build.sh [WORK]      WORK: where the toolkit is kept [default: target/cuda]
#
# Needs Rust, python3 with pip, and g++ (at most 15). CUDA_COMPUTE_CAP chooses the architecture
# [default: 90, Hopper]: 80 is the A100, 86 the RTX 30, 89 the RTX 40. The program is
# target/release-cuda/release/confide; where it runs, it needs driver 580 or newer and the
# libraries of CUDA 13.0 (libcublas, libcurand, libcudart) in LD_LIBRARY_PATH. It leaves out the
# feature `embedded`, so an encoder is named by its folder (--base models/minilm). A compressed copy
# is target/release-cuda/confide.xz.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(realpath -m "${1:-target/cuda}")
toolkit=$work/toolkit/nvidia/cu13

# The newest toolkit that the crate cudarc knows every function of.
release=13.0
if ! [[ -x $toolkit/bin/nvcc ]]; then
    mkdir -p "$work/wheels" "$work/toolkit"
    packages=()
    for part in nvcc crt runtime cccl; do
        packages+=("nvidia-cuda-$part==$release.*")
    done
    python3 -m pip download -q --no-deps -d "$work/wheels" "${packages[@]}" "nvidia-nvvm==$release.*"
    for wheel in "$work"/wheels/*.whl; do
        python3 -m zipfile -e "$wheel" "$work/toolkit"
    done
    chmod +x "$toolkit"/bin/* "$toolkit"/nvvm/bin/*
    ln -sfn lib "$toolkit/lib64"
    ln -sf libcudart.so.13 "$toolkit/lib/libcudart.so"
fi

# stub LIBRARY SONAME MODULE: a library of that name with every function that cudarc binds.
cargo fetch -q
cudarc=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/src" -maxdepth 2 -name 'cudarc-0.*' | sort -V | tail -1)
stubs=$toolkit/lib/stubs
mkdir -p "$stubs"
stub() {
    local source=$work/stub_$1.c
    grep -rhoE "fn ${4}[A-Za-z0-9_]*" "$cudarc/src/$3/sys" | sort -u |
        sed -E 's/^fn (.*)$/int \1(void) { return 100; }/' >"$source"
    gcc -shared -fPIC -w -fno-builtin -Wl,-soname,"$2" -o "$stubs/lib$1.so" "$source"
}
stub cuda libcuda.so.1 driver cu
stub nvrtc libnvrtc.so.13 nvrtc nvrtc
stub curand libcurand.so.10 curand curand
stub cublas libcublas.so.13 cublas cublas
stub cublasLt libcublasLt.so.13 cublaslt cublas

export CUDA_HOME=$toolkit CUDA_PATH=$toolkit PATH=$toolkit/bin:$PATH
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90}
export LIBRARY_PATH=$toolkit/lib:$stubs${LIBRARY_PATH:+:$LIBRARY_PATH}
nvcc --version | tail -2
cargo build --release --target-dir target/release-cuda --no-default-features --features cuda
# What a machine that is sent the checkout and this program receives.
strip -o target/release-cuda/confide target/release-cuda/release/confide
xz -9 -T0 -f -k target/release-cuda/confide
du -ch --apparent-size $(git ls-files) target/release-cuda/confide.xz | tail -1
ls -l target/release-cuda/release/confide target/release-cuda/confide.xz
