# A chat reads as one text: an answer is what the model says after all that was said before, also
# where the answer before it was cut short, and where the template writes that with a blank in front.
cp -r $fable chat
echo "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %}{{ m.content }}</s>{% endif %}{% endfor %}" >chat/chat_template.jinja
chat() { $thimble run chat -q --chat -n 30 "$@" 2>/dev/null; }
one="By the mill there lived" two="Of all things he loved"
said=$(chat -p "$one")
printf '%s\n' "$one" "$two" | chat >both
$thimble run chat -q -n 30 -p "[INST] $one [/INST] $said</s>[INST] $two [/INST]" >second
printf '%s\n' "$said" | cat - second | cmp - both && echo "the same"
printf '%s\n' "$one" "$two" | chat --json | grep -E '"(command|tokens)"'
# Longer texts than the model was trained on are noted; a model of 1024 positions.
$thimble run $fable -p "$(head -c 4000 $fable/score.txt)" -n 1 --context 2000 >/dev/null
# One longer than the context is refused before any of it is read.
status $thimble run $fable -p "by the mill by the mill" -n 1 --context 4
$thimble run $fable -p "$(head -c 1000 $fable/score.txt)" -n 1 >/dev/null
# A text ends where its context does, and says so.
status $thimble run $fable -p "By the mill" -n 20 --context 12
for n in 1 9 20; do $thimble run $fable -q -p "By the mill" -n $n --context 12 --json | grep '"stop_reason"'; done
$thimble run $fable -q -p "By the mill" -n 20 --stop stag --json | grep -E '"(text|stop_reason)"'
