"""Exports models that people deploy, with seeded weights, and sets Thimble beside ONNX Runtime on each.

    scripts/bench/model_zoo.py build/release/bin/thimble WORK [--models NAME ...] [--threads 2] [--markdown FILE]

Needs numpy, onnx, onnxruntime, torch, torchvision and transformers. Every model is exported by torch.onnx
(TorchScript, opset 17) into WORK, where it isn't there already, simplified into a .thimble, and run by both on the
same arrays; onnx_latency.py measures and compares. Where seeded weights make ONNX Runtime, optimized and not, disagree
with itself, a cosine says nothing; models with batch normalization have statistics of some random images for that.
"""
import argparse
import pathlib
import subprocess
import sys
import warnings

import torch
import torchvision
import transformers
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import onnx_latency  # noqa: E402

EAGER = {"attn_implementation": "eager"}
RECIPE = "version: 1\npasses: [simplify, fold-constants]\n"


class Part(nn.Module):
    """What a function makes of a module's results: exporters want plain tensors."""

    def __init__(self, module, results):
        super().__init__()
        self.module, self.results = module, results

    def forward(self, *inputs):
        return self.results(self.module, *inputs)


class Vocoder(nn.Module):
    """HiFi-GAN's shape: transposed convolutions, each with three dilated ones."""

    def __init__(self, width=256):
        super().__init__()
        self.first = nn.Conv1d(80, width, 7, padding=3)
        self.up, self.dilated = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in ((8, 16), (8, 16), (2, 4), (2, 4)):
            self.up.append(nn.ConvTranspose1d(width, width // 2, kernel, rate, padding=(kernel - rate) // 2))
            width //= 2
            self.dilated.append(nn.ModuleList(nn.Conv1d(width, width, 3, dilation=d, padding=d) for d in (1, 3, 5)))
        self.last = nn.Conv1d(width, 1, 7, padding=3)

    def forward(self, x):
        x = self.first(x)
        for up, dilated in zip(self.up, self.dilated):
            x = up(functional.leaky_relu(x, 0.1))
            for conv in dilated:
                x = x + conv(functional.leaky_relu(x, 0.1))
        return torch.tanh(self.last(functional.leaky_relu(x)))


def twice(inputs, outputs):
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        widths = [width << i for i in range(4)]
        self.down = nn.ModuleList(twice(a, b) for a, b in zip([3] + widths, widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in reversed(widths[:3]))
        self.join = nn.ModuleList(twice(2 * w, w) for w in reversed(widths[:3]))
        self.last = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        kept = []
        for level, down in enumerate(self.down):
            x = down(x if level == 0 else functional.max_pool2d(x, 2))
            kept.append(x)
        kept.pop()
        for up, join in zip(self.up, self.join):
            x = join(torch.cat([up(x), kept.pop()], 1))
        return self.last(x)


class SuperResolution(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(w, width, 3, padding=1) for w in [3] + 6 * [width])
        self.relu = nn.PReLU(width)
        self.last = nn.Conv2d(width, 48, 3, padding=1)

    def forward(self, x):
        for conv in self.layers:
            x = self.relu(conv(x))
        return functional.pixel_shuffle(self.last(x), 4)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(80, 256, 2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(512, 256, batch_first=True)
        self.last = nn.Linear(256, 40)

    def forward(self, x):
        return self.last(self.gru(self.lstm(x)[0])[0]).log_softmax(-1)


def settled(model, size):
    """With the statistics of some images, so that values keep their size from layer to layer."""
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(torch.rand(4, 3, size, size))
    return model


def image(size, batch=True):
    return torch.rand((1, 3, size, size) if batch else (3, size, size))


def classifier(name, size=224):
    return lambda: (settled(getattr(torchvision.models, name)(), 128), (image(size),))


def vision(name, size=224):
    return lambda: (getattr(torchvision.models, name)(), (image(size),))


def segmenter(name):
    def make():
        return getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None), (image(224),)
    return make


def detector(name, size=320):
    def make():
        sizes = {} if "320" in name else {"min_size": size, "max_size": size}
        model = getattr(torchvision.models.detection, name)(weights=None, weights_backbone=None, **sizes)
        if hasattr(model, "roi_heads"):
            model.roi_heads.score_thresh, model.roi_heads.detections_per_img = 0.0, 20
        return model, ([image(size, batch=False)],)
    return make


def hidden(model, *inputs):
    return model(*inputs).last_hidden_state


def encoder(architecture, settings, inputs, results=hidden):
    return lambda: (Part(architecture._from_config(settings(), **EAGER), results), inputs())


def sound():
    return (torch.rand(1, 16000),)


def tokens():
    return torch.randint(5, 1000, (1, 64)), torch.ones(1, 64, dtype=torch.long)


def masked(model, ids, mask):
    return model(input_ids=ids, attention_mask=mask).last_hidden_state


T = transformers
MODELS = {
    "mobilenet_v3_small": classifier("mobilenet_v3_small"),
    "efficientnet_v2_s": classifier("efficientnet_v2_s"),
    "regnet_y_400mf": classifier("regnet_y_400mf"),
    "convnext_tiny": vision("convnext_tiny"),
    "vit_b_32": vision("vit_b_32"),
    "swin_t": vision("swin_t"),
    "swin_v2_t": vision("swin_v2_t", 256),
    "maxvit_t": vision("maxvit_t"),
    "deeplabv3_mobilenet_v3_large": segmenter("deeplabv3_mobilenet_v3_large"),
    "lraspp_mobilenet_v3_large": segmenter("lraspp_mobilenet_v3_large"),
    "ssdlite320_mobilenet_v3_large": detector("ssdlite320_mobilenet_v3_large"),
    "fasterrcnn_mobilenet_v3_large_320_fpn": detector("fasterrcnn_mobilenet_v3_large_320_fpn"),
    "maskrcnn_resnet50_fpn": detector("maskrcnn_resnet50_fpn", 256),
    "fcos_resnet50_fpn": detector("fcos_resnet50_fpn", 256),
    "unet": lambda: (UNet(), (image(192),)),
    "super_resolution": lambda: (SuperResolution(), (image(96),)),
    "vocoder": lambda: (Vocoder(), (torch.rand(1, 80, 64),)),
    "tagger": lambda: (Tagger(), (torch.rand(1, 100, 80),)),
    "whisper_encoder": encoder(
        T.models.whisper.modeling_whisper.WhisperEncoder,
        lambda: T.WhisperConfig(d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536),
        lambda: (torch.rand(1, 80, 3000),)),
    "wav2vec2": encoder(T.Wav2Vec2Model, lambda: T.Wav2Vec2Config(num_hidden_layers=4), sound),
    "conformer": encoder(
        T.Wav2Vec2ConformerModel,
        lambda: T.Wav2Vec2ConformerConfig(num_hidden_layers=2, hidden_size=256, intermediate_size=1024,
                                          num_attention_heads=4), sound),
    "encodec": lambda: (Part(T.EncodecModel(T.EncodecConfig()), lambda m, x: m.decoder(m.encoder(x))),
                        (torch.rand(1, 1, 24000),)),
    "mobilevit": encoder(T.MobileViTModel, T.MobileViTConfig, lambda: (image(256),)),
    "segformer": encoder(T.SegformerForSemanticSegmentation, T.SegformerConfig, lambda: (image(256),),
                         lambda m, x: m(x).logits),
    "clip_vision": encoder(T.CLIPVisionModel, lambda: T.CLIPVisionConfig(num_hidden_layers=6),
                           lambda: (image(224),), lambda m, x: m(x).pooler_output),
    "distilbert": encoder(T.DistilBertModel, T.DistilBertConfig, tokens, masked),
    "t5_encoder": encoder(T.T5EncoderModel, lambda: T.T5Config(num_layers=6), tokens, masked),
}


def export(name, path):
    torch.manual_seed(0)
    model, inputs = MODELS[name]()
    with torch.no_grad():
        torch.onnx.export(model.eval(), inputs, path, dynamo=False, opset_version=17)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("thimble")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", nargs="+", default=["1", "2"])
    parser.add_argument("--rounds", default="3")
    parser.add_argument("--markdown")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.backends.mha.set_fastpath_enabled(False)  # the fused attention has no ONNX operator
    args.work.mkdir(parents=True, exist_ok=True)
    recipe = args.work / "recipe.yaml"
    recipe.write_text(RECIPE)
    pairs = []
    for name in args.models:
        source, ours = args.work / f"{name}.onnx", args.work / f"{name}.thimble"
        if not source.exists():
            export(name, source)
        subprocess.run([args.thimble, "compress", source, "-r", recipe, "-o", ours, "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        pairs.append(f"{ours}={source}")
    where = ["--markdown", args.markdown] if args.markdown else []
    sys.argv = ["onnx_latency.py", args.thimble, *pairs, "--threads", *args.threads, "--rounds", args.rounds, *where]
    onnx_latency.main()


if __name__ == "__main__":
    main()
