"""all-MiniLM-L6-v2 from its folder, its TorchScript ONNX and its dynamo ONNX: the same after `simplify`?

    pip install numpy
    python minilm_three_ways.py THIMBLE FOLDER EXPORTS [--rounds N]

FOLDER is the Hugging Face folder, EXPORTS what minilm_exports.py wrote. Prints, for each of the three, how many nodes
of each operator are left, the greatest difference from PyTorch's embeddings, and the least time of a call on one
thread (the three take turns, so that a busy machine slows them alike; the difference between scoring many calls and
scoring one, which runs each twice). Exits with 1 where the operators that do the work differ, a difference is above
1e-5, or a time is more than 5 % above the least. Other operators prepare positions, the mask and the mean: exporters
write those as they like.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

RECIPE = "version: 1\npasses: [simplify]\n"
ERROR, SLOWER = 1e-5, 1.05
CALLS = 64
WORK = ["Add", "Attention", "Gelu", "LayerNormalization", "MatMul", "Erf", "Softmax", "Tanh", "Pow", "Sqrt", "ReduceMean"]


def compressed(thimble, model, out, recipe):
    """The operators of the graph after simplify."""
    done = subprocess.run([thimble, "compress", model, "-r", recipe, "-o", out, "--print-after", "simplify", "--force"],
                          check=True, capture_output=True, text=True)
    return Counter(re.findall(r"^ +%.*? = (?:\w+\.)?(\w+)\(", done.stdout + done.stderr, re.MULTILINE))


def embeddings(thimble, model, inputs, out, shape):
    subprocess.run([thimble, "run", model, "--inputs", inputs, "--outputs", out, "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    with np.load(out) as arrays:
        return next(arrays[name] for name in arrays.files if arrays[name].shape == shape)


def seconds(thimble, model, calls):
    def scoring(samples):
        done = subprocess.run([thimble, "eval", model, "--npz", calls, "--samples", str(samples), "--reference", model,
                               "--threads", "1", "--json", "--quiet"], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)["seconds"]

    return (scoring(CALLS + 1) - scoring(1)) / (2 * CALLS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("thimble")
    parser.add_argument("folder", type=Path)
    parser.add_argument("exports", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    inputs, wanted = options.exports / "inputs.npz", np.load(options.exports / "embeddings.npz")["sentence"]
    sources = {"folder": options.folder, "torchscript": options.exports / "torchscript.onnx",
               "dynamo": options.exports / "dynamo.onnx"}
    met = True
    with tempfile.TemporaryDirectory() as scratch:
        recipe = Path(scratch) / "simplify.yaml"
        recipe.write_text(RECIPE)
        files, operators = {}, {}
        for name, source in sources.items():
            files[name] = Path(scratch) / f"{name}.thimble"
            operators[name] = compressed(options.thimble, source, files[name], recipe)
        names = sorted(set().union(*operators.values()))
        print(f"{'operator':24}" + "".join(f"{name:>14}" for name in sources))
        for operator in names:
            counts = [operators[name][operator] for name in sources]
            same = len(set(counts)) == 1 or operator not in WORK
            met = met and same
            print(f"{operator:24}" + "".join(f"{count:14}" for count in counts)
                  + ("" if operator in WORK else "  (not compared)") + ("" if same else "  DIFFER"))
        errors = [np.abs(embeddings(options.thimble, files[name], inputs, Path(scratch) / "out.npz",
                                    wanted.shape) - wanted).max()
                  for name in sources]
        met = met and max(errors) <= ERROR
        print(f"{'max |a - b|':24}" + "".join(f"{error:14.1e}" for error in errors))
        calls = Path(scratch) / "calls.npz"
        with np.load(inputs) as arrays:
            np.savez(calls, **{name: np.stack([arrays[name]] * (CALLS + 1)) for name in arrays.files})
        times = {name: [] for name in sources}
        for _ in range(options.rounds):
            for name in sources:
                times[name].append(seconds(options.thimble, files[name], calls))
        least = [min(times[name]) for name in sources]
        met = met and max(least) <= SLOWER * min(least)
        print(f"{'ms, one thread':24}" + "".join(f"{1e3 * time:14.2f}" for time in least))
        print(f"{'of the least':24}" + "".join(f"{time / min(least):14.3f}" for time in least))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
