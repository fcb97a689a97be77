# Every shipped recipe for language models runs on the one of the repository and keeps its gates. Sizes, losses and the
# files' bytes are the same on every machine, so this is also the record of them: a change that moves one shows here.
value() { sed -nE "s/^  \"$2\": ([-+0-9.e]+),?$/\1/p" "$1.report.json"; }
row() { # RECIPE FILE
  $thimble compress $fable -q -r $1 -o $2 --text $fable/tune.txt --context 256 --max-windows 12 \
    --calibrate $fable/calibrate.txt --tune $fable/calibrate.txt >log
  gates="exit $?, $(grep -c ' passed' log) of $(grep -cE ' (passed|failed|undecided)' log) passed"
  printf '%-23s %8d %6.3f %10.5f %8.3g %7.5f  %s  %s\n' $2 $(for key in file_bytes bits_per_weight perplexity kl_mean \
    top1_agreement; do value $2 $key; done) $(md5sum <$2 | cut -c-32) "$gates"
}
printf '%-23s %8s %6s %10s %8s %7s  %-32s  %s\n' file bytes bits perplexity KL "top 1" md5 gates
for recipe in $recipes/*.yaml; do
  name=$(basename $recipe .yaml)
  grep -q cosine_mean $recipe || row $name $name.thimble  # others are for graphs: shipped_graphs.sh
done
row int4 int4.gguf
row int4 int4.onnx
