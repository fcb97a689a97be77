$thimble recipe list
for recipe in $recipes/*.yaml; do status $thimble recipe validate $recipe; done
status $thimble recipe validate int4 --set quantize-weights.bits=3
status $thimble recipe validate int4 --set quantize-weights.bits=11
status $thimble recipe validate int4 --set smooth.alpha=1
# A variable is what the value would be: a number here, in a map on one line too.
cat >var.yaml <<'Y'
version: 1
seed: ${SEED}
passes: [{quantize-weights: {bits: ${BITS}, group_size: ${GROUP}}}]
evaluate: {text: "${FOLDER}/score.txt", max_windows: 2}
gates: ["size <= ${MOST}"]
Y
status $thimble recipe validate var.yaml --var SEED=1 --var BITS=3 --var GROUP=64 --var FOLDER=x --var MOST=2MB
# One that the recipe never reads is a slip; of a name given twice the last counts.
all="--var SEED=1 --var BITS=9 --var BITS=3 --var GROUP=64 --var FOLDER=x --var MOST=2MB"
status $thimble recipe validate var.yaml $all --var FOLDR=y
status $thimble recipe validate var.yaml $all --var MODEL=y
status $thimble recipe validate int4 --var BITS=3
printf '%s\n' 'version: 1' 'extends: var.yaml' >extends.yaml
status $thimble recipe validate extends.yaml $all
# From a pipe, too.
status $thimble recipe validate - --var SEED=1 --var BITS=3 --var GROUP=64 --var FOLDER=x --var MOST=2MB <var.yaml
sed 's/bits: ${BITS}/bits: 9/' var.yaml | status $thimble recipe validate - --var SEED=1 --var GROUP=64 --var FOLDER=x --var MOST=2MB
status $thimble recipe validate <(sed 's/${[A-Z]*}/3/g; s/group_size: 3/group_size: 32/' var.yaml) | sed 's|/dev/fd/[0-9]*|PIPE|'
# Shown as they are written, files too.
$thimble recipe show int8 | cmp - $recipes/int8.yaml
$thimble recipe show var.yaml | cmp - var.yaml
$thimble recipe show var.yaml --json | grep -E '"(recipe|text)":'
status $thimble recipe show int5
