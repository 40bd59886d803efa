"""Whether a classifier sees use or mere mention: pair accuracy on minimal pairs (Gardner et al. 2020).

    accuracy/bin/python benches/accuracy/contrast.py --coded PAIRS_CODED_BY_CONFIDE

PAIRS_CODED is data/contrast/pairs.csv as `confide classify BUNDLE data/contrast/pairs.csv --as model -o PAIRS_CODED` writes it. A pair
counts in the tier in which its two rows differ (pipeline codes; attitude only where both rows were asked in gold), and is right where
both rows are. Beside it, trained on the same 800 rows of data/therapy-comments/coded.csv: TF-IDF with logistic regression, and a rule
that codes personal_use where a first-person word stands beside one that names a chatbot.
"""

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import peers
import protocol

ROOT = Path(__file__).parents[2]
BOT = re.compile(r"\b(chat ?gpt|gpt|claude|gemini|replika|chat ?bot|bot|ai|llm|app)\b", re.I)
SELF = re.compile(r"\b(i|i'm|i've|im|ive|me|my|mine|myself)\b", re.I)


def rule(row):
    """Personal use where a first-person word and a chatbot's name stand in one comment."""
    named = bool(BOT.search(row["text"]))
    return "personal_use" if named and SELF.search(row["text"]) else "no_personal_use" if named else "off_topic"


def pairs(rows):
    found = {}
    for row in rows:
        found.setdefault(row["group"], []).append(row)
    return found


def accuracy(rows, codes, tier):
    """Pairs that differ in this tier, and how many have both rows right, by kind."""
    out = {}
    for one, other in pairs(rows).values():
        if one[tier] == other[tier] or not (one[tier] and other[tier]):
            continue
        if tier == "attitude" and one["experience"] != other["experience"]:
            continue
        right = all(codes[row["id"]][tier] == row[tier] for row in (one, other))
        kinds = {one["kind"], other["kind"]}
        for kind in ("keyword" if len(kinds) > 1 else kinds.pop(), "all"):
            n, k = out.get(kind, (0, 0))
            out[kind] = (n + 1, k + right)
    return out


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--pairs", type=Path, default=ROOT / "data/contrast/pairs.csv")
    ask.add_argument("--coded", type=Path, required=True)
    args = ask.parse_args()
    rows = protocol.table(args.pairs)
    tiers = protocol.codebook(ROOT / "configs/codebooks/llm-mental-health.toml")
    coded = protocol.table(ROOT / "data/therapy-comments/coded.csv")
    train, validation = ([r for r in coded if r["split"] == split] for split in ("train", "validation"))
    blank = [{**r, "topics": ""} for r in rows]
    words = protocol.views(tiers, peers.tfidf(tiers, train, validation, blank, 0, "cpu"), blank)["pipeline"]
    plain = lambda cell: "" if cell is None else "|".join(sorted(cell))
    methods = {
        "confide": {r["id"]: {t: r[f"{t}__model"] for t in ("experience", "attitude")} for r in protocol.table(args.coded)},
        "TF-IDF": {r["id"]: {t: plain(c[t]) for t in ("experience", "attitude")} for r, c in zip(rows, words)},
        "rule": {r["id"]: {"experience": rule(r), "attitude": ""} for r in rows},
    }
    for tier in ("experience", "attitude"):
        kinds = accuracy(rows, methods["confide"], tier)
        print(f"\n{tier}: pairs with both rows right\n| kind | pairs | " + " | ".join(methods) + " |\n| --- " + "| ---: " * (len(methods) + 1) + "|")
        for kind, (n, _) in sorted(kinds.items()):
            shares = [accuracy(rows, codes, tier).get(kind, (n, 0))[1] / n for codes in methods.values()]
            print(f"| {kind} | {n} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")


if __name__ == "__main__":
    main()
