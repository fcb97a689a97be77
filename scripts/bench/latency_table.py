"""Writes the table of docs/latency.md: our latency against ONNX Runtime's, models made on the way.

    scripts/bench/latency_table.py build/release/bin/thimble WORK --light FOLDER --minilm torchscript.onnx \\
        --silero silero_vad.onnx --markdown docs/latency.md

Needs numpy, onnx and onnxruntime. FOLDER has ONNX's light models, torchscript.onnx is what scripts/oracle/
minilm_exports.py wrote; what isn't given is left out. Files that are in WORK already are used as they are. Rows:

- light CNNs, f32: the model with seeded weights, simplified, against the ONNX file that it came from;
- light CNNs, static int8: 8-bit weights by channel and activations with fixed scales, against ONNX Runtime's run of the
  file that we write for it;
- MiniLM with 16, 128 and 512 tokens: f32 against the export, dynamic int8 (activations with a scale per 32 inputs, and
  with one a token) against quantize_dynamic's file (by channel),
  that file itself on both sides ("their"), 4-bit weights in groups of 32 with int8 activations against
  MatMulNBitsQuantizer's (accuracy level 4);
- silero, a frame of 512 samples at 16 kHz and the 64 before it.

onnx_latency.py measures, and says how. What stands in the page from "## Reasons" on is kept.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import version_converter
from onnxruntime import quantization

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "oracle"))
import onnx_latency  # noqa: E402
import onnx_writer  # noqa: E402

CLEAN = "  - simplify\n  - fold-constants\n"
INT8 = "  - quantize-weights: {bits: 8, group_size: channel, scale: f32}\n"
TOKEN = "  - quantize-weights: {bits: 8, group_size: channel, scale: f32, activations: int8-token}\n"
INT4 = "  - quantize-weights: {bits: 4, group_size: 32}\n"


class Maker:
    def __init__(self, thimble, work):
        self.thimble, self.work = thimble, work

    def compress(self, source, out, passes, calibration=None):
        if out.exists():
            return out
        recipe = self.work / "recipe.yaml"
        head = f"version: 1\ncalibrate: {{npz: {calibration}}}\n" if calibration else "version: 1\n"
        recipe.write_text(head + "passes:\n" + passes)
        subprocess.run([self.thimble, "compress", source, "-r", recipe, "-o", out, "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        return out

    def light(self, path):
        name = path.stem.removeprefix("light_")
        source = self.work / f"{name}.onnx"
        if not source.exists():
            weighted = onnx_writer.with_weights(path, self.work / "weighted.onnx")
            subprocess.run([self.thimble, "convert", weighted, source, "--quiet"], check=True,
                           stdout=subprocess.DEVNULL)
            onnx.save(version_converter.convert_version(onnx.load(source), 17), source)
        calibration = self.work / f"{name}-calibration"
        if not calibration.exists():
            calibration.mkdir()
            session = onnx_writer.session(source)
            for i in range(8):
                np.savez(calibration / f"{i}.npz", **onnx_writer.feeds(session, 1, i))
        fixed = CLEAN + INT8 + "  - quantize-activations\n"
        yield f"{name}, f32", self.compress(source, self.work / f"{name}.thimble", CLEAN), source
        ours = self.compress(source, self.work / f"{name}-int8.thimble", fixed, calibration)
        yield f"{name}, static int8", ours, self.compress(source, self.work / f"{name}-int8.onnx", fixed, calibration)

    def minilm(self, source):
        dynamic, nbits = self.work / "minilm-dynamic.onnx", self.work / "minilm-nbits.onnx"
        if not dynamic.exists():
            quantization.quantize_dynamic(str(source), str(dynamic), per_channel=True,
                                          weight_type=quantization.QuantType.QInt8)
        if not nbits.exists():
            from onnxruntime.quantization import matmul_nbits_quantizer
            quantizer = matmul_nbits_quantizer.MatMulNBitsQuantizer(
                onnx.load(str(source)), block_size=32, is_symmetric=True, accuracy_level=4)
            quantizer.process()
            quantizer.model.save_model_to_file(str(nbits))
        yield "f32", self.compress(source, self.work / "minilm.thimble", "  - simplify\n"), source
        yield "dynamic int8", self.compress(source, self.work / "minilm-int8.thimble", "  - simplify\n" + INT8), dynamic
        yield "dynamic int8, a scale a token", self.compress(source, self.work / "minilm-token.thimble",
                                                            "  - simplify\n" + TOKEN), dynamic
        yield "their dynamic int8", self.compress(dynamic, self.work / "minilm-theirs.thimble", "  - simplify\n"), dynamic
        yield "4-bit", self.compress(source, self.work / "minilm-int4.thimble", "  - simplify\n" + INT4), nbits


def rows_of(options, name, ours, theirs, dims, values):
    settings = argparse.Namespace(dims=dims, values=values, cores=os.sched_getaffinity(0), seed=7,
                                  seconds=options.seconds, rounds=options.rounds)
    for threads in options.threads:
        with tempfile.TemporaryDirectory() as folder:
            row = onnx_latency.measure(options.thimble, str(ours), str(theirs), threads, settings, folder)
        os.sched_setaffinity(0, settings.cores)
        row["model"] = name
        print("  ".join(onnx_latency.row_of(row)), flush=True)
        yield row


def all_rows(options):
    maker = Maker(options.thimble, options.work)
    rows = []
    for path in sorted(options.light.glob("light_*.onnx")) if options.light else []:
        for name, ours, theirs in maker.light(path):
            rows += rows_of(options, name, ours, theirs, {}, {})
    for kind, ours, theirs in maker.minilm(options.minilm) if options.minilm else []:
        for tokens in (16, 128, 512):
            rows += rows_of(options, f"MiniLM, {tokens} tokens, {kind}", ours, theirs, {"batch": 1, "seq": tokens},
                            {"attention_mask": 1, "token_type_ids": 0})
    if options.silero:
        rows += rows_of(options, "silero, a frame",
                        maker.compress(options.silero, options.work / "silero.thimble", CLEAN), options.silero, {"input[1]": 576}, {"sr": 16000})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("thimble")
    parser.add_argument("work", type=pathlib.Path)
    for source in ("light", "minilm", "silero", "markdown"):
        parser.add_argument("--" + source, type=pathlib.Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each side's turn")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = all_rows(options)
    if options.markdown:
        old = options.markdown.read_text() if options.markdown.exists() else ""
        page = onnx_latency.markdown(rows).replace("`scripts/bench/onnx_latency.py`, which says how it measures",
                                                   "`scripts/bench/latency_table.py`, which says what is compared")
        options.markdown.write_text(page + ("\n" + old[old.index("## Reasons"):] if "## Reasons" in old else ""))


if __name__ == "__main__":
    main()
