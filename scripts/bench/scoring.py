"""What the side-by-side scripts share: a score text in parts, KL of a file on each, paired bootstraps over them."""
import json
import pathlib
import random
import subprocess

import gguf_file


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stderr}")
    return done.stdout


def parts_of(text, count, folder):
    """The text cut at line ends into `count` files of about the same size."""
    lines = text.read_text().splitlines(keepends=True)
    size = sum(map(len, lines)) / count
    parts, taken = [""], 0
    for line in lines:
        if taken >= size * len(parts) and len(parts) < count:
            parts.append("")
        parts[-1] += line
        taken += len(line)
    paths = [pathlib.Path(folder) / f"part{i}.txt" for i in range(len(parts))]
    for path, part in zip(paths, parts):
        path.write_text(part)
    return paths


def score(thimble, file, reference, parts, context, windows):
    """`thimble eval --json` of a file on each part."""
    return [json.loads(run(thimble, "eval", file, "-q", "--json", "--text", part, "--context", context,
                           "--max-windows", windows, "--reference", reference)) for part in parts]


def measure_type(llama, options, kind, threads, thimble, reference, folder, parts, context, windows):
    """What llama-quantize makes of folder/float.gguf in a type: what it said, the file's tensors, and the scores of
    the file decoded to F32 by llama-quantize itself."""
    out, decoded = folder / "peer.gguf", folder / "decoded.gguf"
    log = run("sh", "-c", '"$@" 2>&1', "sh", llama / "llama-quantize", *options, folder / "float.gguf", out, kind, threads)
    tensors = list(gguf_file.read(out)[1].values())
    run(llama / "llama-quantize", "--allow-requantize", out, decoded, "F32", threads)
    scores = score(thimble, decoded, reference, parts, context, windows)
    out.unlink()
    decoded.unlink()
    return log, tensors, scores


def mean(values):
    return sum(values) / len(values)


def paired(ours, base):
    """mean(ours) / mean(base) with its 95 % interval: a bootstrap that draws the same parts of both."""
    rng, ratios = random.Random(7), []
    for _ in range(2000):
        at = [rng.randrange(len(ours)) for _ in ours]
        if any(base[i] for i in at):  # else the base lost nothing on what was drawn
            ratios.append(mean([ours[i] for i in at]) / mean([base[i] for i in at]))
    ratios.sort()
    return mean(ours) / mean(base), ratios[len(ratios) * 49 // 2000], ratios[len(ratios) * 1949 // 2000]
