#!/usr/bin/env python3
"""Holds Thimble's float32 results on real checkpoints against PyTorch transformers.

    scripts/oracle/real_models.py THIMBLE --encoder FOLDER [--sentences FILE]
    scripts/oracle/real_models.py THIMBLE --decoder FOLDER_OR_GGUF [--text FILE] [--tokens N]

An encoder: the embeddings of 100 sentences, mean pooled and normalized, cosine >= 0.99999 each. A decoder: the
logits of the last of N tokens of a text, at most 1e-4 of their range apart. Needs PyPI's torch, transformers,
gguf and accelerate. Ends with status 1 when a bar is missed.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers


def thimble(binary, *arguments):
    done = subprocess.run([binary, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def sentences_of(path, count=100):
    """The first sentences of a text that are neither headings nor fragments."""
    text = " ".join(line for line in path.read_text().splitlines() if not line.startswith((" =", "=")))
    sentences = [part.strip() + "." for part in text.split(" . ") if len(part.split()) > 4]
    if len(sentences) < count:
        sys.exit(f"{path} holds {len(sentences)} sentences; {count} are needed")
    return sentences[:count]


def check_encoder(binary, folder, text):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    worst = 1.0
    for sentence in sentences_of(text):
        tokens = tokenizer(sentence, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**tokens).last_hidden_state[0].double()
        theirs = torch.nn.functional.normalize(hidden.mean(0), dim=0).numpy()
        ours = np.array(json.loads(thimble(binary, "run", str(folder), "-p", sentence, "--json"))["embedding"])
        cosine = ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)
        worst = min(worst, cosine)
    print(f"100 sentences: the least cosine is 1 - {1 - worst:.2e}")
    return worst >= 0.99999


def check_decoder(binary, source, text, count):
    arguments = {"gguf_file": source.name} if source.is_file() else {}
    folder = source.parent if source.is_file() else source
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **arguments)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", **arguments).eval()
    ids = tokenizer(text.read_text(), return_tensors="pt").input_ids[:, :count]
    with torch.no_grad():
        theirs = model(ids).logits[0, -1].numpy()
    with tempfile.TemporaryDirectory() as scratch:
        given, wanted, plain = (str(pathlib.Path(scratch, name)) for name in ("in.npz", "out.npz", "f32.gguf"))
        # Products of quantized weights take int8 activations; as float32 the same weights take floats.
        thimble(binary, "convert", str(source), plain, "--type", "f32")
        np.savez(given, input_ids=ids.numpy(), position_ids=np.arange(ids.shape[1])[None],
                 logit_positions=np.array([ids.shape[1] - 1]))
        thimble(binary, "run", plain, "--inputs", given, "--outputs", wanted)
        ours = np.load(wanted)["logits"].reshape(-1, theirs.size)[-1]
    error = np.abs(ours - theirs).max() / (theirs.max() - theirs.min())
    print(f"logits after {ids.shape[1]} tokens: max error {error:.2e} of their range, "
          f"same token: {bool(ours.argmax() == theirs.argmax())}")
    return error <= 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("thimble")
    parser.add_argument("--encoder", type=pathlib.Path)
    parser.add_argument("--decoder", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--tokens", type=int, default=200)
    choices = parser.parse_args()
    passed = True
    if choices.encoder:
        passed &= check_encoder(choices.thimble, choices.encoder, choices.text)
    if choices.decoder:
        passed &= check_decoder(choices.thimble, choices.decoder, choices.text, choices.tokens)
    sys.exit(not passed)


if __name__ == "__main__":
    main()
