"""Writes docs/quantization.md: what each method of quantization loses, by bits and group, at equal size.

    scripts/bench/quantization_table.py build/release/bin/thimble --model fable=tests/data/fable \\
        --calibrate tests/data/fable/calibrate.txt --score tests/data/fable/score.txt

KL is in nats against the float model, with f32 activations, so it is the weights' alone; the embedding and the head
stay as they are. Encoders lose 1 - cosine between their sentence embeddings and the float model's, and 1 - the rank
correlation of the similarities of pairs of lines. The score text is cut into parts at line ends; every file is scored
on each by `thimble eval`, and intervals are paired bootstraps over the parts: both methods' figures come from the same
resample. Results are kept in --cache as they come, so an interrupted run goes on where it stopped; the model's section of
the page is replaced. Needs the standard library alone.
"""
import argparse
import json
import pathlib
import tempfile

from pages import replace_section
from scoring import mean, paired, parts_of, run, score

METHODS = {  # the passes, with BASE for bits, group and type of activations
    "rtn": "- quantize-weights: {BASE, search: absmax}",
    "scale search": "- quantize-weights: {BASE, search: mse}",
    "imatrix search": "- quantize-weights: {BASE, search: mse, importance: true}",
    "hqq": "- hqq: {BASE}",
    "awq": "- awq: {AWQ, search: absmax}\n  - quantize-weights: {BASE, search: absmax}",
    "awq + imatrix search": "- awq: {AWQ, search: mse}\n  - quantize-weights: {BASE, search: mse, importance: true}",
    "rotate + rtn": "- rotate\n  - quantize-weights: {BASE, search: absmax}",
    "gptq": "- gptq: {BASE}",
    "rotate + gptq": "- rotate\n  - gptq: {BASE}",
    "gptq, asymmetry 0.25": "- gptq: {BASE, asymmetry: 0.25}",
    "gptq, asymmetry 0.5": "- gptq: {BASE, asymmetry: 0.5}",
    "gptq, asymmetry 1": "- gptq: {BASE, asymmetry: 1}",
}
PLAIN = [m for m in METHODS if "asymmetry" not in m]  # docs/quantization.md's
GROUPS = ("channel", 128, 32)
LOSSES = {"KL": ("kl_mean", 0), "1 - cosine": ("cosine_mean", 1), "1 - rank correlation": ("rank_correlation", 1)}


def recipe(passes, bits, group, tokens, context):
    only = "only: {role: [attention, mlp]}"
    awq = f"bits: {bits}, group_size: {group}, {only}"
    passes = passes.replace("BASE", f"{awq}, activations: float").replace("AWQ", awq)
    return (f"version: 1\nseed: 7\ncalibrate: {{tokens: {tokens}, context: {context}}}\npasses:\n"
            f"  - fold-constants\n  {passes}\n  - remove-dead-code\ncache: f32\n")


def measure(a, model, passes, bits, group, parts, folder):
    path, out = folder / "recipe.yaml", folder / "out.thimble"
    path.write_text(recipe(passes, bits, group, a.tokens, a.context))
    run(a.thimble, "compress", model, "-q", "-r", path, "-o", out, "--calibrate", a.calibrate)
    scores = score(a.thimble, out, model, parts, a.context, a.windows)
    out.unlink()
    losses = {name: [abs(best - s[metric]) for s in scores]
              for name, (metric, best) in LOSSES.items() if metric in scores[0]}
    return {"losses": losses, "bits_per_weight": scores[0]["bits_per_weight"], "windows": a.windows,
            "tokens": a.tokens, "context": a.context, "passes": passes}


def rows(known, loss, groups, methods, base):
    """A table's lines: loss of each method, by group."""
    lines = [f"| {loss} |" + "".join(f" {g if g == 'channel' else f'group {g}'} | / {base} |" for g in groups),
             "|---|" + "---:|---:|" * len(groups)]
    for method in methods:
        cells = ""
        for group in groups:
            if method not in known[group]:
                cells += " | |"
                continue
            own, bases = (known[group][m]["losses"][loss] for m in (method, base))
            value, low, high = paired(own, bases)
            ratio = "1" if method == base else f"{value:.2f} ({low:.2f} .. {high:.2f})"
            cells += f" {mean(own):.{4 if mean(own) >= 0.001 else 6}f} | {ratio} |"
        lines.append(f"| {method} |{cells}")
    return lines


