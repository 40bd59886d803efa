"""What every method shares: the draw of rows, the codebook's gates and masks, decisions, scores, and how a cell stores its codes."""

import base64
import csv
import json
import random
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TRAIN, VALIDATION = 800, 100
NOT_ASKED = None


@dataclass
class Tier:
    name: str
    multi: bool
    labels: list
    only_when: list
    asked_when: dict


def codebook(path):
    tiers = tomllib.loads(Path(path).read_text(encoding="utf-8"))["tier"]
    return [
        Tier(t["name"], t["kind"] == "multi", [l["name"] for l in t["label"]], [l.get("only_when") for l in t["label"]], t.get("asked_when"))
        for t in tiers
    ]


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def draw(rows, seed):
    """800 training and 100 validation rows, as random.Random(seed).sample orders them."""
    drawn = random.Random(seed).sample(rows, TRAIN + VALIDATION)
    return drawn[:TRAIN], drawn[TRAIN:]


def coded(tier, row):
    """The labels of a cell as a set; None where the tier was not asked."""
    cell = row[tier.name]
    if not cell:
        return NOT_ASKED
    return frozenset() if cell == "none" else frozenset(cell.split("|"))


def met(condition, above):
    """Whether every tier named in a gate or mask has one of the answers it asks for."""
    return all(above.get(tier) is not None and above[tier] & set(answers) for tier, answers in (condition or {}).items())


def decide(tiers, scores, row, above=None):
    """The codes of one row. `scores` has a list per tier, P(label | asked); the answers above are the gold ones where `above` gives
    them (oracle view), else those just decided (pipeline view)."""
    codes = {}
    for tier in tiers:
        answers = above if above is not None else codes
        if above is not None and above[tier.name] is None or not met(tier.asked_when, answers):
            codes[tier.name] = NOT_ASKED
            continue
        values, threshold = scores[tier.name]["values"][row], scores[tier.name]["threshold"]
        permitted = [(v, l) for v, l, o in zip(values, tier.labels, tier.only_when) if met(o, answers)]
        if tier.multi:
            codes[tier.name] = frozenset(l for v, l in permitted if v >= threshold)
        else:
            codes[tier.name] = frozenset([max(permitted, key=lambda p: p[0])[1]])
    return codes


def views(tiers, scores, rows):
    """Codes of every row in both views, given the scores of a method."""
    gold = [{t.name: coded(t, r) for t in tiers} for r in rows]
    oracle = [decide(tiers, scores, i, gold[i]) for i in range(len(rows))]
    pipeline = [decide(tiers, scores, i) for i in range(len(rows))]
    return {"oracle": oracle, "pipeline": pipeline}


def incidence(tier, cells):
    """Rows by labels, 1 where coded; a cell that was not asked is the empty set."""
    out = np.zeros((len(cells), len(tier.labels)), bool)
    for i, cell in enumerate(cells):
        for label in cell or ():
            out[i, tier.labels.index(label)] = True
    return out


def counts(tier, gold, given, view):
    """What each row adds to true positives, and to predictions and gold labels together, by label; rows that the view scores."""
    asked = np.array([g is not None for g in gold])
    keep = asked if view == "oracle" else np.ones(len(gold), bool)
    g, p = incidence(tier, gold)[keep], incidence(tier, given)[keep]
    return (g & p).astype(np.int32), g.astype(np.int32) + p, g.sum(0) > 0


def macro_f1(hits, sums, supported):
    """Macro-F1 over the labels with gold support, undefined terms 0 (scikit-learn's zero_division=0)."""
    hits, sums = hits[..., supported], sums[..., supported]
    return (2 * hits / np.maximum(sums, 1)).mean(-1)


def packed(codes, tiers):
    """Codes of every row as short text."""
    columns = {t.name: ["" if c[t.name] is None else "|".join(sorted(c[t.name])) or "none" for c in codes] for t in tiers}
    return base64.b64encode(zlib.compress(json.dumps(columns, separators=(",", ":")).encode(), 9)).decode()


def unpacked(text):
    columns = json.loads(zlib.decompress(base64.b64decode(text)))
    read = lambda cell: None if not cell else frozenset() if cell == "none" else frozenset(cell.split("|"))
    length = len(next(iter(columns.values())))
    return [{name: read(column[i]) for name, column in columns.items()} for i in range(length)]


def best_threshold(tier, values, rows):
    """The one threshold of a multi tier with the best macro-F1 on validation rows."""
    gold = [coded(tier, r) for r in rows]
    kept = [i for i, g in enumerate(gold) if g is not None]
    truth = incidence(tier, [gold[i] for i in kept])
    best = (-1.0, 0.5)
    for threshold in np.arange(0.05, 0.96, 0.05):
        given = np.asarray(values)[kept] >= threshold
        score = macro_f1((truth & given).sum(0), truth.sum(0) + given.sum(0), truth.sum(0) > 0)
        best = max(best, (float(score), float(threshold)), key=lambda b: b[0])
    return best[1]
