"""Time and memory of agree, compare and prevalence on a generated table of a million rows.

    python3 benches/million.py [--confide target/release/confide] [--rows 1000000] [--groups 5000]

The table has the shipped codebook of three tiers with 16 topics: gold, two coders of whom the one is right in nine and the other in
eight answers of ten, and a third as the first; up to three topics a row, and groups of equal size. Gold for prevalence is a simple
random sample of 2,000 of its rows. Each command runs once; printed are wall and processor time and the largest memory. The last
line is JSON.
"""

import argparse
import csv
import json
import os
import random
import sys
import tempfile
import time
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
CODEBOOK = "llm-mental-health"
CODERS = {"a": 0.9, "b": 0.8, "c": 0.9}
GOLD_ROWS = 2_000


def read_tiers():
    book = tomllib.loads((REPOSITORY / f"configs/codebooks/{CODEBOOK}.toml").read_text("utf-8"))
    return [(tier["name"], [label["name"] for label in tier["label"]]) for tier in book["tier"]]


def draw(tiers, rng):
    """Codes of one row, tier by tier; a closed gate is blank."""
    (_, experiences), (_, attitudes), (_, topics) = tiers
    experience = rng.choice(experiences)
    attitude = rng.choice(attitudes) if experience != "off_topic" else ""
    own = rng.sample(topics, rng.randint(1, 3)) if attitude not in ("", "neutral") else []
    return experience, attitude, own


def coded(tiers, truth, right, rng):
    """The answers of a coder who is right so often in a tier."""
    experience, attitude, topics = truth
    other = draw(tiers, rng)
    if rng.random() > right:
        return other
    if attitude == "" or rng.random() <= right:
        return experience, attitude, topics if rng.random() <= right else (topics and other[2])
    return experience, other[1], other[2]


def cells(tiers, codes):
    experience, attitude, topics = codes
    if experience == "off_topic" or not attitude:
        return [experience, "", ""]
    return [experience, attitude, ("|".join(topics) or "none") if attitude != "neutral" else ""]


def write_table(folder, rows, groups):
    tiers, rng = read_tiers(), random.Random(1)
    table, corpus, gold = folder / "codes.csv", folder / "corpus.csv", folder / "gold.csv"
    chosen = set(rng.sample(range(rows), min(rows, GOLD_ROWS)))
    names = [name for name, _ in tiers]
    with (
        open(table, "w", newline="", encoding="utf-8") as everything,
        open(corpus, "w", newline="", encoding="utf-8") as of_a,
        open(gold, "w", newline="", encoding="utf-8") as of_gold,
    ):
        writers = [csv.writer(file) for file in (everything, of_a, of_gold)]
        heads = [f"{name}__{coder}" for coder in CODERS for name in names]
        writers[0].writerow(["id", "group", *names, *heads])
        writers[1].writerow(["id", "group", "platform", *names])
        writers[2].writerow(["id", *names])
        for row in range(rows):
            truth = draw(tiers, rng)
            own = {coder: cells(tiers, coded(tiers, truth, right, rng)) for coder, right in CODERS.items()}
            group = row % groups
            writers[0].writerow([row, group, *cells(tiers, truth), *own["a"], *own["b"], *own["c"]])
            writers[1].writerow([row, group, ["x", "y", "z"][row % 3], *own["a"]])
            if row in chosen:
                writers[2].writerow([row, *cells(tiers, truth)])
    return table, corpus, gold


def measured(command):
    """Seconds, processor seconds and MiB of a command."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execvp(command[0], command)
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return {
        "wall_s": round(time.monotonic() - start, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": usage.ru_maxrss // 1024,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--confide", default=str(REPOSITORY / "target/release/confide"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--groups", type=int, default=5_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table, corpus, gold = write_table(Path(folder), arguments.rows, arguments.groups)
        print(f"{arguments.rows:,} rows in {arguments.groups:,} groups, {table.stat().st_size / 1e6:.0f} MB", file=sys.stderr)
        of_table = [CODEBOOK, str(table)]
        commands = {
            "agree, two coders": ["agree", *of_table, "--coders", "a,b"],
            "agree, three coders and gold": ["agree", *of_table],
            "compare": ["compare", *of_table, "--a", "a", "--b", "b"],
            "prevalence": ["prevalence", CODEBOOK, str(corpus), "--gold", str(gold), "--design", "srs"],
        }
        found = {}
        for name, command in commands.items():
            found[name] = measured([arguments.confide, "--quiet", *command])
            print(name, found[name], file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
