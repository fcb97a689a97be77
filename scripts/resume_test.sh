#!/bin/bash
# Kills long compressions with SIGKILL at random moments, runs them again and looks at what comes out: the bytes of
# a run that nothing disturbed, and no file left behind.
#
#   scripts/resume_test.sh THIMBLE [TIMES [ENCODER]]
#
# The decoder of the tests is rotated, written by gptq to a budget (with its asymmetric term), made up for by products
# of low rank and given a KV cache of 8 and 4 bits; ENCODER (a Hugging Face folder; unless given, an ONNX file of the
# tests) goes through gptq and corrections. Every other time the second run is killed too. The last line of each counts
# moments and how many of them found work to take up.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,11p' "$0"; exit 2; }
thimble=$(realpath "$1")
times=${2:-10}
source=$(cd "$(dirname "$0")/.." && pwd)
fable=$source/tests/data/fable
encoder=$source/tests/data/onnx/encoder.onnx
data="{npz: $source/tests/data/onnx/ids.npz}"
if [ $# -ge 3 ]; then
  encoder=$(realpath "$3")
  data="{text: calibrate.txt, tokens: 2048, context: 128}"
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
head -c 30000 "$fable/calibrate.txt" >calibrate.txt
head -c 12000 "$fable/tune.txt" >tune.txt
cat >decoder.yaml <<'Y'
version: 1
seed: 7
calibrate: {text: calibrate.txt, tokens: 2048, context: 128}
tune: {text: tune.txt, tokens: 1024, context: 128}
passes:
  - simplify
  - rotate: {tied: untie}
  - gptq: {bits: auto, group_size: 32, asymmetry: 0.5, only: {role: [attention, mlp]}}
  - quantize-weights: {bits: 6, only: {role: [embedding, lm_head]}}
  - low-rank: {rank: 4}
  - remove-dead-code
budget: {bits_per_weight: 5.5}
cache: {keys: int8, values: int4}
Y
cat >encoder.yaml <<Y
version: 1
seed: 7
calibrate: $data
passes:
  - simplify
  - gptq: {bits: 4, group_size: 32}
  - low-rank: {rank: 4}
  - correct-bias
  - remove-dead-code
Y

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
nap() { sleep "$(awk -v r=$RANDOM -v d="$1" 'BEGIN { print r / 32768 * d / 1000 }')"; }

# Starts the command in the background and kills it at a random moment within $1 milliseconds.
kill_within() {
  "${command[@]}" >out.log 2>&1 &
  local job=$!
  nap "$1"
  kill -9 $job 2>/dev/null || true
  wait $job 2>/dev/null || true
}

check() {
  local name=$1 model=$2 start duration taken=0 damaged=0 i
  command=("$thimble" compress "$model" -o "$name.thimble" -q -r "$name.yaml" --threads 2)
  start=$(milliseconds)
  "${command[@]}" >/dev/null
  duration=$(($(milliseconds) - start))
  mv "$name.thimble" whole
  for ((i = 0; i < times; ++i)); do
    rm -rf "$name.thimble"*
    kill_within $duration
    if ((i % 2)); then kill_within $((duration / 2)); fi
    if [ -e "$name.thimble" ] && ! cmp -s "$name.thimble" whole; then
      echo "$name, moment $i: there is a file, and it isn't whole"
      damaged=$((damaged + 1))
    fi
    if [ -n "$(ls "$name.thimble.work" 2>/dev/null | grep -v journal.json)" ]; then taken=$((taken + 1)); fi
    if ! "${command[@]}" >out.log 2>&1; then cat out.log; damaged=$((damaged + 1)); continue; fi
    cmp "$name.thimble" whole || damaged=$((damaged + 1))
    rest=$(ls -d "$name.thimble"* | grep -vx "$name.thimble\|$name.thimble.report.json" || true)
    [ -z "$rest" ] || { echo "$name, moment $i: left behind: $rest"; damaged=$((damaged + 1)); }
  done
  echo "$name: one run takes $duration ms; killed at $times moments, $taken with work to take up, $damaged damaged"
  [ $damaged -eq 0 ]
}

RANDOM=7
check decoder "$fable"
check encoder "$encoder"
