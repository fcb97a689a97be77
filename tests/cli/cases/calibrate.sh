# Conversations in the model's template, or what the model writes itself, in place of a text.
printf '%s\n' 'version: 1' 'calibrate: {tokens: 64, context: 32}' 'passes: [gptq: {bits: 4, only: {last: 1}}]' >gptq.yaml
for i in 1 2 3 4 5; do
  echo '{"messages": [{"role": "user", "content": "Who went to the river?"}, {"role": "assistant", "content": "The fox went there with the hare."}]}'
done >chats.jsonl
cp -r $fable chat
echo "{% for m in messages %}<|im_start|>{{ m.role }}{{ m.content }}<|im_end|>{% endfor %}" >chat/chat_template.jinja
status $thimble compress chat -q -r gptq.yaml --calibrate chats.jsonl -o chat.thimble | tail -n 1
status $thimble compress $fable -q -r gptq.yaml --calibrate chats.jsonl -o out.thimble
echo "The fox." >short.txt
status $thimble compress $fable -q -r gptq.yaml --calibrate short.txt -o out.thimble
echo '{"messages": 3}' >>chats.jsonl
status $thimble compress chat -q -r gptq.yaml --calibrate chats.jsonl -o out.thimble
status $thimble compress $fable -q -r gptq.yaml --calibrate teacher -o teacher.thimble --threads 1 | tail -n 1
status $thimble compress $fable -q -r gptq.yaml --calibrate teacher -o again.thimble --threads 2 | tail -n 1
cmp teacher.thimble again.thimble && echo "the same bytes"
status $thimble compress $fable -q -r gptq.yaml -o out.thimble
printf '%s\n' 'version: 1' 'calibrate: {text: a.txt, teacher: true}' 'passes: [gptq: {bits: 4}]' >both.yaml
status $thimble compress $fable -q -r both.yaml -o out.thimble
ls *.thimble
# A window may hold more tokens than one step of a prompt does.
printf '%s\n' 'version: 1' 'calibrate: {tokens: 2048, context: 1024}' 'passes: [gptq: {bits: 4}]' >long.yaml
status $thimble compress $fable -q -r long.yaml --calibrate $fable/calibrate.txt -o long.thimble | tail -n 1
# Windows that overlap see more of a short text; a stride over the context would leave some out.
head -c 250 $fable/calibrate.txt >some.txt
for stride in 0 8 64; do
  echo "{version: 1, calibrate: {tokens: 96, context: 32, stride: $stride}, passes: [gptq: {bits: 4, only: {last: 1}}]}" >stride.yaml
  status $thimble compress $fable -q -r stride.yaml --calibrate some.txt -o $stride.thimble | tail -n 1
done
cmp -s 0.thimble 8.thimble || echo "other windows"
