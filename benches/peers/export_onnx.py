"""Makes ONNX graphs of a Confide bundle, encoder, mean pooling and heads in one: OUT/f32.onnx and OUT/int8.onnx. Prints one JSON
line.

ONNX Runtime's transformer optimiser fuses attention, embeddings and layer norms in the f32 graph; it is then compared with
PyTorch, and refused if a logit differs by more than 1e-4 or if an attention is not fused. The int8 graph is made of it by dynamic
quantisation, with a scale for every column of the weights; on x86 processors without VNNI the weights have 7 bits, as ONNX
Runtime advises.
"""

import argparse
import json
import platform
import sys
import warnings
from pathlib import Path

from classify_onnx import run_session, session
from coding import read_bundle
from three_heads import build_trained, limit_threads, padded

TOLERANCE = 1e-4
LENGTHS = (2, 7, 19, 40, 128, 1000)  # tokens; no longer than the bundle takes


def export(model, bundle, path):
    """By tracing: the other exporter's graphs are not those in which the optimiser finds attention."""
    import torch

    inputs = ["input_ids", "attention_mask"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, padded([[1, 2, 3], [4, 5]]), str(path), dynamo=False, opset_version=17,
            input_names=inputs, output_names=[tier.name for tier in bundle.tiers],
            dynamic_axes={name: {0: "batch", 1: "sequence"} for name in inputs},
        )


def fuse(source, target, config):
    from onnxruntime.transformers import optimizer

    fused = optimizer.optimize_model(
        str(source), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size, opt_level=1
    )
    counts = fused.get_fused_operator_statistics()
    if counts["Attention"] != config.num_hidden_layers:
        sys.exit(f"{counts['Attention']} of {config.num_hidden_layers} attentions are fused: {counts}")
    fused.save_model_to_file(str(target))
    return {name: count for name, count in counts.items() if count}


def largest_difference(model, bundle, graph, threads):
    """Between the logits of PyTorch and those of the graph, on random tokens, padded and not."""
    import torch

    running, largest = session(graph, threads), 0.0
    lists = [torch.randint(model.encoder.config.vocab_size, (min(n, bundle.max_tokens),)).tolist() for n in LENGTHS]
    for batch in (lists, *([tokens] for tokens in lists)):
        ids, mask = padded(batch)
        with torch.inference_mode():
            expected = model(ids, mask)
        for ours, theirs in zip(expected, run_session(running, ids.numpy(), mask.numpy())):
            largest = max(largest, (ours - torch.from_numpy(theirs)).abs().max().item())
    return largest


def quantise(source, target):
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    narrow = platform.machine() == "x86_64" and "vnni" not in Path("/proc/cpuinfo").read_text()
    quantize_dynamic(
        str(source), str(target), per_channel=True, weight_type=QuantType.QInt8, reduce_range=narrow,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    return narrow


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("bundle")
    options.add_argument("out", type=Path)
    options.add_argument("--threads", type=int, default=2)
    args = options.parse_args()
    limit_threads(args.threads)

    bundle = read_bundle(args.bundle)
    model = build_trained(bundle, "eager")
    args.out.mkdir(parents=True, exist_ok=True)
    traced, f32, int8 = (args.out / name for name in ("traced.onnx", "f32.onnx", "int8.onnx"))
    export(model, bundle, traced)
    fused = fuse(traced, f32, model.encoder.config)
    traced.unlink()
    difference = largest_difference(model, bundle, f32, args.threads)
    if not difference <= TOLERANCE:
        f32.unlink()
        sys.exit(f"the logits of ONNX Runtime and PyTorch differ by {difference}")
    narrow = quantise(f32, int8)
    print(json.dumps({"what": "export", "fused": fused, "largest_difference": difference, "weights_of_7_bits": narrow}))


if __name__ == "__main__":
    main()
