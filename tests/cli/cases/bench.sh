# Without arrays a bench makes up its own; axes that may have any size must be said, but for a first one.
shape() { grep -oE '"(threads|run_seconds|mac_shares|prefill_tokens_per_second|ttft_seconds)"' | sort -u | tr '\n' ' '; echo; }
$thimble bench $fable -q --json --prompt 8 --tokens 2 --repeat 1 | shape
$thimble bench $onnx/cnn.onnx -q --json --repeat 1 | shape
status $thimble bench $onnx/encoder.onnx -q --repeat 1
$thimble bench $onnx/encoder.onnx -q --json --repeat 1 --dim seq=8 | shape
