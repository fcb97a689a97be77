# The same decisions in every format; what one lacks is refused before any work.
cat >codes.yaml <<'END'
version: 1
passes:
  - quantize-weights: {bits: 4, group_size: 32, rules: [{role: embedding, bits: 6}]}
END
status $thimble compress $fable -r codes.yaml -o out.onnx 2>&1
status $thimble compress $fable -r codes.yaml -q -o out.onnx
status $thimble compress $fable -r codes.yaml -q -o out.onnx --accuracy-level 1 --json | grep -c '"fingerprint"'
status $thimble inspect out.onnx | grep symmetric
status $thimble compress $fable -r codes.yaml -q -o out.gguf
status $thimble inspect out.gguf | grep symmetric
status $thimble run out.gguf -q -p "By the mill there lived" -n 8 --temperature 0
status $thimble compress $fable -r codes.yaml -q -o folder
status $thimble compress $fable -r codes.yaml -q -o folder --allow-dequantize
status $thimble compress $fable -r codes.yaml -q -o out.bin
status $thimble compress $fable -r codes.yaml -q -o out.thimble --type f16
sed 's/bits: 4/bits: 4, symmetric: false/' codes.yaml >points.yaml
status $thimble compress $fable -r points.yaml -q -o points.gguf
status $thimble compress $fable -r points.yaml --set quantize-weights.bits=3 -o points.onnx 2>&1 | tail -n 3
status $thimble convert $fable float.onnx
ls
# No output goes over what it is made from, to stdout, or under a file.
status $thimble convert float.onnx float.onnx
status $thimble compress out.gguf -q -o ./out.gguf
status $thimble convert $fable -
status $thimble convert $fable ""
status $thimble convert $fable out.gguf/x.gguf
# Where not all of a folder can be written, nothing of it stays.
mkdir new
(trap '' XFSZ; ulimit -f 8; status $thimble convert $fable new/folder --to safetensors)
ls new
# Weights without the graph are no model.
status $thimble convert $onnx/cnn.onnx cnn_folder
ls -d cnn_folder
