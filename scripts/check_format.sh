#!/bin/bash
# Every tracked C++ file is laid out as .clang-format says. With --fix, makes it so.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(--dry-run -Werror)
if [ "${1-}" = "--fix" ]; then mode=(-i); fi
git ls-files -z '*.h' '*.cpp' | xargs -0 -r clang-format "${mode[@]}"
