#!/usr/bin/env python3
"""Small ONNX models that measure their inputs as they run, with ONNX Runtime's outputs.

    python dynamic_models.py OUT        (tests/data/oracle/onnx-dynamic)

Writes NAME.onnx and NAME.npz (inputs by name, output as want.y) for a CNN by quantize_dynamic and for one node each
of DynamicQuantizeMatMul, MatMulIntegerToFloat and QAttention. Needs numpy, onnx and onnxruntime.
"""
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

RANDOM = np.random.default_rng(5)
CONTRIB = "com.microsoft"


def normal(*dims):
    return RANDOM.standard_normal(dims).astype(np.float32)


def codes(dtype, *dims):
    limits = np.iinfo(dtype)
    return RANDOM.integers(limits.min, limits.max, dims, dtype, endpoint=True)


def model(nodes, constants, dims):
    graph = helper.make_graph(nodes, "main", [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                              [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
    return onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets, ir_version=8))


def quantized_cnn(weight_type):
    shapes = {"a": (12, 3, 5, 3), "b": (20, 6, 3, 3), "c": (66, 20, 1, 1)}
    constants = {}
    for name, dims in shapes.items():
        constants[name] = normal(*dims) / np.float32(np.sqrt(np.prod(dims[1:])))
        constants[name + "_bias"] = normal(dims[0]) / 10

    def conv(name, x, y, **attributes):
        return helper.make_node("Conv", [x, name, name + "_bias"], [y], **attributes)

    nodes = [conv("a", "x", "p", strides=[2, 1], pads=[2, 1, 2, 1]), helper.make_node("Relu", ["p"], ["q"]),
             conv("b", "q", "r", group=2, dilations=[2, 1], pads=[2, 1, 2, 1]), conv("c", "r", "y")]
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model(nodes, constants, [2, 3, 11, 9]), before)
        quantize_dynamic(before, after, weight_type=weight_type)
        return onnx.load(after)


def products(dtype):
    zero = 121 if dtype == np.uint8 else 0
    constants = {"w": codes(dtype, 24, 20), "scale": np.float32(0.01), "zero": np.array(zero, dtype),
                 "bias": normal(20)}
    matmul = helper.make_node("DynamicQuantizeMatMul", ["x", "w", "scale", "zero", "bias"], ["y"], domain=CONTRIB)
    yield "matmul", model([matmul], constants, [2, 5, 24])

    constants["scale"], constants["zero"] = np.linspace(0.001, 0.02, 20, dtype=np.float32), np.full(20, zero, dtype)
    measure = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "x_scale", "x_zero"])
    inputs = ["q", "w", "x_scale", "scale", "x_zero", "zero", "bias"]
    to_float = helper.make_node("MatMulIntegerToFloat", inputs, ["y"], domain=CONTRIB)
    yield "to_float", model([measure, to_float], constants, [2, 5, 24])

    constants = {"w": codes(dtype, 16, 48), "scale": np.float32(0.004), "zero": np.array(zero, dtype),
                 "bias": normal(48), "mask": np.array([[1] * 5, [1, 1, 1, 0, 0]], np.int32)}
    inputs = ["q", "w", "bias", "x_scale", "scale", "mask", "x_zero", "zero"]
    attention = helper.make_node("QAttention", inputs, ["y"], domain=CONTRIB, num_heads=2)
    yield "attention", model([measure, attention], constants, [2, 5, 16])


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    models = [("cnn_u8", quantized_cnn(QuantType.QUInt8)), ("cnn_i8", quantized_cnn(QuantType.QInt8))]
    for suffix, dtype in (("u8", np.uint8), ("i8", np.int8)):
        models += [(f"{name}_{suffix}", made) for name, made in products(dtype)]
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, made in models:
        onnx.save(made, out / f"{name}.onnx")
        dims = [dim.dim_value for dim in made.graph.input[0].type.tensor_type.shape.dim]
        inputs = {"x": normal(*dims)}
        session = onnxruntime.InferenceSession(made.SerializeToString(), plain)
        np.savez_compressed(out / f"{name}.npz", **inputs, **{"want.y": session.run(["y"], inputs)[0]})


if __name__ == "__main__":
    main()
