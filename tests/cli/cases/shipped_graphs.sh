# The shipped recipes for graphs run on a small model each, and on MNIST's where it lies beside the repository. As in
# shipped.sh, sizes, losses and bytes are those of every machine.
value() { sed -nE "s/^  \"$2\": ([-+0-9.e]+),?$/\1/p" "$1.report.json"; }
row() { # NAME FILE: what compress came to; its log is in `log`
  printf '%-18s %6d %6.3f %8.6f  %s  %s\n' "$1" "$(value $2 file_bytes)" "$(value $2 bits_per_weight)" \
    "$(value $2 cosine_mean)" "$(md5sum <$2 | cut -c-32)" \
    "exit $status, $(grep -c ' passed' log) of $(grep -cE ' (passed|failed|undecided)' log) passed"
}
made() { # NAME FILE MODEL OPTIONS...
  $thimble compress "${@:3}" -q -o $2 >log
  status=$?
  row "$1" $2
  $thimble inspect $2 | grep -E "^ ?([0-9]-bit|f16|f32)"
}
cp $onnx/sound.wav .  # a recipe is in the file, so its paths must be everybody's
for recipe in speech float16; do
  cat >sound-$recipe.yaml <<Y
version: 1
extends: $recipe
evaluate: {wav: sound.wav, rate: 8000, state: "h=hn,c=cn,g=gn"}
Y
done
printf '%-18s %6s %6s %8s  %-32s  %s\n' recipe bytes bits cosine md5 gates
made cnn-int8 cnn.thimble $onnx/cnn.onnx -r cnn-int8 --calibrate $onnx/images.npz --text $onnx/images.npz
made encoder-int8 encoder.thimble $onnx/encoder.onnx -r encoder-int8 --text $onnx/ids.npz
made speech speech.thimble $onnx/speech.onnx -r sound-speech.yaml
made "float16 of cnn" cnn16.thimble $onnx/cnn.onnx -r float16 --text $onnx/images.npz
made "float16 of speech" speech16.thimble $onnx/speech.onnx -r sound-float16.yaml
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
