"""Writes the token ids that `tokenizers` and `sentencepiece` give for 10,000 varied strings.

    env/bin/pip install tokenizers sentencepiece protobuf
    env/bin/python scripts/oracle/tokenizer_cases.py tests/data/oracle/tokenizers \\
        [NAME=tokenizer.json | NAME=tokenizer.model | NAME=model.gguf ...]

Writes strings.json.gz once and NAME.ids.gz (one line of ids per string) for each tokenizer; without names: the fable
tokenizer, and small ones trained here on the fable corpus (Llama 3's, Qwen 2's and GPT-2's patterns, unigram,
WordPiece, Llama-style BPE with byte fallback, SentencePiece's own unigram with its NFKC table, and that table in an
XLM-RoBERTa-style tokenizer.json), whose tokenizer.json or .model is kept beside the ids. Made with tokenizers 0.22
and Python 3.11 (Unicode 14).
"""
import gzip
import json
import pathlib
import random
import sys
import unicodedata

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "fable"))
from corpus import generate
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

COUNT = 10_000
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def strings():
    r = random.Random(14)
    words = generate(99, 60_000).split()
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x370, 0x400), (0x400, 0x500), (0x590, 0x600), (0x600, 0x700), (0x900, 0x980), (0xE00, 0xE80), (0x1100, 0x1200),
              (0x2000, 0x2070), (0x20A0, 0x20C0), (0x2190, 0x2300), (0x3040, 0x3100), (0x4E00, 0x5000), (0xAC00, 0xAD00), (0xFF00, 0xFFF0), (0x1F300, 0x1F650),
              (0x1F900, 0x1FA00), (0x1D400, 0x1D500), (0x300, 0x370), (0x1E00, 0x1F00), (0xFB00, 0xFB50)]
    assigned = [[chr(c) for c in range(a, b) if unicodedata.category(chr(c)) not in ("Cn", "Cs")] for a, b in blocks]
    spaces = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n\n", " \n ", "\u00a0", "\u2003", "\u3000", "\u200b", "    \n\t"]
    code = ["if (x != y) { return a[i]->b; }", "def f(self, *args):\n    return 0x1F + 3.14e-10", "<div class=\"x\">&amp;</div>", "SELECT * FROM t WHERE id=42;", "std::vector<int> v{1,2,3};",
            "#include <stdio.h>\n\nint main() {\n\treturn 0;\n}", "https://example.org/a?b=c&d=%20e", "x**2 // 3 %% y", "foo_bar fooBar FOO-BAR foo.bar()"]
    marks = ["don't", "I'll", "WE'RE", "it's", "'tis", "they've", "I'D", "y'all'd", "o'clock", "'\u017f"]
    specials = ["<|begin|>", "<|end|>", "<s>", "</s>", "[CLS]", "[SEP]", "<|im_start|>", "\u2581", "##ing", "<0x41>", "<unk>", "\u0120"]
    out = ["", " ", "\n", "a", "\u2581", "  two", "two  ", "\u00e9", "e\u0301", "\uac00", "\u1100\u1161\u11a8", "\U0001F468\u200d\U0001F469\u200d\U0001F467"]
    while len(out) < COUNT:
        kind, parts = r.randrange(7), []
        for _ in range(r.randint(1, 9)):
            pick = r.randrange(10) if kind > 3 else kind
            if pick == 0 or pick > 6:
                parts.append(" ".join(r.choices(words, k=r.randint(1, 6))))
            elif pick == 1:
                block = r.choice(assigned)
                parts.append("".join(r.choices(block, k=r.randint(1, 8))))
            elif pick == 2:
                parts.append(str(r.randrange(10 ** r.randint(1, 12))) + r.choice(["", ".5", "%", ",000", "\u00bd", "\u0663"]))
            elif pick == 3:
                parts.append(r.choice(code)[r.randrange(5):])
            elif pick == 4:
                parts.append(r.choice(marks))
            elif pick == 5:
                parts.append(r.choice(specials))
            else:
                parts.append("".join(r.choices(spaces, k=r.randint(1, 3))))
            parts.append(r.choice(["", " ", " ", r.choice(spaces)]))
        out.append("".join(parts))
    return out


