# What else a budget can be: a divergence; sensitivities measured per weight, for gptq; and what plan says of one.
tune="--tune $fable/tune.txt"
cat >kl.yaml <<'Y'
version: 1
tune: {tokens: 512, context: 256}
passes:
  - fold-constants
  - quantize-weights: {bits: auto, activations: float}
budget: {kl_mean: 0.05}
cache: f32
Y
status $thimble compress $fable -q -r kl.yaml $tune -o kl.thimble >log
grep "^kl_mean: 0.05" log
cat >gptq.yaml <<'Y'
version: 1
calibrate: {tokens: 512, context: 256}
tune: {tokens: 512, context: 256}
passes:
  - fold-constants
  - gptq: {bits: auto, sub_scale_bits: auto, codes: auto, only: {role: [attention, mlp]}}
  - quantize-weights: {bits: auto}
budget: {bits_per_weight: 3.5, sensitivity: kl}
gates: [bits_per_weight <= 3.5, bits_per_weight >= 3.4825]
Y
status $thimble compress $fable -q -r gptq.yaml --calibrate $fable/calibrate.txt $tune -o gptq.thimble >log
grep "passed" log
grep -c "under the row\|super" gptq.thimble.report.json >/dev/null && echo "super-blocks are among the choices"
status $thimble plan $fable -q -r gptq.yaml | grep -o "[0-9.]* bits per weight\|[0-9.ms]* for .*" | sed -E 's/[0-9.]+(s|ms)/N/g'
status $thimble plan $fable -q -r kl.yaml | grep -o "at least .* of weights\|how much.*\|[0-9.ms]* for .*" | sed -E 's/[0-9.]+(s|ms)/N/g'
# Rows that fill no block of GGUF's, said as the reason it is.
status $thimble compress $onnx/../oracle/llama -q -r int4 -o out.gguf
# Settings that don't go together.
check() { cat >recipe.yaml; status $thimble recipe validate recipe.yaml; }
check <<'Y'
version: 1
passes:
  - quantize-weights: {sub_scale_bits: 5}
Y
check <<'Y'
version: 1
passes:
  - quantize-weights: {sub_scale_bits: 6, symmetric: false}
Y
check <<'Y'
version: 1
passes:
  - gptq: {rules: [{role: mlp, bits: 5, codes: normal}]}
Y
