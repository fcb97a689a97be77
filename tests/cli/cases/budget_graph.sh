# A budget of graphs that read no text: tuned on a data set.
cat >recipe.yaml <<'Y'
version: 1
tune: {npz: ${DATA}}
passes:
  - simplify
  - quantize-weights: {bits: auto, group_size: auto, symmetric: auto}
  - remove-dead-code
budget: {bits_per_weight: 5.4}
gates: [bits_per_weight <= 5.4, bits_per_weight >= 5.2]
Y
for model in cnn:images encoder:ids; do
  name=${model%:*}
  status $thimble compress $onnx/$name.onnx -q -r recipe.yaml --var DATA=$onnx/${model#*:}.npz -o $name.thimble >log
  grep "passed\|failed" log | sed 's/ [-0-9.]* *[-+][0-9.]* %//'
done
# In another format the bits are those of its codes.
status $thimble compress $onnx/encoder.onnx -q -r recipe.yaml --var DATA=$onnx/ids.npz -o encoder.onnx >log
grep "passed\|failed" log | sed 's/ [-0-9.]* *[-+][0-9.]* %//'
# Kept measurements give the same file; another data set is another work.
size() { status $thimble compress $onnx/cnn.onnx -q -r budget --set quantize-weights.activations=float -o "$@" >log; }
size a.thimble --size 30kB --tune $onnx/images.npz --measurements kept
size b.thimble --size 30kB --tune $onnx/images.npz --measurements kept
cmp a.thimble b.thimble && echo the same
# A small file is as near to its size as a large one: the header counts the metrics that it will have, and no others.
near() {
  status $thimble compress $onnx/encoder.onnx -q --size 41111B --tune $onnx/ids.npz -o near.thimble "$@" >log
  short=$((41111 - $(stat -c %s near.thimble)))
  [ $short -ge 0 ] && [ $short -le 205 ] && echo near || echo "$short bytes short"
}
near
near --text $onnx/ids.npz
# What doesn't go.
status $thimble compress $onnx/cnn.onnx -q -r budget -o c.thimble
status $thimble compress $onnx/cnn.onnx -q --kl 0.01 --tune $onnx/images.npz -o c.thimble
status $thimble compress $onnx/cnn.onnx -q --size 30kB --tune $onnx/ids.npz -o c.thimble
status $thimble compress $onnx/cnn.onnx -q --size 30kB --tune talk.jsonl -o c.thimble
status $thimble compress $onnx/cnn.onnx -q --size 1kB --tune $onnx/images.npz -o c.thimble
printf 'version: 1\ntune: {text: a.txt, npz: b.npz}\npasses: [simplify]\n' >both.yaml
status $thimble recipe validate both.yaml
