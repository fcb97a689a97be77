"""Writes docs/calibration.md and docs/calibration.svg: what more tokens of calibration bring, and what they cost.

    python3 scripts/fable/corpus.py 101 860000 > text.txt  # begins as tests/data/fable/calibrate.txt, and goes on
    scripts/bench/calibration_tokens.py build/release/bin/thimble tests/data/fable --calibrate text.txt --most 262144 \\
        --score tests/data/fable/score.txt --seeds 2 --parts 8

GPTQ with f32 activations at each number of tokens: KL in nats against the float model, the mean over parts of the
score text with the 95 % interval of a bootstrap over them, and the seconds of CPU time that `compress` took. Each number of tokens
is also drawn from as many other places of the text (--seeds), since with few of them the place decides more than the
number. Needs the standard library alone.
"""
import argparse
import json
import pathlib
import random
import resource
import tempfile

from scoring import mean, parts_of, run, score


def recipe(a, tokens):
    return (f"version: 1\nseed: 7\ncalibrate: {{tokens: {tokens}, context: {a.context}}}\npasses:\n  - fold-constants\n"
            f"  - gptq: {{bits: {a.bits}, group_size: {a.group}, activations: float, only: {{role: [attention, mlp]}}}}\n"
            "  - remove-dead-code\ncache: f32\n")


def turned(text, turn, count):
    """The text begun at another place, a line's end, and gone round."""
    lines = text.splitlines(keepends=True)
    at = len(lines) * turn // count
    return "".join(lines[at:] + lines[:at])


def interval(values):
    rng, means = random.Random(7), []
    for _ in range(2000):
        means.append(mean([values[rng.randrange(len(values))] for _ in values]))
    means.sort()
    return means[49], means[1949]


def measure(a, tokens, text, parts, folder):
    path, out, calibrate = folder / "recipe.yaml", folder / "out.thimble", folder / "calibrate.txt"
    path.write_text(recipe(a, tokens))
    calibrate.write_text(text)
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(a.thimble, "compress", a.model, "-q", "-r", path, "-o", out, "--calibrate", calibrate)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
    kl = [s["kl_mean"] for s in score(a.thimble, out, a.model, parts, a.context, a.windows)]
    out.unlink()
    return {"kl": kl, "seconds": seconds}


def svg(points, bits, group):
    """KL over tokens, the latter by powers of 2: a line, its intervals and the seconds beside it."""
    width, height, left, bottom, top = 640, 360, 60, 46, 20
    most = max(p["high"] for p in points) * 1.05
    slow = max(p["seconds"] for p in points) * 1.05
    x = lambda i: left + (width - 2 * left) * (i + 0.5) / len(points)
    y = lambda share: height - bottom - (height - bottom - top) * share
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<path d="M{left} {top}V{height - bottom}H{width - left}V{top}" fill="none" stroke="#888"/>']
    for step in range(5):
        share = step / 4
        out.append(f'<text x="{left - 6}" y="{y(share) + 4:.0f}" text-anchor="end" fill="#15c">{most * share:.3f}</text>')
        out.append(f'<text x="{width - left + 6}" y="{y(share) + 4:.0f}" fill="#b50">{slow * share:.0f} s</text>')
    for key, colour, scale in (("kl", "#15c", most), ("seconds", "#b50", slow)):
        line = " ".join(f"{x(i):.1f},{y(p[key] / scale):.1f}" for i, p in enumerate(points))
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
    for i, p in enumerate(points):
        out.append(f'<path d="M{x(i):.1f} {y(p["low"] / most):.1f}V{y(p["high"] / most):.1f}" stroke="#15c"/>')
        label = f"{p['tokens'] // 1024}k" if p["tokens"] >= 1024 else str(p["tokens"])
        out.append(f'<text x="{x(i):.1f}" y="{height - bottom + 16}" text-anchor="middle">{label}</text>')
    out.append(f'<text x="{width / 2}" y="{height - 8}" text-anchor="middle">tokens of calibration; GPTQ, {bits} bits, '
               f'group {group}: <tspan fill="#15c">KL (nats)</tspan> and <tspan fill="#b50">CPU time</tspan></text></svg>')
    return "\n".join(out) + "\n"


