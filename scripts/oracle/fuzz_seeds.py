"""Inputs for the fuzzers that reach what small test models don't: every block type and key of GGUF, every part of a
tokenizer.json, vocab.json with what lies beside it, and the tables that a .thimble file holds a tokenizer in.

    scripts/oracle/fuzz_seeds.py tests/fuzz/corpus

Needs numpy and gguf. The files that it writes are checked in.
"""
import json
import pathlib
import struct
import sys

import gguf
import numpy as np

ROWS = 32  # of each weight
BLOCKS = "F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL TQ2_0 MXFP4".split()


def base(path, arch, tokenizer=None):
    w = gguf.GGUFWriter(path, arch)
    w.add_embedding_length(32)
    w.add_block_count(1)
    w.add_feed_forward_length(32)
    w.add_head_count(2)
    w.add_head_count_kv(1)
    w.add_context_length(64)
    w.add_layer_norm_rms_eps(1e-5)
    if tokenizer:
        tokenizer(w)
    return w


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def layer(w, extra=(), qkv=False):
    ones, square = np.ones(32, np.float32), np.zeros((32, 32), np.float32)
    w.add_tensor("token_embd.weight", np.zeros((ROWS, 32), np.float32))
    w.add_tensor("output_norm.weight", ones)
    names = ["attn_norm", "attn_output", "ffn_norm", "ffn_down", *extra]
    names += ["attn_qkv", "ffn_up"] if qkv else ["attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"]
    sizes = {"attn_k": (16, 32), "attn_v": (16, 32), "attn_qkv": (64, 32)}
    if qkv:
        sizes["ffn_up"] = (64, 32)
    for name in names:
        one = name.endswith("norm")
        value = np.ones(16 if name in ("attn_q_norm", "attn_k_norm") else 32, np.float32) if one else \
            np.zeros(sizes.get(name, (32, 32)), np.float32)
        w.add_tensor(f"blk.0.{name}.weight", value if one or name in sizes else square)


def byte_level(pre):
    def add(w):
        tokens = ["<s>", "</s>", "a", "b", "ab", "\u0120", "\u0120a"] + [f"t{i}" for i in range(ROWS - 9)] + ["<x>", "un"]
        types = [3, 3] + [1] * (ROWS - 4) + [4, 5]
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre(pre)
        w.add_token_list(tokens)
        w.add_token_types(types)
        w.add_token_merges(["a b", "\u0120 a"])
        w.add_bos_token_id(0)
        w.add_eos_token_id(1)
        w.add_pad_token_id(1)
        w.add_add_bos_token(True)
        w.add_add_eos_token(True)
    return add


def gpt2(path):
    w = gguf.GGUFWriter(path, "gpt2")
    w.add_embedding_length(32)
    w.add_block_count(1)
    w.add_feed_forward_length(64)
    w.add_head_count(2)
    w.add_context_length(16)
    w.add_layer_norm_eps(1e-5)
    byte_level("gpt-2")(w)
    w.add_tensor("token_embd.weight", np.zeros((ROWS, 32), np.float32))
    w.add_tensor("position_embd.weight", np.zeros((16, 32), np.float32))
    parts = {"attn_norm": (32,), "attn_qkv": (96, 32), "attn_output": (32, 32), "ffn_norm": (32,),
             "ffn_up": (64, 32), "ffn_down": (32, 64)}
    for name, dims in {"output_norm": (32,), **{f"blk.0.{part}": dims for part, dims in parts.items()}}.items():
        w.add_tensor(f"{name}.weight", np.ones(dims, np.float32))
        w.add_tensor(f"{name}.bias", np.zeros(dims[:1], np.float32))
    finish(w)


