"""Speed of training in PyTorch: an encoder (MiniLM) and three heads, masked joint cross-entropy, AdamW; all of the encoder, or with
--lora low-rank adapters by PEFT on queries and values. Prints one JSON line.

Speed does not depend on what the labels say, so they are drawn at random, with gaps as gates leave them: a quarter of the second
tier and a third of the third count as not asked.
"""

import argparse
import json
import time

from coding import cpu_seconds, peak_mib, read_rows, tokenizer
from three_heads import HEADS, MODEL, add_device, autocast, build, finish, limit_threads, padded

NOT_ASKED = -100


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("csv")
    options.add_argument("--text", default="text", help="name of the text column")
    options.add_argument("-n", type=int, default=800, help="comments: the first n of the file")
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--lr", type=float, default=5e-5)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--model", default=MODEL)
    options.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    options.add_argument("--lora", type=int, default=0, metavar="RANK", help="train adapters of this rank instead of the encoder")
    add_device(options)
    args = options.parse_args()

    limit_threads(args.threads)
    import torch

    comments = [row[args.text] for row in read_rows(args.csv, args.text, args.n)]
    tokens = [encoding.ids for encoding in tokenizer(args.model).encode_batch(comments)]
    model = build(args.model, args.attention, args.seed)
    if args.lora:
        from peft import LoraConfig, get_peft_model

        targets = LoraConfig(r=args.lora, lora_alpha=2 * args.lora, lora_dropout=0.05, target_modules=["q_proj", "v_proj"])
        model.encoder = get_peft_model(model.encoder, targets)
    model.to(args.device).train()

    random = torch.Generator().manual_seed(args.seed)
    gold = [torch.randint(labels, (len(tokens),), generator=random) for labels in HEADS]
    for answers, gap in zip(gold[1:], (1 / 4, 1 / 3)):
        answers[torch.rand(len(answers), generator=random) < gap] = NOT_ASKED

    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=args.lr, weight_decay=0.01)
    steps = args.epochs * -(-len(tokens) // args.batch)
    warm_up = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))
    )

    epoch_seconds, last_loss = [], 0.0
    cpu_before = cpu_seconds()
    for _ in range(args.epochs):
        started = time.perf_counter()
        order = torch.randperm(len(tokens), generator=random).tolist()
        for start in range(0, len(order), args.batch):
            chosen = order[start : start + args.batch]
            loss = 0.0
            with autocast(args):
                outputs = model(*padded([tokens[i] for i in chosen], args.device))
            for logits, answers in zip(outputs, gold):
                if (answers[chosen] != NOT_ASKED).any():
                    there = answers[chosen].to(args.device)
                    loss = loss + torch.nn.functional.cross_entropy(logits.float(), there, ignore_index=NOT_ASKED)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
        last_loss = loss.item()
        finish(args.device)
        epoch_seconds.append(time.perf_counter() - started)

    print(json.dumps({
        "what": "train", "torch": torch.__version__, "attention": args.attention, "threads": args.threads, "device": args.device, "bf16": args.bf16,
        "comments": len(tokens), "tokens": sum(map(len, tokens)), "epochs": args.epochs, "batch": args.batch,
        "examples_per_s": len(tokens) * args.epochs / sum(epoch_seconds),
        "examples_per_cpu_s": len(tokens) * args.epochs / (cpu_seconds() - cpu_before),
        "epoch_s": epoch_seconds, "cpu_s": cpu_seconds() - cpu_before, "peak_rss_mib": peak_mib(), "last_loss": last_loss,
    }))


if __name__ == "__main__":
    main()
