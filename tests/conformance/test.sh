#!/bin/bash
# The backend tests as a test: tests/conformance/test.sh PROJECT BUILD FOLDER. Exits with 77, which
# says skipped, where the FOLDER isn't there.
if [ ! -d "$3" ]; then
  echo "skipped: the backend tests are not in $3"
  exit 77
fi
exec "$1/scripts/conformance.sh" "$3" "$2"
