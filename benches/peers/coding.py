"""What the coding scripts share, whatever computes: a bundle's tiers, tokens, batches, and a table in and a coded table out."""

import csv
import json
import os
import resource
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

STARTED = time.perf_counter()

REPOSITORY = Path(__file__).parents[2]
MAX_LENGTH = 128
WARM_UP = 20


@dataclass(frozen=True)
class Tier:
    name: str
    labels: list[str]
    multi: bool


@dataclass(frozen=True)
class Bundle:
    """What is needed of a Confide bundle beside its weights."""

    folder: Path
    tiers: list[Tier]
    max_tokens: int


def read_bundle(folder):
    folder = Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    heads = manifest.get("heads", {})
    if not (folder / "model.safetensors").exists() or manifest["pooling"] != "mean" or manifest.get("window_stride") \
            or heads.get("hidden") or heads.get("chained"):
        sys.exit(f"{folder}: only a whole encoder with mean pooling, linear heads and no windows can be compared")
    codebook = tomllib.loads((folder / "codebook.toml").read_text(encoding="utf-8"))
    tiers = [
        Tier(tier["name"], [label["name"] for label in tier["label"]], tier["kind"] == "multi") for tier in codebook["tier"]
    ]
    return Bundle(folder, tiers, manifest["max_tokens"])


def set_thread_variables(count):
    """To be called before torch, onnxruntime or tokenizers are imported."""
    os.environ.update(
        OMP_NUM_THREADS=str(count), RAYON_NUM_THREADS=str(count), TOKENIZERS_PARALLELISM="true", HF_HUB_OFFLINE="1"
    )


def read_rows(path, text_column, limit=None):
    csv.field_size_limit(sys.maxsize)
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if text_column not in (reader.fieldnames or []):
            sys.exit(f"{path}: no column {text_column!r}; there are {reader.fieldnames}")
        rows = list(reader)
    return rows[:limit]


def tokenizer(folder, longest=MAX_LENGTH):
    from tokenizers import Tokenizer

    if str(folder).endswith(".gguf"):
        from transformers import AutoTokenizer

        result = AutoTokenizer.from_pretrained(Path(folder).parent, gguf_file=Path(folder).name).backend_tokenizer
    else:
        result = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    result.no_padding()
    result.enable_truncation(longest)
    return result


def padded_arrays(token_lists):
    """-> (ids, mask), both as long as the longest of the batch."""
    import numpy as np

    longest = max(map(len, token_lists))
    ids = np.zeros((len(token_lists), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(token_lists):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask


def answers(tier, logits):
    """-> per text: (the cell of the answer, the cell of its probability). A single tier answers with its likeliest label, a multi
    tier with all that are likelier than not; gates are left alone."""
    import numpy as np

    if tier.multi:
        probabilities = 1 / (1 + np.exp(-logits))
        chosen = [np.flatnonzero(row) for row in probabilities > 0.5]
    else:
        raised = np.exp(logits - logits.max(1, keepdims=True))
        probabilities = raised / raised.sum(1, keepdims=True)
        chosen = logits.argmax(1)[:, None]
    return [
        ("|".join(tier.labels[i] for i in labels) or "none", "|".join(f"{row[i]:.6f}" for i in labels))
        for labels, row in zip(chosen, probabilities)
    ]


def code(tokens, tiers, logits_of, batch, by_length):
    """-> per tier: the logits of every text, in the order of the texts."""
    import numpy as np

    order = list(range(len(tokens)))
    if by_length:
        order.sort(key=lambda i: -len(tokens[i]))
    results = [np.empty((len(tokens), len(tier.labels)), dtype=np.float32) for tier in tiers]
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        for result, logits in zip(results, logits_of([tokens[i] for i in chosen])):
            result[chosen] = logits
    return results


def write(path, rows, tiers, results):
    coded = [answers(tier, logits) for tier, logits in zip(tiers, results)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(rows[0] if rows else []), *(name for tier in tiers for name in (tier.name, f"{tier.name}_p"))])
        for i, row in enumerate(rows):
            writer.writerow([*row.values(), *(cell for tier in coded for cell in tier[i])])


def add_coding(options):
    options.add_argument("csv")
    options.add_argument("out", nargs="?", help="not needed with --latency")
    options.add_argument("--text", default="text", help="name of the text column")
    options.add_argument("-n", type=int, help="texts: the first n of the file (default: all)")
    options.add_argument("--sorted", action="store_true", help="batches of like length instead of the file's order")
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument(
        "--latency", type=int, metavar="N", help="instead: time the first N distinct texts one at a time, from text to answers"
    )


def run_coding(args, bundle, logits_of):
    """Codes the table, or times single texts; -> the figures. `logits_of` gives the tiers' logits for a list of texts' tokens."""
    tokenize = tokenizer(bundle.folder, bundle.max_tokens)
    if args.latency:
        return latency(args, bundle, tokenize, logits_of)
    if not args.out:
        sys.exit("OUT is missing")
    opened, cpu_before = time.perf_counter(), cpu_seconds()
    rows = read_rows(args.csv, args.text, args.n)
    tokens = [encoding.ids for encoding in tokenize.encode_batch([row[args.text] for row in rows])]
    write(args.out, rows, bundle.tiers, code(tokens, bundle.tiers, logits_of, args.batch, args.sorted))
    seconds = time.perf_counter() - opened
    return {
        "what": "classify", "threads": args.threads, "order": "sorted" if args.sorted else "arrival", "batch": args.batch,
        "texts": len(rows), "tokens": sum(map(len, tokens)), "texts_per_s": len(rows) / seconds, "seconds": seconds,
        "setup_s": opened - STARTED, "cpu_s": cpu_seconds() - cpu_before, "peak_rss_mib": peak_mib(),
    }


def latency(args, bundle, tokenize, logits_of):
    """The model is in memory, and the first texts have been coded before."""
    import numpy as np

    texts = list(dict.fromkeys(row[args.text] for row in read_rows(args.csv, args.text, args.n)))[: args.latency]
    taken = []
    for text in texts[:WARM_UP] + texts:
        started = time.perf_counter()
        logits = logits_of([tokenize.encode(text).ids])
        for tier, of_tier in zip(bundle.tiers, logits):
            answers(tier, of_tier)
        taken.append(1000 * (time.perf_counter() - started))
    p50, p99 = np.percentile(taken[len(texts[:WARM_UP]) :], [50, 99]).tolist()
    return {"what": "latency", "threads": args.threads, "texts": len(texts), "p50_ms": p50, "p99_ms": p99}


def peak_mib():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
