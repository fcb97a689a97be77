#!/bin/bash
# Installs what the build needs and the machine lacks, from Debian 12 (bookworm). Changes nothing where
# everything is there already. With --ci also what .ci/run needs beyond scripts/test.sh.
set -euo pipefail

build_packages=(
  g++ cmake ninja-build
  libonnx-dev libprotobuf-dev protobuf-compiler
  libflatbuffers-dev flatbuffers-compiler
  libeigen3-dev libcli11-dev nlohmann-json3-dev libyaml-cpp-dev libexpected-dev
  libpcre2-dev libxxhash-dev zlib1g-dev libpng-dev libjpeg-dev
  catch2
)
ci_packages=(
  git binutils
  clang clang-format lld libclang-rt-14-dev llvm-14
  g++-aarch64-linux-gnu qemu-user
)

packages=("${build_packages[@]}")
case "${1-}" in
  "") ;;
  --ci) packages+=("${ci_packages[@]}") ;;
  *) echo "usage: scripts/setup.sh [--ci]" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$state" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: nothing to install"
  exit 0
fi

echo "setup: installing ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo)
fi
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -q --no-install-recommends "${missing[@]}"
