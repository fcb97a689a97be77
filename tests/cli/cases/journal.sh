# What another program computed isn't taken up: one of another version, nor one whose code alone differs.
cat >recipe.yaml <<'Y'
version: 1
tune: {tokens: 512, context: 256}
passes:
  - quantize-weights: {bits: auto, group_size: auto}
budget: {bits_per_weight: 5}
Y
tool=$thimble
compress() { $tool compress $fable -r recipe.yaml --tune $fable/tune.txt --measurements kept --json --force -o out.thimble "$@"; }
notes() { grep -o "^note.*" log | sed -E 's/[0-9a-f]{32}/DIGEST/'; }
compress >out 2>log; notes
touch before
compress >out 2>log; notes
echo "measured again: $(find kept -name '*.rows' -newer before | wc -l)"
(cat $thimble; echo " ") >changed
chmod +x changed
tool=./changed
compress >out 2>log; notes
[ $(find kept -name '*.rows' -newer before | wc -l) -gt 0 ] && echo "measured again"
version=$($thimble --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+')
LC_ALL=C sed "s/thimble ${version//./\\.}/thimble 9.9.9/g" $thimble >newer
chmod +x newer
tool=./newer
compress >out 2>log; notes
echo "fingerprints: $(ls kept | wc -l)"
