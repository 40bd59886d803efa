"""Coding in PyTorch: a CSV in, a CSV with the tiers' answers and their probabilities out. Prints one JSON line.

Timed from opening the input to closing the output; imports and loading the model are reported apart. With --bundle, encoder and
heads are those of a Confide bundle; without, there are three random heads on MiniLM: speed does not depend on them.
"""

import argparse
import json

from coding import MAX_LENGTH, Bundle, Tier, add_coding, read_bundle, run_coding
from three_heads import HEADS, MODEL, add_device, autocast, build, build_trained, limit_threads, padded


def main():
    options = argparse.ArgumentParser(description=__doc__)
    add_coding(options)
    options.add_argument("--bundle", help="a Confide bundle to code with")
    options.add_argument("--model", default=MODEL, help="without a bundle: the encoder")
    options.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    add_device(options)
    args = options.parse_args()

    limit_threads(args.threads)
    import torch

    if args.bundle:
        bundle = read_bundle(args.bundle)
        model = build_trained(bundle, args.attention)
    else:
        tiers = [Tier(f"tier{at}", [str(label) for label in range(count)], False) for at, count in enumerate(HEADS)]
        bundle = Bundle(args.model, tiers, MAX_LENGTH)
        model = build(args.model, args.attention, seed=0).eval()
    model.to(args.device)

    def logits_of(tokens):
        return [logits.float().cpu().numpy() for logits in model(*padded(tokens, args.device))]

    with torch.inference_mode(), autocast(args):
        figures = run_coding(args, bundle, logits_of)
    print(json.dumps({
        **figures, "torch": torch.__version__, "attention": args.attention, "device": args.device, "bf16": args.bf16,
    }))


if __name__ == "__main__":
    main()
