status $thimble
status $thimble compres
status $thimble compress
status $thimble compress $fable
status $thimble compress nowhere -o out.thimble
status $thimble compress nobody/nothing -o out.thimble
status $thimble compress $fable -o no/such/folder/out.thimble
status $thimble run $fable --temperature -1 -p x
status $thimble eval $fable
status $thimble check $fable
echo "not a model" >model.bin
status $thimble inspect model.bin
touch model.onnx
status $thimble inspect model.onnx
mkdir empty
status $thimble inspect empty
status $thimble compress -o out.thimble
status $thimble run $fable -p x --inputs in.npz
status $thimble run $fable -p x --outputs out.npz
status $thimble run $fable -p x --system "Be brief."
status $thimble run $fable -p x --stop ""
status $thimble run $fable -p x --seed -4
status $thimble run $fable -p x --temperature nan
status $thimble run $fable -p x --top-p 1e99
status $thimble run $fable -p x -n 1e3
status $thimble run $fable -p x --top-k 0.5
status $thimble run $fable -p x --threads 0
status $thimble run $fable -p x -n 1 --top-k 5
ln -s loop loop
status $thimble inspect loop
status $thimble inspect empty/model
status $thimble inspect ./nothing
mkdir mute
cp $fable/*.json $fable/*.safetensors mute
rm mute/tokenizer.json
status $thimble run mute -p x
$thimble convert mute mute.thimble >/dev/null
status $thimble run mute.thimble -p x
status $thimble compress $fable -o out.thimble --disable-pass quantise-weights
status $thimble compress $fable -o out.thimble --stop-after smooth
# Outputs that can't be written are refused before anything is read or measured.
status $thimble check nowhere --gate 'size <= 1MB' --junit no/such/gates.xml
status $thimble check nowhere --gate 'size <= 1MB' --markdown empty
status $thimble check nowhere --baseline no/such/baseline.json --update-baseline
status $thimble check nowhere --baseline none.json
status $thimble check nowhere --gate 'size <= 1MB' --update-baseline
status $thimble imatrix nowhere --text nothing -o no/such/imatrix.gguf
mkdir taken.thimble.report.json
status $thimble compress $fable -q -o taken.thimble
# Models in other forms are called by their names, and what to do about them is said.
printf '\034\0\0\0TFL3' >model.tflite
printf '\211HDF\r\n\032\n' >model.h5
printf 'PK\003\004' >model.zip
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n' >pointer.gguf
printf '<!DOCTYPE html>' >page.onnx
mkdir adapter with_onnx with_gguf pickled
touch adapter/adapter_config.json with_gguf/{b,a}.gguf
cp $fable/config.json with_onnx && touch with_onnx/model.onnx
cp $fable/config.json pickled && touch pickled/pytorch_model.bin
for model in model.tflite model.h5 model.zip pointer.gguf page.onnx adapter with_onnx with_gguf pickled; do status $thimble inspect $model; done
# Options that would do nothing are refused.
printf 'version: 1\n' >plain.yaml
$thimble compress $fable -q -r plain.yaml -o plain.thimble >/dev/null
status $thimble inspect $fable --verify
status $thimble inspect plain.thimble --graph
status $thimble inspect plain.thimble --dim seq=3
status $thimble eval $fable --npz a.npz --idx b.gz
status $thimble eval $fable --text $fable/score.txt --labels labels.gz
status $thimble eval $fable --npz a.npz --mean 1
status $thimble check $fable --text $fable/score.txt --samples 3 --gate 'size <= 1MB'
status $thimble eval $fable --npz a.npz --max-windows 3
# A gate without what it is measured on passes, but not in silence.
status $thimble check plain.thimble --gate 'kl_mean <= 1'
$thimble inspect $fable --graph --json | grep -o '"graph": "model {' 
# What isn't expected is told with what was meant.
for slip in "--ouput x" "--bits 4" "--bits=4" -z --nothing word; do status $thimble compress $fable -o out.thimble $slip; done
encoder=$onnx/../oracle/bert
for option in --chat "-n 3" "--temperature 1" "--kv f16"; do status $thimble run $encoder -p x $option; done
status $thimble run $onnx/cnn.onnx --inputs x.npz --stop x
