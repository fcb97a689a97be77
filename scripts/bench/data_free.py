"""What our recipes without calibration lose beside llama.cpp's types without an imatrix, on one model.

    scripts/bench/data_free.py build/release/bin/thimble LLAMA_BIN tests/data/fable --score SCORE.txt \\
        --pairs int8=Q8_0 int4=Q4_0 --context 512 --out docs/data_free.md

LLAMA_BIN is the folder of llama-quantize, which writes the type from the F32 GGUF of `thimble convert` and decodes it
to F32 again, so that `thimble eval` scores both: KL in nats against the float model, f32 arithmetic and cache. Ours is
a recipe of configs/recipes or a file. Bits are those of all tensors' payload over all parameters. --tensor-type is
handed to llama-quantize where a tensor's width doesn't take the type. The model's section of the page is replaced;
what stands from "## Reasons" on is kept.
Needs the standard library alone.
"""
import argparse
import pathlib
import tempfile

from pages import replace_section
from scoring import mean, measure_type, paired, parts_of, run, score

HEAD = """# Without calibration, beside llama.cpp

KL divergence from the float model in nats, in f32 arithmetic, of recipes that read no text beside llama.cpp's types
without an imatrix; `ratio` is ours over theirs with the 95 % interval of a paired bootstrap over 8 parts of the score
text. scripts/bench/data_free.py writes a model's section and says how.
"""
COLUMNS = ("| ours | bits | KL | theirs | bits | KL | ratio |\n"
           "|---|---:|---:|---|---:|---:|---:|\n")


def measure_peer(a, kind, folder, parts):
    options = ["--allow-requantize"] + [word for spec in a.tensor_type for word in ("--tensor-type", spec)]
    _, tensors, scores = measure_type(a.llama, options, kind, 2, a.thimble, a.model, folder, parts, a.context, a.windows)
    bits = 8 * sum(t.bytes for t in tensors) / sum(t.elements for t in tensors)
    return bits, [s["kl_weights"] for s in scores]


def measure_ours(a, recipe, changes, folder, parts):
    out = folder / "ours.thimble"
    sets = [word for change in changes for word in ("--set", change)]
    run(a.thimble, "compress", a.model, "-q", "-r", recipe, *sets, "-o", out, "--force")
    scores = score(a.thimble, out, a.model, parts, a.context, a.windows)
    return scores[0]["bits_per_weight"], [s["kl_weights"] for s in scores]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("thimble", type=pathlib.Path)
    p.add_argument("llama", type=pathlib.Path, help="the folder of llama.cpp's programs")
    p.add_argument("model", help="what `thimble convert` reads")
    p.add_argument("--score", type=pathlib.Path, required=True)
    p.add_argument("--pairs", nargs="+", default=["int8=Q8_0", "int4=Q4_0"], help="RECIPE[,PASS.OPTION=VALUE...]=TYPE")
    p.add_argument("--tensor-type", nargs="*", default=[], help="NAME=TYPE")
    p.add_argument("--context", type=int, default=512)
    p.add_argument("--windows", type=int, default=10, help="of each of the 8 parts, at most")
    p.add_argument("--title", help="of the section; the model's name unless given")
    p.add_argument("--out", type=pathlib.Path)
    a = p.parse_args()
    title = a.title or pathlib.Path(a.model).stem
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        parts = parts_of(a.score, 8, folder)
        run(a.thimble, "convert", a.model, folder / "float.gguf")
        for pair in a.pairs:
            name, _, kind = pair.rpartition("=")
            recipe, *changes = name.split(",")
            bits, ours = measure_ours(a, recipe, changes, folder, parts)
            peer_bits, theirs = measure_peer(a, kind, folder, parts)
            ratio, low, high = paired(ours, theirs)
            shown = " ".join([pathlib.Path(recipe).stem, *changes])
            lines.append(f"| {shown} | {bits:.3f} | {mean(ours):.5f} | {kind} | {peer_bits:.3f} | "
                         f"{mean(theirs):.5f} | {ratio:.2f} ({low:.2f} .. {high:.2f}) |\n")
            print(lines[-1], end="", flush=True)
    windows = f"Windows of {a.context}, at most {a.windows} of a part.\n\n"
    if a.out:
        replace_section(a.out, HEAD, title, windows + COLUMNS + "".join(lines))


if __name__ == "__main__":
    main()
