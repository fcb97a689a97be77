status $thimble inspect $fable --dim seq=1..64 --dim batch=1 --graph | grep "^graph\|%tokens\|%input" | head -n 2 | cut -c1-60
status $thimble inspect $fable --dim sequence=3
status $thimble inspect $fable --dim past=3
status $thimble inspect $fable --dim batch
status $thimble inspect $fable --dim seq=9..3
