#!/bin/bash
# Kills `thimble compress` with SIGKILL at random moments and looks at what is left: no file or the whole file
# under the final name, and after the next run no temporary file.
#
#   scripts/kill_test.sh THIMBLE MODEL [TIMES [compress options ...]]
#
# Half of the moments lie within the writing of the file. The last line counts: N clean, N damaged.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,8p' "$0"; exit 2; }
thimble=$(realpath "$1")
model=$2
times=${3:-20}
options=("${@:4}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
out=$folder/out.thimble

command=("$thimble" compress "$model" -o "$out" -q "${options[@]}")
leftovers() { find "$folder" -mindepth 1 ! -name out.thimble ! -name 'out.thimble.report.json' ! -name whole ! -name 'out.thimble.work'; }

start=$(date +%s%N)
"${command[@]}"
duration=$((($(date +%s%N) - start) / 1000000))
mv "$out" "$folder/whole"
echo "one run takes $duration ms"

RANDOM=7
clean=0
damaged=0
writing=0
for ((i = 0; i < times; ++i)); do
  rm -f "$out"
  "${command[@]}" >/dev/null &
  job=$!
  if ((i % 2)); then
    # Wait for the temporary file, then for a part of what is left.
    while kill -0 $job 2>/dev/null && [ -z "$(leftovers)" ]; do sleep 0.005; done
    sleep "$(awk -v r=$RANDOM -v d="$duration" 'BEGIN { print r / 32768 * d / 4000 }')"
  else
    sleep "$(awk -v r=$RANDOM -v d="$duration" 'BEGIN { print r / 32768 * d / 1000 }')"
  fi
  if [ -n "$(leftovers)" ]; then writing=$((writing + 1)); fi
  kill -9 $job 2>/dev/null || true
  wait $job 2>/dev/null || true
  if [ ! -e "$out" ] || cmp -s "$out" "$folder/whole"; then
    clean=$((clean + 1))
  else
    damaged=$((damaged + 1))
    echo "moment $i: $out is neither absent nor whole"
  fi
done

"${command[@]}" >/dev/null
cmp "$out" "$folder/whole"
rest=$(leftovers)
[ -z "$rest" ] || { echo "left after the next run: $rest"; damaged=$((damaged + 1)); }
echo "killed $times times, $writing while the file was being written"
echo "$clean clean, $damaged damaged"
[ $damaged -eq 0 ]
