#!/bin/bash
# The linker keeps one copy of a weak symbol (an inline function, a template), and it may be the one that
# was compiled for instructions that the CPU lacks. So no object built for an ISA may define any.
#   scripts/check_isa_symbols.sh BUILD_FOLDER [NM]
set -euo pipefail
build=$1
nm=${2:-nm}
objects=$(find "$build/lib" -name '*.o' \
  | grep -E '(avx2|avx512|vnni|neon|dotprod)[^/]*\.cpp\.o$' | sort) || true
if [ -z "$objects" ]; then
  echo "check_isa_symbols: no ISA objects under $build/lib"
  exit 1
fi
status=0
while read -r object; do
  # W, V, u: defined weak functions, weak objects, unique globals.
  weak=$("$nm" -C --defined-only "$object" | awk '$2 ~ /^[WVu]$/')
  if [ -n "$weak" ]; then
    echo "$object defines weak symbols:"
    echo "$weak" | head -20
    status=1
  fi
done <<<"$objects"
[ $status -ne 0 ] || echo "check_isa_symbols: $(wc -l <<<"$objects") objects are clean"
exit $status
