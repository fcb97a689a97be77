"""Writes a Llama shape with random bf16 weights, as a Hugging Face folder and as a GGUF file of the same weights.

    env/bin/pip install numpy gguf
    env/bin/python scripts/bench/llama_shape.py OUT_FOLDER [--layers 22 --hidden 2048 --intermediate 5632 --heads 32 --kv-heads 4 --vocabulary 32000]

For measuring speed and memory at real sizes beside a peer; the defaults are a 1.1B Llama. The GGUF holds a
vocabulary of placeholders, enough to be loaded.
"""
import argparse
import json
import pathlib

import gguf
import numpy as np


def bf16(rng, shape):
    values = rng.standard_normal(shape, dtype=np.float32) * (0.02 if len(shape) == 2 else 0.1) + (0 if len(shape) == 2 else 1)
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def permuted(w, heads):
    """llama.cpp stores q and k with a head's rotary pairs side by side."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out", type=pathlib.Path)
    for name, value in (("layers", 22), ("hidden", 2048), ("intermediate", 5632), ("heads", 32), ("kv-heads", 4), ("vocabulary", 32000)):
        p.add_argument("--" + name, type=int, default=value)
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    kv = a.hidden // a.heads * a.kv_heads
    tensors = {"model.embed_tokens.weight": ("token_embd.weight", (a.vocabulary, a.hidden)), "model.norm.weight": ("output_norm.weight", (a.hidden,)),
               "lm_head.weight": ("output.weight", (a.vocabulary, a.hidden))}
    for i in range(a.layers):
        hf, gg = f"model.layers.{i}.", f"blk.{i}."
        for name, other, shape in (("input_layernorm", "attn_norm", (a.hidden,)), ("self_attn.q_proj", "attn_q", (a.hidden, a.hidden)),
                                   ("self_attn.k_proj", "attn_k", (kv, a.hidden)), ("self_attn.v_proj", "attn_v", (kv, a.hidden)),
                                   ("self_attn.o_proj", "attn_output", (a.hidden, a.hidden)), ("post_attention_layernorm", "ffn_norm", (a.hidden,)),
                                   ("mlp.gate_proj", "ffn_gate", (a.intermediate, a.hidden)), ("mlp.up_proj", "ffn_up", (a.intermediate, a.hidden)),
                                   ("mlp.down_proj", "ffn_down", (a.hidden, a.intermediate))):
            tensors[hf + name + ".weight"] = (gg + other + ".weight", shape)
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=a.hidden, intermediate_size=a.intermediate, num_hidden_layers=a.layers,
                  num_attention_heads=a.heads, num_key_value_heads=a.kv_heads, vocab_size=a.vocabulary, max_position_embeddings=2048, rms_norm_eps=1e-5,
                  rope_theta=10000.0, hidden_act="silu", tie_word_embeddings=False, torch_dtype="bfloat16", bos_token_id=1, eos_token_id=2)
    (a.out / "config.json").write_text(json.dumps(config, indent=1))
    header, offset = {}, 0
    for name, (_, shape) in tensors.items():
        size = int(np.prod(shape)) * 2
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    writer = gguf.GGUFWriter(str(a.out / "model.gguf"), "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(a.hidden)
    writer.add_block_count(a.layers)
    writer.add_feed_forward_length(a.intermediate)
    writer.add_head_count(a.heads)
    writer.add_head_count_kv(a.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(a.hidden // a.heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(a.vocabulary)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"<t{i}>" if i > 258 else (f"<0x{i - 3:02X}>" if i >= 3 else ["<unk>", "<s>", "</s>"][i]) for i in range(a.vocabulary)])
    writer.add_token_scores([-float(i) for i in range(a.vocabulary)])
    writer.add_token_types([6 if 3 <= i <= 258 else (3 if 0 < i < 3 else (2 if i == 0 else 1)) for i in range(a.vocabulary)])
    rng = np.random.default_rng(1)
    with open(a.out / "model.safetensors", "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name, (other, shape) in tensors.items():
            data = bf16(rng, shape)
            out.write(data.tobytes())
            if len(shape) == 1:
                writer.add_tensor(other, (data.astype(np.uint32) << 16).view(np.float32))
                continue
            if name.endswith("q_proj.weight") or name.endswith("k_proj.weight"):
                data = permuted(data, a.heads if "q_proj" in name else a.kv_heads)
            writer.add_tensor(other, np.ascontiguousarray(data).view(np.uint8).reshape(shape[0], shape[1] * 2), raw_shape=(shape[0], shape[1] * 2), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