def page(a, points, image, name):
    rows = "\n".join(f"| {p['tokens']} | {p['kl']:.4f} ({p['low']:.4f} .. {p['high']:.4f}) | {p['spread']:.4f} | {p['seconds']:.1f} |"
                     for p in points)
    best = points[-1]
    knee = next(p for p in points if p["kl"] <= best["high"])
    return (f"# How much calibration\n\nGPTQ of {name} in {a.bits} bits, group {a.group}, f32 activations, windows of {a.context} "
            f"tokens: KL in nats against the float\nmodel, a mean over {a.seeds} places of the calibration text and {a.parts} parts of "
            "the score text (95 % interval of a bootstrap over\nthe parts), the distance from the least to the most of the places, and "
            f"the seconds of CPU time of `compress`. The last row is all that the\ntext holds. scripts/bench/calibration_tokens.py writes this page and says how.\n\n"
            f"![KL and time over tokens]({image})\n\n| tokens | KL | places apart by | CPU seconds |\n|---:|---:|---:|---:|\n{rows}\n\n"
            f"From {knee['tokens']} tokens on, KL lies within the interval of the most that was tried: "
            f"{knee['tokens'] / a.inputs:.0f} for each input of the widest\nproduct, which has {a.inputs}. The default of 32768 is as "
            f"many for {32768 * a.inputs // knee['tokens']} inputs; a small model needs no more than this page says.\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("thimble", type=pathlib.Path)
    p.add_argument("model")
    p.add_argument("--calibrate", type=pathlib.Path, required=True)
    p.add_argument("--score", type=pathlib.Path, required=True)
    p.add_argument("--tokens", type=int, nargs="+", default=[1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144])
    p.add_argument("--most", type=int, required=True, help="tokens that the text holds: larger numbers are left out")
    p.add_argument("--inputs", type=int, default=768, help="of the model's widest product")
    p.add_argument("--bits", type=int, default=3)
    p.add_argument("--group", default="channel")
    p.add_argument("--context", type=int, default=256)
    p.add_argument("--parts", type=int, default=16)
    p.add_argument("--windows", type=int, default=4, help="of each part, at most")
    p.add_argument("--seeds", type=int, default=3, help="places of the text that calibration begins at")
    p.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("calibration_tokens.json"))
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/calibration.md"))
    a = p.parse_args()
    a.thimble = a.thimble.resolve()
    results = json.loads(a.cache.read_text()) if a.cache.exists() else {}
    text = a.calibrate.read_text()
    points = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        parts = parts_of(a.score, a.parts, folder)
        for tokens in sorted({t for t in a.tokens if t < a.most} | {a.most}):
            runs = []
            for seed in range(1 if tokens == a.most else a.seeds):
                key = f"{tokens} {seed}"
                if key not in results:
                    results[key] = measure(a, tokens, turned(text, seed, a.seeds), parts, folder)
                    a.cache.write_text(json.dumps(results, indent=1))
                runs.append(results[key])
            by_part = [mean(kl) for kl in zip(*(r["kl"] for r in runs))]
            low, high = interval(by_part)
            whole = [mean(r["kl"]) for r in runs]
            points.append({"tokens": tokens, "kl": mean(by_part), "low": low, "high": high,
                           "spread": max(whole) - min(whole), "seconds": min(r["seconds"] for r in runs)})
    image = a.out.with_suffix(".svg")
    image.write_text(svg(points, a.bits, a.group))
    a.out.write_text(page(a, points, image.name, pathlib.Path(a.model).name))


if __name__ == "__main__":
    main()
