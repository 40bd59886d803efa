"""TF-IDF with logistic regression in the place of the screen: the same texts, the same folds.

    python benches/crisis/baseline.py FOLDS POSTS COMMENTS

FOLDS is what `cargo bench --bench crisis -- measure --folds FOLDS` wrote. For each cut and table it
prints the recall of the screen, and the specificity of both at that recall; the threshold of the
baseline is the most favourable one: it is set on the very texts that are counted. Needs scikit-learn.
"""

import csv
import sys

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

BASELINES = {
    "words": dict(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
    "characters": dict(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2),
}


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def held_out_scores(texts, crises, folds, options):
    """What a model says of each text that did not learn from its fold."""
    scores = np.zeros(len(texts))
    for fold in np.unique(folds):
        rest = folds != fold
        model = make_pipeline(
            TfidfVectorizer(**options),
            LogisticRegression(C=1.0, class_weight="balanced", max_iter=2000),
        )
        model.fit(texts[rest], crises[rest])
        scores[~rest] = model.decision_function(texts[~rest])
    return scores


def specificity_at(scores, crises, recall):
    """The specificity at the highest threshold that lets so many of the texts in danger pass."""
    positives = np.sort(scores[crises])[::-1]
    threshold = positives[int(np.ceil(recall * len(positives) - 1e-9)) - 1]
    return (scores[~crises] < threshold).mean()


def main():
    folds_file, *tables = sys.argv[1:]
    judged = {}
    for row in rows(folds_file):
        judged.setdefault(row["cut"], {})[row["id"]] = (int(row["fold"]), row["flagged"] == "1")
    for path in tables:
        table = rows(path)
        texts = np.array([row["text"] for row in table], dtype=object)
        crises = np.array([row["crisis"] == "crisis" for row in table])
        for cut, by_id in judged.items():
            own = [by_id[row["id"]] for row in table]
            folds = np.array([fold for fold, _ in own])
            flagged = np.array([flag for _, flag in own])
            recall = flagged[crises].mean()
            line = [f"{path}, cut {cut}: recall {recall:.3f}; specificity of the screen "
                    f"{(~flagged[~crises]).mean():.3f}"]
            for name, options in BASELINES.items():
                scores = held_out_scores(texts, crises, folds, options)
                line.append(f"of TF-IDF over {name} {specificity_at(scores, crises, recall):.3f}")
            print(", ".join(line), flush=True)


if __name__ == "__main__":
    main()
