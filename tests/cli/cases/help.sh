$thimble --help
for command in compress convert plan inspect run eval compare check bench imatrix passes recipe; do
  $thimble $command --help | awk -v c=$command 'length($0) > 80 { print c ": a line of " length($0) " columns: " $0 }'
done
status $thimble compress --help
