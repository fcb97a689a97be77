"""Compares the latency of ONNX models with ONNX Runtime's: both run on the same machine, in turns.

    scripts/bench/onnx_latency.py build/release/bin/thimble resnet50.onnx minilm.thimble=minilm.onnx \\
        --dim batch=1 --dim seq=128 --threads 1 2 --markdown docs/latency.md

A model is OURS=THEIRS, or one ONNX file for both. Needs numpy and onnxruntime. Each round runs one, then the other,
pinned to the same cores, for about --seconds; a round's figure is the median of its runs, and a pair's ratio is theirs
over ours (above 1: we are faster). The table has the median of the pairs and the ratio of the best runs, which a
busy machine disturbs least. Neither counts the start of a process: ours is what `thimble bench` measures around the
run, theirs what surrounds InferenceSession.run. Load is reading, checking and preparing the file until the first run can
begin. Outputs are compared in the same call: |a - b| <= 1e-4 + 1e-3 |b|, or else the cosine is given.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile
import time

import numpy as np
import onnxruntime

TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
         "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(double)": np.float64}


def inputs_of(session, dims, values, seed):
    """Seeded inputs of named sizes, NAME[AXIS] where a size has no name: normal floats, small non-negative integers; `values` fills inputs by name."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for spec in session.get_inputs():
        shape = [d if isinstance(d, int) else dims.get(d or f"{spec.name}[{axis}]", 1)
                 for axis, d in enumerate(spec.shape)]
        kind = TYPES[spec.type]
        if spec.name in values:
            inputs[spec.name] = np.full(shape, values[spec.name], kind)
        elif np.issubdtype(kind, np.floating):
            inputs[spec.name] = rng.standard_normal(shape).astype(kind)
        else:
            inputs[spec.name] = rng.integers(0, 1000, shape).astype(kind)
    return inputs


def theirs(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session, time.perf_counter() - start


def run_theirs(session, inputs, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        session.run(None, inputs)
        times.append(time.perf_counter() - start)
    return times


def run_ours(binary, path, npz, threads, count):
    out = subprocess.run([binary, "bench", path, "--inputs", npz, "--repeat", str(count), "--threads", str(threads),
                          "--json"], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def agreement(binary, ours, npz, session, inputs, folder):
    """'yes' where every output agrees, else the lowest cosine."""
    out = str(pathlib.Path(folder) / "out.npz")
    subprocess.run([binary, "run", ours, "--inputs", npz, "--outputs", out, "--quiet"], check=True,
                   capture_output=True)
    names = [o.name for o in session.get_outputs()]
    lowest, close = 1.0, True
    with np.load(out) as got:
        for name, want in zip(names, session.run(None, inputs)):
            a, b = got[name].astype(np.float64).ravel(), np.asarray(want, np.float64).ravel()
            close = close and a.shape == b.shape and bool(np.all(np.abs(a - b) <= 1e-4 + 1e-3 * np.abs(b)))
            norm = np.linalg.norm(a) * np.linalg.norm(b)
            lowest = min(lowest, float(a @ b / norm) if norm > 0 else 1.0)
    return "yes" if close else f"cos {lowest:.6f}"


def measure(binary, ours, reference, threads, options, folder):
    os.sched_setaffinity(0, set(sorted(options.cores)[:threads]))
    session, load = theirs(reference, threads)
    inputs = inputs_of(session, options.dims, options.values, options.seed)
    npz = str(pathlib.Path(folder) / "in.npz")
    np.savez(npz, **inputs)
    agrees = agreement(binary, ours, npz, session, inputs, folder)
    once = min(run_theirs(session, inputs, 3))
    count = max(3, min(1000, int(options.seconds / once)))
    pairs, loads = [], []
    for turn in range(options.rounds):
        mine = run_ours(binary, ours, npz, threads, count)
        other = run_theirs(session, inputs, count)
        pairs.append((mine["runs"], other))
        loads.append((mine["load_seconds"], theirs(reference, threads)[1]))
    medians = [(statistics.median(a), statistics.median(b)) for a, b in pairs]
    best = (min(min(a) for a, _ in pairs), min(min(b) for _, b in pairs))
    return {"model": pathlib.Path(ours).name, "threads": threads, "agrees": agrees,
            "ours_ms": statistics.median(a for a, _ in medians) * 1e3,
            "theirs_ms": statistics.median(b for _, b in medians) * 1e3,
            "ratio": statistics.median(b / a for a, b in medians), "ratio_best": best[1] / best[0],
            "load_ours_ms": statistics.median(a for a, _ in loads) * 1e3,
            "load_ratio": statistics.median(b / a for a, b in loads), "mac_shares": mine["mac_shares"]}


COLUMNS = ("model", "threads", "ours ms", "theirs ms", "ratio", "of best", "load ms", "load ratio", "agrees",
           "multiplied in")


def row_of(r):
    shares = ", ".join(f"{share * 100:.0f} % {kind}" for kind, share in
                       sorted(r["mac_shares"].items(), key=lambda item: -item[1]) if share >= 0.005)
    return (r["model"], str(r["threads"]), f"{r['ours_ms']:.3f}", f"{r['theirs_ms']:.3f}", f"{r['ratio']:.2f}",
            f"{r['ratio_best']:.2f}", f"{r['load_ours_ms']:.1f}", f"{r['load_ratio']:.1f}", r["agrees"], shares)


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def markdown(rows):
    lines = ["# Latency against ONNX Runtime", "",
             f"Written by `scripts/bench/onnx_latency.py`, which says how it measures: {cpu_model()}, "
             f"{os.cpu_count()} cores, ONNX Runtime {onnxruntime.__version__}.",
             "`ratio`: theirs over ours in the median of pairs; `of best`: of the best runs.", "",
             "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    return "\n".join(lines + ["| " + " | ".join(row_of(r)) + " |" for r in rows]) + "\n"


def pairs_of(text, convert):
    name, _, value = text.partition("=")
    return name, convert(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("thimble")
    parser.add_argument("models", nargs="+", metavar="MODEL", help="an ONNX file, or OURS=THEIRS")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each side's turn")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE")
    parser.add_argument("--set", action="append", default=[], metavar="INPUT=NUMBER", help="fills that input")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--markdown", help="writes the table there as well")
    options = parser.parse_args()
    options.dims = dict(pairs_of(d, int) for d in options.dim)
    options.values = dict(pairs_of(s, float) for s in options.set)
    options.cores = os.sched_getaffinity(0)
    rows = []
    print("  ".join(COLUMNS), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            ours, _, reference = model.partition("=")
            for threads in options.threads:
                rows.append(measure(options.thimble, ours, reference or ours, threads, options, folder))
                print("  ".join(row_of(rows[-1])), flush=True)
    if options.markdown:
        pathlib.Path(options.markdown).write_text(markdown(rows))


if __name__ == "__main__":
    main()
