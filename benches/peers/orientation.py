"""What scikit-learn reaches on the study's data: macro-F1 on the test rows, oracle view (every tier is given the gold answers above it).

Two sets of features, logistic regression on each: TF-IDF (words and word pairs, character 2- to 5-grams) and frozen MiniLM
embeddings of length 1. Twice each: with scikit-learn's default C = 1 and balanced class weights, and with C and the weighting chosen
per tier by macro-F1 on the validation rows (100 are few: the choice often does worse on the test rows than the default).
"""

import argparse
import json
import tomllib

import numpy as np

from coding import REPOSITORY, read_rows, tokenizer
from three_heads import MODEL, build, limit_threads, padded

DEFAULT = (1.0, "balanced")
CHOICES = [(strength, weighting) for strength in (0.1, 1.0, 10.0, 30.0) for weighting in ("balanced", None)]


def tfidf(texts, fit_on):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    features.fit([texts[i] for i in fit_on])
    return features.transform(texts).tocsr()


def embeddings(texts):
    """Mean-pooled, scaled to length 1."""
    import torch

    model = build(MODEL, "sdpa", seed=0).eval().encoder
    tokens = [encoding.ids for encoding in tokenizer(MODEL).encode_batch(texts)]
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    pooled = np.empty((len(tokens), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), 32):
            chosen = order[start : start + 32]
            ids, mask = padded([tokens[i] for i in chosen])
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).float()
            pooled[chosen] = ((hidden * weights).sum(1) / weights.sum(1)).numpy()
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


def answers(rows, tier):
    """-> (rows on which the tier is coded, their answers: a label each, or a row of 0 and 1 for a multi tier)."""
    asked = [i for i, row in enumerate(rows) if row[tier["name"]]]
    cells = [rows[i][tier["name"]] for i in asked]
    labels = [label["name"] for label in tier["label"]]
    if tier["kind"] == "single":
        return np.array(asked), np.array([labels.index(cell) for cell in cells])
    return np.array(asked), np.array([[label in cell.split("|") for label in labels] for cell in cells], dtype=int)


def macro_f1(gold, predicted):
    from sklearn.metrics import f1_score

    supported = np.flatnonzero(gold.sum(0)) if gold.ndim == 2 else np.unique(gold)
    return f1_score(gold, predicted, labels=supported, average="macro", zero_division=0)


def scores(features, rows, tier):
    """-> (macro-F1 on the test rows with the default setting, with the setting that does best on the validation rows)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    asked, gold = answers(rows, tier)
    split = np.array([rows[i]["split"] for i in asked])
    part = {name: (features[asked[split == name]], gold[split == name]) for name in ("train", "validation", "test")}
    reached = {}
    for strength, weighting in CHOICES:
        model = LogisticRegression(C=strength, class_weight=weighting, max_iter=3000)
        if tier["kind"] == "multi":
            model = OneVsRestClassifier(model)
        model.fit(*part["train"])
        reached[strength, weighting] = [
            float(macro_f1(part[name][1], model.predict(part[name][0]))) for name in ("validation", "test")
        ]
    return reached[DEFAULT][1], max(reached.values(), key=lambda pair: pair[0])[1]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", default=REPOSITORY / "data/therapy-comments/coded.csv")
    options.add_argument("--codebook", default=REPOSITORY / "configs/codebooks/llm-mental-health.toml")
    options.add_argument("--threads", type=int, default=2)
    args = options.parse_args()
    limit_threads(args.threads)

    with open(args.codebook, "rb") as file:
        tiers = tomllib.load(file)["tier"]
    rows = read_rows(args.data, "text")
    texts = [row["text"] for row in rows]
    training = [i for i, row in enumerate(rows) if row["split"] == "train"]
    for name, features in (("tfidf", tfidf(texts, training)), ("frozen_minilm", embeddings(texts))):
        figures = {tier["name"]: scores(features, rows, tier) for tier in tiers}
        for column, setting in enumerate(("default", "chosen_on_validation")):
            values = {tier: both[column] for tier, both in figures.items()}
            print(json.dumps({"features": name, "setting": setting, "macro_f1": values}), flush=True)


if __name__ == "__main__":
    main()
