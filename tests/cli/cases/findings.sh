# What passes come upon is named, carried in the report, and an error under --strict.
cp -r $fable model && chmod -R u+w model
file=model/model-00002-of-00002.safetensors
header=$((8 + $(od -An -N8 -tu8 $file)))
# offset NAME: where the tensor's bytes lie in the file
offset() { echo $((header + $(head -c $header $file | grep -ao "\"$1\":{[^}]*}" | sed -E 's/.*data_offsets":\[([0-9]+),.*/\1/'))); }
patch() { dd of=$file bs=1 seek=$(offset $1) conv=notrunc 2>/dev/null; }
head -c 512 /dev/zero | patch model.layers.2.mlp.down_proj.weight
compress() { status $thimble compress model -r recipe.yaml --force "$@" 2>&1 | grep -E "^(warning|error|  [a-z]+:|.exit)"; }
printf '%s\n' 'version: 1' 'passes:' '  - quantize-weights: {bits: 4, rules: [{name: nothing, bits: 8}]}' >recipe.yaml
compress -o out.thimble
sed -n '/"findings"/,/\]/p' out.thimble.report.json
compress -o strict.thimble --strict
printf '%s\n' 'version: 1' 'passes: [quantize-weights: {bits: 4}]' >recipe.yaml
compress -o strict.thimble --strict
printf '%s\n' 'version: 1' "calibrate: {text: $fable/calibrate.txt, tokens: 64, context: 64}" \
  'passes: [gptq: {bits: 4, only: {role: [attention, mlp]}}]' >recipe.yaml
compress -o gptq.thimble
compress -o strict.thimble --strict
# 1e30, beyond what scales of f16 reach, and f16 itself.
printf '\111\161' | patch model.layers.2.mlp.up_proj.weight
printf '%s\n' 'version: 1' 'passes: [quantize-weights: {bits: 4, only: {name: "*2.mlp.up*"}}]' >recipe.yaml
compress -o lost.thimble
compress -o strict.thimble --strict
compress -o held.thimble --set quantize-weights.scale=f32
printf '%s\n' 'version: 1' 'passes: [convert-floats]' >recipe.yaml
compress -o half.thimble
printf '\377\377\377\377' | patch model.norm.weight
printf '%s\n' 'version: 1' 'passes: [quantize-weights: {bits: 4}]' >recipe.yaml
compress -o nan.thimble
compress -o strict.thimble --strict
printf '\377\377\377\377' | patch model.layers.2.mlp.up_proj.weight
compress -o broken.thimble
compress -o broken.thimble --set quantize-weights.group_size=tensor
ls
