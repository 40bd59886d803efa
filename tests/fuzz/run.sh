#!/usr/bin/env bash
# Fuzzes the parsers of what strangers send (libFuzzer, guided by coverage) and keeps running totals.
#
#   tests/fuzz/run.sh [SECONDS] [TARGET ...]   [default: 600 seconds over all targets in turn]
#
# Begun again it goes on: inputs that reached something new stay in target/fuzz/corpus, and target/fuzz/totals.tsv adds up executions and
# seconds by target. It starts from the committed seeds and findings. What makes a parser panic, wait for more than 10 seconds or take more
# memory than an input gives reason for is kept in target/fuzz/artifacts; with its cause mended it belongs in tests/fuzz/findings/TARGET,
# where `cargo test --test replay` reads it for good. Needs Rust (stable) and a C++ compiler. `cargo fuzz run --fuzz-dir tests/fuzz TARGET`
# runs the same targets. Ends with 1 if something was found.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-600}
shift || true
all=(codebook csv tsv jsonl openai tiktok manifest decision config weights gguf tokenizer sentencepiece)
(($#)) || set -- "${all[@]}"

root=$(cd ../.. && pwd)
place=$root/target/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo fuzz gives, too, without the sanitizer: the parsers have no unsafe code.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS=$(tr -s ' \n' ' ' <<<"$RUSTFLAGS")
cargo build --release --target "$host" --target-dir "$place"

each=$((seconds / $#))
((each > 0)) || each=1
code=0
for target; do
    mkdir -p "$place"/{corpus,artifacts}/"$target" "findings/$target"
    log=$(mktemp)
    "$place/$host/release/$target" "$place/corpus/$target" "seeds/$target" "findings/$target" \
        -artifact_prefix="$place/artifacts/$target/" -max_total_time="$each" -max_len=65536 -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -close_fd_mask=1 >"$log" 2>&1 || { code=1; echo "$target: found something"; grep -m3 -E "panicked|ERROR|Test unit" "$log" || true; }
    done_now=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n1)
    printf '%s\t%s\t%s\n' "$target" "${done_now:-0}" "$each" >>"$place/totals.tsv"
    rm -f "$log"
done
awk -F'\t' '{ n[$1] += $2; s[$1] += $3 } END { for (t in n) printf "%-14s %12d executions in %d s\n", t, n[t], s[t] }' "$place/totals.tsv" | sort
exit "$code"
