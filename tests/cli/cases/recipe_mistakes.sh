# Every mistake is an error at its place, with a suggestion, and exit status 1.
check() { cat >recipe.yaml; status $thimble recipe validate recipe.yaml; }
check <<'Y'
version: 1
passes:
  - quantize-weights: {bitz: 4}
Y
check <<'Y'
version: 1
passes:
  - quantise-weights
Y
check <<'Y'
version: 1
passes:
  - quantize-weights: {bits: 9}
Y
check <<'Y'
version: 1
passes:
  - quantize-weights: {group_size: 24}
Y
check <<'Y'
version: 1
passes:
  - quantize-weights: {rules: [{role: embeding, bits: 8}]}
Y
check <<'Y'
version: 1
passes:
  - quantize-weights: {rules: [{rol: embedding, bits: 8}]}
Y
check <<'Y'
version: 1
gates: [kl_men <= 0.05]
Y
check <<'Y'
version: 1
gates: [kl_mean about 0.05]
Y
check <<'Y'
version: 1
gates: [size <= 10%]
Y
check <<'Y'
version: 1
gates: [kl_mean <= 3MB]
Y
check <<'Y'
version: 2
Y
check <<'Y'
version: 1
seed: 010
Y
check <<'Y'
version: 1
version: 1
Y
check <<'Y'
version: 1
evaluate: {text: "${TEXT}"}
Y
check <<'Y'
version: 1
evaluate: {${TEXT}: here, text: "${TEXT"}
Y
check <<'Y'
version: 1
evaluate: {text: "${TEXT"}
Y
check <<'Y'
version: 1
passes: [
Y
printf 'version: 1\npasses:\n\t- simplify\n' | check
(printf 'version: 1\npasses: '; printf '[%.0s' {1..3000}; echo) | check
check <<'Y'
version: 1
sede: 7
Y
check <<'Y'
version: 1
seed: 99999999999999999999
Y
status $thimble recipe validate nothing
printf 'version: 1\nextends: other.yaml\n' >recipe.yaml
printf 'version: 1\nextends: recipe.yaml\n' >other.yaml
status $thimble recipe validate recipe.yaml
check <<'Y'
version: 1
requires: thimble >= 99.1
passes: [a-pass-of-the-future]
Y
check <<'Y'
version: 1
requires: 0.1
Y
check <<'Y'
version: 1
requires: thimble >= 0.1
model: {path: here, sha256: 1234}
Y

# All of them in one run.
printf 'version: 1\nseed: -1\ngates: [kl_men <= 1]\n' >base.yaml
check <<'Y'
version: 1
extends: base.yaml
sede: 7
seed: 010
cache: {keys: int9, values: yes}
model: {path: here, sha256: "12"}
calibrate: {npz: a, wav: b, resize: 3, context: 4}
passes:
  - simplifi
  - quantize-weights: {bits: 9, group_size: "${SIZE}", only: {role: [embeding, mpl], first: 0}}
  - quantize-weights: {rules: [{bits: 9, rol: mlp}, {skip: 1}]}
  - gptq: {asymmetry: 0.5, sequential: false, codes: nf4, bits: 3}
budget: {size: many}
evaluate: {mean: [010, 1e9], text: a}
gates: [size <= 10%, kl_mean <= 0.1, kl_men < 1]
Y
$thimble recipe validate recipe.yaml --json 2>/dev/null | grep -c '"message"'
(echo version: 1; for i in {1..25}; do echo "key$i: 1"; done) >recipe.yaml
$thimble recipe validate recipe.yaml 2>&1 | tail -n 2
check <<'Y'
version: 1
passes:
  - quantize-weights: {bits: 4.0, group_size: 1e2}
Y
