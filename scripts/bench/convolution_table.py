"""Writes docs/convolutions.md: what gptq saves a network of convolutions against rounding, in int8 and below.

    scripts/bench/convolution_table.py build/release/bin/thimble \\
        --model "mnist-8=mnist-8.onnx;{idx: first-512-images};{idx: other-9488-images, labels: other-9488-labels}" \\
        --model "squeezenet=squeezenet.onnx;{npz: a};{npz: b}"

A model is NAME=FILE;DATA TO CALIBRATE ON;DATA TO SCORE ON, the data as a recipe says them. Every file holds one scale
for a channel. The figures are those of `compress --json`: SQNR of the outputs against the float model, in dB, with the
interval of a bootstrap over the images, and the share of images whose class is right (where there are labels) or the
float model's. Needs the standard library alone.
"""
import argparse
import json
import pathlib
import tempfile

from scoring import run

METHODS = {
    "rtn": "quantize-weights: {BASE, search: absmax}",
    "scale search": "quantize-weights: {BASE, search: mse}",
    "gptq": "gptq: {BASE}",
}
WIDTHS = {
    "static int8": ("bits: 8, group_size: channel, scale: f32", "  - quantize-activations: {method: percentile}\n"),
    "8 bits": ("bits: 8, group_size: channel, activations: float", ""),
    "4 bits": ("bits: 4, group_size: channel, activations: float", ""),
    "3 bits": ("bits: 3, group_size: channel, activations: float", ""),
    "2 bits": ("bits: 2, group_size: channel, activations: float", ""),
}


def measure(a, model, data, score, method, width, folder):
    base, then = WIDTHS[width]
    recipe = pathlib.Path(folder.name + ".yaml")  # here, so that data may be named relative to the working folder
    recipe.write_text(f"version: 1\nseed: 7\ncalibrate: {data}\npasses:\n  - simplify\n  - {method.replace('BASE', base)}\n"
                      f"{then}  - remove-dead-code\nevaluate: {score}\n")
    try:
        return json.loads(run(a.thimble, "compress", model, "-q", "-r", recipe, "-o", folder / "out.thimble", "--force", "--json"))
    finally:
        recipe.unlink()


def cell(metrics, name, digits):
    """A figure with its interval, where it has one."""
    low, high = metrics.get(name + "_low"), metrics.get(name + "_high")
    interval = "" if low is None else f" ({low:.{digits}f} .. {high:.{digits}f})"
    return f"{metrics[name]:.{digits}f}{interval}"


def table(a, spec, folder):
    name, rest = spec.split("=", 1)
    model, data, score = rest.split(";")
    accuracy = "top1_accuracy" if "labels" in score else "top1_agreement"
    lines = [f"## {name}\n", f"Calibrated on `{data}`, scored on `{score}`.\n",
             f"| weights | method | SQNR dB | {accuracy} |", "|---|---|---:|---:|"]
    for width in WIDTHS:
        for method, passes in METHODS.items():
            m = measure(a, model, data, score, passes, width, folder)
            lines.append(f"| {width} | {method} | {cell(m, 'sqnr_db', 2)} | {cell(m, accuracy, 4)} |")
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("thimble", type=pathlib.Path)
    p.add_argument("--model", action="append", required=True)
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/convolutions.md"))
    a = p.parse_args()
    a.thimble = a.thimble.resolve()
    with tempfile.TemporaryDirectory() as folder:
        tables = [table(a, spec, pathlib.Path(folder)) for spec in a.model]
    a.out.write_text("# GPTQ of convolutions\n\n"
                     "SQNR of the outputs against the float model and top-1 over the images, each with its 95 % interval. Weights have\n"
                     "one scale for a channel. In `static int8` activations are int8 with scales of a calibration, else f32.\n"
                     "scripts/bench/convolution_table.py writes this page and says how.\n\n" + "\n".join(tables))


if __name__ == "__main__":
    main()
