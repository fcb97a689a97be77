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
