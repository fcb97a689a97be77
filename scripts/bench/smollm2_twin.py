"""Makes a gridless twin of a Llama model: another model of the same function, whose weights lie on no grid.

    scripts/bench/smollm2_twin.py build/release/bin/thimble SmolLM2-135M-Instruct.Q4_1.gguf twin.gguf \\
        --decode LLAMA_BIN/llama-quantize

Published weights that come quantized can be written again in their own grid without loss, which says nothing of a
method. Here each input column of every product is multiplied by a seeded factor in [0.7, 1.4] that is divided out
before it: in the norm's gain for q, k, v, gate and up; in v's rows for o, one factor for a channel of a KV head, which
the query heads of its group share; in up's rows for down. The tied embedding stays as it is. Weights are stored in f32,
as GGUF, which carries the tokenizer too. The script ends with the largest difference of both models' logits on seeded tokens over the
logits' range, and fails when it is above 1e-4. Needs NumPy.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import gguf_file
import numpy as np


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stderr}")


class Tensors:
    """The f32 tensors of a GGUF file, writable in place."""

    def __init__(self, path):
        self.metadata, self.tensors = gguf_file.read(path)
        self.bytes = np.memmap(path, mode="r+")

    def __getitem__(self, name):
        tensor = self.tensors[name]
        if tensor.kind != "F32":
            raise SystemExit(f"{name} is {tensor.kind}, not F32")
        return self.bytes[tensor.offset:tensor.offset + tensor.bytes].view(np.float32).reshape(tensor.dims)

    def scale(self, name, factors, axis):
        array = self[name]
        shape = [1] * array.ndim
        shape[axis] = -1
        array[...] = (array.astype(np.float64) * factors.reshape(shape)).astype(np.float32)


def scale_layer(tensors, layer, rng):
    def name(part):
        return f"blk.{layer}.{part}.weight"

    def factors(count):
        return np.exp(rng.uniform(np.log(0.7), np.log(1.4), count))

    for norm, readers in (("attn_norm", ("attn_q", "attn_k", "attn_v")), ("ffn_norm", ("ffn_gate", "ffn_up"))):
        f = factors(tensors[name(norm)].size)
        tensors.scale(name(norm), 1 / f, 0)
        for reader in readers:
            tensors.scale(name(reader), f, 1)
    heads = tensors.metadata["llama.attention.head_count"]
    kv_heads = tensors.metadata["llama.attention.head_count_kv"]
    dim = tensors[name("attn_v")].shape[0] // kv_heads
    f = factors(kv_heads * dim)
    tensors.scale(name("attn_v"), 1 / f, 0)
    tensors.scale(name("attn_output"), np.repeat(f.reshape(kv_heads, 1, dim), heads // kv_heads, 1).ravel(), 1)
    f = factors(tensors[name("ffn_up")].shape[0])
    tensors.scale(name("ffn_up"), 1 / f, 0)
    tensors.scale(name("ffn_down"), f, 1)


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
    p.add_argument("--decode", type=pathlib.Path, help="llama-quantize, to decode a model that comes quantized")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--tokens", type=int, default=256, help="to compare logits on")
    a = p.parse_args()
    a.thimble = a.thimble.resolve()
    if a.decode:
        run(a.decode.resolve(), "--allow-requantize", a.model, a.out, "F32")
    else:
        run(a.thimble, "convert", a.model, a.out, "-q", "--to", "gguf", "--type", "f32")
    tensors = Tensors(a.out)
    rng = np.random.default_rng(a.seed)
    for layer in range(tensors.metadata["llama.block_count"]):
        scale_layer(tensors, layer, rng)
    tensors.bytes.flush()
    tokens = rng.integers(0, tensors["token_embd.weight"].shape[0], (1, a.tokens), dtype=np.int64)
    with tempfile.TemporaryDirectory() as folder:
        want, got = (logits(a.thimble, model, tokens, pathlib.Path(folder)) for model in (a.model, a.out))
    error = np.abs(want - got).max() / (want.max() - want.min())
    print(f"largest difference of the logits: {error:.2e} of their range")
    if not error <= 1e-4:
        sys.exit("the twin is not the same model")


if __name__ == "__main__":
    main()