def gguf_seeds(folder):
    rng = np.random.default_rng(7)
    w = base(folder / "all_blocks", "llama")
    for name in BLOCKS:
        kind = getattr(gguf.GGMLQuantizationType, name)
        size, length = gguf.GGML_QUANT_SIZES[kind]
        raw = rng.integers(0, 60, (2, 256 // size * length), np.uint8)
        w.add_tensor(f"block.{name}", raw, raw_dtype=kind)
    for value, add in ((7, w.add_uint16), (7, w.add_int16), (7, w.add_uint64), (7, w.add_int64), (7.0, w.add_float64)):
        add(f"x.{add.__name__}", value)
    w.add_array("x.list", [1, 2])
    finish(w)
    for pre in ("smollm", "llama-bpe", "qwen2", "gpt-2", "unknown"):
        w = base(folder / f"vocabulary_{pre}", "llama", byte_level(pre))
        layer(w)
        finish(w)
    w = base(folder / "phi3_longrope", "phi3", byte_level("gpt-2"))
    w.add_rope_dimension_count(8)
    w.add_rope_scaling_orig_ctx_len(32)
    w.add_sliding_window(16)
    layer(w, qkv=True)
    for name in ("rope_factors_short.weight", "rope_factors_long.weight"):
        w.add_tensor(name, np.ones(4, np.float32))
    finish(w)
    for arch, norms in (("gemma2", ()), ("gemma3", ("attn_q_norm", "attn_k_norm"))):
        w = base(folder / arch, arch, byte_level("default"))
        w.add_key_length(16)
        w.add_value_length(16)
        w.add_sliding_window(16)
        w.add_attn_logit_softcapping(50.0)
        w.add_final_logit_softcapping(30.0)
        layer(w, ("post_attention_norm", "post_ffw_norm", *norms))
        finish(w)
    gpt2(folder / "gpt2")
    w = base(folder / "lists_per_layer", "llama")
    w.add_array("llama.attention.sliding_window", [8])
    w.add_string("llama.rope.scaling.type", "linear")
    w.add_uint32("llama.rope.scaling.factor", 2)
    w.add_tensor("rope_freqs.weight", np.ones(8, np.float32))
    layer(w)
    finish(w)


def tokenizer_json_seeds(folder):
    def seed(name, model, **parts):
        text = {"added_tokens": parts.pop("added", []), "model": model, **parts}
        (folder / name).write_text(json.dumps(text))

    bpe = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<s>": 3}, "merges": ["a b"]}
    added = [{"id": 3, "content": "<s>", "special": True}]
    steps = ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "BertNormalizer")
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "_"}
    seed("every_normalizer.json", bpe, added=added, normalizer={
        "type": "Sequence", "normalizers": [{"type": s} for s in steps] + [{"type": "Prepend", "prepend": "_"}, replace]})
    seed("replace_pattern.json", bpe, normalizer={"type": "Replace", "pattern": {"Regex": " +"}, "content": " "})
    for name, regex in (("white", r"\s+"), ("spaces", " {2,}"), ("class", r"[,\p{N}]|$"), ("boundary", r"\b")):
        seed(f"replace_{name}.json", bpe, normalizer={"type": "Replace", "pattern": {"Regex": regex}, "content": "_"})
    seed("no_normalizer.json", bpe, normalizer={"type": "Unknown"})
    splits = [{"type": t} for t in ("Digits", "Whitespace", "WhitespaceSplit", "Punctuation", "BertPreTokenizer")]
    for i, behavior in enumerate(("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous", "Other")):
        pattern = {"String": "-"} if i % 2 else {"Regex": "[0-9]+"}
        seed(f"split_{behavior}.json", bpe, pre_tokenizer={"type": "Sequence", "pretokenizers": splits + [
            {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": i == 2}]})
    seed("no_pre_tokenizer.json", bpe, pre_tokenizer={"type": "Unknown"})
    seed("metaspace.json", bpe, pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"})
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "ab"}}]
    seed("template.json", bpe, added=added, post_processor={"type": "TemplateProcessing", "single": single})
    seed("template_unknown.json", bpe, post_processor={
        "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "none"}}]})
    seed("no_post_processor.json", bpe, post_processor={"type": "Unknown"})
    seed("bert_processor.json", bpe, added=added, post_processor={
        "type": "BertProcessing", "sep": ["<s>", 3], "cls": ["none", 9]})
    seed("merge_pairs.json", {**bpe, "merges": [["a", "b"]]}, decoder={"type": "ByteFallback"})
    seed("merge_of_one.json", {**bpe, "merges": ["ab"]})
    seed("merge_of_three.json", {**bpe, "merges": [["a", "b", "c"]]})
    seed("prefix.json", {**bpe, "continuing_subword_prefix": "##"})
    seed("no_merges.json", {"type": "BPE", "vocab": {"a": 0}})
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "b", "eos_token": {"content": "<s>"}, "unk_token": "none", "pad_token": None}))


def vocab_merges_seeds(folder):
    folder.mkdir(exist_ok=True)
    spelled = ["a", "b", "ab", "\u0120", "\u0120a", "<s>", "</s>", "<unk>", "<pad>", "<mask>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(spelled)}
    merges = "#version: 0.2\na b\r\n\u0120 a\n"
    decoder = {"11": {"content": "<x>", "special": True}, "12": {"content": "upon", "lstrip": True}, "no": 1}
    cases = {
        "gpt2": ({"add_bos_token": True, "add_prefix_space": True}, {"bos_token": {"content": "<s>"}}, {"<x>": 11}, "GPT2LMHeadModel"),
        "roberta": ({"tokenizer_class": "RobertaTokenizerFast"}, {"additional_special_tokens": ["<y>"]}, {"<y>": 11}, ""),
        "qwen2": ({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": decoder}, {}, {}, "Qwen2ForCausalLM"),
        "types": ({"added_tokens_decoder": 1, "additional_special_tokens": {}}, {"bos_token": [1], "eos_token": None}, {"": {}}, "GPT2"),
        "unknown": ({"tokenizer_class": "CLIPTokenizer"}, {}, {}, ""),
    }
    for name, (config, special, added, architecture) in cases.items():
        parts = (json.dumps(vocabulary), merges, json.dumps(config), json.dumps(special), json.dumps(added), architecture)
        (folder / name).write_bytes(b"".join(part.encode() + b"\0" for part in parts))


def tokenizer_seeds(folder):
    def text(value):
        return struct.pack("<I", len(value)) + value

    def items(values):
        return struct.pack("<I", len(values)) + b"".join(values)

    def tables(algorithm, normalizers, splits, decoders, added=(), prefix=b"##"):
        pieces = [b"<unk>", b"a", b"b", b"ab", b"##b", b" ", "\u2581".encode(), "\u2581a".encode()] + \
            [f"<0x{i:02X}>".encode() for i in range(16)]
        kinds = [4] + [0] * 7 + [3] * 16
        tokens = [text(p) + struct.pack("<fB", -i, k) for i, (p, k) in enumerate(zip(pieces, kinds))]
        return struct.pack("<4sIB", b"TTOK", 1, algorithm) + items(tokens) + items([struct.pack("<3i", 1, 2, 3)]) + \
            items([struct.pack("<i", i) + text(t) + bytes([1, 0, 1, 1, 0]) for i, t in added]) + \
            items([bytes([n]) + text(b"a") + text(b"b") for n in normalizers]) + \
            items([bytes([s]) + text(b"always") for s in splits]) + items([bytes([d]) for d in decoders]) + \
            bytes([algorithm == 0, algorithm < 2, 0]) + items([struct.pack("<i", 1)]) + items([]) + \
            struct.pack("<4i", 1, -1, 0, -1) + text(prefix) + struct.pack("<q", 100) + text(b"")

    folder.mkdir(exist_ok=True)
    (folder / "ranks").write_bytes(tables(0, [0, 4], [3, 0], [0], [(0, b"<unk>")]))
    (folder / "scores").write_bytes(tables(1, [6, 7], [], [4, 1, 3]))
    (folder / "unigram").write_bytes(tables(2, [2, 11, 12], [7], [1, 3]))
    (folder / "wordpiece").write_bytes(tables(3, [9, 10, 1, 5, 4], [6], [2]))
    (folder / "splits").write_bytes(tables(0, [*range(15), 17, 18], [*range(11), 13], range(5)))


def main():
    corpus = pathlib.Path(sys.argv[1])
    gguf_seeds(corpus / "gguf")
    tokenizer_json_seeds(corpus / "tokenizer_json")
    (corpus / "tokenizer_model" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nonce\n##s\r\n")
    vocab_merges_seeds(corpus / "vocab_merges")
    tokenizer_seeds(corpus / "tokenizer")


if __name__ == "__main__":
    main()
