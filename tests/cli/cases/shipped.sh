# Every shipped recipe for language models runs on the one of the repository, and its size gates hold.
for recipe in $recipes/*.yaml; do
  name=$(basename $recipe .yaml)
  grep -q cosine_mean $recipe && continue  # for other graphs: shipped_graphs.sh
  echo "== $name"
  status $thimble compress $fable -q -r $name -o $name.thimble --text $fable/tune.txt --context 256 --max-windows 12 \
    --calibrate $fable/calibrate.txt --tune $fable/calibrate.txt >log
  tail -n 1 log
  grep -E "bits per weight|bits_per_weight <=|kl_mean <=" log | sed -E 's/ +[0-9.e-]+ +[-+][0-9.]+ %.*//'
done
