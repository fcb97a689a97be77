# Caches of keys and values, of one type or apart.
cat >apart.yaml <<'Y'
version: 1
passes:
  - quantize-weights: {bits: 8}
cache: {keys: int8, values: int4}
Y
status $thimble compress $fable -q -r apart.yaml -o apart.thimble >log
score() { $thimble eval "$@" -q --reference $fable --text $fable/tune.txt --context 128 --max-windows 4 --json | grep '"kl_mean"'; }
score apart.thimble >file
score apart.thimble --kv int8,int4 | cmp - file && echo "the file's caches are the recipe's"
score apart.thimble --kv int4 | cmp -s - file || echo "others are others"
# The narrower, the further.
for type in f32 f16 int8 int4; do score $fable --kv $type | sed 's|.*: ||; s|,||'; done | sort -g -c && echo "in order"
status $thimble run $fable -q -p x -n 2 --kv int5
status $thimble eval $fable -q --text $fable/tune.txt --kv int8,
check() { cat >recipe.yaml; status $thimble recipe validate recipe.yaml; }
check <<'Y'
version: 1
passes: [simplify]
cache: {keys: int4}
Y
check <<'Y'
version: 1
passes: [simplify]
cache: {keys: int8, values: int3}
Y
