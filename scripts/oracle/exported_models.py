#!/usr/bin/env python3
"""Small ONNX models as exporters and quantizers of ONNX Runtime write them, with ONNX Runtime's outputs.

    python exported_models.py OUT        (tests/data/oracle/onnx-exported)

Writes NAME.onnx and NAME.npz (inputs by name, each output as want.NAME): attention with caches that the caller holds,
with masks of every rank and with heads in groups; convolutions and activations between fixed scales. Needs numpy, onnx
and onnxruntime. Every model is checked by what ONNX Runtime computes without optimizations.
"""
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(11)
CONTRIB = "com.microsoft"
TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64,
         np.dtype(np.int32): TensorProto.INT32}


def normal(*dims, scale=1.0):
    return (RANDOM.standard_normal(dims) * scale).astype(np.float32)


class Builder:
    def __init__(self, opset=21):
        self.nodes, self.constants, self.opset = [], {}, opset

    def constant(self, value, name=None):
        name = name or f"c{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def int4(self, values):
        name = f"c{len(self.constants)}"
        self.constants[name] = helper.make_tensor(name, TensorProto.INT4, values.shape, values.flatten())
        return name

    def op(self, kind, inputs, outputs=1, domain="", **attributes):
        if isinstance(outputs, int):
            outputs = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        inputs = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0] if len(outputs) == 1 else outputs

    def model(self, inputs, outputs, free):
        """`free`: names for the dims of inputs, by input; others are fixed."""
        values = []
        for name, value in inputs.items():
            dims = [symbol or size for symbol, size in zip(free.get(name, [None] * value.ndim), value.shape)]
            values.append(helper.make_tensor_value_info(name, TYPES[value.dtype], dims))
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "main", values, made, list(self.constants.values()))
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="")


