#!/bin/bash
# docs/RECIPES.md ends with what `thimble passes --markdown` prints.   check_recipes_doc.sh THIMBLE
set -eu
doc=$(dirname "$0")/../../docs/RECIPES.md
diff -u <(sed -n '/^<!-- thimble passes --markdown -->$/,$p' "$doc" | tail -n +2) <("$1" passes --markdown) && echo "docs/RECIPES.md is up to date"
