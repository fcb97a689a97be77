# The same bytes for any number of threads and every ISA that this machine has.
for isa in scalar avx2 avx512vnni avx512amx neon neondotprod; do
  for threads in 1 2 5; do
    THIMBLE_ISA=$isa $thimble compress $fable -q -r int3-mixed -o $isa-$threads.thimble --threads $threads --text $fable/tune.txt --context 128 --max-windows 2 >/dev/null 2>&1
  done
done
cat *.thimble | wc -c | awk '{ print ($1 > 0) ? "written" : "nothing written" }'
md5sum *.thimble | cut -d' ' -f1 | sort -u | wc -l
THIMBLE_ISA=sse9 status $thimble run $fable -q -p x 2>&1 | grep -v remedy
