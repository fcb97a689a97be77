"""Random blocks of every GGUF type that is read, with the numbers that PyPI's gguf package decodes from them.

    pip install gguf numpy && python gguf_blocks.py tests/data/oracle/gguf_blocks.npz
"""

import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize

# Where a block keeps its f16 numbers.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "MXFP4": [], "TQ2_0": [64], "NVFP4": [],
          "TQ1_0": [52]}
BLOCKS = 4

rng = np.random.default_rng(5)
arrays = {}
for name, halves in HALVES.items():
    kind = Type[name]
    _, size = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    if name == "MXFP4":
        blocks[:, 0] = rng.integers(0, 255, BLOCKS)  # 255 is not a number
    if name == "NVFP4":
        blocks[:, :4] = rng.integers(0, 127, (BLOCKS, 4))  # nor is 127, and scales have no sign
    for at in halves:
        blocks[:, at:at + 2] = (rng.standard_normal(BLOCKS) * 0.1).astype("<f2")[:, None].view(np.uint8)
    arrays[name + ".blocks"] = blocks
    arrays[name + ".values"] = dequantize(blocks, kind).astype("<f4").reshape(BLOCKS, -1)
np.savez_compressed(sys.argv[1], **arrays)
