"""Real ONNX models through thimble and through ONNX Runtime, output by output.

    pip install onnxruntime numpy
    python onnx_models.py compare THIMBLE MODELS [--minilm EXPORTS]
    python onnx_models.py fixtures MODELS OUT

MODELS is a folder with dtln/, magika/, mnist/ and silero-vad/; EXPORTS one that minilm_exports.py wrote. `compare`
prints a table and exits with 1 where an output misses |a - b| <= 1e-4 + 1e-3 |b| or a cosine of 0.99999. The silero
models hear the whole of test.wav, frame by frame, their state carried from call to call; the others one seeded
input. `fixtures` writes those inputs and ONNX Runtime's outputs, NAME.npz each (the sound itself is left out), for the
tests: tests/data/oracle/onnx.
"""

import argparse
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
import onnxruntime

ABSOLUTE, RELATIVE, COSINE = 1e-4, 1e-3, 0.99999
FRAME, HOP, RATE = 576, 512, 16000
SILERO = ["silero_vad", "silero_vad_16k_op15", "silero_vad_op18_ifless"]


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def runtime_outputs(path, inputs):
    runtime = session(path)
    names = [output.name for output in runtime.get_outputs()]
    return dict(zip(names, runtime.run(names, inputs)))


def sound(path):
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE and file.getnchannels() == 1 and file.getsampwidth() == 2
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def frames(samples):
    """As `thimble run --frame 576 --hop 512` cuts: the last 576 samples of each 512 that arrive."""
    count = -(-len(samples) // HOP)
    padded = np.concatenate([np.zeros(FRAME - HOP, np.float32), samples,
                             np.zeros(count * HOP - len(samples), np.float32)])
    return np.stack([padded[i * HOP:i * HOP + FRAME] for i in range(count)])


def silero_outputs(path, samples):
    runtime, state, heard = session(path), np.zeros((2, 1, 128), np.float32), []
    for frame in frames(samples):
        given = {"input": frame[None], "state": state, "sr": np.array(RATE, np.int64)}
        output, state = runtime.run(["output", "stateN"], given)
        heard.append(output)
    return {"output": np.stack(heard), "stateN": state}


def cases(models):
    """Name, file and inputs of each model that takes one call."""
    rng = np.random.default_rng(7)

    def uniform(*dims):
        return rng.uniform(-1, 1, dims).astype(np.float32)

    states = (1, 2, 128, 2)
    return [
        ("magika", models / "magika/model.onnx", {"bytes": rng.integers(0, 257, (1, 2048)).astype(np.int32)}),
        ("dtln_1", models / "dtln/model_1.onnx", {"input_2": np.abs(uniform(1, 1, 257)), "input_3": uniform(*states)}),
        ("dtln_2", models / "dtln/model_2.onnx", {"input_4": uniform(1, 1, 512), "input_5": uniform(*states)}),
        ("mnist", models / "mnist/mnist-8.onnx", {"Input3": 255 * np.abs(uniform(1, 1, 28, 28))}),
    ]


def thimble_outputs(thimble, arguments, folder):
    out = Path(folder) / "out.npz"
    subprocess.run([thimble, "run", *map(str, arguments), "--outputs", str(out), "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    with np.load(out) as arrays:
        return {name: arrays[name] for name in arrays.files}


def agreement(ours, theirs):
    a, b = ours.astype(np.float64).ravel(), theirs.astype(np.float64).ravel()
    error = np.abs(a - b)
    noise = (error ** 2).sum()
    return {
        "most": error.max(),
        "cosine": a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300),
        "sqnr": 10 * np.log10((b ** 2).sum() / noise) if noise > 0 else np.inf,
        "inside": bool((error <= ABSOLUTE + RELATIVE * np.abs(b)).all()),
    }


def report(name, ours, theirs):
    met = True
    for output, wanted in theirs.items():
        if ours[output].shape != wanted.shape:
            print(f"{name:24} {output:20} has {ours[output].shape}, not {wanted.shape}")
            met = False
            continue
        figures = agreement(ours[output], wanted)
        good = figures["inside"] and figures["cosine"] >= COSINE
        met = met and good
        print(f"{name:24} {output:20} {wanted.size:8} {figures['most']:10.2e} {figures['cosine']:10.7f} "
              f"{figures['sqnr']:8.1f}  {'' if good else 'MISSED'}")
    return met


def compare(options):
    print(f"{'model':24} {'output':20} {'values':>8} {'max error':>10} {'cosine':>10} {'SQNR dB':>8}")
    met = True
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "in.npz"
        rows = cases(options.models)
        if options.minilm:
            inputs = dict(np.load(options.minilm / "inputs.npz"))
            rows += [("minilm " + path.stem, path, inputs) for path in sorted(options.minilm.glob("*.onnx"))]
        for name, path, inputs in rows:
            np.savez(given, **inputs)
            ours = thimble_outputs(options.thimble, [path, "--inputs", given], folder)
            met = report(name, ours, runtime_outputs(path, inputs)) and met
        heard = options.models / "silero-vad/test.wav"
        for name in SILERO:
            path = options.models / f"silero-vad/{name}.onnx"
            ours = thimble_outputs(options.thimble, [path, "--wav", heard, "--frame", FRAME, "--hop", HOP, "--rate",
                                                     RATE, "--fill", f"sr={RATE}", "--state", "state=stateN"], folder)
            met = report(name, ours, silero_outputs(path, sound(heard))) and met
    return 0 if met else 1


def fixtures(options):
    options.out.mkdir(parents=True, exist_ok=True)
    for name, path, inputs in cases(options.models):
        wanted = {"want." + key: value for key, value in runtime_outputs(path, inputs).items()}
        np.savez_compressed(options.out / f"{name}.npz", **inputs, **wanted)
    heard = sound(options.models / "silero-vad/test.wav")
    for name in SILERO:
        outputs = silero_outputs(options.models / f"silero-vad/{name}.onnx", heard)
        np.savez_compressed(options.out / f"{name}.npz", **{"want." + key: value for key, value in outputs.items()})
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    comparing = commands.add_parser("compare")
    comparing.add_argument("thimble")
    comparing.add_argument("models", type=Path)
    comparing.add_argument("--minilm", type=Path)
    comparing.set_defaults(run=compare)
    writing = commands.add_parser("fixtures")
    writing.add_argument("models", type=Path)
    writing.add_argument("out", type=Path)
    writing.set_defaults(run=fixtures)
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
