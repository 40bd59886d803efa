"""The peers: what a lab could run instead, on the same encoder and the same rows.

Each takes codebook, training, validation and test rows and gives, for every tier, `values` ([row][label], P(label | asked)) of the test
rows and the `threshold` of a multi tier. What is chosen is chosen on the validation rows.
"""

import math
import warnings
from pathlib import Path

import numpy as np

from protocol import best_threshold, coded, incidence, macro_f1

warnings.filterwarnings("ignore")
MINILM = Path(__file__).parents[2] / "models/minilm"
PENALTIES = (0.1, 0.3, 1, 3, 10, 30)


def texts(rows):
    return [r["text"] for r in rows]


def gold_of(tier, rows):
    """Indices of the rows where the tier was asked, and what they are coded as."""
    gold = [coded(tier, r) for r in rows]
    kept = [i for i, g in enumerate(gold) if g is not None]
    return np.array(kept, int), incidence(tier, [gold[i] for i in kept])


def logistic(tier, train, validation, test, rows):
    """Logistic regression of one tier; penalty and class weighting by validation macro-F1, ties to the stronger penalty."""
    from sklearn.linear_model import LogisticRegression

    kept, gold = gold_of(tier, rows[0])
    held, truth = gold_of(tier, rows[1])
    x, v = train[kept], validation[held]

    def fit(c, weighting):
        model = lambda y: LogisticRegression(C=c, class_weight=weighting, max_iter=2000).fit(x, y)
        out = [np.zeros((f.shape[0], len(tier.labels))) for f in (v, validation, test)]
        if tier.multi:
            for label in range(len(tier.labels)):
                y = gold[:, label]
                if y.all() or not y.any():
                    continue
                m = model(y)
                for o, f in zip(out, (v, validation, test)):
                    o[:, label] = m.predict_proba(f)[:, 1]
        else:
            m = model(gold.argmax(1))
            for o, f in zip(out, (v, validation, test)):
                o[:, m.classes_] = m.predict_proba(f)
        return out

    best = None
    for weighting in (None, "balanced"):
        for c in PENALTIES:
            seen, whole, values = fit(c, weighting)
            threshold = best_threshold(tier, whole, rows[1]) if tier.multi else 0.5
            given = seen >= threshold if tier.multi else np.eye(len(tier.labels), dtype=bool)[seen.argmax(1)]
            score = macro_f1((truth & given).sum(0), truth.sum(0) + given.sum(0), truth.sum(0) > 0) if len(truth) else 0.0
            if best is None or score > best[0] + 1e-9:
                best = (score, {"values": values, "threshold": threshold})
    return best[1]


