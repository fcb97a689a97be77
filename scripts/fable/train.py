"""Trains the fable model and writes tests/data/fable.

    python3 -m venv env && env/bin/pip install torch transformers tokenizers
    env/bin/python scripts/fable/train.py tests/data/fable [--minutes 25] [--threads 2]

Seeded; made with torch 2.15, transformers 5.23 on 2 CPU cores. The learning rate follows the clock, so that
the schedule ends with the time given; the files checked in are the record of one such run.
"""
import argparse
import json
import math
import pathlib
import time

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from corpus import generate

CONTEXT, BATCH, VOCABULARY = 256, 12, 1024
PEAK_RATE = 4e-3


def make_tokenizer(text):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<|begin|>", "<|end|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<|begin|> $A", pair="<|begin|> $A $B:1",
                                                             special_tokens=[("<|begin|>", 0)])
    return tokenizer


def config():
    return LlamaConfig(vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=8,
                       num_key_value_heads=2, head_dim=32, max_position_embeddings=1024, rms_norm_eps=1e-5, rope_theta=10000.0,
                       tie_word_embeddings=True, bos_token_id=0, eos_token_id=1, hidden_act="silu")


def write_shards(model, folder):
    """Two shards, split in the middle of the layers; the tied head is not stored."""
    state = {k: v.detach().to(torch.bfloat16).contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    names = sorted(state)
    half = len(names) // 2
    weight_map, total = {}, 0
    for i, part in enumerate((names[:half], names[half:])):
        file = f"model-{i + 1:05d}-of-00002.safetensors"
        save_file({n: state[n] for n in part}, str(folder / file), metadata={"format": "pt"})
        weight_map.update({n: file for n in part})
        total += sum(state[n].numel() * 2 for n in part)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_configs(folder, tokenizer):
    c = config()
    keep = ["hidden_act", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
            "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings", "vocab_size", "bos_token_id", "eos_token_id"]
    out = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rope_theta": 10000.0, "torch_dtype": "bfloat16",
           "attention_bias": False, "mlp_bias": False} | {k: getattr(c, k) for k in keep}
    (folder / "config.json").write_text(json.dumps(out, indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": 1}, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>", "eos_token": "<|end|>", "add_bos_token": True}, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(1871)
    for name, seed, size in (("calibrate", 101, 180_000), ("tune", 202, 120_000), ("score", 303, 180_000)):
        (args.folder / f"{name}.txt").write_text(generate(seed, size))
    text = generate(7, 16_000_000)
    tokenizer = make_tokenizer(text[:3_000_000])
    write_configs(args.folder, tokenizer)
    parts = [text[i:i + 100_000] for i in range(0, len(text), 100_000)]
    ids = torch.tensor([t for e in tokenizer.encode_batch(parts, add_special_tokens=False) for t in e.ids])
    print(f"{len(ids)} tokens of training text", flush=True)
    model = LlamaForCausalLM(config())
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    decay = [p for p in model.parameters() if p.ndim > 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0}],
                                  lr=PEAK_RATE, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(1871)
    start, step = time.time(), 0
    while (share := (time.time() - start) / (args.minutes * 60)) < 1:
        rate = PEAK_RATE * min(1, (step + 1) / 100) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        at = torch.randint(len(ids) - CONTEXT, (BATCH,), generator=generator)
        batch = torch.stack([ids[a:a + CONTEXT] for a in at])
        batch[:, 0] = 0
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.4f} tokens/s {step * BATCH * CONTEXT / (time.time() - start):.0f}", flush=True)
        if step % 400 == 0:
            write_shards(model, args.folder)
    write_shards(model, args.folder)
    print(f"{step} steps, {step * BATCH * CONTEXT} tokens", flush=True)


if __name__ == "__main__":
    main()
