# Without arrays a bench makes up its own; sizes that are open must be said, but for a first axis'.
shape() { grep -oE '"(threads|run_seconds|mac_shares|prefill_tokens_per_second|ttft_seconds)"' | sort -u | tr '\n' ' '; echo; }
$thimble bench $fable -q --json --prompt 8 --tokens 2 --repeat 1 | shape
$thimble bench $onnx/cnn.onnx -q --json --repeat 1 | shape
status $thimble bench $onnx/encoder.onnx -q --repeat 1
$thimble bench $onnx/encoder.onnx -q --json --repeat 1 --dim seq=8 | shape
# A .thimble keeps its open sizes, within what it was written for.
$thimble compress $onnx/encoder.onnx -r float16 -q -o e.thimble --dim seq=2..16 >/dev/null
$thimble bench e.thimble -q --json --repeat 1 --dim seq=8 | shape
status $thimble bench e.thimble -q --repeat 1 --dim seq=32
status $thimble bench e.thimble -q --repeat 1 --dim seq=2..4
status $thimble bench e.thimble -q --repeat 1 --dim sequence=8
status $thimble bench $fable -q --repeat 1 --dim seq=8
