"""Confide beside PyTorch and ONNX Runtime: the same weights code the same table, each with the same number of threads.

    python benches/peers/run.py

Makes a virtual environment with the peers (once), trains a bundle (or takes --bundle), makes ONNX graphs of it, and lets all
subjects code the table in turn, every other round in reverse. Equal and blank texts are taken out of the table beforehand. The
peers compute the bundle's encoder and heads; Confide adds its lexical model and the codebook's gates.

`whole_s` is the process from start to end. `steady_s` leaves out starting and loading: the peers time themselves from opening the
table to closing the output, and from Confide's time that of the same command on a table of one row is subtracted. `texts_per_s`
is by steady_s; `cpu_s` and `peak_rss_mib` are of the whole process. A ratio is the peer's time over Confide's in the same round:
above 1, Confide is faster. The last line printed is JSON.
"""

import argparse
import csv
import hashlib
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from coding import REPOSITORY, read_bundle, read_rows

HERE = Path(__file__).parent
DATA = REPOSITORY / "data/therapy-comments"
CODEBOOK = "llm-mental-health"
REQUIREMENTS = HERE / "requirements.txt"
TABLE = REPOSITORY.parent / "shared/data/olid/train.csv"

CONFIDE = {f"confide-{precision}": precision for precision in ("f32", "bf16", "int8")}
TORCH = {"torch-f32": ["--sorted"], "torch-f32-arrival": [], "torch-bf16": ["--sorted", "--bf16"]}
ONNX = {"onnx-f32": "f32.onnx", "onnx-int8": "int8.onnx"}
SUBJECTS = [*CONFIDE, *TORCH, *ONNX]
TIMED_ALONE = ["torch-f32", "onnx-f32", "onnx-int8"]  # the peers of --latency
ALL_OF_CONFIDE = "confide"  # benches/latency.rs times every format in one process
RATIOS = [
    ("confide-int8", "onnx-int8"), ("confide-f32", "onnx-f32"), ("confide-f32", "torch-f32"), ("confide-bf16", "torch-bf16"),
]
AGREEMENTS = [
    ("confide-bf16", "confide-f32"), ("confide-int8", "confide-f32"), ("onnx-int8", "onnx-f32"), ("onnx-f32", "torch-f32"),
    ("torch-bf16", "torch-f32"),
]


class Failed(Exception):
    pass


def measured(command):
    """Runs a command to its end; -> seconds, processor seconds, largest memory, what it printed."""
    command = [str(part) for part in command]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONFIDE_")}
    text = {"mode": "w+", "encoding": "utf-8", "errors": "replace"}
    with tempfile.TemporaryFile(**text) as out, tempfile.TemporaryFile(**text) as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=log, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise Failed(f"{shlex.join(command)}\nended with {process.returncode}:\n{log.read()[-3000:]}")
        out.seek(0)
        printed = out.read()
    return {
        "whole_s": seconds, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_rss_mib": usage.ru_maxrss / 1024, "printed": printed,
    }


def json_lines(printed):
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def digest(*paths):
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


