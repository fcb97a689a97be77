status $thimble compress $fable -q -o out.thimble --text $fable/score.txt --context 256 --max-windows 20 >first
sed -n '1p' first
grep -c passed first
status $thimble compress $fable -q -o out.thimble --text $fable/score.txt --context 256 --max-windows 20
status $thimble run out.thimble -q -p "By the mill there lived" -n 8 --temperature 0
status $thimble compress out.thimble -q -o again.thimble
status $thimble check out.thimble --gate 'kl_mean <= 0.05' --gate 'size <= 2MB'
status $thimble check out.thimble --gate 'kl_mean <= 0.00001'
status $thimble check out.thimble --baseline base.json --update-baseline
status $thimble check out.thimble --baseline base.json --junit gates.xml | tail -n 1
grep -c testcase gates.xml
status $thimble check out.thimble --baseline base.json --strict --text $fable/score.txt --context 256 --max-windows 4 --reference $fable --update-baseline
status $thimble check out.thimble --baseline base.json --strict --text $fable/score.txt --context 256 --max-windows 4 --reference $fable
status $thimble check out.thimble --baseline none.json
status $thimble inspect out.thimble --verify | grep -v fingerprint
ls
# Any name goes into XML.
cp out.thimble $'o\xff\x01.thimble'
$thimble check $'o\xff\x01.thimble' --baseline base.json --junit odd.xml >/dev/null
grep -o 'suite name="[^"]*"' odd.xml
head -c 100000 out.thimble >short.thimble
status $thimble run short.thimble -p x
printf 'X' | dd of=out.thimble bs=1 seek=70000 conv=notrunc 2>/dev/null
status $thimble inspect out.thimble --verify 2>&1 | tail -n 3
# A gate that was not met is not met by running again either, nor is what --strict refuses.
cat >gate.yaml <<'Y'
version: 1
extends: int4
gates: [size <= 1MB]
Y
$thimble compress $fable -q -r gate.yaml -o gate.thimble >/dev/null; echo "[exit $?]"
status $thimble compress $fable -q -r gate.yaml -o gate.thimble
$thimble compress $fable -q -r gate.yaml -o gate.thimble --json | grep -E 'file_bytes|"passed"|up_to_date'
status $thimble compress $fable -q --set 'quantize-weights.rules=[{operator: Conv, bits: 8}]' -o rule.thimble | tail -n 1
status $thimble compress $fable -q --set 'quantize-weights.rules=[{operator: Conv, bits: 8}]' -o rule.thimble --strict
