#!/bin/bash
# Runs every fuzzer of a reader for a while and tells how much of the reader it reached.
#
#   scripts/fuzz_coverage.sh [SECONDS [FUZZER ...]]
#
# Builds the fuzzers with coverage in build/coverage, runs each for SECONDS (0: its corpus only) from its corpus
# and from what earlier runs found, and prints the lines of the reader's sources that were executed. Ends with
# status 1 where a fuzzer found something or a reader is reached to less than 80 %.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true

# FUZZER: the sources that are its reader.
declare -A sources=(
  [safetensors]="formats/safetensors/reader.cpp"
  [gguf]="formats/gguf/reader.cpp formats/gguf/container.cpp formats/gguf/blocks.cpp lib/text/gguf_vocabulary.cpp"
  [config_json]="formats/huggingface/config.cpp formats/huggingface/decoder.cpp formats/huggingface/rotary.cpp
    formats/huggingface/llama_family.cpp formats/huggingface/gpt2.cpp formats/huggingface/bert.cpp"
  [tokenizer_json]="lib/text/tokenizer_json.cpp lib/text/json.cpp"
  [tokenizer_model]="lib/text/sentencepiece.cpp"
  [tokenizer]="lib/tokenizer/tables.cpp"
  [thimble]="lib/program/bundle.cpp lib/program/header.cpp lib/program/program.cpp"
  [image]="lib/data/image.cpp"
  [recipe]="lib/recipe/recipe.cpp lib/recipe/yaml.cpp"
  [onnx]="formats/onnx/proto.cpp formats/onnx/graph.cpp formats/onnx/node.cpp formats/onnx/tensors.cpp
    formats/onnx/external.cpp formats/onnx/inline.cpp formats/onnx/scope.cpp formats/onnx/reader.cpp"
)
names=("$@")
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(printf '%s\n' "${!sources[@]}" | sort)

flags="-fprofile-instr-generate -fcoverage-mapping"
cmake --preset fuzz -B build/coverage -DCMAKE_CXX_FLAGS="$flags" >/dev/null
cmake --build build/coverage -j "$(nproc)" --target "${names[@]/#/fuzz_}"

status=0
for name in "${names[@]}"; do
  work=build/coverage/found/$name
  fuzzer=build/coverage/bin/fuzz_$name
  mkdir -p "$work"
  if [ "$seconds" -gt 0 ]; then
    LLVM_PROFILE_FILE=/dev/null "$fuzzer" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -verbosity=0 -max_len=65536 \
      -artifact_prefix="build/coverage/$name-" "$work" "tests/fuzz/corpus/$name" || status=1
  fi
  profile=build/coverage/$name
  LLVM_PROFILE_FILE=$profile.profraw "$fuzzer" -runs=0 -verbosity=0 "$work" "tests/fuzz/corpus/$name"
  llvm-profdata merge -sparse "$profile.profraw" -o "$profile.profdata"
  for source in ${sources[$name]}; do
    [ -f "$source" ] || { echo "$name: $source is gone; tell scripts/fuzz_coverage.sh"; exit 1; }
  done
  # shellcheck disable=SC2086
  total=$(llvm-cov export -summary-only -instr-profile "$profile.profdata" "$fuzzer" ${sources[$name]} |
    sed -n 's/.*"totals":.*"lines":{"count":\([0-9]*\),"covered":\([0-9]*\),.*/\1 \2/p')
  read -r lines reached <<<"$total"
  percent=$((100 * reached / lines))
  echo "fuzz_$name: $reached of $lines lines of its reader, $percent %"
  [ "$percent" -ge 80 ] || status=1
done
exit $status
