"""Writes the seeds of the fuzz targets: small inputs that each parser takes. Needs Python alone.

    python3 tests/fuzz/seeds.py
"""

import json
import struct
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ENCODINGS = ["utf-8", "utf-16-le", "utf-16-be", "cp1252", "shift_jis", "gb18030"]
SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-"


def put(target, name, content):
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def tables():
    csv = 'id,text,"a, ""b""",split\n7,it helped," kept ",x\n3,"two,\nlines",,\n7,again; why,-1.50,train\n1\n'
    lines = (
        '{"id":1,"text":"it helped","n":1.50,"deep":[1,{"b":null}]}\n\n{"text":"\\u0000","tags":["x","y"]}\n[1]\n{"a":\n'
        '{"id":18446744073709551615,"text":"e\\u0301"}\n'
    )
    for number, encoding in enumerate(ENCODINGS):
        put("csv", encoding, bytes([number]) + csv.encode(encoding))
        put("tsv", encoding, bytes([number]) + csv.replace(",", "\t").encode(encoding))
        put("jsonl", encoding, bytes([number]) + lines.encode(encoding))
    put("csv", "semicolons", b"\0" + csv.replace(",", ";").replace("\n", "\r\n").encode())
    put("csv", "mark", b"\0\xef\xbb\xbf" + csv.encode())


def imports():
    answer = {"message": {"content": "experience: personal_use\nattitude: Positive.\ntopics: anonymity, other", "refusal": None},
              "logprobs": {"content": [{"logprob": -0.5}]}}
    batch = {"custom_id": "a", "error": None, "response": {"status_code": 200, "body": {"choices": [answer]}}}
    part = {"type": "output_text", "text": '{"experience":"off_topic","topics":["anonymity"]}'}
    responses = {"custom_id": 7, "error": None,
                 "response": {"status_code": 200, "body": {"output": [{"type": "reasoning"}, {"content": [part]}]}}}
    fenced = '```json\n{"experience": "no_personal_use", "attitude": null}\n```'
    example = {"messages": [{"role": "user", "content": "t"}, {"role": "assistant", "content": fenced}]}
    asked = {"custom_id": "7", "body": {"messages": [{"role": "user", "content": [{"type": "text", "text": "t"}]}]}}
    for name, line in [("batch", batch), ("responses", responses), ("example", example), ("asked", asked)]:
        put("openai", name, json.dumps(line) + "\n")
    comment = {"id": 7123456789012345678, "video_id": "71", "text": "t", "like_count": 3, "create_time": 0,
               "parent_comment_id": 9223372036854775807}
    page = json.dumps({"data": {"comments": [comment], "cursor": 1, "has_more": False}, "error": {"code": "ok", "message": ""}})
    put("tiktok", "page", page)
    put("tiktok", "list", f"[{page},{page}]")
    put("tiktok", "failed", '{"data":{},"error":{"code":"rate_limit_exceeded"}}')


def safetensors(tensors, metadata=None):
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (kind, shape, content) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    header = json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def weights():
    half = b"\0\x3c"
    put("weights", "plain", safetensors({"bert.a.weight": ("F32", [2, 2], floats(1, 2, 3, 4)), "b": ("F16", [3], half * 3)}))
    put("weights", "bf16", safetensors(
        {"a.weight": ("BF16", [2, 2], b"\x80\x3f" * 4), "b": ("F32", [3], floats(1, 2, 3))}, {"state": "{}"}))
    put("weights", "adapter", safetensors({
        "base_model.model.a.lora_A.weight": ("F32", [1, 2], floats(1, 2)),
        "base_model.model.a.lora_B.weight": ("F32", [2, 1], floats(1, 2))}))
    put("weights", "int8", safetensors({
        "a.codes": ("I8", [2, 2], b"\1\2\3\4"), "a.smoothing": ("F32", [2], floats(1, 1)), "a.steps": ("F32", [2], floats(1, 1))}))
    put("weights", "lexical", safetensors({
        "lexical.features": ("U32", [2], struct.pack("<2I", 1, 2)), "lexical.idf": ("F32", [2], floats(1, 1))}))
    files = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    put("weights", "index", json.dumps({"metadata": {}, "weight_map": files}))


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf():
    """A Llama of one layer, 8 units wide, with the tokens of single bytes a to z."""
    def string(key, value):
        return text(key) + struct.pack("<I", 8) + text(value)

    def number(key, value):
        return text(key) + struct.pack("<II", 4, value)

    def real(key, value):
        return text(key) + struct.pack("<If", 6, value)

    def listing(key, kind, items):
        return text(key) + struct.pack("<IIQ", 9, kind, len(items)) + b"".join(items)

    tokens = ["<|end|>", *"abcdefghijklmnopqrstuvwxyz", "ab"]
    metadata = [
        string("general.architecture", "llama"), number("llama.context_length", 16), number("llama.embedding_length", 8),
        number("llama.block_count", 1), number("llama.feed_forward_length", 8), number("llama.attention.head_count", 2),
        number("llama.attention.head_count_kv", 1), real("llama.rope.freq_base", 500.0),
        number("llama.rope.dimension_count", 4), real("llama.attention.layer_norm_rms_epsilon", 1e-5),
        string("tokenizer.ggml.model", "gpt2"), string("tokenizer.ggml.pre", "gpt-2"),
        listing("tokenizer.ggml.tokens", 8, [text(token) for token in tokens]),
        listing("tokenizer.ggml.token_type", 5, [struct.pack("<i", 3 if at == 0 else 1) for at in range(len(tokens))]),
        listing("tokenizer.ggml.merges", 8, [text("a b")]),
        text("tokenizer.ggml.add_bos_token") + struct.pack("<I?", 7, True), number("tokenizer.ggml.bos_token_id", 0),
    ]
    shapes = {
        "token_embd": (len(tokens), 8), "output_norm": (8,), "blk.0.attn_q": (8, 8), "blk.0.attn_k": (4, 8), "blk.0.attn_v": (4, 8),
        "blk.0.attn_output": (8, 8), "blk.0.ffn_gate": (8, 8), "blk.0.ffn_up": (8, 8), "blk.0.ffn_down": (8, 8),
        "blk.0.attn_norm": (8,), "blk.0.ffn_norm": (8,),
    }
    infos, data = b"", b""
    for name, shape in shapes.items():
        infos += text(f"{name}.weight") + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        infos += struct.pack("<IQ", 0, len(data))
        count = 1
        for size in shape:
            count *= size
        data += floats(*[0.5] * count)
        data += b"\0" * (-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(metadata)) + b"".join(metadata) + infos
    put("gguf", "llama", head + b"\0" * (-len(head) % 32) + data)


