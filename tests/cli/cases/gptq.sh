# gptq's asymmetric term: the same bytes for any number of threads, and refused where nothing drifts.
recipe() {
  printf '%s\n' 'version: 1' "calibrate: {text: $fable/calibrate.txt, tokens: 512, context: 128}" 'passes:' \
    "  - gptq: {bits: 3, group_size: channel, only: {role: [attention, mlp]}, $2}" >$1.yaml
}
recipe plain "asymmetry: 0"
recipe asymmetric "asymmetry: 0.5"
status $thimble compress $fable -q -r plain.yaml -o plain.thimble >log
status $thimble compress $fable -q -r asymmetric.yaml -o one.thimble --threads 1 >log
cmp -s plain.thimble one.thimble || echo "other codes"
for threads in 2 5; do
  status $thimble compress $fable -q -r asymmetric.yaml -o many.thimble --force --threads $threads >log
  cmp one.thimble many.thimble && echo "the same bytes"
done
THIMBLE_ISA=scalar status $thimble compress $fable -q -r asymmetric.yaml -o many.thimble --force >log
cmp one.thimble many.thimble && echo "the same bytes"
recipe drift "asymmetry: 0.5, sequential: false"
status $thimble recipe validate drift.yaml
recipe range "asymmetry: 2"
status $thimble recipe validate range.yaml
