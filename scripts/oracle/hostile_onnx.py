"""Small ONNX models that ask for the impossible: sizes that overflow, indices outside, bodies without end.

    pip install onnx numpy && python hostile_onnx.py tests/data/onnx/hostile

Every one must be refused with one clear error, whether by reading or by running it on x = [1.0]; tests/cli/cases/hostile.sh
holds which. Their kinds are those of the advisories against model readers: CVE-2022-25882, CVE-2024-27318 and
CVE-2026-27489 (external data outside of its folder), CVE-2024-27319 and CVE-2026-7482 (reads behind the data),
CVE-2025-53630 and CVE-2026-33298 (sizes that wrap), CVE-2026-34445 (lengths beyond the file).
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = np.float32, np.int64
CUBE = ("cube", np.array([1, 1, 1, 1], INT64))


def node(op, inputs, outputs="y", **attributes):
    return helper.make_node(op, inputs.split(","), outputs.split(","), **attributes)


def on_image(op, inputs="z", **attributes):
    """The operator on the input as an image of one pixel."""
    return [node("Reshape", "x,cube", "z"), node(op, inputs, **attributes)]


def ints(*values):
    return np.array(values, INT64)


def ones(*dims):
    return np.ones(dims, FLOAT)


def added(op, inputs, **attributes):
    """The operator's result as floats, added to the input."""
    return [node(op, inputs, "t", **attributes), node("Cast", "t", "f", to=TensorProto.FLOAT), node("Add", "f,x")]


MODELS = {
    "constant_of_shape_huge": (added("ConstantOfShape", "s"), {"s": ints(1 << 40, 1 << 20)}),
    "constant_of_shape_negative": (added("ConstantOfShape", "s"), {"s": ints(-5, 3)}),
    "conv_dilation": (on_image("Conv", "z,w", dilations=[1 << 62, 1], pads=[1 << 61, 0, 1 << 61, 0]),
                      {"w": ones(1, 1, 3, 3)}),
    "conv_group_zero": (on_image("Conv", "z,w", group=0), {"w": ones(1, 1, 1, 1)}),
    "conv_stride_zero": (on_image("Conv", "z,w", strides=[0, 0]), {"w": ones(1, 1, 1, 1)}),
    "cumsum_axis": ([node("CumSum", "x,s")], {"s": np.array(77, INT64)}),
    "depth_to_space_block": (on_image("DepthToSpace", blocksize=1 << 40), {}),
    "dequantize_axis": ([node("Cast", "x", "q", to=TensorProto.INT8), node("DequantizeLinear", "q,s", axis=55)],
                        {"s": ones(7)}),
    "divide_by_zero": (added("Div", "a,b"), {"a": ints(-(1 << 63)), "b": ints(0)}),
    "expand_huge": ([node("Expand", "x,s")], {"s": ints(1 << 45)}),
    "gather_outside": (added("Gather", "w,k"), {"w": ones(4, 4), "k": ints(-5, 400)}),
    "lrn_size": (on_image("LRN", size=1 << 60), {}),
    "lstm_hidden": ([node("Reshape", "x,s", "z"), node("LSTM", "z,w,w", hidden_size=1 << 40)],
                    {"s": ints(1, 1, 1), "w": ones(1, 4, 1)}),
    "matmul_nbits_huge": ([helper.make_node("MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", K=1 << 40,
                                            N=1 << 40, bits=4, block_size=32)],
                          {"w": np.ones((1, 1, 16), np.uint8), "s": ones(1)}),
    "one_hot_depth": ([node("Cast", "x", "k", to=TensorProto.INT64), node("OneHot", "k,d,v")],
                      {"d": np.array(1 << 60, INT64), "v": np.array([0, 1], FLOAT)}),
    "pad_huge": ([node("Pad", "x,s")], {"s": ints(1 << 60, 1 << 60)}),
    "pad_negative": ([node("Pad", "x,s")], {"s": ints(-(1 << 62), -5)}),
    "pool_kernel": (on_image("MaxPool", kernel_shape=[1 << 40, 1 << 40], pads=[1 << 39] * 4), {}),
    "range_endless": (added("Range", "a,b,c"),
                      {"a": np.int64(0), "b": np.int64(1 << 62), "c": np.int64(1)}),
    "reshape_wraps": ([node("Reshape", "x,s")], {"s": ints(1 << 32, 1 << 32)}),
    "reshape_wraps_to_empty": ([node("Slice", "x,z,z", "e"), node("Reshape", "e,s")],
                               {"z": ints(0), "s": ints(1 << 32, 1 << 32)}),
    "resize_huge": (on_image("Resize", "z,,s"), {"s": np.array([1, 1, 1e9, 1e9], FLOAT)}),
    "scatter_outside": (added("ScatterND", "w,k,u"), {"w": ones(4, 4), "k": ints(9).reshape(1, 1), "u": ones(1, 4)}),
    "slice_step": ([node("Slice", "x,a,b,c,d")],
                   {"a": ints(-(1 << 63)), "b": ints((1 << 63) - 1), "c": ints(0), "d": ints(-(1 << 63))}),
    "split_huge": ([node("Split", "x,s")], {"s": ints(1 << 62)}),
    "tile_huge": ([node("Tile", "x,s")], {"s": ints(1 << 62)}),
    "top_k_huge": ([node("TopK", "x,s", "y,i")], {"s": ints(1 << 62)}),
}


