#!/bin/bash
# What the device library costs: the stripped size of the example program, which links all of it that can be
# reached, against tests/golden/device_size.txt; and that it needs no other libraries than the C++ runtime's.
# Usage: device_size.sh BUILD_FOLDER [--update]
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:?build folder}/bin/example_generate
record=tests/golden/device_size.txt

stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$program"
size=$(stat -c %s "$stripped")

foreign=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
  grep -vE '^(libstdc\+\+|libgcc_s|libm|libc|libpthread|ld-linux)' || true)
if [ -n "$foreign" ]; then
  echo "the device library needs $foreign" >&2
  exit 1
fi
if ! grep -q '^THIMBLE_UNITY:BOOL=ON' "$1/CMakeCache.txt"; then
  echo "device library: $size bytes stripped; the recorded size is that of a build with THIMBLE_UNITY"
  exit 77
fi
if [ "${2-}" = "--update" ]; then
  echo "$size" > "$record"
fi
recorded=$(cat "$record")
echo "device library: $size bytes stripped (recorded: $recorded)"
# Compilers differ by a little; more is news.
if [ "$size" -gt $((recorded * 110 / 100)) ]; then
  echo "it grew by more than 10%: find out why, then run $0 ${1} --update" >&2
  exit 1
fi
