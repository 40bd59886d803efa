"""Confide beside PyTorch, transformers and PEFT on one GPU, in the same run.

    benches/gpu/build.sh                                  (on any machine)
    python benches/gpu/run.py                             (on the machine with the GPU)

For MiniLM and an encoder of DeBERTa-v3-base's size trained in full, and adapters on one of SmolLM2-135M's: examples a second in training
and texts a second in coding, in f32 and bf16, Confide and PyTorch in turn. Then, for MiniLM: whether GPU and CPU agree (f32: largest gap
of a probability; bf16: share of equal codes), and whether the same seed gives the same weights twice. The larger two have random
weights and MiniLM's vocabulary: speed and agreement do not depend on what they know. Needs torch, transformers, peft, safetensors and
tokenizers (benches/peers/requirements.txt), and CUDA 13's libraries where the loader finds them. Prints a line of JSON for every
measurement, and the ratios at the end.

`--device cpu --small` runs the same on a machine without a GPU, with tiny models: it tests this script and measures nothing.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "benches/compare"))

from updates import update_seconds  # noqa: E402

PEERS = REPOSITORY / "benches/peers"
DATA = REPOSITORY / "data/therapy-comments"
MINILM = REPOSITORY / "models/minilm"
CODEBOOK = str(REPOSITORY / "configs/codebooks/llm-mental-health.toml")

RECIPE = """members = 1
epochs = {epochs}
patience = {epochs}
batch_rows = {batch}
batch_tokens = 1000000
max_tokens = 128
shards = 1
token_masking = 0.0
checkpoint_seconds = 1e6
fitted_start = "none"
lexical_features = 0
learning_rate = 5e-5
precision = "{precision}"
"""
LORA = """mode = "lora"
lora_rank = 8
lora_targets = ["q_proj", "v_proj"]
"""


def models(small):
    """Name -> (configuration, or None for MiniLM itself; whether it is trained by adapters)."""
    words = {"vocab_size": 30522, "max_position_embeddings": 512}
    deberta = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
    llama = {"hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536}
    if small:
        deberta = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        llama = {**deberta, "num_key_value_heads": 1}
    v3 = {
        "model_type": "deberta-v2", "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 256,
        "max_relative_positions": -1, "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False,
        "type_vocab_size": 0, "layer_norm_eps": 1e-7, "hidden_act": "gelu", "pad_token_id": 0,
    }
    smollm2 = {"model_type": "llama", "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": True, "rope_theta": 100000.0}
    return {
        "MiniLM": (None, False),
        "DeBERTa-v3-base's size": ({**v3, **words, **deberta}, False),
        "SmolLM2-135M's size, LoRA": ({**smollm2, **words, **llama}, True),
    }


def folder_of(config, work):
    """A model folder: MiniLM's, or one with random weights and MiniLM's tokenizer."""
    folder = work / "model"
    folder.mkdir()
    for name in ("tokenizer.json", *(() if config else ("config.json",))):
        (folder / name).write_bytes((MINILM / name).read_bytes())
    import torch

    if config is None:
        from safetensors.torch import load_file, save_file

        # The shipped matrices are f16; both sides read them as f32.
        tensors = {name: tensor.float() for name, tensor in load_file(MINILM / "model.safetensors").items()}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return folder
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    settings = dict(config)
    AutoModel.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings)).save_pretrained(folder)
    return folder


def write_rows(path, count, split):
    """The shipped comments over and over, with their codes, until there are enough."""
    with open(DATA / "coded.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        for at in range(count):
            row = dict(rows[at % len(rows)])
            row["id"] = str(at)
            row["text"] += f" {at // len(rows)}"
            if "split" in row:
                row["split"] = split(at)
            writer.writerow(row)


class Run:
    def __init__(self, args):
        self.args, self.lines = args, []
        self.rows, self.texts = (48, 60) if args.small else (800, 9923)
        self.epochs = 2 if args.small else 3

    def peer(self, script, *arguments):
        full = [sys.executable, PEERS / script, *arguments, "--device", self.args.device]
        ran = subprocess.run([*map(str, full)], capture_output=True, text=True, cwd=PEERS)
        if ran.returncode:
            sys.exit(f"{script} ended with {ran.returncode}:\n{ran.stderr}")
        return json.loads(ran.stdout.splitlines()[-1])

    def say(self, **line):
        self.lines.append(line)
        print(json.dumps(line), flush=True)

    def train(self, folder, work, precision, lora, name="bundle"):
        """Trains; -> examples a second of the updates after the first epoch's, which warms up."""
        for old in (work / name, work / f"{name}.run"):
            shutil.rmtree(old, ignore_errors=True)
        recipe = work / f"{name}.toml"
        text = RECIPE.format(epochs=self.epochs, batch=self.args.batch, precision=precision)
        recipe.write_text(text + (LORA if lora else ""))
        command = ["train", CODEBOOK, "--data", work / "coded.csv", "--base", folder, "--recipe", recipe, "-o", work / name]
        log = work / f"{name}.run/log.jsonl"
        process = subprocess.Popen(
            [str(self.args.confide.resolve()), *map(str, command), "--device", self.args.device],
            stderr=subprocess.PIPE, text=True,
        )
        seconds = update_seconds(log, process)
        if process.returncode:
            sys.exit(f"confide train ended with {process.returncode}:\n{process.stderr.read()}")
        later = seconds[1:] or seconds
        return self.rows * len(later) / sum(later)

    def code(self, bundle, corpus, out, precision, device=None, base=None):
        """Codes; -> texts a second from file to file, loading left out by a run on one row."""
        more = ["--base", base] if base else []
        flags = ["--precision", precision, "--as", "confide", "--force", *more]
        times = []
        for table, target in ((corpus.with_name("one.csv"), out.with_name("one-coded.csv")), (corpus, out)):
            started = time.perf_counter()
            command = [str(self.args.confide.resolve()), "classify", str(bundle), str(table), "-o", str(target), *map(str, flags)]
            ran = subprocess.run([*command, "--device", device or self.args.device], capture_output=True, text=True)
            if ran.returncode:
                sys.exit(f"{' '.join(command)}\nended with {ran.returncode}:\n{ran.stderr}")
            times.append(time.perf_counter() - started)
        return self.texts / max(times[1] - times[0], 1e-9)

    def pair(self, name, config, lora):
        with tempfile.TemporaryDirectory() as place:
            work = Path(place)
            folder = folder_of(config, work)
            write_rows(work / "coded.csv", self.rows + 100, lambda at: "train" if at < self.rows else "validation")
            write_rows(work / "corpus.csv", self.texts, lambda at: "")
            write_rows(work / "one.csv", 1, lambda at: "")
            write_rows(work / "peer.csv", self.rows, lambda at: "")
            for precision in ("f32", "bf16"):
                bf16 = ["--bf16"] if precision == "bf16" else []
                adapters = ["--lora", 8] if lora else []
                # transformers computes DeBERTa's attention in no other way.
                eager = ["--attention", "eager"] if config and config["model_type"] == "deberta-v2" else []
                # The first pair starts with Confide, the second with the peer.
                def own():
                    speed = self.train(folder, work, precision, lora)
                    self.say(what="train", who="Confide", model=name, precision=precision, examples_per_s=speed)

                def peer():
                    found = self.peer("train_torch.py", work / "peer.csv", "-n", self.rows, "--epochs", self.epochs, "--batch",
                                      self.args.batch, "--model", folder, *bf16, *adapters, *eager)
                    later = found["epoch_s"][1:] or found["epoch_s"]
                    speed = self.rows * len(later) / sum(later)
                    self.say(what="train", who="PyTorch", model=name, precision=precision, examples_per_s=speed)

                for step in (own, peer) if precision == "f32" else (peer, own):
                    step()
                speed = self.code(work / "bundle", work / "corpus.csv", work / "out.csv", precision, base=folder if lora else None)
                self.say(what="code", who="Confide", model=name, precision=precision, texts_per_s=speed)
                found = self.peer("classify_torch.py", work / "corpus.csv", work / "peer-out.csv", "--sorted", "--batch", 256,
                                  "--model", folder, *bf16, *eager)
                self.say(what="code", who="PyTorch", model=name, precision=precision, texts_per_s=found["texts_per_s"])
            if config is None:
                self.agreement(folder, work)

    def agreement(self, folder, work):
        count = self.texts
        self.texts = min(2000, count)
        write_rows(work / "corpus.csv", self.texts, lambda at: "")
        self.train(folder, work, "f32", False, "one")
        self.train(folder, work, "f32", False, "two")
        same = (work / "one/model.safetensors").read_bytes() == (work / "two/model.safetensors").read_bytes()
        self.say(what="same seed, same weights", same=same)
        tables = {}
        for key, precision, device in (("cpu", "f32", "cpu"), ("f32", "f32", None), ("bf16", "bf16", None)):
            self.code(work / "one", work / "corpus.csv", work / f"{key}.csv", precision, device)
            with open(work / f"{key}.csv", newline="", encoding="utf-8") as file:
                tables[key] = list(csv.DictReader(file))
        tiers = ["experience", "attitude", "topics"]
        gaps, equal = [], {"f32": 0, "bf16": 0}
        for at, row in enumerate(tables["cpu"]):
            for key in equal:
                other = tables[key][at]
                equal[key] += all(row[f"{tier}__confide"] == other[f"{tier}__confide"] for tier in tiers)
            for tier in tiers:
                own, other = row[f"{tier}__confide_p"].split("|"), tables["f32"][at][f"{tier}__confide_p"].split("|")
                if len(own) == len(other):
                    gaps += [abs(float(a) - float(b)) for a, b in zip(own, other) if a and b]
        rows = len(tables["cpu"])
        self.say(what="GPU beside CPU", texts=rows, largest_gap_f32=max(gaps), equal_f32=equal["f32"] / rows, equal_bf16=equal["bf16"] / rows)
        self.texts = count

    def ratios(self):
        for what, field in (("train", "examples_per_s"), ("code", "texts_per_s")):
            own = {(line["model"], line["precision"]): line[field] for line in self.lines if line["what"] == what and line["who"] == "Confide"}
            for line in self.lines:
                if line["what"] == what and line["who"] == "PyTorch":
                    key = (line["model"], line["precision"])
                    print(f"{what}, {key[0]}, {key[1]}: {own[key]:.1f} against {line[field]:.1f} a second, ratio {own[key] / line[field]:.2f}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--confide", type=Path, default=REPOSITORY / "target/release-cuda/release/confide")
    options.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    options.add_argument("--small", action="store_true", help="tiny models and tables, to test this script")
    options.add_argument("--batch", type=int, default=16)
    args = options.parse_args()
    run = Run(args)
    for name, (config, lora) in models(args.small).items():
        run.pair(name, config, lora)
    run.ratios()


if __name__ == "__main__":
    main()