def tfidf(tiers, train, validation, test, seed, device):
    """TF-IDF of words (1-2) and characters within words (2-5), logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    ).fit(texts(train))
    x = [features.transform(texts(part)).tocsr() for part in (train, validation, test)]
    return {t.name: logistic(t, *x, (train, validation)) for t in tiers}


def tokens(device):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MINILM)
    return lambda batch: tokenizer(batch, padding=True, truncation=True, max_length=128, return_tensors="pt").to(device)


def mean_pooled(encoder, batch):
    states, mask = encoder(**batch).last_hidden_state, batch["attention_mask"].unsqueeze(-1)
    return (states * mask).sum(1) / mask.sum(1)


def frozen(tiers, train, validation, test, seed, device):
    """Mean embeddings of the frozen encoder (normalised, then of unit variance), logistic regression."""
    import torch
    from transformers import AutoModel

    encoder, tokenize = AutoModel.from_pretrained(MINILM, dtype=torch.float32).to(device).eval(), tokens(device)

    @torch.inference_mode()
    def embed(rows):
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]["text"]))
        out = np.zeros((len(rows), encoder.config.hidden_size), np.float32)
        for at in range(0, len(order), 64):
            part = order[at : at + 64]
            pooled = torch.nn.functional.normalize(mean_pooled(encoder, tokenize([rows[i]["text"] for i in part])), dim=1)
            out[part] = pooled.cpu().numpy() * math.sqrt(out.shape[1])
        return out

    x = [embed(part) for part in (train, validation, test)]
    return {t.name: logistic(t, *x, (train, validation)) for t in tiers}


def finetune(tiers, train, validation, test, seed, device):
    """The whole encoder and a linear head a tier, trained jointly: 6 epochs, batches of 16, AdamW, warm-up and linear decay, loss masked
    by gates; learning rate (1e-4, 5e-5) and epoch by mean validation macro-F1."""
    import torch
    from transformers import AutoModel

    tokenize = tokens(device)
    gold = {t.name: gold_of(t, train) for t in tiers}
    targets = {t.name: (torch.zeros(len(train), len(t.labels)), torch.zeros(len(train), dtype=torch.bool)) for t in tiers}
    for t in tiers:
        kept, codes = gold[t.name]
        targets[t.name][0][kept] = torch.tensor(codes, dtype=torch.float32)
        targets[t.name][1][kept] = True
    best = None
    for rate in (1e-4, 5e-5):
        torch.manual_seed(seed)
        encoder = AutoModel.from_pretrained(MINILM, dtype=torch.float32)
        heads = torch.nn.ModuleDict({t.name: torch.nn.Linear(encoder.config.hidden_size, len(t.labels)) for t in tiers})
        net = torch.nn.ModuleList([encoder, heads]).to(device)
        parameters = list(net.parameters())
        optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
        epochs, size = 6, 16
        total = epochs * math.ceil(len(train) / size)
        warm = max(1, total // 10)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: min((s + 1) / warm, max(0.0, (total - s) / (total - warm))))
        shuffle = np.random.default_rng(seed)

        @torch.inference_mode()
        def predict(rows):
            net.eval()
            order = sorted(range(len(rows)), key=lambda i: len(rows[i]["text"]))
            out = {t.name: np.zeros((len(rows), len(t.labels)), np.float32) for t in tiers}
            for at in range(0, len(order), 64):
                part = order[at : at + 64]
                pooled = mean_pooled(encoder, tokenize([rows[i]["text"] for i in part]))
                for t in tiers:
                    z = heads[t.name](pooled)
                    out[t.name][part] = (z.sigmoid() if t.multi else z.softmax(-1)).cpu().numpy()
            return out

        for _ in range(epochs):
            net.train()
            order = shuffle.permutation(len(train))
            for at in range(0, len(order), size):
                part = order[at : at + size]
                pooled = mean_pooled(encoder, tokenize([train[i]["text"] for i in part]))
                loss = 0.0
                for t in tiers:
                    goal, asked = (x[part].to(device) for x in targets[t.name])
                    if not asked.any():
                        continue
                    z = heads[t.name](pooled)[asked]
                    function = torch.nn.functional.binary_cross_entropy_with_logits if t.multi else torch.nn.functional.cross_entropy
                    loss = loss + function(z, goal[asked] if t.multi else goal[asked].argmax(1))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimiser.step()
                schedule.step()
                optimiser.zero_grad(set_to_none=True)
            seen, scores, thresholds = predict(validation), [], {}
            for t in tiers:
                held, truth = gold_of(t, validation)
                thresholds[t.name] = best_threshold(t, seen[t.name], validation) if t.multi else 0.5
                values = seen[t.name][held]
                given = values >= thresholds[t.name] if t.multi else np.eye(len(t.labels), dtype=bool)[values.argmax(1)]
                scores.append(macro_f1((truth & given).sum(0), truth.sum(0) + given.sum(0), truth.sum(0) > 0))
            score = float(np.mean(scores))
            if best is None or score > best[0]:
                final = predict(test)
                best = (score, {t.name: {"values": final[t.name], "threshold": thresholds[t.name]} for t in tiers})
    return best[1]


def setfit(tiers, train, validation, test, seed, device):
    """SetFit (Tunstall et al. 2022), a model a tier: contrastive tuning of the encoder on pairs (num_iterations 5, one epoch), then logistic
    regression; several labels one against the rest."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, models
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    import tempfile

    out = {}
    for t in tiers:
        kept, gold = gold_of(t, train)
        body = SentenceTransformer(modules=[(w := models.Transformer(str(MINILM), max_seq_length=128)), models.Pooling(w.get_word_embedding_dimension()), models.Normalize()], device=device)
        held_labels = [l for l in range(len(t.labels)) if gold[:, l].any() and not gold[:, l].all()] if t.multi else None
        head = OneVsRestClassifier(LogisticRegression()) if t.multi else LogisticRegression()
        model = SetFitModel(model_body=body, model_head=head, multi_target_strategy="one-vs-rest" if t.multi else None)
        labels = gold[:, held_labels].astype(int).tolist() if t.multi else gold.argmax(1).tolist()
        with tempfile.TemporaryDirectory() as work:
            arguments = TrainingArguments(
                batch_size=16, num_epochs=1, num_iterations=5, seed=seed, report_to="none", save_strategy="no", show_progress_bar=False, output_dir=work
            )
            data = Dataset.from_dict({"text": [train[i]["text"] for i in kept], "label": labels})
            Trainer(model=model, args=arguments, train_dataset=data).train()

        def values(rows):
            p = np.asarray(model.predict_proba(texts(rows), as_numpy=True))
            whole = np.zeros((len(rows), len(t.labels)))
            whole[:, held_labels if t.multi else model.model_head.classes_] = p
            return whole

        threshold = best_threshold(t, values(validation), validation) if t.multi else 0.5
        out[t.name] = {"values": values(test), "threshold": threshold}
    return out


PEERS = {"tfidf": tfidf, "frozen": frozen, "setfit": setfit, "finetune": finetune}


def versions(method):
    from importlib.metadata import version

    of = {"tfidf": ["scikit-learn"], "frozen": ["torch", "transformers", "scikit-learn"], "setfit": ["setfit", "sentence-transformers", "torch"], "finetune": ["torch", "transformers"]}
    return " ".join(f"{name} {version(name)}" for name in of[method])
