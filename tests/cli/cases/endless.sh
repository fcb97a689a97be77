# A loop that a file says without end is read, written and compressed; running it goes on until it is interrupted. What it
# says then isn't looked at: on a busy machine the signal may come before there is anything to say.
status $thimble compress $onnx/endless.onnx -r float16 -q -o out.thimble >log
for signal in INT TERM; do
  for model in $onnx/endless.onnx out.thimble; do
    status timeout --preserve-status -s $signal 1 $thimble run $model --inputs $onnx/hostile/x.npz --outputs out.npz 2>/dev/null
  done
done
status timeout --preserve-status -s INT 1 $thimble eval $onnx/endless.onnx --npz $onnx/hostile/x.npz --reference $onnx/endless.onnx 2>/dev/null
ls
