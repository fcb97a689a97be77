"""Our importance matrices beside llama.cpp's: the same text, the same windows, read with PyPI's gguf.

    pip install gguf numpy
    python imatrix.py build/release/bin/thimble LLAMA_BIN_FOLDER tests/data/fable tests/data/fable/calibrate.txt

Writes the model as an f32 GGUF, gathers its importance matrix with `thimble imatrix` and with `llama-imatrix`, and
prints, for each weight that both know, the tokens that each counted and how far the means of squares lie apart:
|ours - theirs| over theirs, the largest input. Fails when a weight of ours is missing there, when counts differ, or
when means differ by more than --limit. llama.cpp computes with f16 caches and sums in f32, so some 1e-4 are its own
(fable, 16 windows of 256: 4e-4).
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGUFReader


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")


def matrix_of(path):
    """{weight: (means of squares [inputs], tokens)} of an importance matrix in GGUF."""
    reader = GGUFReader(path)
    kind = reader.get_field("general.type")
    assert kind is not None and bytes(kind.parts[kind.data[0]]) == b"imatrix", "general.type is imatrix"
    tensors = {t.name: np.asarray(t.data, np.float64).ravel() for t in reader.tensors}
    names = [n.removesuffix(".in_sum2") for n in tensors if n.endswith(".in_sum2")]
    return {n: (tensors[n + ".in_sum2"] / tensors[n + ".counts"][0], tensors[n + ".counts"][0]) for n in names}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("thimble", type=pathlib.Path)
    p.add_argument("llama", type=pathlib.Path, help="the folder of llama-imatrix")
    p.add_argument("model")
    p.add_argument("text")
    p.add_argument("--context", type=int, default=256)
    p.add_argument("--windows", type=int, default=16)
    p.add_argument("--limit", type=float, default=2e-3)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        gguf, ours, theirs = folder / "model.gguf", folder / "ours.gguf", folder / "theirs.gguf"
        run(a.thimble, "convert", a.model, gguf, "--type", "f32")
        run(a.thimble, "imatrix", a.model, "-q", "--text", a.text, "--context", a.context,
            "--tokens", a.context * a.windows, "-o", ours)
        run(a.llama / "llama-imatrix", "-m", gguf, "-f", a.text, "-o", theirs, "-c", a.context, "-b", a.context,
            "-ub", a.context, "--chunks", a.windows, "--no-ppl", "-fa", "off")
        ours, theirs = matrix_of(ours), matrix_of(theirs)
    wrong, apart = 0, []
    for name, (means, tokens) in sorted(ours.items()):
        if name not in theirs:
            print(f"{name}: not in llama.cpp's")
            # It gathers the head's matrix only with --process-output.
            wrong += name != "output.weight" and name != "token_embd.weight"
            continue
        other, counted = theirs[name]
        far = float(np.max(np.abs(means - other) / np.maximum(other, 1e-12)))
        apart.append(far)
        wrong += far > a.limit or counted != tokens
        print(f"{name}: {tokens:.0f} tokens, there {counted:.0f}; means apart by {far:.2e}")
    print(f"{len(apart)} weights, the farthest apart by {max(apart):.2e}, {wrong} wrong; "
          f"only there: {sorted(set(theirs) - set(ours)) or 'none'}")
    sys.exit(wrong != 0)


if __name__ == "__main__":
    main()
