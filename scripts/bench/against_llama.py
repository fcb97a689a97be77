"""What our budgeted recipe loses beside llama.cpp's types with its imatrix, at equal payload.

    scripts/bench/against_llama.py build/release/bin/thimble LLAMA_BIN tests/data/fable \\
        --calibrate tests/data/fable/calibrate.txt --tune tests/data/fable/tune.txt \\
        --score tests/data/fable/score.txt --context 256 --out docs/against_llama.md

LLAMA_BIN is the folder of llama-imatrix and llama-quantize. The model is written once as F32 GGUF; llama-imatrix
reads the calibration text, llama-quantize writes each type with it, and the file is decoded to F32 GGUF by
llama-quantize itself, so that `thimble eval` scores every file: KL in nats against the float model, f32 arithmetic
and cache. A peer's payload is its tensors' bytes, without header and tokenizer; ours is all segments' but the
tokenizer's. Our recipe (--recipe, or the one below) gets the peer's payload as `--bits-per-weight`, and one file
serves peers of the same size; all of them share one set of measurements. Types of which tensors fell back to another
type are marked. Intervals are paired bootstraps over parts of the score text. Results are kept in --cache as they come.
Needs the standard library alone.
"""
import argparse
import json
import pathlib
import statistics
import tempfile

from pages import replace_section
from scoring import mean, measure_type, paired, parts_of, run, score

TYPES = ("Q2_K_S Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ2_XXS IQ2_XS IQ2_S IQ2_M IQ3_XXS IQ3_XS "
         "IQ3_S IQ3_M IQ4_XS IQ4_NL Q4_0 Q4_1 Q5_0 Q5_1 Q8_0").split()

HEAD = """# Beside llama.cpp's types

KL divergence from the float model in nats, in f32 arithmetic, of llama.cpp's types with its imatrix and of our
budgeted recipe (GPTQ, bits, groups, scales and levels by budget, embedding included) at the same payload, with the
95 % interval of a paired bootstrap over parts of the score text. scripts/bench/against_llama.py writes a model's section
and says how.
"""
RECIPE = """version: 1
seed: 7
calibrate: {tokens: TOKENS, context: CONTEXT}
tune: {tokens: TUNE, context: CONTEXT}
passes:
  - fold-constants
  - gptq: {bits: auto, group_size: auto, symmetric: auto, sub_scale_bits: auto, codes: auto, activations: float,
           only: {role: [attention, mlp]}}
  - quantize-weights: {bits: auto, group_size: auto, symmetric: auto, sub_scale_bits: auto, codes: auto,
                       importance: true, activations: float, only: {role: [embedding, lm_head]}}
  - remove-dead-code
budget: {bits_per_weight: 4, sensitivity: SENSITIVITY}
cache: f32
"""


def measure_peer(a, kind, folder, parts, reference):
    imatrix = [] if kind.startswith(("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")) and a.plain_legacy \
        else ["--imatrix", folder / "imatrix.gguf"]
    log, tensors, scores = measure_type(a.llama, imatrix, kind, a.threads, a.thimble, reference, folder, parts, a.context,
                                        a.windows)
    types = {}
    for tensor in tensors:
        types[tensor.kind] = types.get(tensor.kind, 0) + tensor.bytes
    return {"kl": [s["kl_mean"] for s in scores], "bytes": sum(t.bytes for t in tensors), "types": types,
            "parameters": sum(t.elements for t in tensors), "fell_back": "fallback" in log.lower()}


def measure_ours(a, bits, folder, parts, reference):
    out, path = folder / "ours.thimble", folder / "recipe.yaml"
    text = a.recipe.read_text() if a.recipe else RECIPE
    for word, value in (("TOKENS", a.tokens), ("TUNE", a.tune_tokens), ("CONTEXT", a.context),
                        ("SENSITIVITY", a.sensitivity)):
        text = text.replace(word, str(value))
    path.write_text(text)
    run(a.thimble, "compress", reference, "-q", "-r", path, "-o", out, "--bits-per-weight", f"{bits:.6f}",
        "--calibrate", a.calibrate, "--tune", a.tune, "--threads", a.threads, "--measurements", folder / "measurements")
    scores = score(a.thimble, out, reference, parts, a.context, a.windows)
    out.unlink()
    return {"kl": [s["kl_mean"] for s in scores], "bits": scores[0]["bits_per_weight"]}


