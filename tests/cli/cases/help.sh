$thimble --help
for command in compress convert plan inspect run eval compare check bench imatrix passes recipe; do
  $thimble $command --help | awk -v c=$command 'length($0) > 80 { print c ": a line of " length($0) " columns: " $0 }'
done
# Nor are lines of tables and of what a recipe can say.
$thimble compress $fable -q -o out.thimble >/dev/null
for command in passes "inspect out.thimble --tensors" "compare $fable out.thimble"; do
  $thimble $command | sed 's/…/./g' | awk -v c="$command" '/  / && length($0) > 80 { print c ": " $0 }'
done
status $thimble compress --help
# Other programs' ways of asking.
for command in "" compress "recipe list"; do
  cmp <($thimble help $command) <($thimble $command --help) && echo "the same"
done
cmp <($thimble version) <($thimble --version) && echo "the same"
status $thimble help nothing
status $thimble vresion
