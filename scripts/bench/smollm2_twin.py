"""Makes a gridless twin of a Llama model: another model of the same function, whose weights lie on no grid.

    scripts/bench/smollm2_twin.py build/release/bin/thimble SmolLM2-135M-Instruct.Q4_1.gguf twin

Published weights that come quantized can be written again in their own grid without loss, which says nothing of a
method. Here each input column of every product is multiplied by a seeded factor in [0.7, 1.4] that is divided out
before it: in the norm's gain for q, k, v, gate and up; in v's rows for o, one factor for a channel of a KV head, which
the query heads of its group share; in up's rows for down. The tied embedding stays as it is. Weights are stored in f32,
as a folder of safetensors. The script ends with the largest difference of both models' logits on seeded tokens over the
logits' range, and fails when it is above 1e-4. Needs NumPy.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stderr}")


class Tensors:
    """The f32 tensors of a safetensors file, writable in place."""

    def __init__(self, path):
        with open(path, "rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            self.header = json.loads(file.read(size))
        self.bytes = np.memmap(path, mode="r+", offset=8 + size)

    def __getitem__(self, name):
        entry = self.header[name]
        if entry["dtype"] != "F32":
            raise SystemExit(f"{name} is {entry['dtype']}, not F32")
        begin, end = entry["data_offsets"]
        return self.bytes[begin:end].view(np.float32).reshape(entry["shape"])

    def scale(self, name, factors, axis):
        array = self[name]
        shape = [1] * array.ndim
        shape[axis] = -1
        array[...] = (array.astype(np.float64) * factors.reshape(shape)).astype(np.float32)


def scale_layer(tensors, layer, config, rng):
    def name(part):
        return f"model.layers.{layer}.{part}.weight"

    def factors(count):
        return np.exp(rng.uniform(np.log(0.7), np.log(1.4), count))

    hidden = config["hidden_size"]
    for norm, readers in (("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
                          ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj"))):
        f = factors(hidden)
        tensors.scale(name(norm), 1 / f, 0)
        for reader in readers:
            tensors.scale(name(reader), f, 1)
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    dim = tensors[name("self_attn.v_proj")].shape[0] // kv_heads
    f = factors(kv_heads * dim)
    tensors.scale(name("self_attn.v_proj"), 1 / f, 0)
    tensors.scale(name("self_attn.o_proj"), np.repeat(f.reshape(kv_heads, 1, dim), heads // kv_heads, 1).ravel(), 1)
    f = factors(config["intermediate_size"])
    tensors.scale(name("mlp.up_proj"), 1 / f, 0)
    tensors.scale(name("mlp.down_proj"), f, 1)


def logits(thimble, model, tokens, folder):
    positions = np.arange(tokens.shape[1], dtype=np.int64)
    np.savez(folder / "in.npz", input_ids=tokens, position_ids=positions[None], logit_positions=positions)
    run(thimble, "run", model, "-q", "--inputs", folder / "in.npz", "--outputs", folder / "out.npz")
    return np.load(folder / "out.npz")["logits"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("thimble", type=pathlib.Path)
    p.add_argument("model")
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--tokens", type=int, default=256, help="to compare logits on")
    a = p.parse_args()
    run(a.thimble, "convert", a.model, a.out, "-q", "--to", "safetensors", "--type", "f32")
    config = json.loads((a.out / "config.json").read_text())
    tensors = Tensors(a.out / "model.safetensors")
    rng = np.random.default_rng(a.seed)
    for layer in range(config["num_hidden_layers"]):
        scale_layer(tensors, layer, config, rng)
    tensors.bytes.flush()
    tokens = rng.integers(0, config["vocab_size"], (1, a.tokens), dtype=np.int64)
    with tempfile.TemporaryDirectory() as folder:
        want, got = (logits(a.thimble, model, tokens, pathlib.Path(folder)) for model in (a.model, a.out))
    error = np.abs(want - got).max() / (want.max() - want.min())
    print(f"largest difference of the logits: {error:.2e} of their range")
    if not error <= 1e-4:
        sys.exit("the twin is not the same model")


if __name__ == "__main__":
    main()
