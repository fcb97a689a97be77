# Killed at any moment: no file or the whole file under the final name, and no leftover after the next run.
for delay in 0.01 0.02 0.03 0.05 0.08; do
  rm -f out.thimble*
  (timeout -s KILL $delay $thimble compress $fable -q -o out.thimble; true) >/dev/null 2>&1
  if [ -f out.thimble ]; then $thimble inspect out.thimble --verify >/dev/null || echo "damaged"; fi
done
status $thimble compress $fable -q -o out.thimble --force >/dev/null
ls
# Killed at its very end, with the file written and not its report, or with the work folder still there.
rm out.thimble.report.json
status $thimble compress $fable -q -o out.thimble | head -c 24; echo
mkdir out.thimble.work
status $thimble compress $fable -q -o out.thimble
ls
