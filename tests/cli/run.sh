#!/bin/bash
# Runs one command-line case and compares what it prints, stdout and stderr together, with CASE.expected.
#   tests/cli/run.sh THIMBLE CASE.sh            UPDATE=1 writes the expectation instead
# A case runs in an empty folder; $thimble is the program, $fable, $onnx and $recipes what the repository holds,
# $shared data that may lie beside it.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
export thimble=$(realpath "$1") fable=$source/tests/data/fable onnx=$source/tests/data/onnx recipes=$source/configs/recipes
export shared=$source/../shared
exec 3>&2  # for what a case skips
case=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# status COMMAND...: runs it and prints its exit status.
status() { "$@"; echo "[exit $?]"; }
export -f status
# Lines of progress, which only a slow build has time for.
amount='[0-9.]+[kMGT]?'
progress="^[a-z][a-z' ]*: $amount( of $amount [A-Za-z]+ \\([0-9]+%\\)| [A-Za-z]+, $amount [A-Za-z]+/s)"
actual=$(bash "$case" 2>&1 | sed -E "\\=$progress=d; s|$fable|FABLE|g; s|$onnx|ONNX|g; s|$recipes|RECIPES|g; s|$work|WORK|g")
expected=${case%.sh}.expected
if [ "${UPDATE-}" = 1 ]; then
  printf '%s\n' "$actual" >"$expected"
  exit 0
fi
diff -u "$expected" <(printf '%s\n' "$actual") && echo "as expected"