def byte_level(pattern, added):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=640, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|begin|>", "<|end|>"], show_progress=False)
    return t, trainer, added


def trained():
    text = [generate(7, 400_000)]
    made = {}
    extra = [AddedToken("<|im_start|>", special=True), AddedToken("foo_bar", normalized=True), AddedToken("[SEP]", special=True, lstrip=True, rstrip=True), AddedToken("end", single_word=True, normalized=False)]
    for name, pattern in (("llama3", LLAMA3), ("qwen2", QWEN2)):
        t, trainer, added = byte_level(pattern, extra)
        if name == "qwen2":
            t.normalizer = normalizers.NFC()
        t.train_from_iterator(text, trainer)
        t.add_tokens(added)
        made[name] = t
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.NFKC()
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    t.train_from_iterator(text, trainers.UnigramTrainer(vocab_size=500, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False))
    made["unigram"] = t
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator(text, trainers.WordPieceTrainer(vocab_size=700, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    t.post_processor = processors.BertProcessing(("[SEP]", t.token_to_id("[SEP]")), ("[CLS]", t.token_to_id("[CLS]")))
    made["wordpiece"] = t
    fallback = [f"<0x{b:02X}>" for b in range(256)]
    t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.train_from_iterator([w for w in text[0].split()], trainers.BpeTrainer(vocab_size=900, special_tokens=["<unk>", "<s>", "</s>"] + fallback, show_progress=False))
    data = json.loads(t.to_str())
    data["added_tokens"] = [a for a in data["added_tokens"] if not a["content"].startswith("<0x")]
    made["llama-bpe"] = Tokenizer.from_str(json.dumps(data))
    return made


def sentencepiece_unigram(path):
    """A SentencePiece model with its default normalization, nmt_nfkc: what T5 and XLM-RoBERTa have."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(generate(7, 400_000).splitlines()), model_prefix=str(path.with_suffix("")), vocab_size=400, model_type="unigram",
                                             num_threads=1, minloglevel=2)
    path.with_suffix(".vocab").unlink()


def precompiled(model):
    """The same pieces and table as transformers writes XLM-RoBERTa's tokenizer.json from them."""
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(model.read_bytes())
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], unk_id=0, byte_fallback=False))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "\u2581")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    t.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return t


def encoder_of(path):
    if path.endswith(".model"):
        import sentencepiece

        sp = sentencepiece.SentencePieceProcessor(model_file=path)
        return lambda s: [sp.bos_id()] + sp.encode(s)
    t = Tokenizer.from_file(path)
    t.no_truncation()
    t.no_padding()
    return lambda s: t.encode(s).ids


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    cases = strings()
    with gzip.GzipFile(folder / "strings.json.gz", "wb", mtime=0) as out:
        out.write("\n".join(json.dumps(s) for s in cases).encode() + b"\n")
    named = dict(a.split("=") for a in sys.argv[2:])
    if not named:
        named["fable"] = "tests/data/fable/tokenizer.json"
        for name, tokenizer in trained().items():
            named[name] = str(folder / f"{name}.json")
            tokenizer.save(named[name], pretty=False)
        model = folder / "sentencepiece-unigram.model"
        sentencepiece_unigram(model)
        named["sentencepiece-unigram"] = str(model)
        named["precompiled"] = str(folder / "precompiled.json")
        precompiled(model).save(named["precompiled"], pretty=False)
    for name, path in named.items():
        encode = encoder_of(path)
        with gzip.GzipFile(folder / f"{name}.ids.gz", "wb", mtime=0) as out:
            out.write("\n".join(" ".join(map(str, encode(s))) for s in cases).encode() + b"\n")
        print(name, path)


if __name__ == "__main__":
    main()