class Work:
    """The programs, tables and models of a comparison."""

    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.confide = args.confide.resolve()
        self.python = environment(args.venv)
        self.table, self.one = folder / "table.csv", folder / "one.csv"
        self.rows_read, self.rows = write_tables(args, self.table, self.one)
        self.bundle = args.bundle or self.trained()
        self.tiers = [tier.name for tier in read_bundle(self.bundle).tiers]
        self.graphs = None
        self.single_texts = args.confide_latency

    def trained(self):
        bundle = self.folder / "bundle"
        if not (bundle / "manifest.json").exists():
            print("training a bundle (minutes)", flush=True)
            measured([
                self.confide, "train", CODEBOOK, "--data", DATA / "coded.csv", "-o", bundle, "--threads", self.args.threads,
                "--device", "cpu",
            ])
        return bundle

    def export(self):
        files = [self.bundle / name for name in ("model.safetensors", "heads.safetensors", "config.json")]
        self.graphs = self.folder / f"onnx-{digest(*files, REQUIREMENTS, HERE / 'export_onnx.py')}"
        if not (self.graphs / "int8.onnx").exists():
            found = measured([self.python, HERE / "export_onnx.py", self.bundle, self.graphs, "--threads", self.args.threads])
            print("ONNX graphs:", found["printed"].strip(), flush=True)

    def output(self, name):
        return self.folder / f"coded-{name}.csv"

    def run_confide(self, name, table, output):
        return measured([
            self.confide, "classify", self.bundle, table, "-o", output, "--force", "--precision", CONFIDE[name],
            "--threads", self.args.threads, "--device", "cpu",
        ])

    def run_peer(self, name, *arguments):
        if name in ONNX:
            command = [HERE / "classify_onnx.py", self.graphs / ONNX[name], self.table, *arguments, "--sorted"]
        else:
            command = [HERE / "classify_torch.py", self.table, *arguments, *TORCH[name]]
        return measured([self.python, *command, "--bundle", self.bundle, "--batch", 32, "--threads", self.args.threads])

    def available(self, name):
        """Whether this build of Confide knows the precision; named by --only, it must."""
        try:
            self.run_confide(name, self.one, self.folder / "coded-one.csv")
        except Failed as failed:
            if self.args.only:
                raise
            print(f"{name} is left out: {failed}", flush=True)
            return False
        return True

    def coding(self, name):
        if name in CONFIDE:
            start = self.run_confide(name, self.one, self.folder / "coded-one.csv")["whole_s"]
            found = self.run_confide(name, self.table, self.output(name))
            steady = found["whole_s"] - start
        else:
            found = self.run_peer(name, self.output(name))
            steady = json_lines(found["printed"])[-1]["seconds"]
        del found["printed"]
        return {**found, "steady_s": steady, "texts_per_s": self.rows / steady}

    def build_latency(self):
        """Builds benches/latency.rs, unless a built one was named."""
        if self.single_texts is None:
            print("building benches/latency.rs (minutes)", flush=True)
            built = measured([
                "cargo", "bench", "--bench", "latency", "--no-run", "--message-format", "json-render-diagnostics",
                "--manifest-path", REPOSITORY / "Cargo.toml",
            ])
            lines = [line for line in json_lines(built["printed"]) if line.get("executable")]
            self.single_texts = next(line["executable"] for line in lines if line["target"]["name"] == "latency")

    def latency(self, name, formats):
        """-> figures by subject. `name` is a peer, or ALL_OF_CONFIDE for these formats of it."""
        if name != ALL_OF_CONFIDE:
            found = self.run_peer(name, "--latency", self.args.latency)
            return {name: json_lines(found["printed"])[-1]}
        found = json_lines(measured([
            self.single_texts, self.bundle, self.table, "--text", "text", "-n", self.args.latency,
            "--threads", self.args.threads, "--precision", ",".join(formats),
        ])["printed"])[-1]
        return {f"confide-{precision}": found[precision] for precision in formats}


def environment(folder):
    """The Python of a virtual environment that has the peers."""
    python, mark = folder / "bin/python", folder / "peers.txt"
    if not python.exists():
        print(f"making {folder}", flush=True)
        measured([sys.executable, "-m", "venv", folder])
    if not mark.exists() or mark.read_bytes() != REQUIREMENTS.read_bytes():
        print(f"installing PyTorch, ONNX Runtime and others into {folder} (minutes)", flush=True)
        measured([python, "-m", "pip", "install", "-q", "-r", REQUIREMENTS])
        mark.write_bytes(REQUIREMENTS.read_bytes())
    return python


def write_tables(args, table, one):
    """Writes the distinct texts of the table's first rows, and the first of them alone; -> (rows read, rows written)."""
    read = read_rows(args.table, args.text, args.texts)
    texts = [text for text in dict.fromkeys(row[args.text] for row in read) if text and text.strip()]
    if len(texts) < 2:
        sys.exit(f"{args.table}: there are no two different texts")
    for path, part in ((table, texts), (one, texts[:1])):
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("id", "text"), *enumerate(part, 1)])
    return len(read), len(texts)


def versions(work):
    names = "torch, onnxruntime, transformers, tokenizers"
    ask = f"import json, {names}; print(json.dumps({{module.__name__: module.__version__ for module in ({names})}}))"
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return {
        "confide": measured([work.confide, "--version"])["printed"].strip(), "python": platform.python_version(),
        **json.loads(measured([work.python, "-c", ask])["printed"]), "cpu": found[1] if found else platform.machine(),
        "cores": os.cpu_count(),
    }


def in_turn(rounds, steps, run):
    """Runs the steps in turn; `run` gives figures by subject. -> {subject: [figures of each round]}"""
    figures = {}
    for round_ in range(rounds):
        for step in steps if round_ % 2 == 0 else steps[::-1]:
            for name, found in run(step).items():
                figures.setdefault(name, []).append(found)
                shown = ", ".join(f"{key} {value:.2f}" for key, value in found.items() if isinstance(value, float))
                print(f"round {round_ + 1}, {name}: {shown}", flush=True)
    return figures


def medians(figures, keys):
    return {name: {key: statistics.median(found[key] for found in rounds) for key in keys} for name, rounds in figures.items()}


def ratios(figures, keys):
    """The peer's figure over Confide's in the same round."""
    result = {}
    for ours, theirs in RATIOS:
        if ours in figures and theirs in figures:
            for key in keys:
                values = [b[key] / a[key] for a, b in zip(figures[ours], figures[theirs])]
                spread = {"median": statistics.median(values), "min": min(values), "max": max(values)}
                result.setdefault(f"{ours} / {theirs}", {})[key] = spread
    return result


