$thimble recipe list
for recipe in $recipes/*.yaml; do status $thimble recipe validate $recipe; done
status $thimble recipe validate int4 --set quantize-weights.bits=3
status $thimble recipe validate int4 --set quantize-weights.bits=11
status $thimble recipe validate int4 --set smooth.alpha=1
