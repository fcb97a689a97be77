# What is measured follows from the recipe alike in compress and check, and the command line goes before.
cat >recipe.yaml <<Y
version: 1
passes:
  - quantize-weights: {bits: 3}
evaluate: {text: $fable/score.txt, context: 64, max_windows: 3, greedy_windows: 2}
gates: [kl_mean <= 1, greedy_tokens >= 1]
Y
metrics() { grep -E '"(kl_mean|greedy_tokens|repetition_rise)":' "$1"; }
$thimble compress $fable -q -r recipe.yaml -o out.thimble >log
metrics out.thimble.report.json >made
$thimble check out.thimble -r recipe.yaml --reference $fable -q --json >checked.json
metrics checked.json | cmp - made && echo "check measures what compress did"
$thimble check out.thimble -r recipe.yaml --reference $fable -q --json --max-windows 2 >fewer.json
metrics fewer.json | cmp -s - made || echo "on fewer windows something else"
# A model agrees with itself to the end.
status $thimble eval $fable --reference $fable --text $fable/score.txt -q --context 64 --max-windows 2 --greedy-windows 2
status $thimble eval $fable --text $fable/score.txt -q --context 64 --max-windows 2 --greedy-windows 2
# Copies are compared by their tensors' names.
status $thimble compare $fable $onnx/cnn.onnx
$thimble compress $onnx/cnn.onnx -q -r int8 -o cnn.thimble >/dev/null
status $thimble compare $onnx/cnn.onnx cnn.thimble --count 0
# A product's weight is compared output by output, whichever way round the graph holds it.
$thimble compress $onnx/encoder.onnx -q -r int8 -o encoder.thimble >/dev/null
status $thimble compare $onnx/encoder.onnx encoder.thimble --count 3
# A weight that is not finite is the worst of all, not an exact one.
cp -r $fable broken && chmod -R u+w broken
file=broken/model-00002-of-00002.safetensors
printf '\377\377\377\377' | dd of=$file bs=1 seek=$(($(stat -c %s $file) - 4)) conv=notrunc 2>/dev/null
status $thimble compare broken $fable --count 2
# Weights that a pass has moved elsewhere look bad one by one.
printf '%s\n' 'version: 1' 'passes: [rotate]' >rotate.yaml
$thimble compress $fable -q -r rotate.yaml -o rotated.thimble >/dev/null
status $thimble compare $fable rotated.thimble --count 0 | grep -o "^[0-9]* of [0-9]* differ"
# Integers that nodes make numbers of have no namesake.
$thimble compress $onnx/cnn.onnx -q -r int8 -o cnn.onnx --accuracy-level 4 >/dev/null
status $thimble compare $onnx/cnn.onnx cnn.onnx --count 0
status $thimble eval $fable --text $fable/score.txt --context 64 --stride 65
# GPT-2 has learnt its positions, and there are none for a longer text.
gpt2=$onnx/../oracle/gpt2
printf '%s\n' 'version: 1' 'passes: [{quantize-weights: {bits: 8}}]' "evaluate: {text: $fable/score.txt, context: 256}" >long.yaml
status $thimble compress $gpt2 -q -r long.yaml -o gpt2.thimble
status $thimble bench $gpt2 -q --prompt 120 --tokens 9
mkdir gpt2 && cp $gpt2/*.safetensors $gpt2/config.json gpt2
cat >gpt2/tokenizer.json <<'J'
{"pre_tokenizer": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
J
ab=$(printf 'ab%.0s' {1..60})
status $thimble run gpt2 -p "$ab" -n 12 --ignore-eos
status $thimble run gpt2 -p "$ab$ab"
$thimble run gpt2 -q -p "$ab" -n 12 --ignore-eos --json | grep -E '"(tokens|stop_reason)"'
$thimble convert gpt2 gpt2.thimble >/dev/null
status $thimble eval gpt2.thimble --text $fable/score.txt --context 129
# A context that wasn't asked for is one that the model has.
printf 'ab%.0s' {1..600} >ab.txt
status $thimble eval gpt2.thimble --text ab.txt --max-windows 1 --json 2>&1 | grep -E '^note|^.exit'
printf '%s\n' 'version: 1' 'passes: [{quantize-weights: {bits: 8}}]' "evaluate: {text: ab.txt, max_windows: 1}" >usual.yaml
status $thimble compress gpt2 -r usual.yaml -o gpt2.thimble --json 2>&1 | grep -E '^note|^.exit'
# No tokenizer would help a model of images.
status $thimble eval $onnx/cnn.onnx --text $fable/score.txt
# A gate on what only compress measured says so beside a text.
printf '%s\n' 'version: 1' 'passes: [{quantize-weights: {bits: 8}}]' "evaluate: {text: $fable/score.txt, context: 64, max_windows: 2}" >byte.yaml
$thimble compress $fable -q -r byte.yaml -o byte.thimble >log
gates() { status $thimble check byte.thimble --gate 'kl_mean <= 1' --gate 'perplexity <= 9' --gate 'size <= 9MB' "$@" 2>&1 | grep -E '^warning|^.exit'; }
gates
gates --text $fable/tune.txt --context 64 --max-windows 2
gates --text $fable/tune.txt --context 64 --max-windows 2 --reference $fable
