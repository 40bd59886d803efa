"""Coding in ONNX Runtime, with a graph of export_onnx.py: a CSV in, a CSV with the tiers' answers and probabilities out.
Prints one JSON line.

Timed as in classify_torch.py, from opening the input to closing the output. torch is not loaded.
"""

import argparse
import json

from coding import add_coding, padded_arrays, read_bundle, run_coding, set_thread_variables


def session(graph, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run_session(running, ids, mask):
    return running.run(None, {"input_ids": ids, "attention_mask": mask})


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("graph", help="f32.onnx or int8.onnx")
    add_coding(options)
    options.add_argument("--bundle", required=True, help="the bundle that the graph was made of, for its tiers and tokenizer")
    args = options.parse_args()

    set_thread_variables(args.threads)
    import onnxruntime

    bundle, running = read_bundle(args.bundle), session(args.graph, args.threads)
    figures = run_coding(args, bundle, lambda tokens: run_session(running, *padded_arrays(tokens)))
    print(json.dumps({**figures, "onnxruntime": onnxruntime.__version__}))


if __name__ == "__main__":
    main()
