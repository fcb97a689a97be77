#!/bin/bash
# Prints "N passed, N failed, N skipped" of a JUnit file that CTest wrote; fails where a test failed or
# none ran.
set -euo pipefail
awk '
  # The attributes of <testsuite> come first, one per line.
  match($0, /^[ \t]*(tests|failures|disabled|skipped)="[0-9]+"/) {
    split($0, parts, "\"")
    gsub(/[ \t=]/, "", parts[1])
    if (!(parts[1] in count)) count[parts[1]] = parts[2]
  }
  END {
    skipped = count["skipped"] + count["disabled"]
    passed = count["tests"] - count["failures"] - skipped
    printf "%d passed, %d failed, %d skipped\n", passed, count["failures"], skipped
    exit count["failures"] > 0 || passed == 0
  }' "$1"
