#!/bin/bash
# The example program, which links the device library alone, says what the tool says.
# Usage: example_test.sh BIN_FOLDER MODEL
set -euo pipefail
bin=$1 model=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prompt="Once upon a time"
"$bin/thimble" convert "$model" "$work/model.thimble" --quiet > /dev/null
expected="$prompt$("$bin/thimble" run "$work/model.thimble" -p "$prompt" -n 24 --temperature 0 --quiet)"
actual=$("$bin/example_generate" "$work/model.thimble" "$prompt" 24)
if [ "$actual" != "$expected" ]; then
  printf 'expected: %s\nactual:   %s\n' "$expected" "$actual" >&2
  exit 1
fi
if "$bin/example_generate" "$work/absent.thimble" "$prompt" 1 2> "$work/message"; then exit 1; fi
grep -q 'absent.thimble: error:' "$work/message"