def table(results, types):
    ratios, lines = [], ["| type | payload, MB | bits | KL | ours, bits | ours, KL | ours / theirs |",
                         "|---|---:|---:|---:|---:|---:|---:|"]
    peers = [(kind, results[kind]) for kind in types if "kl" in results.get(kind, {})]
    for kind, peer in sorted(peers, key=lambda item: item[1]["bytes"]):
        bits = 8 * peer["bytes"] / peer["parameters"]
        ours = results.get(f"ours {bits:.4f}")
        mark = " (fell back)" if peer["fell_back"] else ""
        line = f"| {kind}{mark} | {peer['bytes'] / 1e6:.3f} | {bits:.3f} | {mean(peer['kl']):.5f} |"
        if ours is None:
            lines.append(line + " - | - | - |")
            continue
        value, low, high = paired(ours["kl"], peer["kl"])
        ratios.append(value)
        lines.append(line + f" {ours['bits']:.3f} | {mean(ours['kl']):.5f} | {value:.2f} ({low:.2f} .. {high:.2f}) |")
    if ratios:
        lines.append(f"\nOurs over theirs: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} "
                     f"to {max(ratios):.2f}, of {len(ratios)} types.")
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("thimble", type=pathlib.Path)
    p.add_argument("llama", type=pathlib.Path, help="the folder of llama.cpp's programs")
    p.add_argument("model", help="what `thimble convert` reads")
    p.add_argument("--calibrate", type=pathlib.Path, required=True)
    p.add_argument("--tune", type=pathlib.Path, required=True)
    p.add_argument("--score", type=pathlib.Path, required=True)
    p.add_argument("--recipe", type=pathlib.Path, help="with TOKENS, TUNE, CONTEXT and SENSITIVITY to be filled in")
    p.add_argument("--types", nargs="+", default=TYPES)
    p.add_argument("--plain-legacy", action="store_true", help="no imatrix for Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0")
    p.add_argument("--tokens", type=int, default=16384, help="of our calibration; llama-imatrix reads the whole text")
    p.add_argument("--tune-tokens", type=int, default=4096)
    p.add_argument("--sensitivity", choices=("layer", "kl"), default="layer", help="of our budgets")
    p.add_argument("--context", type=int, default=512)
    p.add_argument("--chunks", type=int, default=-1, help="of the calibration text for llama-imatrix; -1: all")
    p.add_argument("--parts", type=int, default=8)
    p.add_argument("--windows", type=int, default=4, help="of each part, at most")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("against_llama.json"))
    p.add_argument("--title", help="of the section; the model's name unless given")
    p.add_argument("--out", type=pathlib.Path, help="the page whose section of this model is replaced")
    a = p.parse_args()
    a.thimble = a.thimble.resolve()
    results = json.loads(a.cache.read_text()) if a.cache.exists() else {}

    def known(key, make):
        if key not in results:
            results[key] = make()
            a.cache.write_text(json.dumps(results, indent=1))
        return results[key]

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        reference = a.model
        parts = parts_of(a.score, a.parts, folder)
        if any(kind not in results for kind in a.types):
            run(a.thimble, "convert", reference, folder / "float.gguf")
            run(a.llama / "llama-imatrix", "-m", folder / "float.gguf", "-f", a.calibrate, "-c", a.context, "-t",
                a.threads, "--chunks", a.chunks, "-o", folder / "imatrix.gguf")
        for kind in a.types:
            peer = known(kind, lambda: measure_peer(a, kind, folder, parts, reference))
            bits = 8 * peer["bytes"] / peer["parameters"]
            known(f"ours {bits:.4f}", lambda: measure_ours(a, bits, folder, parts, reference))
            print(table(results, [kind]).splitlines()[2], flush=True)
    text = (f"Windows of {a.context}, at most {a.windows} of each of {a.parts} parts. Both calibrate on the same text (ours on\n"
            f"{a.tokens} tokens of it); `sensitivity: {a.sensitivity}`.\n\n" + table(results, a.types))
    print(text)
    if a.out:
        replace_section(a.out, HEAD, a.title or pathlib.Path(a.model).stem, text)


if __name__ == "__main__":
    main()
