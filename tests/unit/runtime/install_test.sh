#!/bin/bash
# What `cmake --install` puts down is enough for a project of its own: it finds the package, builds the example
# from it as C and as C++, and the example says what the installed tool says.
# Usage: install_test.sh BUILD_FOLDER MODEL C_COMPILER CXX_COMPILER
set -euo pipefail
build=$1 model=$2
example=$(cd "$(dirname "$0")/../../.." && pwd)/tools/example/generate.c
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/installed" >/dev/null
mkdir "$work/app"
cp "$example" "$work/app/generate.c"
printf '%s\n' '#include "thimble/runtime.h"' 'int main() { return *thimble_version() == 0; }' >"$work/app/version.cpp"
cat >"$work/app/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.25)
project(app C CXX)
find_package(thimble 0.1 REQUIRED)
add_executable(generate generate.c)
add_executable(version version.cpp)
target_link_libraries(generate PRIVATE thimble::runtime)
target_link_libraries(version PRIVATE thimble::runtime)
C
cmake -G Ninja -S "$work/app" -B "$work/app/build" -DCMAKE_PREFIX_PATH="$work/installed" -DCMAKE_C_COMPILER="$3" \
  -DCMAKE_CXX_COMPILER="$4" >/dev/null
cmake --build "$work/app/build" >/dev/null
"$work/app/build/version"
"$work/installed/bin/thimble" convert "$model" "$work/model.thimble" --quiet >/dev/null
prompt="Once upon a time"
expected="$prompt$("$work/installed/bin/thimble" run "$work/model.thimble" -p "$prompt" -n 8 --quiet)"
actual=$("$work/app/build/generate" "$work/model.thimble" "$prompt" 8)
[ "$actual" = "$expected" ] || { printf 'expected: %s\nactual:   %s\n' "$expected" "$actual" >&2; exit 1; }
