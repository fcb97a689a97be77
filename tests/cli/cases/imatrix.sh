# Importance matrices: written for llama.cpp's tools, read in place of a calibration, refused where nothing reads them.
head -c 40000 $fable/calibrate.txt >calibrate.txt
status $thimble imatrix $fable --text calibrate.txt --context 256 -o imatrix.gguf -q
printf '%s\n' 'version: 1' 'calibrate: {imatrix: imatrix.gguf}' \
  'passes: [quantize-weights: {bits: 3, importance: true}]' >recipe.yaml
status $thimble compress $fable -q -r recipe.yaml -o read.thimble
printf '%s\n' 'version: 1' 'calibrate: {text: calibrate.txt, context: 256}' \
  'passes: [quantize-weights: {bits: 3, importance: true}]' >text.yaml
status $thimble compress $fable -q -r text.yaml -o seen.thimble
# The same weights, but for the sums' rounding to f32.
error() { sed -n '/"tensors"/,$p' $1.thimble.report.json | grep '"error"' | cut -c1-20; }
diff <(error read) <(error seen) && echo "the same errors"
status $thimble compress $fable -q --imatrix imatrix.gguf -o out.thimble
status $thimble compress $fable -q -r text.yaml --imatrix calibrate.txt -o out.thimble
head -c 100 calibrate.txt >short.txt
status $thimble imatrix $fable --text short.txt -o short.gguf -q
sed 's/importance/search: absmax, importance/' recipe.yaml >absmax.yaml
status $thimble compress $fable -r absmax.yaml -o out.thimble 2>&1 >log | grep "absmax"
rm out.thimble*
printf '%s\n' 'version: 1' 'calibrate: {imatrix: imatrix.gguf}' 'passes: [gptq: {bits: 4}]' >gptq.yaml
status $thimble compress $fable -q -r gptq.yaml -o out.thimble
ls *.thimble
