"""How time and memory of `confide classify` grow with the rows of a table, and what a second thread gains.

    python3 benches/growth.py BUNDLE CSV

The tables repeat the texts of CSV, each with the number of its row behind it, so that no two are equal. Printed are, for every
format and number of rows, the median over the rounds of the whole command's time, processor time and largest memory, and the rows a
second by which a table is longer than the next smaller one: the same throughout if time grows in proportion. Then how many times as
fast --threads are as one, at 10,000 rows. The last line printed is JSON. Every other round runs in reverse.
"""

import argparse
import csv
import itertools
import json
import resource
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "peers"))

from coding import REPOSITORY  # noqa: E402
from run import Failed, in_turn, measured, medians, show  # noqa: E402

FORMATS = ["f32", "bf16", "int8"]
SMALLEST = 1_000
SCALED = 10_000  # rows of the tables by which threads are compared
REPEATED = 10_000  # texts that are read of CSV; few, since a child's memory counts from its parent's on
KEYS = ["whole_s", "cpu_s", "peak_rss_mib"]


@dataclass(frozen=True)
class Step:
    precision: str
    threads: int
    rows: int

    def __str__(self):
        return f"{self.precision}, {self.threads} threads, {self.rows:,} rows"


def read_texts(path, column):
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if column not in (reader.fieldnames or []):
            sys.exit(f"{path}: no column {column!r}; there are {reader.fieldnames}")
        texts = [row[column] for row in itertools.islice(reader, REPEATED) if (row[column] or "").strip()]
    return texts or sys.exit(f"{path}: no texts")


def write_table(path, texts, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows((number, f"{text} {number}") for number, text in zip(range(1, rows + 1), itertools.cycle(texts)))


def classify(args, folder, step):
    output = folder / "coded.csv"
    found = measured([
        args.confide.resolve(), "classify", args.bundle, folder / f"{step.rows}.csv", "-o", output, "--force",
        "--precision", step.precision, "--threads", step.threads, "--device", "cpu",
    ])
    output.unlink()
    del found["printed"]
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if found["peak_rss_mib"] <= own:
        print(f"{step}: the memory is that of this script, or less", flush=True)
    return {str(step): found}


def measure(args, folder, steps):
    texts = read_texts(args.csv, args.text)
    for rows in sorted({step.rows for step in steps}):
        write_table(folder / f"{rows}.csv", texts, rows)
    classify(args, folder, steps[0])  # brings program and bundle into memory
    return in_turn(args.rounds, steps, lambda step: classify(args, folder, step))


def growth(steps, found, threads):
    """-> per format and number of rows, the medians and the rows a second beyond the next smaller table's."""
    result, before = [], None
    for step in steps:
        if step.threads != threads:
            continue
        figures = {"precision": step.precision, "threads": step.threads, "rows": step.rows, **found[str(step)]}
        figures["added_rows_per_s"] = None
        if before and before["precision"] == step.precision:
            seconds = figures["whole_s"] - before["whole_s"]
            figures["added_rows_per_s"] = (step.rows - before["rows"]) / seconds if seconds > 0 else None
        result.append(figures)
        before = figures
    return result


def speed_up(args, figures, rows):
    """-> per format, the time of one thread over that of several in the same round."""
    result = {}
    for precision in args.precision:
        one, more = (figures[str(Step(precision, threads, rows))] for threads in (1, args.threads))
        values = [a["whole_s"] / b["whole_s"] for a, b in zip(one, more)]
        result[precision] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return result


def formats(names):
    chosen = names.split(",")
    if unknown := [name for name in chosen if name not in FORMATS]:
        raise argparse.ArgumentTypeError(f"{', '.join(FORMATS)} are known, not {', '.join(unknown)}")
    return chosen


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("bundle", type=Path)
    add("csv", type=Path, help="a table of texts")
    add("--text", default="text", help="its text column")
    add("--confide", type=Path, default=REPOSITORY / "target/release/confide", help="the program (default: target/release)")
    add("--precision", type=formats, default=FORMATS, metavar="NAME,...", help=f"formats (default {','.join(FORMATS)})")
    add("--largest", type=int, default=100_000, help=f"rows of the largest table, {SMALLEST} times a power of ten (default 100000)")
    add("--threads", type=int, default=2)
    add("--rounds", type=int, default=3)
    args = options.parse_args()
    if not args.confide.exists():
        options.error(f"{args.confide} is not there: cargo build --release")
    sizes = [SMALLEST * 10**power for power in range(7) if SMALLEST * 10**power <= args.largest]
    if not sizes:
        options.error(f"--largest is at least {SMALLEST}")

    scaled = min(SCALED, sizes[-1])
    steps = []
    for precision in args.precision:
        steps += [Step(precision, args.threads, rows) for rows in sizes]
        if args.threads > 1:
            steps.append(Step(precision, 1, scaled))
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        try:
            figures = measure(args, Path(folder), steps)
        except Failed as failed:
            sys.exit(str(failed))
    grown = growth(steps, medians(figures, KEYS), args.threads)
    show(["precision", "rows", "time s", "processor s", "memory MiB", "rows/s added"], [
        [of["precision"], f"{of['rows']:,}", *(f"{of[key]:.2f}" for key in KEYS),
         "" if of["added_rows_per_s"] is None else f"{of['added_rows_per_s']:.0f}"]
        for of in grown
    ])
    result = {"threads": args.threads, "growth": grown, "rounds": figures}
    if args.threads > 1:
        result["speed_up"] = {"rows": scaled, **speed_up(args, figures, scaled)}
        show([f"{args.threads} threads over one, {scaled:,} rows", "times as fast"], [
            [precision, f"{of['median']:.2f} ({of['min']:.2f} to {of['max']:.2f})"]
            for precision, of in result["speed_up"].items() if precision != "rows"
        ])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
