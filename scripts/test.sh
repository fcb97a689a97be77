#!/bin/bash
# Builds the release and runs every test. The last line counts CTest's tests:
# N passed, N failed, N skipped.
set -uo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "test: $1 failed"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
}

scripts/setup.sh || fail "scripts/setup.sh"
cmake --preset release || fail "configuring"
cmake --build --preset release || fail "the build"
# Relative to the build folder, which is where ctest starts.
ctest --test-dir build/release --output-on-failure -j2 --output-junit results.xml
scripts/ctest_summary.sh build/release/results.xml
