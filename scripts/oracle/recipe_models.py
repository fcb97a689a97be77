"""Small seeded ONNX models, one for each recipe for graphs, with data to calibrate and score on.

    pip install onnx numpy
    python recipe_models.py OUT            (tests/data/onnx)

cnn.onnx: convolutions (one depthwise) with BatchNormalization for images of 12 x 12; images.npz holds some, stacked.
encoder.onnx: an embedding, a layer of BERT's kind spelled out, and a mean, with ids.npz. speech.onnx: a front end,
an LSTM and a GRU whose states are inputs and outputs, for frames of 64 samples, with sound.wav. Weights are random,
of the scale that keeps values near one; widths are multiples of 32 where recipes want groups.
"""

import sys
import wave
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(11)


class Builder:
    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def weight(self, name, values, kind=np.float32):
        self.weights.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def random(self, name, *dims, fan=None):
        fan = fan or int(np.prod(dims[1:]))
        return self.weight(name, RNG.standard_normal(dims) / np.sqrt(fan))

    def node(self, op, *inputs, output=None, outputs=None, **attributes):
        self.count += 1
        names = outputs or [output or f"{op.lower()}_{self.count}"]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"{op}_{self.count}", **attributes))
        return names[0]

    def save(self, path, inputs, outputs, opset=17):
        graph = helper.make_graph(self.nodes, path.stem, inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def value(name, kind, *dims):
    return helper.make_tensor_value_info(name, kind, dims)


def norm(b, x, name, channels):
    return b.node("BatchNormalization", x, b.weight(name + ".scale", 1 + RNG.random(channels)),
                  b.weight(name + ".shift", RNG.standard_normal(channels) / 4),
                  b.weight(name + ".mean", RNG.standard_normal(channels) / 4),
                  b.weight(name + ".variance", 0.5 + RNG.random(channels)))


def cnn(out):
    b = Builder()
    x = b.node("Conv", "image", b.random("stem.weight", 16, 1, 3, 3), pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    x = b.node("Relu", norm(b, x, "stem.norm", 16))
    x = b.node("Conv", x, b.random("depthwise.weight", 16, 1, 3, 3), group=16, strides=[2, 2], pads=[1, 1, 1, 1],
               kernel_shape=[3, 3])
    x = b.node("Clip", norm(b, x, "depthwise.norm", 16), b.weight("zero", 0), b.weight("six", 6))
    x = b.node("Conv", x, b.random("point.weight", 32, 16, 1, 1), kernel_shape=[1, 1])
    x = b.node("Relu", norm(b, x, "point.norm", 32))
    x = b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.node("Flatten", x)
    b.node("Gemm", x, b.random("head.weight", 10, 288), b.random("head.bias", 10, fan=4), transB=1, output="scores")
    b.save(out / "cnn.onnx", [value("image", TensorProto.FLOAT, 1, 1, 12, 12)],
           [value("scores", TensorProto.FLOAT, 1, 10)])
    np.savez(out / "images.npz", image=RNG.random((32, 1, 1, 12, 12)).astype(np.float32))


def encoder(out, width=64, heads=4, vocabulary=96):
    b = Builder()
    dim = width // heads
    table = b.weight("embeddings.word_embeddings.weight", RNG.standard_normal((vocabulary, width)))

    def linear(x, name, inputs, outputs):
        y = b.node("MatMul", x, b.random(name + ".weight", inputs, outputs, fan=inputs))
        return b.node("Add", b.random(name + ".bias", outputs, fan=16), y)

    def layer_norm(x, name):
        return b.node("LayerNormalization", x, b.weight(name + ".weight", 1 + RNG.random(width) / 4),
                      b.random(name + ".bias", width, fan=16), axis=-1)

    def split(x, perm):
        four = b.node("Reshape", x, b.weight(f"split_{b.count}", [0, 0, heads, dim], np.int64))
        return b.node("Transpose", four, perm=perm)

    x = layer_norm(b.node("Gather", table, "ids"), "embeddings.norm")
    p = "encoder.layer.0."
    q = split(linear(x, p + "attention.query", width, width), [0, 2, 1, 3])
    k = split(linear(x, p + "attention.key", width, width), [0, 2, 3, 1])
    v = split(linear(x, p + "attention.value", width, width), [0, 2, 1, 3])
    scores = b.node("Div", b.node("MatMul", q, k), b.weight("root", np.sqrt(dim)))
    mixed = b.node("Transpose", b.node("MatMul", b.node("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    mixed = b.node("Reshape", mixed, b.weight("merge", [0, 0, width], np.int64))
    x = layer_norm(b.node("Add", x, linear(mixed, p + "attention.output", width, width)), p + "attention.norm")
    h = linear(x, p + "intermediate.dense", width, 2 * width)
    erf = b.node("Erf", b.node("Div", h, b.weight("root_two", np.sqrt(2))))
    h = b.node("Mul", b.node("Mul", h, b.node("Add", erf, b.weight("one", 1))), b.weight("half", 0.5))
    x = layer_norm(b.node("Add", x, linear(h, p + "output.dense", 2 * width, width)), p + "output.norm")
    b.node("ReduceMean", x, axes=[1], keepdims=0, output="sentence")
    b.save(out / "encoder.onnx", [value("ids", TensorProto.INT64, "batch", "seq")],
           [value("sentence", TensorProto.FLOAT, "batch", width)])
    np.savez(out / "ids.npz", ids=RNG.integers(0, vocabulary, (16, 1, 24)))


def speech(out, frame=64, hidden=32):
    b = Builder()
    x = b.node("Unsqueeze", "sound", b.weight("axis_one", [1], np.int64))
    x = b.node("Conv", x, b.random("front.weight", 32, 1, 16), b.random("front.bias", 32, fan=16), strides=[8],
               kernel_shape=[16])
    x = b.node("Relu", x)
    x = b.node("Transpose", x, perm=[2, 0, 1])
    b.node("LSTM", x, b.random("lstm.W", 1, 4 * hidden, 32, fan=32), b.random("lstm.R", 1, 4 * hidden, hidden, fan=32),
           b.random("lstm.B", 1, 8 * hidden, fan=64), "", "h", "c", hidden_size=hidden, outputs=["y", "hn", "cn"])
    y = b.node("Squeeze", "y", "axis_one")
    b.node("GRU", y, b.random("gru.W", 1, 3 * hidden, hidden, fan=32), b.random("gru.R", 1, 3 * hidden, hidden, fan=32),
           b.random("gru.B", 1, 6 * hidden, fan=64), "", "g", hidden_size=hidden, linear_before_reset=1,
           outputs=["", "gn"])
    last = b.node("Squeeze", "gn", b.weight("axis_zero", [0], np.int64))
    last = b.node("Gemm", last, b.random("head.weight", 1, hidden), b.weight("head.bias", [0.1]), transB=1)
    b.node("Sigmoid", last, output="speech")
    state = (1, 1, hidden)
    b.save(out / "speech.onnx",
           [value("sound", TensorProto.FLOAT, 1, frame)] + [value(n, TensorProto.FLOAT, *state) for n in "hcg"],
           [value("speech", TensorProto.FLOAT, 1, 1)] + [value(n, TensorProto.FLOAT, *state) for n in ("hn", "cn", "gn")])
    time = np.arange(2000) / 8000
    heard = np.sin(2 * np.pi * 440 * time) * (np.sin(2 * np.pi * 6 * time) > 0) * 0.5 + RNG.normal(0, 0.02, 2000)
    with wave.open(str(out / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((np.clip(heard, -1, 1) * 32767).astype("<i2").tobytes())


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    cnn(out)
    encoder(out)
    speech(out)


if __name__ == "__main__":
    main()
