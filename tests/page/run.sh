#!/usr/bin/env bash
# Makes reports of a whole study, of a hostile one and of an empty folder, and opens them in Chromium.
#
#   tests/page/run.sh [CONFIDE] [PICTURES]   CONFIDE: the program [default: target/debug/confide]
#
# Needs node, npm, python3 and Chromium (CHROMIUM names it; Debian's package is installed where that is allowed). Ends with 77 where one of them
# cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
confide=$(realpath "${1:-target/debug/confide}")
pictures=${2:-}
chromium=${CHROMIUM:-/usr/bin/chromium}
lacks() { echo "the page is not tested here: $1"; exit 77; }

command -v node >/dev/null && command -v npm >/dev/null || lacks "there is no node"
command -v python3 >/dev/null || lacks "there is no python3"
if ! [[ -x $chromium ]]; then
    command -v apt-get >/dev/null || lacks "there is no Chromium"
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium) >/dev/null 2>&1 || lacks "there is no Chromium"
fi
place=target/page
mkdir -p "$place"
cp tests/page/package.json tests/page/check.mjs "$place/"
(cd "$place" && npm install --no-audit --no-fund --silent) || lacks "axe-core cannot be had"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
data=data/therapy-comments
"$confide" quickstart --recipe frozen -o "$work/study" >/dev/null 2>&1
"$confide" agree llm-mental-health $data/coders.csv --coders writer,reader --humans writer,reader --json >"$work/study/agreement.json"
"$confide" compare llm-mental-health $data/coders.csv --a writer --b reader --margin 0.05 --json >"$work/study/comparison.json"
"$confide" drift llm-mental-health "$work/study/coded.csv" "$work/study/coded.csv" --json >"$work/study/drift.json"
"$confide" report "$work/study" --force

# The same with names that would be markup, and months and platforms.
python3 - "$work" <<'PYTHON'
import csv, json, pathlib, sys

work = pathlib.Path(sys.argv[1])
hostile = "<script>alert(1)</script>\"'&\\input{x}_%$"
(work / "hostile").mkdir()
rows = list(csv.DictReader(open(work / "study/coded.csv", newline="", encoding="utf-8")))
with open(work / "hostile/coded.csv", "w", newline="", encoding="utf-8") as out:
    writer = csv.DictWriter(out, [*rows[0], "platform", "created"])
    writer.writeheader()
    for at, row in enumerate(rows):
        writer.writerow({**row, "platform": hostile if at % 2 else "forum", "created": f"2025-{at % 12 + 1:02}-01"})
agreement = json.load(open(work / "study/agreement.json"))
agreement["coders"] = [hostile, "<b>reader</b>"]
json.dump(agreement, open(work / "hostile/agreement.json", "w"))
PYTHON
"$confide" report "$work/hostile" --codebook llm-mental-health
mkdir "$work/empty"
"$confide" report "$work/empty" 2>/dev/null

export CHROMIUM=$chromium
for study in study hostile empty; do
    echo "$study"
    (cd "$place" && node check.mjs "$work/$study/report.html" ${pictures:+"$pictures-$study"})
done
