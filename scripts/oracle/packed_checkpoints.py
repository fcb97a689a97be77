"""Makes one tiny Llama per format that checkpoints are quantized in, by the code of the tools that write them.

    python3 -m venv env && env/bin/pip install torch transformers
    env/bin/pip download --no-deps auto-gptq==0.7.1 autoawq==0.2.9 compressed-tensors==0.20.0   # and unpack them here
    env/bin/python scripts/oracle/packed_checkpoints.py UNPACKED tests/data/oracle/packed

Each folder holds config.json, model.safetensors and expected.npz: every product's weight as those tools read it back,
f16. Modules are loaded by their files, since the packages themselves want a GPU's kernels.
"""
import importlib.util
import json
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers as tf
from safetensors.torch import save_file

CONFIG = dict(vocab_size=32, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
              rope_parameters={"rope_type": "default", "rope_theta": 1000.0}, bos_token_id=1, eos_token_id=2)


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def grid(weight, bits, group, symmetric):
    """Scales and zero points [rows, groups] of a weight [rows, inputs], by range; scales in f16."""
    rows, inputs = weight.shape
    w = weight.float().reshape(rows, -1, group)
    top = 2**bits - 1
    if symmetric:
        scale = 2 * w.abs().amax(-1) / top
        zero = torch.full_like(scale, 2 ** (bits - 1))
    else:
        low, high = w.amin(-1).clamp(max=0), w.amax(-1).clamp(min=0)
        scale = (high - low) / top
        zero = torch.round(-low / scale).clamp(0, top)
    return scale.half(), zero


def scattered(inputs, group):
    """A group for each input, as act-order leaves them."""
    return torch.arange(inputs)[torch.randperm(inputs)] // group


def gptq(qlinear, linear, bits, group, symmetric, g_idx=None):
    scale, zero = grid(linear.weight, bits, group, symmetric)
    # Its pack() doesn't clip: weights are brought onto the grid before.
    of_input = torch.arange(linear.in_features) // group if g_idx is None else g_idx
    scales, zeros = (x.float()[:, of_input] for x in (scale, zero))
    codes = torch.clamp(torch.round(linear.weight / scales) + zeros, 0, 2**bits - 1)
    linear = torch.nn.Linear(linear.in_features, linear.out_features, bias=False)
    linear.weight.data = (codes - zeros) * scales
    packed = qlinear.QuantLinear(bits, group, linear.in_features, linear.out_features, False)
    packed.pack(linear, scale.float(), zero.clone(), None if g_idx is None else g_idx.to(torch.int32))
    packed.scales = packed.scales.half()
    expected = packed.forward(torch.eye(linear.in_features, dtype=torch.float16)).T
    return {"qweight": packed.qweight, "qzeros": packed.qzeros, "scales": packed.scales, "g_idx": packed.g_idx}, expected


def codes_of(weight, scale, zero, bits, of_input):
    scales, zeros = (x.float()[:, of_input] for x in (scale, zero))
    return torch.clamp(torch.round(weight / scales) + zeros, 0, 2**bits - 1).to(torch.int32)


