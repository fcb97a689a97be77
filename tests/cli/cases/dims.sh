status $thimble inspect $fable --dim seq=1..64 --dim batch=1 --graph | grep "^graph\|%tokens\|%input" | head -n 2 | cut -c1-60
status $thimble inspect $fable --dim sequence=3
status $thimble inspect $fable --dim past=3
status $thimble inspect $fable --dim batch
status $thimble inspect $fable --dim seq=9..3
# Sizes are settled on the way into another file, too.
status $thimble convert $onnx/encoder.onnx out.onnx --dim batch=1,seq=1..16 -q
status $thimble inspect out.onnx | grep inputs
status $thimble convert $onnx/encoder.onnx out.gguf
