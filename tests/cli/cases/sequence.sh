# Models that are called frame by frame: states carried by name, sound cut into frames.
sound="--wav $onnx/sound.wav --rate 8000"
states="h=hn,c=cn,g=gn"
status $thimble run $onnx/speech.onnx $sound --state $states --outputs all.npz
status $thimble run $onnx/speech.onnx $sound --hop 32 --state $states --json | grep -A 5 '"speech"'
# What the model or the sound cannot give is refused.
status $thimble run $onnx/speech.onnx $sound --state h=hn,c=cn
status $thimble run $onnx/speech.onnx $sound --state $states,x=y
status $thimble run $onnx/speech.onnx $sound --state h=cm,c=cn,g=gn
status $thimble run $onnx/speech.onnx $sound --state h
status $thimble run $onnx/speech.onnx --wav $onnx/sound.wav --rate 16000 --state $states
status $thimble run $onnx/speech.onnx --wav $onnx/sound.wav --frame 60 --state $states
status $thimble run $onnx/speech.onnx $sound --inputs all.npz --state $states
status $thimble run $onnx/speech.onnx --wav $onnx/speech.onnx --state $states
# Without states an archive is one call.
status $thimble run $onnx/cnn.onnx --inputs $onnx/images.npz
status $thimble run $onnx/cnn.onnx --inputs $onnx/images.npz --state image=scores
# Where nothing can be written, nothing is run.
status $thimble run $onnx/cnn.onnx --inputs $onnx/images.npz --outputs absent/out.npz
status $thimble convert $onnx/cnn.onnx absent/out.thimble
# Sound and states in a recipe: to calibrate on and to score on.
cat >recipe.yaml <<Y
version: 1
calibrate: {wav: $onnx/sound.wav, rate: 8000, state: "$states", samples: 8}
passes:
  - quantize-weights: {bits: 8}
  - quantize-activations
evaluate: {wav: $onnx/sound.wav, rate: 8000, state: "$states"}
gates: [cosine_mean >= 0.99]
Y
status $thimble compress $onnx/speech.onnx -r recipe.yaml -q -o out.thimble >log
grep -c passed log
tail -n 1 log
status $thimble eval out.thimble --reference $onnx/speech.onnx $sound --state $states | sed 's/  .*//'
# Where the fault lies in the line depends on how long the folder is.
check() {
  sed "s|, state: .*}|, $1}|" recipe.yaml >bad.yaml
  status $thimble recipe validate bad.yaml 2>&1 | sed -E "s/^(bad.yaml:[26]):[0-9]+/\1:COLUMN/"
}
check "labels: x"
check "npz: x"
check "frame: none"