def save(folder, name, nodes, weights, change=lambda model: None):
    if any("cube" in n.input for n in nodes):
        weights = dict([CUBE], **weights)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    tensors = [numpy_helper.from_array(np.asarray(value), key) for key, value in weights.items()]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, tensors), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)],
                              producer_name="")
    change(model)
    (folder / (name + ".onnx")).write_bytes(model.SerializeToString())


def external(**entries):
    """Moves the last initializer's data to a file that the entries describe."""
    def change(model):
        tensor = model.graph.initializer[-1]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
    return change


def nested(depth):
    """Bodies inside of bodies, as bytes: protobuf's own writer refuses to go so deep."""
    def field(number, payload):
        length, n = b"", len(payload)
        while n > 127:
            length, n = length + bytes([n & 127 | 128]), n >> 7
        return bytes([number << 3 | 2]) + length + bytes([n]) + payload
    graph = b""
    for _ in range(depth):
        attribute = field(1, b"then_branch") + b"\xa0\x01\x05" + field(6, graph)
        graph = field(1, field(4, b"If") + field(5, attribute))
    return b"\x08\x08" + field(7, graph) + field(8, b"\x10\x12")


def endless_loop(body):
    """A loop without a number of rounds whose condition stays true; each round gives what the body calls `next`."""
    count = helper.make_tensor_value_info("round", TensorProto.INT64, [])
    going, on = (helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("going", "on"))
    graph = helper.make_graph([node("Identity", "going", "on"), *body], "body", [count, going],
                              [on, helper.make_tensor_value_info("next", TensorProto.FLOAT, None)])
    return [node("Loop", ",yes", body=graph)]


def endless():
    """A loop without end that gathers nothing: it hands a value on for ever."""
    def value(name, kind):
        return helper.make_tensor_value_info(name, kind, [] if kind != TensorProto.FLOAT else [1])
    inputs = [value("round", TensorProto.INT64), value("going", TensorProto.BOOL), value("a", TensorProto.FLOAT)]
    outputs = [value("going", TensorProto.BOOL), value("b", TensorProto.FLOAT)]
    return [node("Loop", ",,x", body=helper.make_graph([node("Cos", "a", "b")], "body", inputs, outputs))]


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "x.npz", x=ones(1))
    for name, (nodes, weights) in MODELS.items():
        save(folder, name, nodes, weights)
    sum_of = [node("Add", "x,w")], {"w": ones(1)}
    for name, entries in {"external_parent": {"location": "../encoder.onnx"},
                          "external_root": {"location": "/etc/hostname"},
                          "external_beyond": {"location": "x.npz", "offset": 1 << 40},
                          "external_wraps": {"location": "x.npz", "offset": (1 << 64) - 2, "length": 4},
                          "external_length": {"location": "x.npz", "length": 1 << 62}}.items():
        save(folder, name, *sum_of, external(**entries))
    rounds = endless_loop([node("ConstantOfShape", "s", "next")])
    save(folder, "loop_scans_endlessly", rounds, {"s": ints(1 << 22), "yes": np.bool_(True)})
    save(folder.parent, "endless", endless(), {})  # apart: it has to be interrupted
    (folder / "nested.onnx").write_bytes(nested(500))


main()
