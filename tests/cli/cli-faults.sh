#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each read of an image in turn fails, is interrupted, returns less than
# requested, finds the file shortened, or returns bytes of another image.
# Interrupted and short reads, which happen to every program, change nothing.
# After other faults the program says what it could not read, and its output is
# well-formed.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
require_fault_shim

export QCOW2TOOL
all_ways ()
{
  text_ways
  json_ways | sed 's/$/ --output=json/'
  echo dump --output=jsonl
}

# Under valgrind each run takes a second.
step=1
ways=$(all_ways)
names="four-entries name-lengths entry-ones-and-offset backing-file-with-format
  luks extension-texts many-bitmaps"
if [ -n "${QCOW2TOOL_SLOW-}" ]; then
  step=3
  ways=$(printf '%s\n' dump 'dump --output=json')
  names=four-entries
fi

images=()
for name in $names; do
  image "$name"
  images+=("$image")
done

mkdir "$tmp/files"
cd "$tmp/files" || exit 1
results python3 "$srcdir/tests/cli/faults.py" "$tmp/fault-shim.so" "$step" \
  "$ways" "${images[@]}"
[ "$n_results" -gt 0 ] || fail "there were results"

done_testing
