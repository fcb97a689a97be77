# The shipped recipes for graphs run on a small model each, and on MNIST's where it lies beside the repository.
show() { grep -E " -> |passed|failed" log | sed -E 's/ +[-+0-9.e]+ +[-+][0-9.]+ %.*//; s/^.*smaller\), //'; tail -n 1 log; }
echo "== cnn-int8"
status $thimble compress $onnx/cnn.onnx -q -r cnn-int8 -o cnn.thimble --calibrate $onnx/images.npz --text $onnx/images.npz >log
show
status $thimble inspect cnn.thimble | grep -E "^(8-bit|f32)"
echo "== encoder-int8"
status $thimble compress $onnx/encoder.onnx -q -r encoder-int8 -o encoder.thimble --text $onnx/ids.npz >log
show
status $thimble inspect encoder.thimble | grep -E "^(8-bit|f32)"
echo "== speech"
cat >speech.yaml <<Y
version: 1
extends: speech
evaluate: {wav: $onnx/sound.wav, rate: 8000, state: "h=hn,c=cn,g=gn"}
Y
status $thimble compress $onnx/speech.onnx -q -r speech.yaml -o speech.thimble >log
show
status $thimble inspect speech.thimble | grep -E "^([48]-bit|f32)"
for graph in cnn speech; do
  echo "== float16 of $graph"
  status $thimble compress $onnx/$graph.onnx -q -r float16 -o $graph.thimble >log
  show
  status $thimble inspect $graph.thimble | grep -E "^(f16|f32)"
done
echo "== mnist-8"
if [ -d "$shared/data/onnx/mnist" ]; then
  cat >mnist.yaml <<Y
version: 1
extends: cnn-int8
calibrate: {idx: $shared/data/onnx/mnist/t10k-images-idx3-ubyte.gz, samples: 64}
evaluate:
  idx: $shared/data/onnx/mnist/t10k-images-idx3-ubyte.gz
  labels: $shared/data/onnx/mnist/t10k-labels-idx1-ubyte.gz
  samples: 1000
gates: [top1_accuracy >= 0.98, top1_drop <= 0.002, bits_per_weight <= 12]
Y
  status $thimble compress $shared/data/onnx/mnist/mnist-8.onnx -q -r mnist.yaml -o mnist.thimble >log
  grep -c passed log
else
  echo "skipped: $shared/data/onnx/mnist is not there" >&3
  echo 3
fi
