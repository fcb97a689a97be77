# A recipe that names its model: compressed without a MODEL, and refused when the weights are others.
ln -s $fable model
sum=$(cat model/model-*.safetensors | sha256sum | cut -d' ' -f1)
cat >good.yaml <<Y
version: 1
requires: thimble >= 0.1
extends: int8
model: {path: model, sha256: $sum}
gates: [bits_per_weight <= 9]
Y
status $thimble compress -r good.yaml -q -o out.thimble
stat -c %s out.thimble >size
status $thimble inspect out.thimble | grep "metric.size: $(cat size)$" | wc -l
status $thimble plan -r good.yaml -q | head -n 2
sed 's/sha256: ./sha256: x/' good.yaml >bad.yaml
status $thimble compress -r bad.yaml -q -o bad.thimble
sed "s/sha256: .*/sha256: $(echo x | sha256sum | cut -d' ' -f1)}/" good.yaml >other.yaml
status $thimble compress -r other.yaml -q -o other.thimble
ls