def awq(packing, linear, group):
    scale, zero = grid(linear.weight, 4, group, False)
    codes = codes_of(linear.weight, scale, zero, 4, torch.arange(linear.in_features) // group).T.contiguous()  # [inputs, rows]
    zeros = zero.to(torch.int32).T.contiguous()

    def pack(x):
        out = torch.zeros(x.shape[0], x.shape[1] // 8, dtype=torch.int32)
        for i, place in enumerate(packing.AWQ_ORDER):
            out |= x[:, place::8] << (4 * i)
        return out

    parts = {"qweight": pack(codes), "qzeros": pack(zeros), "scales": scale.T.contiguous()}
    return parts, packing.dequantize_gemm(parts["qweight"], parts["qzeros"], parts["scales"], 4, group).T


def compressed(helpers, linear, bits, group, symmetric, act_order=False):
    scale, zero = grid(linear.weight, bits, group, symmetric)
    of_input = scattered(linear.in_features, group) if act_order else torch.arange(linear.in_features) // group
    middle = 2 ** (bits - 1)
    codes = (codes_of(linear.weight, scale, zero, bits, of_input) - middle).to(torch.int8)
    parts = {"weight_packed": helpers.pack_to_int32(codes, bits), "weight_scale": scale, "weight_shape": torch.tensor(linear.weight.shape)}
    zeros = (zero - middle).to(torch.int8)
    if not symmetric:
        parts["weight_zero_point"] = helpers.pack_to_int32(zeros, bits, packed_dim=0).contiguous()
        zeros = helpers.unpack_from_int32(parts["weight_zero_point"], bits, zeros.shape, packed_dim=0)
    back = helpers.unpack_from_int32(parts["weight_packed"], bits, codes.shape)
    if act_order:
        parts["weight_g_idx"] = of_input.to(torch.int32)
    groups = [x[:, of_input] for x in (zeros, scale)]
    return parts, (back - groups[0]).half() * groups[1]


def compressed_config(bits, group, symmetric):
    weights = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group" if group else "channel", "group_size": group, "actorder": None}
    return {"quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed", "ignore": ["lm_head"], "kv_cache_scheme": None,
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}}}


def main():
    unpacked, out = map(pathlib.Path, sys.argv[1:3])
    qlinear = load(unpacked / "auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py")
    by_index = load(unpacked / "auto_gptq/nn_modules/qlinear/qlinear_cuda.py")
    packing = load(next(unpacked.glob("autoawq*")) / "awq/utils/packing_utils.py")
    helpers = load(unpacked / "compressed_tensors/compressors/pack_quantized/helpers.py")
    formats = {}
    for bits, group, symmetric in ((4, 32, False), (4, 32, True), (3, -1, False), (2, 16, False), (8, 32, True)):
        formats[f"gptq{bits}-{'row' if group < 0 else group}{'-sym' if symmetric else ''}"] = (
            lambda l, b=bits, g=group, s=symmetric: gptq(qlinear, l, b, l.in_features if g < 0 else g, s),
            {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": symmetric, "desc_act": False, "checkpoint_format": "gptq", "damp_percent": 0.01})
    formats["gptq4-32-act-order"] = (
        lambda l: gptq(by_index, l, 4, 32, False, scattered(l.in_features, 32)),
        {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "desc_act": True, "checkpoint_format": "gptq", "damp_percent": 0.01})
    formats["awq4-32"] = (lambda l: awq(packing, l, 32), {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm", "modules_to_not_convert": None})
    for bits, group, symmetric in ((4, 16, True), (4, 32, False), (3, None, True)):
        formats[f"compressed{bits}-{group or 'row'}{'-sym' if symmetric else ''}"] = (
            lambda l, b=bits, g=group, s=symmetric: compressed(helpers, l, b, g or l.in_features, s), compressed_config(bits, group, symmetric))
    act_order = compressed_config(4, 16, True)
    act_order["config_groups"]["group_0"]["weights"]["actorder"] = "group"
    formats["compressed4-16-act-order"] = (lambda l: compressed(helpers, l, 4, 16, True, act_order=True), act_order)
    for name, (pack, quantization) in formats.items():
        torch.manual_seed(3)
        model = tf.LlamaForCausalLM(tf.LlamaConfig(**CONFIG)).eval()
        tensors, expected = {}, {}
        with torch.no_grad():
            for key, value in model.state_dict().items():
                module = key.removesuffix(".weight")
                if "_proj" not in key:
                    tensors[key] = value.half().contiguous()
                    continue
                parts, expected[key] = pack(model.get_submodule(module))
                tensors |= {f"{module}.{part}": tensor.contiguous() for part, tensor in parts.items()}
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        config = model.config.to_dict() | {"architectures": ["LlamaForCausalLM"], "quantization_config": quantization}
        (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        np.savez_compressed(folder / "expected.npz", **{k: np.ascontiguousarray(v.half().numpy()) for k, v in expected.items()})
        print(name, len(expected))


if __name__ == "__main__":
    main()
