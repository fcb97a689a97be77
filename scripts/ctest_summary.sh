#!/bin/bash
# Prints "N passed, N failed, N skipped" of a JUnit file that CTest wrote; fails where a test failed or
# none ran.
set -euo pipefail
awk '
  function number_of(name) {
    return match($0, " " name "=\"[0-9]+\"") ? substr($0, RSTART + length(name) + 3) + 0 : 0
  }
  /tests=/ && !total    { total = number_of("tests") }
  /failures=/ && !seen1 { failed = number_of("failures"); seen1 = 1 }
  /disabled=/ && !seen2 { disabled = number_of("disabled"); seen2 = 1 }
  /skipped=/ && !seen3  { skipped = number_of("skipped"); seen3 = 1 }
  END {
    skipped += disabled
    passed = total - failed - skipped
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0 || passed == 0
  }' "$1"
