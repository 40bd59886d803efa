"""What the PyTorch scripts share: MiniLM with three classifiers on its mean-pooled output, tokens, padded batches."""

import csv
import json
import os
import resource
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MODEL = REPOSITORY / "models/minilm"
HEADS = (3, 4, 17)  # labels per tier, as in configs/codebooks/llm-mental-health.toml
MAX_LENGTH = 128


def limit_threads(count):
    """To be called before torch and tokenizers are imported."""
    os.environ.update(
        OMP_NUM_THREADS=str(count), RAYON_NUM_THREADS=str(count), TOKENIZERS_PARALLELISM="true", HF_HUB_OFFLINE="1"
    )
    import torch

    torch.set_num_threads(count)


def read_rows(path, text_column, limit=None):
    csv.field_size_limit(sys.maxsize)
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if text_column not in (reader.fieldnames or []):
            sys.exit(f"{path}: no column {text_column!r}; there are {reader.fieldnames}")
        rows = list(reader)
    return rows[:limit]


def tokenizer(folder):
    from tokenizers import Tokenizer

    if str(folder).endswith(".gguf"):
        from transformers import AutoTokenizer

        result = AutoTokenizer.from_pretrained(Path(folder).parent, gguf_file=Path(folder).name).backend_tokenizer
        result.no_padding()
        result.enable_truncation(MAX_LENGTH)
        return result
    result = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    result.no_padding()
    result.enable_truncation(MAX_LENGTH)
    return result


def padded(token_lists, device="cpu"):
    """-> (ids, mask), both as long as the longest of the batch."""
    import torch

    longest = max(map(len, token_lists))
    ids = torch.zeros(len(token_lists), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(token_lists):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    return ids.to(device), mask.to(device)


def build(folder, attention, seed):
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(seed)

    class ThreeHeads(torch.nn.Module):
        def __init__(self):
            super().__init__()
            path = Path(folder)
            if path.suffix == ".gguf":
                where, options = path.parent, {"gguf_file": path.name}
            else:
                kind = json.loads((path / "config.json").read_text())["model_type"]
                where, options = folder, {"add_pooling_layer": False} if kind == "bert" else {}
            self.encoder = transformers.AutoModel.from_pretrained(
                where, dtype=torch.float32, attn_implementation=attention, **options
            )
            self.dropout = torch.nn.Dropout(0.1)
            width = self.encoder.config.hidden_size
            self.heads = torch.nn.ModuleList(torch.nn.Linear(width, labels) for labels in HEADS)

        def forward(self, ids, mask):
            hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            pooled = self.dropout((hidden * weights).sum(1) / weights.sum(1))
            return [head(pooled) for head in self.heads]

    return ThreeHeads()


def add_device(options):
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options.add_argument("--bf16", action="store_true", help="multiply matrices in bf16 (autocast); weights stay f32")


def autocast(args):
    import torch

    return torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.bf16)


def finish(device):
    """Waits for what the GPU still computes."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def peak_mib():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
