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

# A layer of a chain that cannot be read from some read on.
image two-bitmaps
cp "$image" base.raw
copy two-bitmaps top
patch 0x08 0000000000000300 00000008
patch 0x218 e2792aca 00000005 71636f7732000000
patch 0x300 626173652e726177
cp "$image" top.qcow2
for output in text json; do
  wrong=
  for ((i = 1; i < 24; i++)); do
    rm -f "$tmp/log"
    LD_PRELOAD=$tmp/fault-shim.so FAULT_FILE=base.raw FAULT_KIND=eio \
      FAULT_FIRST=$i FAULT_LAST=999 FAULT_LOG=$tmp/log \
      $QCOW2TOOL bitmaps --backing-chain --output=$output top.qcow2 \
      > /dev/null 2> "$err"
    status=$?
    [ -s "$err" ] || status+=", no message"
    [ -e "$tmp/log" ] || break
    # A layer that cannot be opened is damage.
    [[ $status = [12] ]] || wrong+=" read $i: status $status"
  done
  check "a layer that cannot be read, in $output: the status" test -z "$wrong"
  check "a layer that cannot be read, in $output: all reads" \
    test "$i" -gt 5 -a "$i" -lt 24
done

done_testing