def agreement(one, other, tiers):
    """How many rows have the same answer: of all, and of those in which either side asks the tier."""
    pairs = list(zip(read_rows(one, "text"), read_rows(other, "text"), strict=True))
    result = {}
    for tier in tiers:
        asked = [(a[tier], b[tier]) for a, b in pairs if a[tier] or b[tier]]
        differ = sum(a != b for a, b in asked)
        result[tier] = {
            "rows": len(pairs), "same": 1 - differ / len(pairs),
            "asked": len(asked), "same_if_asked": 1 - differ / max(1, len(asked)),
        }
    return result


def show(head, lines):
    cells = [head, *lines]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    print()
    for row in cells:
        print("  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]))
    print(flush=True)


def show_medians(found, keys):
    lines = sorted(found.items(), key=lambda item: SUBJECTS.index(item[0]) if item[0] in SUBJECTS else len(SUBJECTS))
    show(["median", *keys], [[name, *(f"{values[key]:.2f}" for key in keys)] for name, values in lines])


def show_ratios(found, keys):
    def cell(spread):
        return f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})"

    if found:
        show(["ratio, above 1: Confide faster", *keys], [[name, *(cell(of[key]) for key in keys)] for name, of in found.items()])


def compare_coding(work, chosen):
    figures = in_turn(work.args.rounds, chosen, lambda name: {name: work.coding(name)})
    keys = ["steady_s", "texts_per_s", "whole_s", "cpu_s", "peak_rss_mib"]
    result = {"rounds": figures, "medians": medians(figures, keys), "ratios": ratios(figures, ["steady_s", "whole_s"])}
    result["agreement"] = {
        f"{one} / {other}": agreement(work.output(one), work.output(other), work.tiers)
        for one, other in AGREEMENTS if one in figures and other in figures
    }
    show_medians(result["medians"], keys)
    show_ratios(result["ratios"], ["steady_s", "whole_s"])
    if result["agreement"]:
        show(["same answers", "tier", "of all", "if asked", "asked"], [
            [pair, tier, f"{of['same']:.4f}", f"{of['same_if_asked']:.4f}", str(of["asked"])]
            for pair, tiers in result["agreement"].items() for tier, of in tiers.items()
        ])
    return result


def compare_latency(work, chosen):
    formats = [CONFIDE[name] for name in chosen if name in CONFIDE]
    steps = [*([ALL_OF_CONFIDE] if formats else []), *(name for name in chosen if name in TIMED_ALONE)]
    figures = in_turn(work.args.rounds, steps, lambda name: work.latency(name, formats))
    keys = ["p50_ms", "p99_ms"]
    result = {"rounds": figures, "medians": medians(figures, keys), "ratios": ratios(figures, keys)}
    show_medians(result["medians"], keys)
    show_ratios(result["ratios"], keys)
    return result


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("--confide", type=Path, default=REPOSITORY / "target/release/confide", help="the program (default: target/release)")
    add("--venv", type=Path, default=REPOSITORY / "target/peers-venv", help="made if it is not there; packages are put into it")
    add("--table", type=Path, default=TABLE if TABLE.exists() else DATA / "corpus.csv", help="the CSV to code")
    add("--text", default="text", help="its text column")
    add("--texts", type=int, default=9923, help="only its first rows (default 9923)")
    add("--bundle", type=Path, help="a bundle to code with (default: one is trained)")
    add("--work", type=Path, help="a folder to keep bundle, graphs and outputs in, for the next time too")
    add("--rounds", type=int, default=5)
    add("--threads", type=int, default=2)
    add("--only", metavar="NAME,...", help=f"subjects, of {', '.join(SUBJECTS)}")
    add("--latency", type=int, nargs="?", const=500, metavar="N", help="also time single texts, the first N (default 500)")
    add("--confide-latency", type=Path, metavar="PROGRAM", help="benches/latency.rs, built (default: cargo builds it)")
    args = options.parse_args()
    chosen = args.only.split(",") if args.only else SUBJECTS
    unknown = [name for name in chosen if name not in SUBJECTS]
    if unknown:
        options.error(f"--only knows {', '.join(SUBJECTS)}, not {', '.join(unknown)}")
    if not args.confide.exists():
        options.error(f"{args.confide} is not there: cargo build --release")

    with tempfile.TemporaryDirectory(prefix="peers-") as temporary:
        folder = args.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            work = Work(args, folder)
            chosen = [name for name in chosen if name not in CONFIDE or work.available(name)]
            if any(name in ONNX for name in chosen):
                work.export()
            if args.latency and any(name in CONFIDE for name in chosen):
                work.build_latency()
            result = {"versions": versions(work), "threads": args.threads, "rows_read": work.rows_read, "texts": work.rows}
            print(json.dumps(result), flush=True)
            result["coding"] = compare_coding(work, chosen)
            if args.latency:
                result["latency"] = compare_latency(work, chosen)
        except Failed as failed:
            sys.exit(str(failed))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
