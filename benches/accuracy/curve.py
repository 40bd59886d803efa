"""How accuracy grows with the coded comments at hand, on the study's own (written) comments.

    accuracy/bin/python benches/accuracy/curve.py

All coded rows are cut into five folds of whole groups (videos). For each fold and size, 100 validation rows and then so many training
rows are drawn from the other folds (`random.Random(fold).sample`; smaller draws are the beginnings of larger ones), and the fold's rows
are the test. Finished cells (size, fold) are lines of curve.jsonl and are not computed again. Prints macro-F1 of all folds' answers
together by tier and view, with 95 % intervals from resampling groups. Labels of fewer than ten rows count in macro-F1 but are named.
"""

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np

import confide
import protocol

HERE = Path(__file__).parent
FOLDS, SIZES, VALIDATION = 5, (100, 200, 400, 800), 100


def folds_of(rows):
    """The fold of each row: groups in random order go to the fold that has fewest rows."""
    groups = {}
    for i, row in enumerate(rows):
        groups.setdefault(row["group"], []).append(i)
    order, fold, filled = sorted(groups), [0] * len(rows), [0] * FOLDS
    random.Random(0).shuffle(order)
    for group in order:
        least = filled.index(min(filled))
        filled[least] += len(groups[group])
        for i in groups[group]:
            fold[i] = least
    return fold


def interval(tier, gold, given, view, groups, draws=1000):
    """Macro-F1 of a tier and its 95 % interval over groups."""
    hits, sums, supported = protocol.counts(tier, gold, given, view)
    kept = [view != "oracle" or g is not None for g in gold]
    names = sorted(set(groups))
    member = np.zeros((len(names), len(gold)), bool)
    member[[names.index(g) for g in groups], range(len(gold))] = True
    member = member[:, kept].astype(np.int32)
    hits, sums = member @ hits, member @ sums
    draw = np.random.default_rng(0).multinomial(len(names), [1 / len(names)] * len(names), draws)
    samples = protocol.macro_f1(draw @ hits, draw @ sums, supported)
    return float(protocol.macro_f1(hits.sum(0), sums.sum(0), supported)), *np.quantile(samples, [0.025, 0.975])


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, default=HERE.parents[1] / "data/therapy-comments/coded.csv")
    ask.add_argument("--codebook", type=Path, default=HERE.parents[1] / "configs/codebooks/llm-mental-health.toml")
    ask.add_argument("--cells", type=Path, default=HERE / "curve.jsonl")
    ask.add_argument("--confide", default=str(HERE.parents[1] / "target/release/confide"))
    ask.add_argument("--device", default="cpu")
    args = ask.parse_args()
    tiers, rows = protocol.codebook(args.codebook), protocol.table(args.data)
    fold = folds_of(rows)
    fields = [name for name in rows[0] if name != "split"]
    bare = [{name: row[name] for name in fields} for row in rows]
    read = lambda: [json.loads(line) for line in args.cells.read_text().splitlines()] if args.cells.exists() else []
    for size in SIZES:
        for k in range(FOLDS):
            if any((c["size"], c["fold"]) == (size, k) for c in read()):
                continue
            pool = [row for row, f in zip(bare, fold) if f != k]
            drawn = random.Random(k).sample(pool, VALIDATION + size)
            test = [row for row, f in zip(bare, fold) if f == k]
            began = time.time()
            codes = confide.codes(
                tiers, args.codebook, drawn[VALIDATION:], drawn[:VALIDATION], test, k, args.confide, args.device, []
            )
            cell = {"size": size, "fold": k, "version": confide.version(args.confide), "seconds": round(time.time() - began, 1)}
            cell["codes"] = {view: protocol.packed(c, tiers) for view, c in codes.items()}
            with args.cells.open("a") as file:
                file.write(json.dumps(cell) + "\n")
            print(size, k, f"{cell['seconds']} s", flush=True)

    few = {t.name: [l for l in t.labels if sum(l in (protocol.coded(t, r) or ()) for r in rows) < 10] for t in tiers}
    print("labels of fewer than ten rows:", {t: l for t, l in few.items() if l} or "none")
    print("| training rows | view | " + " | ".join(t.name for t in tiers) + " |\n| ---: | --- |" + " ---: |" * len(tiers))
    for size in SIZES:
        cells = sorted((c for c in read() if c["size"] == size), key=lambda c: c["fold"])
        at = [i for c in cells for i, f in enumerate(fold) if f == c["fold"]]
        for view in ("oracle", "pipeline"):
            given = [codes for c in cells for codes in protocol.unpacked(c["codes"][view])]
            of = lambda t: interval(
                t, [protocol.coded(t, rows[i]) for i in at], [g[t.name] for g in given], view, [rows[i]["group"] for i in at]
            )
            shown = " | ".join("{:.3f} ({:.3f} to {:.3f})".format(*of(t)) for t in tiers)
            print(f"| {size} | {view} | {shown} |")


if __name__ == "__main__":
    main()
