#!/bin/bash
# Writes docs/CONFORMANCE.md: what each operator passes of ONNX's backend tests.
#
#   scripts/conformance_table.sh FOLDER...
#
# FOLDERs as scripts/conformance.sh takes them.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
table=$(mktemp)
trap 'rm -f "$table"' EXIT
{
  cat <<'TEXT'
# Conformance

What passes of ONNX's backend tests, by `scripts/conformance_table.sh FOLDER...`, which wrote this page. A case passes
when every output has the expected type and shape and |got - wanted| <= 1e-7 + 1e-3 |wanted|, unless
tests/conformance/expectations-VERSION.txt states another tolerance and why; the same file gives the reason of every
case that doesn't pass. `scripts/conformance.sh FOLDER` checks all of that. A case that fails ran to another result; one
that is skipped was refused before it ran, by operator, node and reason.
TEXT
  for folder in "$@"; do
    COVERAGE=$table "$project/scripts/conformance.sh" "$folder" >&2 || true
    printf '\n## %s\n\n' "$(sed -n 1p "$table")"
    sed 1d "$table"
  done
} >"$project/docs/CONFORMANCE.md.new"
mv "$project/docs/CONFORMANCE.md.new" "$project/docs/CONFORMANCE.md"