def section(name, results, bits_list, groups, methods, base):
    known = {(b, g): {m: results[f"{name} {b} {g} {m}"] for m in methods if f"{name} {b} {g} {m}" in results}
             for b in bits_list for g in groups}
    some = next(done[base] for done in known.values() if base in done)
    losses = [loss for loss in LOSSES if loss in some["losses"]]
    parts = len(some["losses"][losses[0]])
    unit = f"windows of {some['context']}, at most {some['windows']} of a part" if losses == ["KL"] \
        else f"at most {some['windows']} lines of a part"
    lines = [f"{parts} parts; {unit}. Calibration: {some['tokens']} tokens in windows of "
             f"{some['context']}.\n"]
    for bits in bits_list:
        of_group = {g: known[bits, g] for g in groups}
        measured = [g for g in groups if base in of_group[g]]
        if not measured:
            continue
        lines.append(f"### {bits} bits\n")
        for loss in losses:
            lines += rows(of_group, loss, measured, methods, base) + [""]
        sizes = ", ".join(f"{g} {of_group[g][base]['bits_per_weight']:.2f}" for g in measured)
        lines.append(f"Bits per weight of {base}'s file, embedding and head included: {sizes}.")
        if all("hqq" in of_group[g] for g in measured):
            sizes = ", ".join(f"{g} {of_group[g]['hqq']['bits_per_weight']:.2f}" for g in measured)
            lines.append(f"Of hqq's, which keeps a minimum beside each scale: {sizes}.")
        lines.append("")
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("thimble", type=pathlib.Path)
    p.add_argument("--model", required=True, help="NAME=PATH")
    p.add_argument("--calibrate", type=pathlib.Path, required=True)
    p.add_argument("--score", type=pathlib.Path, required=True)
    p.add_argument("--tokens", type=int, default=16384)
    p.add_argument("--context", type=int, default=256)
    p.add_argument("--parts", type=int, default=16)
    p.add_argument("--windows", type=int, default=4, help="of each part, at most")
    p.add_argument("--bits", type=int, nargs="+", default=[3, 4, 2])
    p.add_argument("--groups", nargs="+", default=list(map(str, GROUPS)), choices=list(map(str, GROUPS)))
    p.add_argument("--methods", nargs="+", default=PLAIN, choices=list(METHODS), help="the base is always among them")
    p.add_argument("--base", default="rtn", choices=list(METHODS), help="what the others are compared with")
    p.add_argument("--title", default="What quantization loses")
    p.add_argument("--known", action="store_true", help="measure nothing: write what the cache has, other cells empty")
    p.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("quantization_table.json"))
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/quantization.md"))
    a = p.parse_args()
    a.thimble = a.thimble.resolve()
    methods = [m for m in METHODS if m == a.base or m in a.methods]
    results = json.loads(a.cache.read_text()) if a.cache.exists() else {}
    name, path = a.model.split("=", 1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        parts = parts_of(a.score, a.parts, folder)
        cells = [] if a.known else [(b, g, m) for b in a.bits for g in a.groups for m in methods]
        for bits, group, method in cells:
            key = f"{name} {bits} {group} {method}"
            if key not in results:
                results[key] = measure(a, path, METHODS[method], bits, group, parts, folder)
                a.cache.write_text(json.dumps(results, indent=1))
    head = (f"# {a.title}\n\n"
            "Loss by method, bits and group, with f32 activations, against the float model: KL divergence in nats, of encoders\n"
            "1 - cosine of sentence embeddings and 1 - Spearman's correlation of the similarities of pairs of lines. Products of\n"
            f"attention and MLPs are quantized, the embedding and the head are not. `/ {a.base}`: over that of {a.base} at the same\n"
            "size, with the 95 % interval of a paired bootstrap over parts of the score text. An empty cell was not measured.\n"
            "scripts/bench/quantization_table.py writes a model's section and says how.\n")
    replace_section(a.out, head, name, section(name, results, sorted(a.bits, reverse=True), a.groups, methods, a.base))


if __name__ == "__main__":
    main()
