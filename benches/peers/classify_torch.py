"""Speed of coding in PyTorch: a CSV in, a CSV with three tiers' answers and their probabilities out. Prints one JSON line.

Timed from opening the input to closing the output; imports and loading the model are reported apart. The heads are random: speed does
not depend on them.
"""

import argparse
import csv
import json
import time

STARTED = time.perf_counter()

from three_heads import (
    HEADS, MODEL, add_device, autocast, build, cpu_seconds, limit_threads, padded, peak_mib, read_rows, tokenizer,
)


def code(model, tokens, batch, by_length, device):
    """-> per head: probabilities of the labels for every text, in the order of the texts."""
    import torch

    order = list(range(len(tokens)))
    if by_length:
        order.sort(key=lambda i: -len(tokens[i]))
    results = [torch.empty(len(tokens), labels) for labels in HEADS]
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            for result, logits in zip(results, model(*padded([tokens[i] for i in chosen], device))):
                result[chosen] = logits.float().softmax(-1).cpu()
    return results


def write(path, rows, results):
    best = [result.max(-1) for result in results]
    answers = [(b.indices.tolist(), b.values.tolist()) for b in best]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        new = [name for tier in range(len(results)) for name in (f"tier{tier}", f"tier{tier}_p")]
        writer.writerow([*(rows[0] if rows else []), *new])
        for i, row in enumerate(rows):
            cells = list(row.values())
            for labels, probabilities in answers:
                cells += [labels[i], f"{probabilities[i]:.6f}"]
            writer.writerow(cells)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("csv")
    options.add_argument("out")
    options.add_argument("--text", default="text", help="name of the text column")
    options.add_argument("-n", type=int, help="texts: the first n of the file (default: all)")
    options.add_argument("--sorted", action="store_true", help="batches of like length instead of the file's order")
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--model", default=MODEL)
    options.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    add_device(options)
    args = options.parse_args()

    limit_threads(args.threads)
    import torch

    model = build(args.model, args.attention, seed=0).to(args.device).eval()
    tokenize = tokenizer(args.model).encode_batch

    opened, cpu_before = time.perf_counter(), cpu_seconds()
    rows = read_rows(args.csv, args.text, args.n)
    tokens = [encoding.ids for encoding in tokenize([row[args.text] for row in rows])]
    with autocast(args):
        results = code(model, tokens, args.batch, args.sorted, args.device)
    write(args.out, rows, results)
    seconds = time.perf_counter() - opened

    print(json.dumps({
        "what": "classify", "torch": torch.__version__, "attention": args.attention, "threads": args.threads, "device": args.device, "bf16": args.bf16,
        "order": "sorted" if args.sorted else "arrival", "batch": args.batch, "texts": len(rows), "tokens": sum(map(len, tokens)),
        "texts_per_s": len(rows) / seconds, "seconds": seconds, "setup_s": opened - STARTED,
        "cpu_s": cpu_seconds() - cpu_before, "peak_rss_mib": peak_mib(),
    }))


if __name__ == "__main__":
    main()