def group_query(queries, lengths, room, outputs, packed=False, sinks=None, **attributes):
    """Heads of 16 in groups of 2; sequences that hold `lengths` before, in a cache of `room`; `sinks`: a logit a head."""
    heads, groups, size, batch = 4, 2, 16, len(lengths)
    total = max(lengths) + queries
    angles = np.outer(np.arange(16), 10000.0 ** (-np.arange(size // 2) / (size // 2)))
    b = Builder()
    inputs = {"k_past": normal(batch, groups, room, size), "v_past": normal(batch, groups, room, size),
              "last": np.array([n + queries - 1 for n in lengths], np.int32), "total": np.array(total, np.int32)}
    if packed:
        inputs["q"] = normal(batch, queries, (heads + 2 * groups) * size)
        parts = ["q", "", ""]
    else:
        inputs.update(q=normal(batch, queries, heads * size), k=normal(batch, queries, groups * size),
                      v=normal(batch, queries, groups * size))
        parts = ["q", "k", "v"]
    b.op("GroupQueryAttention", parts + ["k_past", "v_past", "last", "total", np.cos(angles).astype(np.float32),
                                         np.sin(angles).astype(np.float32)]
         + (["", "", sinks] if sinks is not None else []),
         ["y", "k_now", "v_now"], CONTRIB, num_heads=heads, kv_num_heads=groups, do_rotary=1, **attributes)
    free = {"k_past": ["batch", None, "past", None], "v_past": ["batch", None, "past", None], "last": ["batch"]}
    free.update({name: ["batch", "queries", None] for name in parts if name})
    return b.model(inputs, outputs, free), inputs


def multi_head(queries, past, mask=None, bias=False, **attributes):
    heads, size, batch = 4, 8, 2
    width = heads * size
    b = Builder(17)
    inputs = {name: normal(batch, queries, width) for name in "qkv"}
    inputs["k_past"], inputs["v_past"] = (normal(batch, heads, past, size) for _ in range(2))
    if mask is not None:
        inputs["mask"] = mask
    if bias:
        inputs["scores"] = normal(1, heads, queries, past + queries)
    b.op("MultiHeadAttention", ["q", "k", "v", normal(3 * width), "mask" if mask is not None else "",
                                "scores" if bias else "", "k_past", "v_past"], ["y", "k_now", "v_now"], CONTRIB,
         num_heads=heads, **attributes)
    return b.model(inputs, ["y", "k_now", "v_now"], {"k_past": [None, None, "past", None],
                                                     "v_past": [None, None, "past", None]}), inputs


def packed_attention(queries, past=None, mask=None, **attributes):
    heads, size, batch = 4, 8, 2
    width = heads * size
    b = Builder(17)
    inputs, outputs = {"x": normal(batch, queries, width)}, ["y"]
    if mask is not None:
        inputs["mask"] = mask
    if past is not None:
        inputs["past"] = normal(2, batch, heads, past, size)
        outputs.append("present")
    given = ["x", normal(width, 3 * width, scale=0.2), normal(3 * width), "mask" if mask is not None else "",
             "past" if past is not None else ""]
    b.op("Attention", given, outputs, CONTRIB, num_heads=heads, **attributes)
    return b.model(inputs, outputs, {"past": [None, None, None, "past", None]}), inputs


def embedded():
    b = Builder(17)
    inputs = {"ids": RANDOM.integers(0, 30, (2, 6)).astype(np.int32), "kinds": np.zeros((2, 6), np.int32),
              "mask": np.array([[1] * 6, [1] * 4 + [0] * 2], np.int32)}
    x, lengths = b.op("EmbedLayerNormalization", ["ids", "kinds", normal(30, 16), normal(8, 16), normal(2, 16),
                                                  1 + normal(16, scale=0.1), normal(16), "mask"], 2, CONTRIB)
    b.op("Attention", [x, normal(16, 48, scale=0.2), normal(48), lengths], ["y"], CONTRIB, num_heads=2)
    return b.model(inputs, ["y"], {}), inputs


def embedded_codes():
    b = Builder(17)
    inputs = {"ids": RANDOM.integers(0, 30, (2, 6)).astype(np.int32), "kinds": np.ones((2, 6), np.int32)}
    tables = [RANDOM.integers(0, 256, dims).astype(np.uint8) for dims in ((30, 16), (8, 16), (2, 16), 16, 16)]
    scales = [np.float32(0.01 + 0.002 * i) for i in range(5)]
    zeros = [np.uint8(110 + 5 * i) for i in range(5)]
    b.op("QEmbedLayerNormalization", ["ids", "kinds", *tables, "", *scales, *zeros], ["y", "lengths"], CONTRIB)
    return b.model(inputs, ["y"], {}), inputs


class Fixed(Builder):
    """Values between QuantizeLinear and DequantizeLinear, by scales between which no code lies half-way."""

    def between(self, x, scale, zero, domain=""):
        parameters = [np.float32(scale), np.asarray(zero)]
        return self.op("DequantizeLinear", [self.op("QuantizeLinear", [x, *parameters], domain=domain), *parameters],
                       domain=domain)

    def conv(self, x, x_scale, outputs, inputs, size, group=1, domain=""):
        codes = RANDOM.integers(-127, 127, (outputs, inputs // group, size, size)).astype(np.int8)
        w = self.op("DequantizeLinear", [codes, np.float32(0.0107), np.int8(0)], domain=domain)
        unit = np.float32(x_scale) * np.float32(0.0107)
        bias = [np.rint(normal(outputs) / unit).astype(np.int32), unit, np.int32(0)]
        return self.op("Conv", [x, w, self.op("DequantizeLinear", bias, domain=domain)], pads=[size // 2] * 4,
                       group=group, kernel_shape=[size] * 2)


def image_model(b, y, channels=3):
    b.op("Identity", [y], ["y"])
    inputs = {"x": normal(1, channels, 6, 7)}
    return b.model(inputs, ["y"], {}), inputs


def separable(domain=""):
    """A quantizer leaves a Relu out where the codes begin at 0; convolutions by channels and in small groups."""
    b = Fixed(17 if domain else 21)
    x = b.between("x", 0.0203, np.uint8(120), domain)
    x = b.between(b.conv(x, 0.0203, 8, 3, 3, domain=domain), 0.0517, np.uint8(0), domain)
    y = b.between(b.conv(x, 0.0517, 8, 8, 3, group=8, domain=domain), 0.103, np.uint8(0), domain)
    y = b.between(b.conv(y, 0.103, 12, 8, 3, group=4, domain=domain), 0.307, np.uint8(110), domain)
    return image_model(b, b.op("Tanh", [y]))


def gated():
    """x * sigmoid(x), each step between scales, and a convolution of few outputs on it."""
    b = Fixed()
    x = b.between(b.conv(b.between("x", 0.0203, np.uint8(120)), 0.0203, 8, 3, 3), 0.0517, np.uint8(100))
    y = b.between(b.op("Mul", [x, b.between(b.op("Sigmoid", [x]), 1 / 256, np.uint8(0))]), 0.0409, np.uint8(8))
    y = b.between(b.op("LeakyRelu", [y], alpha=0.1), 0.0307, np.uint8(3))
    return image_model(b, b.op("Tanh", [b.between(b.conv(y, 0.0307, 6, 8, 3, group=2), 0.211, np.uint8(128))]))


def biased():
    """A product between scales, then a sum with a constant, which is no step between scales."""
    b = Fixed()
    w = b.op("DequantizeLinear", [RANDOM.integers(-127, 127, (3, 8)).astype(np.int8), np.float32(0.0107), np.int8(0)])
    bias = b.op("DequantizeLinear", [RANDOM.integers(-127, 127, 8).astype(np.int8), np.float32(0.0093), np.int8(0)])
    x = b.between(b.op("Transpose", ["x"], perm=[0, 2, 3, 1]), 0.0503, np.uint8(120))
    x = b.between(b.op("MatMul", [x, w]), 0.0517, np.uint8(130))
    return image_model(b, b.op("Tanh", [b.between(b.op("Add", [x, bias]), 0.0613, np.uint8(127))]))


def wide():
    """16 bits around a convolution."""
    b = Fixed()
    x = b.between("x", 0.00021, np.uint16(30000))
    return image_model(b, b.between(b.conv(x, 0.00021, 8, 3, 3), 0.0005, np.uint16(32000)))


def narrow():
    """A kernel of 4 bits whose outputs don't begin at whole bytes."""
    b = Fixed()
    codes = b.int4(RANDOM.integers(-8, 8, (5, 3, 3, 3)))
    zero = b.int4(np.zeros((), np.int64))
    w = b.op("DequantizeLinear", [codes, np.float32(0.05), zero])
    x = b.between("x", 0.0203, np.uint8(120))
    return image_model(b, b.op("Tanh", [b.between(b.op("Conv", [x, w], pads=[1] * 4), 0.0517, np.uint8(128))]))


def recurrent(by_column):
    """Both directions of an LSTM with weights of 8 bits. ONNX Runtime rounds its inputs to 8 bits as well, so that what
    is wanted comes from the weights as floats."""
    width, hidden, inputs = 12, 16, {"x": normal(6, 2, 12)}
    quantized, plain = Builder(17), Builder(17)
    parts, scales, bias = [], [], normal(2, 8 * hidden)
    for rows in (width, hidden):
        codes = RANDOM.integers(-127, 127, (2, rows, 4 * hidden)).astype(np.int8)
        scale = (0.001 + 0.002 * RANDOM.random((2, 4 * hidden) if by_column else 2)).astype(np.float32)
        parts.append(codes)
        scales += [scale, np.zeros(scale.shape, np.int8)]
        spread = scale.reshape(2, 1, -1)
        plain.constant(np.ascontiguousarray((codes * spread).transpose(0, 2, 1)), f"w{rows}")
    common = {"hidden_size": hidden, "direction": "bidirectional"}
    outputs = ["y", "h", "c"]
    quantized.op("DynamicQuantizeLSTM", ["x", *parts, bias, "", "", "", "", *scales], outputs, CONTRIB, **common)
    plain.op("LSTM", ["x", f"w{width}", f"w{hidden}", bias], outputs, **common)
    return quantized.model(inputs, outputs, {}), inputs, plain.model(inputs, outputs, {})


def bitsandbytes(kind):
    """A product with 4-bit codes of a table (0: FP4, 1: NF4), whose blocks don't end where rows do."""
    rows, width, block = 19, 24, 32
    b = Builder(17)
    codes = RANDOM.integers(0, 256, rows * width // 2).astype(np.uint8)
    scales = (0.1 + RANDOM.random(-(-rows * width // block))).astype(np.float32)
    b.op("MatMulBnb4", ["x", codes, scales], ["y"], CONTRIB, N=rows, K=width, block_size=block, quant_type=kind)
    inputs = {"x": normal(3, width)}
    return b.model(inputs, ["y"], {"x": ["n", None]}), inputs


def experts(quantized, block=0, activation="silu", **attributes):
    """Four experts, of which each token asks two. Those that are quantized are so in 4 bits and blocks, or in 8 bits."""
    count, width, inner, b = 4, 32, 48, Builder(17)
    fused = activation == "swiglu"

    def matrix(rows, columns):
        if not quantized:
            return [normal(count, rows, columns, scale=0.2), normal(count, rows, scale=0.1)]
        codes = RANDOM.integers(0, 256, (count, rows, columns // 2 if block else columns)).astype(np.uint8)
        scales = (0.02 if block else 0.002) * (1 + RANDOM.random((count, rows, columns // block) if block else (count, rows)))
        return [codes, scales.astype(np.float32), normal(count, rows, scale=0.1)]

    def zeros(rows, columns):
        return RANDOM.integers(0, 256, (count, rows, -(-columns // block // 2))).astype(np.uint8)

    first, second = (inner * (2 if fused else 1), width), (width, inner)
    parts = [*matrix(*first), *matrix(*second)]
    if quantized:
        parts += ["", "", ""] + ([zeros(*first), zeros(*second)] if block else [])
        attributes.update(expert_weight_bits=4 if block else 8, **({"block_size": block} if block else {}))
    b.op("QMoE" if quantized else "MoE", ["x", "logits", *parts], ["y"], CONTRIB, k=2, activation_type=activation,
         swiglu_fusion=int(fused), **attributes)
    inputs = {"x": normal(1, 5, width), "logits": normal(5, count, scale=2.0)}
    return b.model(inputs, ["y"], {"x": [None, "tokens", None], "logits": ["tokens", None]}), inputs


def models():
    every = ["y", "k_now", "v_now"]
    yield "group_query_prompt", group_query(5, [0], 0, every)
    yield "group_query_step", group_query(1, [6, 6], 6, every, packed=True)
    yield "group_query_room", group_query(3, [4], 12, ["y"], packed=True, local_window_size=4)
    yield "group_query_lengths", group_query(1, [5, 3], 5, ["y"], softcap=3.0)
    yield "multi_head_past", multi_head(3, 4, unidirectional=1)
    yield "multi_head_bias", multi_head(3, 4, bias=True)
    yield "multi_head_mask", multi_head(4, 0, mask=np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32))
    yield "attention_past", packed_attention(3, past=4, unidirectional=1)
    masked = np.array([[0, 1, 1, 1, 1], [1] * 5], np.int32)
    yield "attention_step", packed_attention(1, past=4, unidirectional=1, mask=masked)
    yield "attention_lengths", packed_attention(5, mask=np.array([5, 3], np.int32))
    yield "attention_by_query", packed_attention(4, mask=np.tril(np.ones((2, 4, 4), np.int32)))
    yield "embedded", embedded()
    state = RANDOM.bit_generator.state
    yield "separable", separable()
    RANDOM.bit_generator.state = state  # the same numbers
    yield "separable_contrib", separable(CONTRIB)
    yield "gated", gated()
    yield "biased", biased()
    yield "wide", wide()
    yield "narrow", narrow()
    yield "recurrent", recurrent(False)
    yield "recurrent_columns", recurrent(True)
    yield "embedded_codes", embedded_codes()
    yield "bitsandbytes_fp4", bitsandbytes(0)
    yield "bitsandbytes_nf4", bitsandbytes(1)
    yield "group_query_sinks", group_query(1, [4, 2], 9, ["y"], sinks=np.array([0.5, -1, 2, 0], np.float32))
    yield "group_query_smooth", group_query(1, [6, 3], 6, ["y"], packed=True, smooth_softmax=1, local_window_size=3)

    gate = {"activation_alpha": 1.702, "activation_beta": 1.0, "swiglu_limit": 0.7}
    yield "experts", experts(False)
    yield "experts_gelu", experts(False, activation="gelu", normalize_routing_weights=1)
    yield "experts_swiglu", experts(False, activation="swiglu", **gate)
    yield "experts_blocks", experts(True, block=16, activation="swiglu", **gate)
    yield "experts_bytes", experts(True)


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, (model, inputs, *reference) in models():
        onnx.save(model, out / f"{name}.onnx")
        session = onnxruntime.InferenceSession((reference or [model])[0].SerializeToString(), plain)
        names = [output.name for output in session.get_outputs()]
        wanted = {"want." + key: value for key, value in zip(names, session.run(names, inputs))}
        np.savez_compressed(out / f"{name}.npz", **inputs, **wanted)


if __name__ == "__main__":
    main()
