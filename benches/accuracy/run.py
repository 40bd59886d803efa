"""Accuracy with 800 coded comments: Confide beside what a lab could run instead, on the same rows.

    python -m venv accuracy && accuracy/bin/pip install -r benches/accuracy/requirements.txt
    cargo build --release
    accuracy/bin/python benches/accuracy/run.py --data FOLDER --sets olid edos goemotions

FOLDER/SET/train.csv gives 800 training and 100 validation rows for each seed (`random.Random(seed).sample`), FOLDER/SET/validation.csv
the test rows; configs/codebooks/SET.toml is the codebook. Each finished cell (set, seed, method, version) is a line of cells.jsonl and is
not computed again. All decisions pass through the same gates and masks. Prints, for every set, tier and view, macro-F1 (mean and
standard deviation over seeds), and what Confide has above each peer, with a 95 % interval from resampling rows and seeds.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

import peers
import protocol

HERE = Path(__file__).parent


def load(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def scores(tiers, rows, codes):
    """Macro-F1 by view and tier."""
    gold = [{t.name: protocol.coded(t, r) for t in tiers} for r in rows]
    out = {}
    for view, given in codes.items():
        out[view] = {}
        for t in tiers:
            hits, sums, supported = protocol.counts(t, [g[t.name] for g in gold], [g[t.name] for g in given], view)
            out[view][t.name] = float(protocol.macro_f1(hits.sum(0), sums.sum(0), supported))
    return out


def compute(method, tiers, book, name, rows, test, seed, args):
    train, validation = protocol.draw(rows, seed)
    if method in peers.PEERS:
        values = peers.PEERS[method](tiers, train, validation, test, seed, args.device)
        return protocol.views(tiers, values, test)
    import confide

    return confide.codes(tiers, book, train, validation, test, seed, args.confide, args.device, args.train)


def difference(tiers, rows, mine, theirs, view, draws=1000):
    """Mean over seeds of the difference in macro-F1 of every tier and of their mean, and its 95 % interval over rows and seeds."""
    gold = [{t.name: protocol.coded(t, r) for t in tiers} for r in rows]
    random = np.random.default_rng(0)
    seeds = sorted(set(mine) & set(theirs))
    rowdraws = [np.bincount(random.integers(0, len(rows), len(rows)), minlength=len(rows)) for _ in range(draws)]
    seeddraws = [random.integers(0, len(seeds), len(seeds)) for _ in range(draws)]
    points, samples = [], []
    for t in tiers:
        cells = [g[t.name] for g in gold]
        kept = np.array([view != "oracle" or c is not None for c in cells])
        by_seed = []
        for seed in seeds:
            of = []
            for codes in (mine[seed], theirs[seed]):
                hits, sums, supported = protocol.counts(t, cells, [c[t.name] for c in codes[view]], view)
                weights = np.stack([np.ones(kept.sum())] + [d[kept] for d in rowdraws])
                of.append(protocol.macro_f1(weights @ hits, weights @ sums, supported))
            by_seed.append(of[0] - of[1])
        by_seed = np.array(by_seed)
        points.append(by_seed[:, 0].mean())
        samples.append([by_seed[s, 1 + i].mean() for i, s in enumerate(seeddraws)])
    points, samples = np.array(points + [np.mean(points)]), np.array(samples + [np.mean(samples, 0)])
    return [(p, *np.quantile(s, [0.025, 0.975])) for p, s in zip(points, samples)]


def tell(name, tiers, cells, test, ours):
    by_method = {}
    for cell in cells:
        codes = {view: protocol.unpacked(cell["codes"][view]) for view in ("oracle", "pipeline")}
        by_method.setdefault(cell["method"], {})[cell["seed"]] = codes
    for view in ("oracle", "pipeline"):
        print(f"\n{name}, {view} view: macro-F1, mean (standard deviation), {len(test)} test rows")
        print("| method | seeds | " + " | ".join(t.name for t in tiers) + " | mean |")
        print("| --- | ---: " * 1 + "| ---: " * (len(tiers) + 1) + "|")
        for method, seeds in sorted(by_method.items()):
            figures = [scores(tiers, test, codes)[view] for codes in seeds.values()]
            columns = [[f[t.name] for f in figures] for t in tiers]
            columns.append([sum(f.values()) / len(f) for f in figures])
            shown = " | ".join(f"{statistics.mean(c):.3f} ({statistics.pstdev(c):.3f})" for c in columns)
            print(f"| {method} | {len(seeds)} | {shown} |")
        for mine in [m for m in by_method if m.startswith(ours)]:
            for theirs in [m for m in by_method if not m.startswith(ours)]:
                shown = " | ".join(f"{p:+.3f} ({a:+.3f} to {b:+.3f})" for p, a, b in difference(tiers, test, by_method[mine], by_method[theirs], view))
                print(f"| {mine} above {theirs} | | {shown} |")


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, required=True, help="folder of sets")
    ask.add_argument("--sets", nargs="+", default=["olid", "edos", "goemotions"])
    ask.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    ask.add_argument("--methods", nargs="+", default=["confide", *peers.PEERS])
    ask.add_argument("--cells", type=Path, default=HERE / "cells.jsonl")
    ask.add_argument("--confide", default=str(HERE.parents[1] / "target/release/confide"))
    ask.add_argument("--train", nargs="*", default=[], help="further arguments of confide train, joined by = (recipe=lora.toml)")
    ask.add_argument("--device", default="cpu", help="cpu or cuda")
    args = ask.parse_args()
    for name in args.sets:
        book = HERE.parents[1] / f"configs/codebooks/{name}.toml"
        tiers, rows, test = protocol.codebook(book), protocol.table(args.data / name / "train.csv"), protocol.table(args.data / name / "validation.csv")
        for method in args.methods:
            label = method if method in peers.PEERS else " ".join([method, *args.train])
            for seed in args.seeds:
                if any((c["set"], c["seed"], c["method"]) == (name, seed, label) for c in load(args.cells)):
                    continue
                began = time.time()
                codes = compute(method, tiers, book, name, rows, test, seed, args)
                cell = {"set": name, "seed": seed, "method": label}
                cell["version"] = peers.versions(method) if method in peers.PEERS else __import__("confide").version(args.confide)
                cell["device"], cell["seconds"] = args.device, round(time.time() - began, 1)
                cell["macro_f1"] = {v: {t: round(x, 4) for t, x in s.items()} for v, s in scores(tiers, test, codes).items()}
                cell["codes"] = {view: protocol.packed(c, tiers) for view, c in codes.items()}
                with args.cells.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(cell) + "\n")
                print(name, label, seed, cell["macro_f1"], f"{cell['seconds']} s", flush=True)
        tell(name, tiers, [c for c in load(args.cells) if c["set"] == name], test, "confide")


if __name__ == "__main__":
    main()
