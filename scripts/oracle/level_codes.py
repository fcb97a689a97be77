"""NF4 from the QLoRA paper's definition (arXiv 2305.14314, section 3): its levels as quantiles of the normal
distribution, and the codes of weights under absmax scales of blocks of 32. Weights so near a middle between two
levels that levels in steps of a 127th could decide otherwise are drawn again.

    pip install numpy && python level_codes.py tests/data/oracle/level_codes.npz
"""

import sys
from statistics import NormalDist

import numpy as np

ROWS, INPUTS, BLOCK, OFFSET = 20, 96, 32, 0.9677083
quantile = np.vectorize(NormalDist().inv_cdf)
levels = np.concatenate([quantile(np.linspace(OFFSET, 0.5, 9)[:-1]), [0], -quantile(np.linspace(OFFSET, 0.5, 8)[:-1])])
levels = np.sort(levels / levels.max())
middles = (levels[:-1] + levels[1:]) / 2

rng = np.random.default_rng(3)
weights = np.empty((ROWS, INPUTS), np.float32)
codes = np.empty((ROWS, INPUTS), np.uint8)
for row in range(ROWS):
    for begin in range(0, INPUTS, BLOCK):
        scale = 0.02 * rng.uniform(0.5, 2)
        x = rng.uniform(-1, 1, BLOCK)
        x[rng.integers(BLOCK)] = rng.choice([-1, 1])  # the extreme, of either sign
        while (near := np.abs(x[:, None] - middles).min(1) < 0.006).any():
            x[near] = rng.uniform(-1, 1, near.sum())
        weights[row, begin:begin + BLOCK] = x * scale
        codes[row, begin:begin + BLOCK] = np.abs(x[:, None] - levels).argmin(1)
np.savez_compressed(sys.argv[1], levels=levels, weights=weights, codes=codes)
