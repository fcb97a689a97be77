"""GPTQ, GPTAQ, AWQ, HQQ and EoRA from their papers' equations, in f64 and without their shortcuts: small cases
for the tests of lib/quant.

    pip install numpy && python gptq_cases.py tests/data/oracle/gptq_cases.npz

GPTQ (arXiv 2210.17323) and GPTAQ (2504.02692) solve each step's constrained least squares with the inverse of the
Hessian of the inputs that are left, where the library has one Cholesky factor for all steps.
"""

import sys

import numpy as np

ROWS, INPUTS, TOKENS, DAMP = 12, 48, 160, 0.01
rng = np.random.default_rng(11)
weights = (rng.standard_normal((ROWS, INPUTS)) * np.where(rng.random((ROWS, INPUTS)) < 0.03, 0.3, 0.03)).astype("<f4")
sizes = np.where(np.arange(INPUTS) % 13 == 4, 6.0, 1.0)
exact = (0.8 * rng.standard_normal((TOKENS, 1)) + 0.6 * rng.standard_normal((TOKENS, INPUTS))) * sizes
inputs = 0.9 * exact + 0.1 * rng.standard_normal((TOKENS, INPUTS))
H = inputs.T @ inputs
D = (exact - inputs).T @ inputs


class Grid:
    """One group's scale, zero point and minimum from its extremes, as f32 numbers; a row each."""

    def __init__(self, w, bits, kind):
        w = w.astype(np.float32)
        self.top, self.kind = 2**bits - 1, kind
        self.minimum = np.zeros(len(w))
        if kind == "constant":
            self.scale = np.abs(w).max(1) / np.float32(self.top // 2)
            self.zero = np.full(len(w), 2.0**(bits - 1))
        elif kind == "points":
            low, high = np.minimum(w.min(1), 0), np.maximum(w.max(1), 0)
            self.scale = (high - low) / np.float32(self.top)
            self.zero = np.round(-low.astype(float) / self.scale)
        else:
            self.scale = (w.max(1) - w.min(1)) / np.float32(self.top)
            self.zero, self.minimum = np.zeros(len(w)), w.min(1).astype(float)
        self.scale = self.scale.astype(float)

    def codes(self, w):
        return np.clip(np.round((w - self.minimum) / self.scale) + self.zero, 0, self.top)

    def decode(self, codes):
        return self.scale * (codes - self.zero) + self.minimum


def gptq(bits, kind, group, act_order, asymmetric):
    W, size = weights.astype(float), group or INPUTS
    damped = H + DAMP * np.mean(np.diag(H)) * np.eye(INPUTS)
    order = np.argsort(-np.diag(H), kind="stable") if act_order else np.arange(INPUTS)
    codes, decoded, grids = np.zeros_like(W), np.zeros_like(W), {}
    for turn, q in enumerate(order):
        left, g = order[turn:], q // size
        if g not in grids:
            source = weights.astype(float) if act_order else W
            grids[g] = Grid(source[:, g * size:(g + 1) * size], bits, kind)
        codes[:, q] = grids[g].codes(W[:, q])
        decoded[:, q] = grids[g].decode(codes[:, q])
        # Least |change X_left - w_q dX_q|^2 with change_q fixed.
        inverse = np.linalg.inv(damped[np.ix_(left, left)])
        free = np.outer(W[:, q], D[q, left]) @ inverse if asymmetric else np.zeros((ROWS, len(left)))
        push = (decoded[:, q] - W[:, q] - free[:, 0]) / inverse[0, 0]
        W[:, left] += free + np.outer(push, inverse[0])
    e = weights - decoded
    error = np.sum((e @ H) * e) + (2 * np.sum((weights.astype(float) @ D) * e) if asymmetric else 0)
    return codes.astype(np.uint8), error


def awq(bits, kind, group):
    magnitudes = np.abs(inputs).mean(0).astype(np.float32)
    errors = []
    for step in range(20):
        s = magnitudes.astype(float)**(step / 20)
        s = (s / np.sqrt(s.max() * s.min())).astype(np.float32)
        scaled, decoded = weights * s, np.zeros((ROWS, INPUTS))
        for at in range(0, INPUTS, group):
            grid = Grid(scaled[:, at:at + group], bits, kind)
            for i in range(at, min(at + group, INPUTS)):
                decoded[:, i] = grid.decode(grid.codes(scaled[:, i].astype(float)))
        e = (scaled - decoded) / s
        errors.append(np.sum((e @ H) * e))
    return magnitudes, np.array(errors)


def hqq(bits, group, p=0.7, beta0=10.0, growth=1.01, iterations=20):
    codes = np.zeros((ROWS, INPUTS), np.uint8)
    minima = np.zeros((ROWS, INPUTS // group), np.float32)
    for r in range(ROWS):
        for g in range(INPUTS // group):
            w32 = weights[r, g * group:(g + 1) * group]
            grid, w, beta = Grid(w32[None], bits, "minima"), w32.astype(float), beta0
            scale, zero, least = grid.scale[0], -grid.minimum[0] / grid.scale[0], np.inf
            for _ in range(iterations):
                code = np.clip(np.round(w / scale + zero), 0, grid.top)
                x = (w - scale * (code - zero)) / scale
                if np.abs(x).mean() >= least * (1 - 1e-9):
                    break
                least, best = np.abs(x).mean(), zero
                with np.errstate(divide="ignore"):
                    shrunk = np.sign(x) * np.maximum(np.abs(x) - np.abs(x)**(p - 1) / beta, 0)
                zero, beta = np.mean(code - (w / scale - shrunk)), beta * growth
            minima[r, g] = -best * scale
            codes[r, g * group:(g + 1) * group] = np.clip(np.round((w - float(minima[r, g])) / scale), 0, grid.top)
    return codes, minima


def eora(errors, rank, damp):
    damped = H + damp * np.mean(np.diag(H)) * np.eye(INPUTS)
    values, vectors = np.linalg.eigh(damped)
    white = vectors * np.sqrt(values)
    u, s, v = np.linalg.svd(errors @ white, full_matrices=False)
    product = (u[:, :rank] * s[:rank]) @ v[:rank] @ np.linalg.inv(white)
    rest = errors - product
    return product, np.sum((rest @ H) * rest)


arrays = {"weights": weights, "hessian": H, "asymmetry": D}
for name, case in {
        "channel": (4, "constant", 0, False, False),
        "group": (3, "points", 32, False, False),
        "minima": (4, "minima", 16, False, False),
        "act_order": (3, "constant", 16, True, False),
        "asymmetric": (4, "points", 0, False, True)
}.items():
    arrays["gptq." + name + ".codes"], arrays["gptq." + name + ".error"] = gptq(*case)
arrays["awq.magnitudes"], arrays["awq.errors"] = awq(3, "constant", 16)
arrays["hqq.codes"], arrays["hqq.minima"] = hqq(4, 16)
arrays["eora.errors"] = (rng.standard_normal((ROWS, INPUTS)) * 0.01).astype("<f4")
arrays["eora.product"], arrays["eora.error"] = eora(arrays["eora.errors"].astype(float), 4, 1e-4)
values = arrays["eora.errors"].astype(float)
arrays["lorc.error"] = np.sum(np.linalg.svd(values)[1][4:]**2)
arrays = {name: np.atleast_1d(values) for name, values in arrays.items()}
np.savez_compressed(sys.argv[1], **arrays)
