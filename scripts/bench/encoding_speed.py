"""Decode and prefill per encoding beside llama.cpp's type of nearest size, on a Llama shape of 1.1B parameters.

    scripts/bench/encoding_speed.py build/release/bin/thimble LLAMA_BIN WORK --markdown docs/speed.md

Needs numpy and gguf. LLAMA_BIN is the folder of llama-quantize and llama-bench. In WORK, llama_shape.py writes the
model with random weights: as a Hugging Face folder, which `thimble compress` brings into each encoding (embedding and
head included), and with one block as GGUF, which `llama-quantize --pure` brings into each type; the block is then
repeated to the same depth, since the slow types take minutes a gigabyte and speed doesn't depend on the weights.
Types that ask for an imatrix get one of ones. Rounds are interleaved, ours then theirs, on the same cores; a round is
one run of `bench` and of `llama-bench`, and the ratio is ours over theirs in the median of rounds. Also measured:
what memory gives to reading alone (bandwidth), and the share of it that the decode of our weights reaches.
What stands in the page from "## Reasons" on is kept.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

import gguf
import numpy as np

# Our encoding, its options, and the type of nearest size.
PAIRS = (
    ("8 bits, g32", "bits: 8, group_size: 32", "Q8_0"),
    ("6 bits, g32", "bits: 6, group_size: 32", "Q6_K"),
    ("5 bits, g32, zero points", "bits: 5, group_size: 32, symmetric: false", "Q5_1"),
    ("5 bits, g32", "bits: 5, group_size: 32", "Q5_K"),
    ("5 bits, g32", "bits: 5, group_size: 32", "Q5_0"),
    ("4 bits, g32, zero points", "bits: 4, group_size: 32, symmetric: false", "Q4_1"),
    ("4 bits, g32", "bits: 4, group_size: 32", "Q4_0"),
    ("4 bits, g32", "bits: 4, group_size: 32", "Q4_K"),
    ("IQ4_NL's levels, g32", "bits: 4, codes: iq4_nl, group_size: 32", "IQ4_NL"),
    ("fitted levels, g32, 8-bit scales", "bits: 4, codes: fitted, group_size: 32, sub_scale_bits: 8", "IQ4_XS"),
    ("3 bits, g32", "bits: 3, group_size: 32", "Q3_K"),
    ("3 bits, g32, 8-bit scales", "bits: 3, group_size: 32, sub_scale_bits: 8", "IQ3_S"),
    ("3 bits, g256", "bits: 3, group_size: 256", "IQ3_XXS"),
    ("2 bits, g32, zero points", "bits: 2, group_size: 32, symmetric: false", "Q2_K"),
    ("2 bits, g32", "bits: 2, group_size: 32", "IQ2_S"),
    ("2 bits, g64", "bits: 2, group_size: 64", "IQ2_XS"),
    ("ternary, g256", "bits: 2, codes: ternary, group_size: 256", "TQ2_0"),
)
HEAD = "| ours | bits | theirs | bits | prefill/s | theirs | ratio | decode/s | theirs | ratio | of bandwidth |\n" \
       "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stderr}")
    return done.stdout


def bandwidth(threads):
    """GB/s of summing arrays that no cache holds, one per thread: the best of five."""
    arrays = [np.ones(1 << 27, np.int64) for _ in range(threads)]
    best = 0.0
    for _ in range(5):
        workers = [threading.Thread(target=np.bitwise_or.reduce, args=(x,)) for x in arrays]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, threads * arrays[0].nbytes / (time.perf_counter() - start))
    return best / 1e9


def write_imatrix(model, out):
    """An imatrix of ones, in llama-imatrix's GGUF form."""
    writer = gguf.GGUFWriter(str(out), "")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["ones"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 512)
    for tensor in gguf.GGUFReader(str(model)).tensors:
        if len(tensor.shape) == 2:
            writer.add_tensor(tensor.name + ".in_sum2", np.ones((1, int(tensor.shape[0])), np.float32))
            writer.add_tensor(tensor.name + ".counts", np.ones((1, 1), np.float32))
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def repeat_block(source, out, depth):
    """The model of one block with that block `depth` times over."""
    reader = gguf.GGUFReader(str(source))
    writer = gguf.GGUFWriter(str(out), "llama")
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        if name == "llama.block_count":
            writer.add_block_count(depth)
        else:
            writer.add_key_value(name, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        block = tensor.name.startswith("blk.0.")
        for i in range(depth if block else 1):
            name = tensor.name.replace("blk.0.", f"blk.{i}.", 1) if block else tensor.name
            writer.add_tensor(name, tensor.data, raw_dtype=tensor.tensor_type)
    finish(writer)


def bits_of_gguf(path):
    tensors = [t for t in gguf.GGUFReader(str(path)).tensors if len(t.shape) == 2]
    return 8 * sum(t.n_bytes for t in tensors) / sum(t.n_elements for t in tensors)


class Bench:
    def __init__(self, a):
        self.a = a
        self.cores = sorted(os.sched_getaffinity(0))[:a.threads]
        shape = pathlib.Path(__file__).with_name("llama_shape.py")
        if not (a.work / "full").exists():
            run(sys.executable, shape, a.work / "full", "--layers", a.layers)
        if not (a.work / "block").exists():
            run(sys.executable, shape, a.work / "block", "--layers", 1)
        write_imatrix(a.work / "block" / "model.gguf", a.work / "ones.gguf")

    def ours(self, options):
        recipe, out = self.a.work / "recipe.yaml", self.a.work / "ours.thimble"
        recipe.write_text("version: 1\npasses:\n  - quantize-weights: {" + options + ", search: absmax}\n")
        run(self.a.thimble, "compress", self.a.work / "full", "-r", recipe, "-o", out, "--force", "-q")
        report = json.loads(run(self.a.thimble, "inspect", out, "--json"))
        return out, report["bits_per_weight"]

    def theirs(self, kind):
        block, out = self.a.work / "block.gguf", self.a.work / "theirs.gguf"
        run(self.a.llama / "llama-quantize", "--pure", "--imatrix", self.a.work / "ones.gguf",
            self.a.work / "block" / "model.gguf", block, kind, 2)
        repeat_block(block, out, self.a.layers)
        return out, bits_of_gguf(out)

    def round(self, ours, theirs):
        pinned = ["taskset", "-c", ",".join(map(str, self.cores))]
        mine = json.loads(run(*pinned, self.a.thimble, "bench", ours, "--threads", self.a.threads, "--prompt", 128,
                              "--tokens", 32, "--repeat", 1, "--json"))
        other = json.loads(run(*pinned, self.a.llama / "llama-bench", "-m", theirs, "-t", self.a.threads, "-p", 128,
                               "-n", 32, "-r", 1, "-o", "json"))
        prefill = next(x["avg_ts"] for x in other if x["n_prompt"])
        decode = next(x["avg_ts"] for x in other if x["n_gen"])
        return (mine["prefill_tokens_per_second"], prefill, mine["decode_tokens_per_second"], decode,
                mine["memory"]["weights"])

    def row(self, name, options, kind, reads):
        ours, bits = self.ours(options)
        theirs, their_bits = self.theirs(kind)
        rounds = [self.round(ours, theirs) for _ in range(self.a.rounds)]
        p, q, d, e, weights = (statistics.median(r[i] for r in rounds) for i in range(5))
        prefill = statistics.median(r[0] / r[1] for r in rounds)
        decode = statistics.median(r[2] / r[3] for r in rounds)
        share = d * weights / 1e9 / reads
        return f"| {name} | {bits:.2f} | {kind} | {their_bits:.2f} | {p:.0f} | {q:.0f} | {prefill:.2f} | {d:.1f} | {e:.1f} | " \
               f"{decode:.2f} | {100 * share:.0f} % |\n"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("thimble", type=pathlib.Path)
    p.add_argument("llama", type=pathlib.Path)
    p.add_argument("work", type=pathlib.Path)
    p.add_argument("--markdown", type=pathlib.Path)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--layers", type=int, default=22)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--types", nargs="*")
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    bench, reads = Bench(a), bandwidth(a.threads)
    table = HEAD
    for name, options, kind in PAIRS:
        if not a.types or kind in a.types:
            table += bench.row(name, options, kind, reads)
            print(table.splitlines()[-1], flush=True)
    if a.markdown:
        kept = a.markdown.read_text() if a.markdown.exists() else ""
        reasons = kept[kept.find("## Reasons"):] if "## Reasons" in kept else "## Reasons\n"
        cpu = next(l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))
        a.markdown.write_text(
            f"# Decode and prefill per encoding\n\nWritten by `scripts/bench/encoding_speed.py`, which says what is "
            f"compared: {cpu}, {a.threads} thread(s), a Llama of 1.1B parameters, prefill of 128 tokens, decode after "
            f"it.\nReading memory alone gives {reads:.1f} GB/s here; `of bandwidth` is the share that decode reaches.\n\n"
            f"{table}\n{reasons}")


if __name__ == "__main__":
    main()
