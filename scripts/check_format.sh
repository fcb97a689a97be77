#!/bin/bash
# Every tracked C++ file is laid out as .clang-format says. With --fix, makes it so. Files that others
# include in their midst (*.inc) are laid out by hand, within the same width.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(--dry-run -Werror)
if [ "${1-}" = "--fix" ]; then mode=(-i); fi
git ls-files -z '*.h' '*.cpp' | xargs -0 -r clang-format "${mode[@]}"
git ls-files -z '*.inc' ':!lib/tokenizer/unicode' | xargs -0 -r awk '
  length($0) > 100 { print FILENAME ":" FNR ": longer than 100 characters"; wrong = 1 }
  END { exit wrong }'
