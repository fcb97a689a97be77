# What plan says of time and memory: calibration and a budget's measuring are among it, and the boundaries of graphs cut into blocks.
number() { sed -nE "s/^ *\"$1\": ([0-9.e+-]+),?$/\1/p" "$2"; }
more() { awk -v a="$2" -v b="$3" -v what="$1" 'BEGIN { print what ": " (b > a ? "more" : "no more") }'; }
recipe() {
  cat >$1.yaml <<Y
version: 1
calibrate: {npz: $onnx/images.npz, samples: $2}
passes: [simplify, {gptq: {bits: 4, group_size: channel}}]
Y
  $thimble plan $onnx/cnn.onnx -q -r $1.yaml --threads 1 --json >$1.json
}
recipe one 1
recipe all 0
more "memory of a CNN's boundaries" $(number working_memory_bytes one.json) $(number working_memory_bytes all.json)
more "time of more samples" $(number calibration one.json) $(number calibration all.json)
plan() { $thimble plan $fable -q --threads 1 --json "$@"; }
plan -r int4 >int4.json
plan -r gptq3 >gptq3.json
plan -r gptq3 --calibrate $fable/calibrate.txt >text.json
plan -r budget >budget.json
more "gptq3 after int4, memory" $(number working_memory_bytes int4.json) $(number working_memory_bytes gptq3.json)
more "gptq3 after int4, time" $(number seconds_estimate int4.json) $(number seconds_estimate gptq3.json)
more "budget after int4, time" $(number seconds_estimate int4.json) $(number seconds_estimate budget.json)
more "with what is mapped" $(number working_memory_bytes budget.json) $(number peak_rss_bytes_estimate budget.json)
for recipe in int4 gptq3 budget; do
  $thimble plan $fable -q -r $recipe --threads 1 | tail -1 | sed -E 's/[0-9][0-9.]*( kB| MB| GB|ms|s)/N/g'
done
# What compress refuses.
status $thimble plan $fable -r int4 --size 1MB
printf '%s\n' 'version: 1' 'passes: [{quantize-weights: {bits: auto}}]' >open.yaml
status $thimble plan $fable -r open.yaml
# Too little is refused before any work, a budget's measuring counted.
status $thimble compress $fable -q -r int4 --threads 1 --max-memory 30MB -o out.thimble >log
status $thimble compress $fable -q --size 1MB --tune $fable/tune.txt --threads 1 --max-memory 30MB -o out.thimble 2>&1 | sed -E 's/about [0-9]+/about N/'
ls *.thimble
