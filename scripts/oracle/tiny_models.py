"""Makes one tiny random-weight model per architecture, with the logits that PyTorch transformers computes.

    python3 -m venv env && env/bin/pip install torch transformers
    env/bin/python scripts/oracle/tiny_models.py tests/data/oracle

Made with torch 2.15 and transformers 5.23, f32, attn_implementation="eager". The models are made so that they show
mistakes: queries and keys are scaled up until attention is peaked (mean entropy below half of uniform, asserted),
biases and gains are random, texts run past sliding windows and past the original position limit.

Each folder holds config.json, model.safetensors, expected.npz {input_ids, positions, logits} (encoders: hidden
states) and variants.json / variants.npz: one changed configuration value each, with the last position's result.
"""
import copy
import json
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers as tf

LENGTH = 80
SHARED = dict(vocab_size=96, hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0)
ROPE = {"rope_type": "default", "rope_theta": 1000.0}


def rope(**more):
    return {"rope_parameters": ROPE | more}


def longrope(original):
    n = 48 // 4 // 2
    return {"rope_parameters": {"rope_type": "longrope", "rope_theta": 1000.0, "short_factor": [1.0 + 0.1 * i for i in range(n)],
                                "long_factor": [1.5 + 0.7 * i for i in range(n)], "original_max_position_embeddings": original},
            "original_max_position_embeddings": original}


