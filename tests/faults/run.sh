#!/usr/bin/env bash
# Lets every call on a file of nine commands fail, one after another, kills them at each, and takes memory from them; counts what was lost.
#
#   tests/faults/run.sh [SECONDS] [COMMAND ...]   [default: 600 seconds, all commands]
#
# Begun again it goes on where it ended: what was suffered stands in target/faults/ledger.tsv, a line each (command, kind of call, which of
# them, what it suffered: an errno, `+` for all that follow, `short`, a signal), with what was lost, if anything was. Another program has
# another ledger. Linux with glibc; ends with 1 if anything was lost.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-600}
shift || true

cargo test --test cli --no-run
digest=$(sha256sum target/debug/confide | cut -c1-16)
mkdir -p target/faults
[[ $(cat target/faults/program 2>/dev/null) == "$digest" ]] || rm -f target/faults/ledger.tsv
echo "$digest" >target/faults/program
code=0
FAULTS_LEDGER=$PWD/target/faults/ledger.tsv FAULTS_SECONDS=$seconds FAULTS_CASES="$*" \
    cargo test --test cli -- --ignored --nocapture faults::all_faults_lose_nothing || code=1
# By command, and by what was suffered: faults, and those after which something was lost.
awk -F'\t' '
    { split($1, f, " "); all[f[1]]++; kinds[f[2] " " f[4]]++; if ($2 != "") { lost[f[1]]++; lostk[f[2] " " f[4]]++ } }
    END {
        for (c in all) printf "%-12s %5d faults, %d with a loss\n", c, all[c], lost[c]
        for (k in kinds) printf "  %-18s %5d, %d\n", k, kinds[k], lostk[k]
    }' target/faults/ledger.tsv | sort
exit "$code"
