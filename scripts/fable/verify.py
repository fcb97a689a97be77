"""Shows that the fable model learnt its language and is hard enough to compress.

    env/bin/python scripts/fable/verify.py tests/data/fable
"""
import collections
import copy
import json
import math
import pathlib
import sys

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from corpus import generate


def load(folder):
    state = {}
    for shard in sorted(folder.glob("model-*.safetensors")):
        state.update({k: v.float() for k, v in load_file(str(shard)).items()})
    c = json.loads((folder / "config.json").read_text())
    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in c.items() if k not in ("architectures", "torch_dtype")}))
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    return model.eval()


def rtn(weight, bits, group=32):
    """Plain absmax round-to-nearest, symmetric, in groups along the inputs."""
    w = weight.reshape(-1, group)
    top = 2 ** (bits - 1) - 1
    scale = (w.abs().amax(1, keepdim=True) / top).half().float()
    scale[scale == 0] = 1
    return (torch.clamp(torch.round(w / scale), -top - 1, top) * scale).reshape(weight.shape)


def quantized(model, bits):
    out = copy.deepcopy(model)
    for name, p in out.named_parameters():
        if p.ndim == 2:
            p.data = rtn(p.data, bits)
    return out


@torch.no_grad()
def logprobs(model, windows):
    return torch.cat([torch.log_softmax(model(input_ids=w[None]).logits[0, 128:255].double(), -1) for w in windows])


def main():
    folder = pathlib.Path(sys.argv[1])
    torch.set_num_threads(2)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = torch.tensor(tokenizer.encode((folder / "score.txt").read_text()).ids)
    windows = [ids[i:i + 256].clone() for i in range(0, len(ids) - 255, 256)][:60]
    for w in windows:
        w[0] = 0
    targets = torch.cat([w[129:256] for w in windows])
    train = tokenizer.encode(generate(7, 4_000_000), add_special_tokens=False).ids
    pairs, singles = collections.Counter(zip(train, train[1:])), collections.Counter(train)
    nll = 0.0
    for w in windows:
        for a, b in zip(w[128:255].tolist(), w[129:256].tolist()):
            unigram = (singles[b] + 1) / (len(train) + tokenizer.get_vocab_size())
            nll -= math.log(0.95 * pairs[a, b] / max(singles[a], 1) + 0.05 * unigram)
    model = load(folder)
    reference = logprobs(model, windows)
    own = math.exp(-reference.gather(1, targets[:, None]).mean().item())
    print(f"bigram perplexity {math.exp(nll / len(targets)):.3f}, model perplexity {own:.3f}, {len(targets)} tokens")
    for bits in (2, 3, 4, 8):
        other = logprobs(quantized(model, bits), windows)
        print(f"RTN {bits} bits, group 32: KL {(reference.exp() * (reference - other)).sum(1).mean().item():.5f}")


if __name__ == "__main__":
    main()
