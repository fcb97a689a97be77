"""ONNX files that thimble writes, in ONNX Runtime: do they load, do both compute the same, and are they as fast as what
ONNX Runtime's own quantizer makes of the same model?

    pip install numpy onnx onnxruntime onnx_ir
    python onnx_writer.py THIMBLE --mnist FOLDER --silero FOLDER --light FOLDER --minilm FOLDER --fable FOLDER

Folders that aren't given are left out: that of mnist-8.onnx, of silero_vad.onnx, of ONNX's light models, of
all-MiniLM-L6-v2 in Hugging Face's layout, of tests/data/fable. Each model is written as float, with dynamic int8
(8-bit weights with a scale per row), with static int8 (CNNs, calibrated on 8 seeded inputs) and in 4 bits with groups of
32, where it has products; networks with LSTM in 8-bit weights and floats between. `SQNR` is between ONNX Runtime's first
output and `thimble run`'s on the same file; at least 90 dB for floats and 35 dB otherwise. `time` is that of our file
over that of ONNX Runtime's file of the same kind, one thread, the least of calls that take turns. Ends with 1 when a
file doesn't load or misses its bar.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, version_converter
from onnxruntime import quantization

onnxruntime.set_default_logger_severity(3)
logging.disable(logging.WARNING)

DYNAMIC = "  - quantize-weights: {bits: 8, group_size: channel, scale: f32}\n"
FOUR_BITS = "  - quantize-weights: {bits: 4, group_size: 32}\n"
EIGHT_BITS = "  - simplify\n  - quantize-weights: {bits: 8, group_size: channel, scale: f32, activations: float}\n"
BARS = {"float": 90, "int8 weights": 35, "int8 dynamic": 35, "int8 static": 35, "int4": 35}


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


def feeds(model, length, seed):
    """Seeded inputs: token numbers, positions, masks of ones, noise; sizes left open are 1, or `length` tokens."""
    numbers = np.random.default_rng(seed)
    sizes = {"batch": 1, "past": 0, "seq": length, "n": length, "sequence": length}
    out = {}
    for value in model.get_inputs():
        dims = [d if isinstance(d, int) else sizes.get(d, 1) for d in value.shape]
        if value.name == "sr":
            out[value.name] = np.array(16000, np.int64)
        elif "position" in value.name:
            out[value.name] = np.broadcast_to(np.arange(dims[-1]), dims).astype(np.int64)
        elif "mask" in value.name:
            out[value.name] = np.ones(dims, np.int64)
        elif value.name == "input_ids":
            out[value.name] = numbers.integers(5, 900, dims)
        elif value.type == "tensor(int64)":
            out[value.name] = np.zeros(dims, np.int64)
        else:
            if value.name == "input" and len(dims) == 2:  # silero: a frame of sound
                dims[-1] = 576
            out[value.name] = numbers.standard_normal(dims).astype(np.float32)
    return out


def sqnr(a, b):
    noise = np.linalg.norm(a.astype(np.float64) - b)
    return 20 * np.log10(np.linalg.norm(a.astype(np.float64)) / noise) if noise > 0 else np.inf


def with_weights(path, out):
    """A light model, whose weights are ConstantOfShape nodes, with seeded noise in their place."""
    model, numbers = onnx.load(path), np.random.default_rng(3)
    shapes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in [n for n in model.graph.node if n.op_type == "ConstantOfShape"]:
        shape, value = shapes[node.input[0]], numpy_helper.to_array(node.attribute[0].t).astype(np.float32)
        if len(shape) > 1:
            values = numbers.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        else:
            values = np.full(shape, value[0] if value[0] > 0 else 1)
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
        model.graph.node.remove(node)
    onnx.save(model, out)
    return out


class Bench:
    def __init__(self, thimble, work):
        self.thimble, self.work, self.failed = thimble, work, False

    def run_thimble(self, *words):
        done = subprocess.run([self.thimble, *map(str, words), "--quiet"], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())

    def same(self, path, inputs):
        """SQNR of the first output between ONNX Runtime and `thimble run`."""
        model = session(path)
        np.savez(self.work / "in.npz", **inputs)
        self.run_thimble("run", path, "--inputs", self.work / "in.npz", "--outputs", self.work / "out.npz")
        name = model.get_outputs()[0].name
        return sqnr(model.run([name], inputs)[0], np.load(self.work / "out.npz")[name])

    @staticmethod
    def ratio(ours, theirs, inputs):
        a, b = session(ours), session(theirs)
        a.run(None, inputs), b.run(None, inputs)
        times = {0: [], 1: []}
        end = time.perf_counter() + 3
        while time.perf_counter() < end or len(times[1]) < 5:
            for which, model in enumerate((a, b)):
                start = time.perf_counter()
                model.run(None, inputs)
                times[which].append(time.perf_counter() - start)
        return min(times[0]) / min(times[1])

    def peer(self, kind, source, inputs):
        """ONNX Runtime's own file of this kind."""
        path = self.work / "peer.onnx"
        if kind == "float":
            return source
        if kind == "int8 dynamic":
            quantization.quantize_dynamic(str(source), str(path), per_channel=True,
                                          weight_type=quantization.QuantType.QInt8,
                                          op_types_to_quantize=["MatMul", "Gemm", "Conv"])
        elif kind == "int8 weights":
            quantization.quantize_dynamic(str(source), str(path), weight_type=quantization.QuantType.QInt8,
                                          op_types_to_quantize=["LSTM", "Conv"])
        elif kind == "int8 static":
            class Reader(quantization.CalibrationDataReader):
                left = list(inputs)

                def get_next(self):
                    return self.left.pop() if self.left else None

            def quantize(start):
                quantization.quantize_static(str(start), str(path), Reader(), per_channel=True,
                                             activation_type=quantization.QuantType.QUInt8,
                                             weight_type=quantization.QuantType.QInt8)

            fused = self.work / "fused.onnx"  # normalizations folded into convolutions, as they advise
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
            options.optimized_model_filepath = str(fused)
            onnxruntime.InferenceSession(str(source), options)
            try:
                quantize(fused)
            except ValueError:  # 1.32 trips over the biases of mnist-8 then
                Reader.left = list(inputs)
                quantize(source)
        else:
            from onnxruntime.quantization import matmul_nbits_quantizer as nbits
            quantizer = nbits.MatMulNBitsQuantizer(onnx.load(str(source)), block_size=32, is_symmetric=True,
                                                   accuracy_level=4)
            quantizer.process()
            quantizer.model.save_model_to_file(str(path))
        return path

    def line(self, name, kind, source, passes, original=None, length=32):
        """`source`: what thimble reads; `original`: the float ONNX that the peer starts from."""
        out = self.work / "ours.onnx"
        result = time_text = ""
        try:
            if passes is None:
                self.run_thimble("convert", source, out)
            else:
                recipe = "version: 1\n"
                if kind == "int8 static":
                    recipe += f"calibrate: {{npz: {self.work / 'calibration'}}}\n"
                (self.work / "recipe.yaml").write_text(recipe + "passes:\n" + passes)
                self.run_thimble("compress", source, "-r", self.work / "recipe.yaml", "-o", out, "--force")
            inputs = feeds(session(out), length, 99)
            decibels = self.same(out, inputs)
            met = decibels >= BARS[kind]
            self.failed |= not met
            result = f"{decibels:6.1f} dB{'' if met else ' (bar missed)'}"
            try:
                peer = self.peer(kind, original or source, self.calibration(original or source, length))
                time_text = f"{self.ratio(out, peer, inputs):.2f}"
            except Exception as error:  # the peer's quantizer or kernels refuse some models
                time_text = "no file of theirs: " + str(error).splitlines()[0][:60]
        except Exception as error:
            self.failed = True
            result = "FAILED: " + str(error).splitlines()[0][:110]
        print(f"| {name} | {kind} | {result} | {time_text} |", flush=True)

    def calibration(self, source, length):
        model = session(source)
        return [feeds(model, length, seed) for seed in range(8)]

    def cnn(self, name, path):
        folder = self.work / "calibration"
        folder.mkdir(exist_ok=True)
        for i, inputs in enumerate(self.calibration(path, 1)):
            np.savez(folder / f"{i}.npz", **inputs)
        clean = "  - simplify\n  - fold-constants\n"
        source = self.work / (name + ".onnx")  # their quantizer takes no old opsets
        self.run_thimble("convert", path, source)
        onnx.save(version_converter.convert_version(onnx.load(source), 17), source)
        self.line(name, "float", path, None)
        self.line(name, "int8 dynamic", path, clean + DYNAMIC, source)
        self.line(name, "int8 static", path, clean + DYNAMIC + "  - quantize-activations\n", source)
        self.line(name, "int4", path, clean + FOUR_BITS, source)

    def transformer(self, name, folder, length=64):
        source = self.work / (name + ".onnx")
        self.run_thimble("convert", folder, source)
        self.line(name, "float", folder, None, source, length)
        self.line(name, "int8 dynamic", folder, DYNAMIC, source, length)
        self.line(name, "int4", folder, FOUR_BITS, source, length)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("thimble")
    for folder in ("mnist", "silero", "light", "minilm", "fable"):
        arguments.add_argument("--" + folder, type=Path)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(given.thimble, Path(work))
        print("| model | written as | SQNR | time, ours / theirs |\n|---|---|---|---|")
        if given.mnist:
            bench.cnn("mnist-8", given.mnist / "mnist-8.onnx")
        if given.light:
            for path in sorted(given.light.glob("light_*.onnx")):
                bench.cnn(path.stem, with_weights(path, bench.work / "weighted.onnx"))
        if given.silero:
            for path in sorted(given.silero.glob("*.onnx")):
                bench.line(path.stem, "float", path, None)
                bench.line(path.stem, "int8 weights", path, EIGHT_BITS)
        if given.minilm:
            bench.transformer("MiniLM", given.minilm)
        if given.fable:
            bench.transformer("fable", given.fable)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
