"""The header of a GGUF file: what its metadata says and where its tensors lie. Needs the standard library alone."""
import dataclasses
import struct

# ggml's number of a type: name, weights in a block, bytes of it.
TYPES = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
         7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
         12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66),
         17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
         22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 30: ("BF16", 1, 2)}
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


@dataclasses.dataclass
class Tensor:
    kind: str
    dims: list  # the outermost first
    offset: int  # in the file
    elements: int
    bytes: int


def read(path):
    """The metadata, without arrays, and the tensors by name."""
    with open(path, "rb") as file:
        def number(form):
            return struct.unpack("<" + form, file.read(struct.calcsize("<" + form)))[0]

        def text():
            return file.read(number("Q")).decode(errors="replace")

        def value(kind):
            if kind == STRING:
                return text()
            if kind != ARRAY:
                return number(NUMBERS[kind])
            inner, count = number("I"), number("Q")
            for _ in range(count):
                value(inner)
            return None

        if file.read(4) != b"GGUF":
            raise SystemExit(f"{path} is no GGUF file")
        number("I")
        count, keys = number("Q"), number("Q")
        metadata, tensors = {}, {}
        for _ in range(keys):
            key = text()
            metadata[key] = value(number("I"))
        for _ in range(count):
            name = text()
            dims = [number("Q") for _ in range(number("I"))][::-1]
            kind, size, nbytes = TYPES[number("I")]
            elements = 1
            for dim in dims:
                elements *= dim
            tensors[name] = Tensor(kind, dims, number("Q"), elements, elements // size * nbytes)
        alignment = metadata.get("general.alignment", 32)
        start = (file.tell() + alignment - 1) // alignment * alignment
        for tensor in tensors.values():
            tensor.offset += start
        return metadata, tensors
