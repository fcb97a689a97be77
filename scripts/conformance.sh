#!/bin/bash
# Runs ONNX's backend tests against the checked-in expectations:
#
#   scripts/conformance.sh FOLDER [BUILD]
#
# FOLDER holds the categories (node, simple, ...), or an archive of them (onnx-*-backend-tests.tar.*),
# which is unpacked below BUILD (build/release) once. Debian's libonnx-testdata, ONNX 1.12, lies in
# /usr/share/libonnx-testdata/data. Fails on any regression and on any unexpected pass; the last line
# is N passed, N failed, N skipped. UPDATE=1 writes the expectations anew instead; COVERAGE=FILE also
# writes a table of operators (scripts/conformance_table.sh).
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1
build=${2:-$project/build/release}
[ -d "$folder" ] || { echo "conformance: $folder isn't there" >&2; exit 2; }

if [ ! -d "$folder/node" ]; then
  archive=$(find "$folder" -maxdepth 1 -name 'onnx-*backend-tests.tar*' | sort | tail -n 1)
  [ -n "$archive" ] || { echo "conformance: $folder holds neither cases nor an archive" >&2; exit 2; }
  folder=$build/$(basename "${archive%%.tar*}")
  if [ ! -e "$folder/.unpacked" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    tar -xf "$archive" -C "$folder"
    touch "$folder/.unpacked"
  fi
fi

# The tests of ONNX 1.12 have no Attention.
version=1.22
[ -d "$folder/node/test_attention_4d" ] || version=1.12
expectations=$project/tests/conformance/expectations-$version.txt
if [ "${UPDATE:-0}" = 1 ]; then
  "$build/bin/conformance" "$folder" --expect "$expectations" --update "$expectations" || true
  exit 0
fi
if [ -n "${COVERAGE:-}" ]; then
  "$build/bin/conformance" "$folder" --expect "$expectations" --coverage "$COVERAGE.rows" || true
  { echo "ONNX $version"; cat "$COVERAGE.rows"; } >"$COVERAGE"
  rm "$COVERAGE.rows"
  exit 0
fi
exec "$build/bin/conformance" "$folder" --expect "$expectations"
