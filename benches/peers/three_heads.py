"""What the PyTorch scripts share: an encoder with a linear head per tier on its mean-pooled output, and padded batches."""

import json
from pathlib import Path

from coding import REPOSITORY, padded_arrays, set_thread_variables

MODEL = REPOSITORY / "models/minilm"
HEADS = (3, 4, 17)  # labels per tier, as in configs/codebooks/llm-mental-health.toml


def limit_threads(count):
    """To be called before torch and tokenizers are imported."""
    set_thread_variables(count)
    import torch

    torch.set_num_threads(count)


def padded(token_lists, device="cpu"):
    """-> (ids, mask), both as long as the longest of the batch."""
    import torch

    return tuple(torch.from_numpy(array).to(device) for array in padded_arrays(token_lists))


def build(folder, attention, seed, sizes=HEADS):
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(seed)

    class EncoderWithHeads(torch.nn.Module):
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
            self.heads = torch.nn.ModuleList(torch.nn.Linear(width, labels) for labels in sizes)

        def forward(self, ids, mask):
            hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            pooled = self.dropout((hidden * weights).sum(1) / weights.sum(1))
            return [head(pooled) for head in self.heads]

    return EncoderWithHeads()


def build_trained(bundle, attention):
    """The encoder and the heads of a bundle, without its lexical model."""
    from safetensors.torch import load_file

    model = build(bundle.folder, attention, 0, [len(tier.labels) for tier in bundle.tiers])
    tensors = load_file(bundle.folder / "heads.safetensors")
    for tier, head in zip(bundle.tiers, model.heads):
        head.load_state_dict({part: tensors[f"{tier.name}.{part}"].float() for part in ("weight", "bias")})
    return model.eval()


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