def tokenizers():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

    def added(number, content):
        return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True}

    names = special + list(SIGNS) + ["##" + sign for sign in SIGNS if sign.isalnum()]
    wordpiece = {
        "version": "1.0", "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
                    "pad_token": "[PAD]"},
        "added_tokens": [added(at, content) for at, content in enumerate(special)],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                       "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": {name: at for at, name in enumerate(names)}},
    }
    put("tokenizer", "wordpiece", json.dumps(wordpiece))
    frame = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    template = {"type": "TemplateProcessing", "single": frame, "pair": [*frame, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    bpe = {
        **wordpiece, "truncation": None, "padding": None,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Lowercase"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\p{N}"}, "behavior": "Isolated", "invert": False}, byte_level]},
        "post_processor": template, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {name: at for at, name in enumerate([*special, *SIGNS, "it", "he"])}, "merges": [["i", "t"], ["h", "e"]]},
    }
    put("tokenizer", "bpe", json.dumps(bpe))
    unigram = {
        **wordpiece, "truncation": None, "padding": None, "normalizer": {"type": "Strip", "strip_left": True, "strip_right": True},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        "post_processor": {"type": "RobertaProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2], "trim_offsets": True,
                           "add_prefix_space": True},
        "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 1, "byte_fallback": False,
                  "vocab": [[name, -float(at % 7)] for at, name in enumerate([*special, *SIGNS, "\u2581it"])]},
    }
    put("tokenizer", "unigram", json.dumps(unigram))


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def block(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def sentencepiece():
    def piece(name, score, kind=1):
        return block(1, block(1, name.encode()) + varint(2 << 3 | 5) + floats(score) + varint(3 << 3) + varint(kind))

    # A table without a sequence: a double array of one unit.
    table = struct.pack("<II", 4, 0) + b"\0"
    for family, special in enumerate([["[PAD]", "[CLS]", "[SEP]", "[UNK]"], ["<unk>", "<s>", "</s>"]]):
        pieces = [piece(name, 0, 2 if "unk" in name.lower() else 3) for name in special]
        pieces += [piece(name, -float(at % 5)) for at, name in enumerate([*SIGNS, "\u2581", "\u2581it"])]
        if family == 0:
            pieces += [piece(f"<0x{byte:02X}>", -9.0, 6) for byte in range(256)]
        unknown = next(at for at, name in enumerate(special) if "unk" in name.lower())
        trainer = varint(3 << 3) + varint(1) + varint(40 << 3) + varint(unknown)
        trainer += varint(35 << 3) + varint(1 - family)
        normaliser = block(2, table) + varint(3 << 3) + varint(1) + varint(4 << 3) + varint(1)
        put("sentencepiece", ["deberta", "xlm-roberta"][family],
            bytes([family]) + b"".join(pieces) + block(2, trainer) + block(3, normaliser))


def main():
    for book in (ROOT / "configs/codebooks").glob("*.toml"):
        put("codebook", book.stem, book.read_bytes())
    for name in ["manifest", "decision"]:
        put(name, "study", (ROOT / f"models/study/{name}.json").read_bytes())
    for config in (ROOT / "tests/fixtures/parity").glob("*/config.json"):
        put("config", config.parent.name, config.read_bytes())
    tables()
    imports()
    weights()
    gguf()
    tokenizers()
    sentencepiece()


if __name__ == "__main__":
    main()
