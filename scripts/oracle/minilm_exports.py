"""all-MiniLM-L6-v2 as PyTorch exports it to ONNX, by TorchScript (opset 17) and by dynamo, with sentences and their
embeddings; to compare with the same model read from its folder.

    pip install torch transformers onnx onnxscript numpy
    python minilm_exports.py MODEL_FOLDER OUT_FOLDER

Both take input_ids, attention_mask and token_type_ids [batch, seq] and give the mean of the last hidden state over the
mask, normalized, [batch, 384]: what the folder's own pooling says. Written: torchscript.onnx, dynamo.onnx, inputs.npz
(the three inputs), embeddings.npz (PyTorch's result, for them).
"""

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "A compiler makes programs smaller without changing what they mean.",
    "Wie spät ist es?",
    "Short.",
]


class Embedder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        hidden = self.model(input_ids, attention_mask, token_type_ids).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)


def main():
    source, out = sys.argv[1], Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    model = AutoModel.from_pretrained(source, attn_implementation="eager").eval()
    embedder = Embedder(model).eval()
    tokens = AutoTokenizer.from_pretrained(source)(SENTENCES, padding=True, return_tensors="pt")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    inputs = tuple(tokens[name] for name in names)
    np.savez(out / "inputs.npz", **{name: tokens[name].numpy() for name in names})
    with torch.no_grad():
        np.savez(out / "embeddings.npz", sentence=embedder(*inputs).numpy())
        axes = {name: {0: "batch", 1: "seq"} for name in names}
        torch.onnx.export(
            embedder, inputs, str(out / "torchscript.onnx"), input_names=names, output_names=["sentence"],
            dynamic_axes={**axes, "sentence": {0: "batch"}}, opset_version=17, dynamo=False)
        batch, seq = torch.export.Dim("batch"), torch.export.Dim("seq", max=512)
        torch.onnx.export(
            embedder, inputs, str(out / "dynamo.onnx"), input_names=names, output_names=["sentence"],
            dynamic_shapes=tuple({0: batch, 1: seq} for _ in names), dynamo=True)


if __name__ == "__main__":
    main()
