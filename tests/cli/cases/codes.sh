# What codes can stand for, and what each needs.
recipe() {
  cat >$1.yaml <<Y
version: 1
calibrate: {tokens: 512, context: 256}
passes:
  - $2
  - quantize-weights: {bits: 8, only: {role: embedding}}
cache: f32
Y
}
recipe fitted "quantize-weights: {codes: fitted, only: {role: attention}}"
recipe nf4 "quantize-weights: {codes: nf4, search: absmax, group_size: 64, only: {role: [attention, mlp]}}"
recipe iq4_nl "quantize-weights: {codes: iq4_nl, only: {role: [attention, mlp]}}"
recipe gptq "gptq: {codes: fitted, bits: 3, only: {role: mlp}}"
for codes in nf4 iq4_nl gptq; do
  status $thimble compress $fable -q -r $codes.yaml --calibrate $fable/calibrate.txt -o $codes.thimble >log
done
THIMBLE_ISA=scalar status $thimble compress $fable -q -r fitted.yaml -o one.thimble --threads 1 >log
status $thimble compress $fable -q -r fitted.yaml -o many.thimble --threads 5 >log
cmp one.thimble many.thimble
# IQ4_NL is GGUF's too.
status $thimble compress $fable -q -r iq4_nl.yaml -o iq4_nl.gguf >log
status $thimble inspect iq4_nl.gguf | grep -c "codebook4 group 32 f16 table"
status $thimble eval iq4_nl.gguf -q --reference $fable --text $fable/tune.txt --context 128 --max-windows 4 --kv f32 --json >a.json
status $thimble eval iq4_nl.thimble -q --reference $fable --text $fable/tune.txt --context 128 --max-windows 4 --kv f32 --json >b.json
grep -h '"kl_weights"' a.json b.json | uniq | wc -l
status $thimble compress $fable -q -r nf4.yaml -o nf4.gguf 2>&1 | grep -o "remedy: quantize to .*blocks\|remedy: quantize to symmetric.*32"
# Formats with scales of their own are GGUF's too.
recipe mxfp4 "quantize-weights: {codes: mxfp4, only: {role: [attention, mlp]}}"
recipe nvfp4 "gptq: {codes: nvfp4, only: {role: [attention, mlp]}}"
recipe ternary "quantize-weights: {codes: ternary, group_size: 256, only: {role: mlp}}"
for codes in mxfp4 nvfp4 ternary; do
  status $thimble compress $fable -q -r $codes.yaml --calibrate $fable/calibrate.txt -o $codes.thimble >log
  $thimble inspect $codes.thimble | grep -E "^[24]-bit"
done
for codes in mxfp4 nvfp4 ternary; do
  status $thimble compress $fable -q -r $codes.yaml --calibrate $fable/calibrate.txt -o $codes.gguf >log
  for file in $codes.gguf $codes.thimble; do
    $thimble eval $file -q --reference $fable --text $fable/tune.txt --context 128 --max-windows 4 --kv f32 --json
  done | grep -h '"kl_weights"' | uniq | wc -l
done
# Settings that don't go together.
check() { cat >recipe.yaml; status $thimble recipe validate recipe.yaml; }
check <<'Y'
version: 1
passes:
  - quantize-weights: {codes: nf4, bits: 3}
Y
check <<'Y'
version: 1
passes:
  - quantize-weights: {codes: iq4_nl, symmetric: false}
Y
check <<'Y'
version: 1
passes:
  - gptq: {codes: fitted, bits: 6}
Y
check <<'Y'
version: 1
passes:
  - gptq: {codes: nvfp4, group_size: 32}
Y
check <<'Y'
version: 1
passes:
  - gptq: {codes: nf5}
Y
# A long scheme leaves room for the weights' names.
printf '%s\n' 'version: 1' 'gates: [bits_per_weight <= 1]' \
  'passes: [quantize-weights: {bits: 2, group_size: 16, sub_scale_bits: 4, codes: fitted, only: {name: "*0.mlp*"}}]' >long.yaml
$thimble compress $fable -q -r long.yaml -o long.thimble | grep "^model"
