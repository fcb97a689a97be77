# gptq's asymmetric term: the same bytes for any number of threads, and refused where nothing drifts.
recipe() {
  printf '%s\n' 'version: 1' "calibrate: {text: $fable/calibrate.txt, tokens: 512, context: 128}" 'passes:' \
    "  - gptq: {bits: 3, group_size: channel, only: {role: [attention, mlp]}, $2}" >$1.yaml
}
recipe plain "asymmetry: 0"
recipe asymmetric "asymmetry: 0.5"
status $thimble compress $fable -q -r plain.yaml -o plain.thimble >log
status $thimble compress $fable -q -r asymmetric.yaml -o one.thimble --threads 1 >log
cmp -s plain.thimble one.thimble || echo "other codes"
for threads in 2 5; do
  status $thimble compress $fable -q -r asymmetric.yaml -o many.thimble --force --threads $threads >log
  cmp one.thimble many.thimble && echo "the same bytes"
done
THIMBLE_ISA=scalar status $thimble compress $fable -q -r asymmetric.yaml -o many.thimble --force >log
cmp one.thimble many.thimble && echo "the same bytes"
recipe drift "asymmetry: 0.5, sequential: false"
status $thimble recipe validate drift.yaml
recipe range "asymmetry: 2"
status $thimble recipe validate range.yaml
# Convolutions, also in static int8.
cnn() {
  printf '%s\n' 'version: 1' "calibrate: {npz: $onnx/images.npz}" 'passes:' "  - $2" "${@:3}" \
    "evaluate: {npz: $onnx/images.npz}" >$1.yaml
  $thimble compress $onnx/cnn.onnx -q -r $1.yaml -o $1.thimble --json >$1.json
  $thimble inspect $1.thimble | grep -E "^[48]-bit"
}
cnn static8 "gptq: {bits: 8, group_size: channel, scale: f32}" "  - quantize-activations: {method: percentile}"
cnn gptq4 "gptq: {bits: 4, group_size: 32, activations: float}"
cnn rtn4 "quantize-weights: {bits: 4, group_size: 32, activations: float, search: absmax}"
# A network without layers drifts from block to block.
sed 's/bits: 4/bits: 4, asymmetry: 1/' gptq4.yaml >drift.yaml
status $thimble compress $onnx/cnn.onnx -q -r drift.yaml -o drift.thimble >log
cmp -s gptq4.thimble drift.thimble || echo "other codes"
grep -h '"sqnr_db"' static8.json gptq4.json rtn4.json | grep -o "[0-9]*\.[0-9]"
for threads in 1 5; do
  $thimble compress $onnx/cnn.onnx -q -r static8.yaml -o many.thimble --force --threads $threads >log
  cmp static8.thimble many.thimble && echo "the same bytes"
done
