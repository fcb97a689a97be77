#!/usr/bin/env python3
"""Writes the corpus of the ONNX fuzzer: a few small models, each for a part of the reader.

Usage: tiny_onnx.py FOLDER     (tests/fuzz/corpus/onnx)

The messages are written field by field, by the numbers of onnx.proto; no package is needed.
"""
import pathlib
import struct
import sys

FLOAT, INT, STRING, TENSOR, GRAPH, INTS = 1, 2, 3, 4, 5, 7
F32, I64, BOOL, F16, I4 = 1, 7, 9, 10, 22


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def text(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def attribute(name, kind, value):
    return text(5, text(1, name) + value + number(20, kind))


def reference(name, kind, meant):
    return text(5, text(1, name) + text(21, meant) + number(20, kind))


def node(op, inputs, outputs, attributes=b"", domain="", field=1):
    names = b"".join(text(1, n) for n in inputs) + b"".join(text(2, n) for n in outputs)
    return text(field, names + text(4, op) + attributes + (text(7, domain) if domain else b""))


def value(field, name, kind, dims):
    shape = b"".join(text(1, number(1, d) if isinstance(d, int) else text(2, d)) for d in dims)
    return text(field, text(1, name) + text(2, text(1, number(1, kind) + text(2, shape))))


def tensor(name, kind, dims, data):
    return b"".join(number(1, d) for d in dims) + number(2, kind) + text(8, name) + data


def floats(name, dims, values):
    return tensor(name, F32, dims, text(9, struct.pack(f"<{len(values)}f", *values)))


def model(graph, ir=8, opset=17, rest=b""):
    return number(1, ir) + text(2, "thimble") + text(7, graph) + text(8, number(2, opset)) + rest


X, Y = value(11, "x", F32, ["n", 2]), value(12, "y", F32, ["n", 2])


def linear():
    shape = text(5, tensor("s", I64, [2], number(7, -1) + number(7, 2)))
    return model(node("Gemm", ["x", "w", "b"], ["t"], attribute("alpha", FLOAT, b"\x15\0\0\0\x3f"))
                 + node("Reshape", ["t", "s"], ["y"]) + text(5, floats("w", [2, 2], [1, 2, 3, 4]))
                 + text(5, floats("b", [2], [0, 1])) + shape + X + Y)


def branches():
    then = node("Add", ["a", "w"], ["r"]) + value(12, "r", F32, ["n", 2])
    other = node("If", ["c"], ["q"], attribute("then_branch", GRAPH, text(6, then))
                 + attribute("else_branch", GRAPH, text(6, then))) + value(12, "q", F32, ["n", 2])
    return model(node("Relu", ["x"], ["a"])
                 + node("If", ["c"], ["y"], attribute("then_branch", GRAPH, text(6, then))
                        + attribute("else_branch", GRAPH, text(6, other)))
                 + text(5, floats("w", [2], [1, 2])) + value(11, "c", BOOL, []) + X + Y)


def half():
    weight = text(5, tensor("w", F16, [2], number(5, 0x3C00) + number(5, 0x4000)))
    return model(node("Mul", ["x", "w"], ["t"]) + node("Cast", ["t"], ["y"], attribute("to", INT, number(3, F16)))
                 + weight + value(11, "x", F16, ["n", 2]) + value(12, "y", F16, ["n", 2]))


def functions():
    inner = (text(1, "Inner") + text(10, "local") + text(4, "a") + text(5, "b") + text(6, "slope")
             + node("LeakyRelu", ["a"], ["b"], reference("alpha", FLOAT, "slope"), field=7))
    outer = (text(1, "Outer") + text(10, "local") + text(4, "a") + text(5, "b")
             + node("Inner", ["a"], ["t"], attribute("slope", FLOAT, b"\x15\0\0\0\x3f"), "local", 7)
             + node("Inner", ["t"], ["b"], b"", "local", 7))
    return model(node("Outer", ["x"], ["y"], b"", "local") + X + Y,
                 rest=text(25, inner) + text(25, outer))


def old():
    initializer = text(5, floats("w", [2], [1, 2]))
    graph = node("Add", ["x", "w"], ["y"]) + initializer + X + value(11, "w", F32, [2]) + Y
    return number(1, 3) + text(7, graph)


def constants():
    ints = attribute("value_ints", INTS, text(8, varint(2) + varint(2)))
    nibbles = attribute("value", TENSOR, text(5, tensor("", I4, [3], number(5, 0x21) + number(5, 3))))
    return model(node("Constant", [], ["s"], ints) + node("Constant", [], ["k"], nibbles)
                 + node("Constant", [], ["t"], attribute("value_string", STRING, text(4, "unused")))
                 + node("Expand", ["x", "s"], ["y"]) + node("Identity", ["k"], ["z"])
                 + X + Y + value(12, "z", I4, [3]))


def external():
    place = text(13, text(1, "location") + text(2, "../w.bin")) + number(14, 1)
    return model(node("Add", ["x", "w"], ["y"]) + text(5, tensor("w", F32, [2], place)) + X + Y)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for make in (linear, branches, half, functions, old, constants, external):
        (folder / f"{make.__name__}.onnx").write_bytes(make())
    (folder / "tensor.pb").write_bytes(tensor("t", I64, [2], number(7, -1) + number(7, 300)))


if __name__ == "__main__":
    main()