GEMMA = dict(head_dim=16, query_pre_attn_scalar=20, num_hidden_layers=4, sliding_window=16)
MODELS = {
    "llama": (tf.LlamaConfig, SHARED | rope(), ["rope_parameters.rope_theta=500.0", "rms_norm_eps=0.01", "hidden_act=gelu"]),
    "llama-tied": (tf.LlamaConfig, SHARED | rope() | dict(tie_word_embeddings=True, attention_bias=True, mlp_bias=True), []),
    "llama-llama3": (tf.LlamaConfig, SHARED | rope(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32),
                     ["rope_parameters.factor=8.0", "rope_parameters.low_freq_factor=1.5", "rope_parameters.high_freq_factor=3.0", "rope_parameters.original_max_position_embeddings=16"]),
    "llama-linear": (tf.LlamaConfig, SHARED | rope(rope_type="linear", factor=2.5), ["rope_parameters.factor=4.0"]),
    "llama-yarn": (tf.LlamaConfig, SHARED | rope(rope_type="yarn", factor=4.0, beta_fast=2, original_max_position_embeddings=96),
                   ["rope_parameters.factor=8.0", "rope_parameters.beta_fast=6", "rope_parameters.beta_slow=0.25", "rope_parameters.attention_factor=0.8",
                    "rope_parameters.truncate=false"]),
    "mistral": (tf.MistralConfig, SHARED | rope() | dict(sliding_window=16, head_dim=16), ["sliding_window=24"]),
    "qwen2": (tf.Qwen2Config, SHARED | rope() | dict(use_sliding_window=True, sliding_window=16, max_window_layers=1), []),
    "qwen3": (tf.Qwen3Config, SHARED | rope() | dict(head_dim=16), ["rms_norm_eps=0.01"]),
    "gemma2": (tf.Gemma2Config, SHARED | rope() | GEMMA | dict(attn_logit_softcapping=9.0, final_logit_softcapping=2.0),
               ["attn_logit_softcapping=4.0", "final_logit_softcapping=4.0", "query_pre_attn_scalar=40", "sliding_window=8"]),
    "gemma3": (tf.Gemma3TextConfig, SHARED | GEMMA | dict(sliding_window_pattern=2, rope_parameters={
        "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}),
               ["query_pre_attn_scalar=40", "sliding_window=8"]),
    "phi3": (tf.Phi3Config, SHARED | rope(), []),
    "phi3-longrope-long": (tf.Phi3Config, SHARED | longrope(32), []),
    "phi3-longrope-short": (tf.Phi3Config, SHARED | longrope(100), []),
    "gpt2": (tf.GPT2Config, dict(vocab_size=96, n_embd=48, n_layer=3, n_head=4, n_positions=128, bos_token_id=1, eos_token_id=2),
             ["scale_attn_weights=false", "scale_attn_by_inverse_layer_idx=true", "layer_norm_epsilon=0.01", "activation_function=relu"]),
    "bert": (tf.BertConfig, dict(vocab_size=96, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128),
             ["layer_norm_eps=0.01", "hidden_act=relu"]),
    "roberta": (tf.RobertaConfig, dict(vocab_size=96, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128,
                                       pad_token_id=1, type_vocab_size=1), []),
}
ENCODERS = {"bert": tf.BertModel, "roberta": tf.RobertaModel}


def make(name, config):
    config._attn_implementation = "eager"
    torch.manual_seed(sum(map(ord, name)))
    model = ENCODERS[name](config, add_pooling_layer=False) if name in ENCODERS else tf.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    generator = torch.Generator().manual_seed(7)
    for key, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.ndim == 1:
            p.data = (0.0 if "bias" in key or "gemma" in name else 1.0) + 0.3 * noise
            if "q_norm" in key or "k_norm" in key:
                p.data += 1.5  # normed queries and keys are as sharp as their gains
        else:
            sharp = 2.5 if any(s in key for s in ("q_proj", "k_proj", "query", "key", "qkv", "c_attn")) else 1.0
            p.data = noise * sharp / p.shape[-1 if "gpt2" not in name else 0] ** 0.5
            if "embed" in key or "wte" in key:
                p.data = noise
    return model.float().eval()


def result(name, model, ids):
    with torch.no_grad():
        out = model(input_ids=ids, output_attentions=True)
    return (out.last_hidden_state if name in ENCODERS else out.logits)[0].float().numpy(), out.attentions


def check_peaked(name, attentions):
    rows = torch.stack([a[0] for a in attentions])[..., LENGTH // 2:, :]
    seen = (rows > 0).sum(-1).clamp(min=2).double()
    entropy = -(rows.double() * rows.double().clamp(min=1e-30).log()).sum(-1)
    share = (entropy / seen.log()).mean().item()
    print(f"{name}: attention entropy {share:.2f} of uniform")
    assert share < 0.5, name


def changed(config, change):
    key, value = change.split("=")
    target = config
    *path, last = key.split(".")
    for part in path:
        target = target[part]
    target[last] = json.loads(value) if value[0].isdigit() or value in ("true", "false") else value


def main():
    root = pathlib.Path(sys.argv[1])
    root.mkdir(parents=True, exist_ok=True)
    for name, (kind, values, changes) in MODELS.items():
        folder = root / name
        shutil.rmtree(folder, ignore_errors=True)
        config = kind(**copy.deepcopy(values))
        model = make(name, config)
        ids = torch.randint(3, 96, (1, LENGTH), generator=torch.Generator().manual_seed(11))
        logits, attentions = result(name, model, ids)
        check_peaked(name, attentions)
        model.save_pretrained(folder, safe_serialization=True)
        (folder / "generation_config.json").unlink(missing_ok=True)
        positions = np.array([0, 1, 15, 16, 17, 31, 32, 40, 63, 64, 79])
        np.savez(folder / "expected.npz", input_ids=ids.numpy(), positions=positions, logits=logits[positions])
        written = json.loads((folder / "config.json").read_text())
        kept, results = [], {}
        for change in changes:
            other = copy.deepcopy(written)
            changed(other, change)
            again = kind(**other)
            again._attn_implementation = "eager"
            twin = (ENCODERS[name](again, add_pooling_layer=False) if name in ENCODERS else tf.AutoModelForCausalLM.from_config(again, attn_implementation="eager")).float().eval()
            twin.load_state_dict(model.state_dict())
            last = result(name, twin, ids)[0][-1]
            assert np.abs(last - logits[-1]).max() > 1e-4 * np.ptp(logits), (name, change, "changes nothing")
            results[f"v{len(kept)}"] = last
            kept.append(change)
        (folder / "variants.json").write_text(json.dumps(kept, indent=1) + "\n")
        np.savez(folder / "variants.npz", **results)


if __name__ == "__main__":
    main()
