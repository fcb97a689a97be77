# A budget is kept, refused where it is impossible, and measured on a text or on what the model writes.
tune="--tune $fable/tune.txt"
status $thimble compress $fable -q --size 100kB $tune -o out.thimble 2>&1 | sed -E 's/[0-9]+\.[0-9]+MB/N MB/g'
status $thimble compress $fable -q --size much $tune -o out.thimble
# Before the model writes what it would be tuned on.
status $thimble compress $fable --size 100kB -o out.thimble 2>&1 | sed -E 's/[0-9]+\.[0-9]+MB/N MB/g'
for odd in '--size 1e99' '--bits-per-weight nan' '--kl nan' '--kl 0'; do
  status $thimble compress $fable -q $odd $tune -o out.thimble
done
status $thimble compress $fable -q -r int4 --size 1MB $tune -o out.thimble
status $thimble compress $fable -q --size 1MB --kl 0.1 $tune -o out.thimble
check() { cat >recipe.yaml; status $thimble compress $fable -q -r recipe.yaml $tune -o out.thimble; }
check <<'Y'
version: 1
budget: {sice: 60MB}
Y
check <<'Y'
version: 1
budget: {size: 60MB, kl_mean: 0.1}
Y
check <<'Y'
version: 1
passes:
  - quantize-weights: {bits: auto}
Y
cat >recipe.yaml <<'Y'
version: 1
tune: {tokens: 1024, context: 256}
passes:
  - fold-constants
  - quantize-weights: {bits: auto, group_size: auto, symmetric: auto}
budget: {size: 1100kB}
gates: [size <= 1100kB, size >= 1094.5kB]
Y
status $thimble compress $fable -q -r recipe.yaml $tune -o out.thimble >log
grep -c "^size: 1100kB" log
grep -c passed log

# What one budget measured serves another: nothing is measured again, and the bytes are those without.
sed -i 's/^gates.*//' recipe.yaml
$thimble compress $fable -q -r recipe.yaml $tune --measurements kept -o first.thimble >log
touch before
$thimble compress $fable -q -r recipe.yaml $tune --size 1200kB --measurements kept -o kept.thimble >log
$thimble compress $fable -q -r recipe.yaml $tune --size 1200kB -o alone.thimble >log
cmp kept.thimble alone.thimble && echo "the same"
echo "$(find kept -name '*.rows' | wc -l) measurements, $(find kept -newer before | wc -l) of them later"
rm -r kept before first.thimble* kept.thimble* alone.thimble*

# Without a text the model writes its own; one that writes nothing needs a text.
status $thimble compress $fable -r recipe.yaml -o own.thimble 2>&1 | grep -E "^note: no text|^own|exit"
$thimble compress $fable -q -r recipe.yaml --tune teacher -o named.thimble >log
cmp own.thimble named.thimble && echo "the same"
: >empty.txt
status $thimble compress $fable -q -r recipe.yaml --tune empty.txt -o out.thimble
# What a recipe says of `tune` goes in the place of what it extends.
printf 'version: 1\nextends: recipe.yaml\ntune: {text: empty.txt}\n' >base.yaml
printf 'version: 1\nextends: base.yaml\ntune: {teacher: true, tokens: 1024, context: 256}\n' >child.yaml
$thimble compress $fable -q -r child.yaml -o child.thimble >log && echo "written"
rm -r empty.txt base.yaml child.* out.thimble.work
status $thimble compress $onnx/encoder.onnx -q --size 1MB -o out.thimble
ls
# GGUF is offered only what it holds, though every code is left to choose.
cat >open.yaml <<'Y'
version: 1
tune: {tokens: 1024, context: 256}
passes:
  - fold-constants
  - quantize-weights: {bits: auto, group_size: auto, symmetric: auto, sub_scale_bits: auto, codes: auto}
budget: {bits_per_weight: 5}
Y
status $thimble compress $fable -q -r open.yaml $tune -o out.gguf >log
status $thimble inspect out.gguf >log
# A size is that of what is written.
sed 's/^budget.*/budget: {size: 1100kB}/' open.yaml >size.yaml
echo 'gates: [size <= 1100kB, size >= 1094.5kB]' >>size.yaml
for out in out.gguf out.onnx; do
  status $thimble compress $fable -q -r size.yaml $tune --force -o $out >log
  grep -c passed log
done
status $thimble compress $fable -q -r size.yaml $tune -o folder
sed -i 's/codes: auto/codes: nf4/' open.yaml
status $thimble compress $fable -q -r open.yaml $tune -o out.gguf 2>&1
