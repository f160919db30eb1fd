#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# An image that changes while it is read: the program gives no answer about it,
# and reports no damage that may be temporary.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require jq
require_fault_shim

# changing ARGUMENT...: runs the program on $image.  Before the first read, the
# bytes of the image are written again, unchanged.
changing ()
{
  cp "$image" "$tmp/other"
  touch -d 2001-02-03 "$image"
  rm -f "$tmp/met"
  LD_PRELOAD=$tmp/fault-shim.so FAULT_FILE=$image FAULT_KIND=change \
    FAULT_FIRST=1 FAULT_LAST=1 FAULT_OTHER=$tmp/other FAULT_LOG=$tmp/met \
    tool "$@" "$image"
  [ -s "$tmp/met" ] || fail "$*: the image was written to"
}

told='changed while it was read: try again \[FILE-08\]$'

# Command lines that would otherwise give an answer, report damage, or find
# something missing.
while read -r name arguments; do
  image "$name"
  # shellcheck disable=SC2086 # they are words
  changing $arguments
  check "$name: $arguments: no answer" \
    test "$status.$(tail -n 1 "$err" | grep -c "$image: $told")" = 1.1
done << 'END'
entry-ones-and-offset bitmaps
entry-ones-and-offset bitmaps --list
entry-ones-and-offset bitmap-table
entry-ones-and-offset dump
entry-ones-and-offset check
entry-ones-and-offset bitmaps --field state --name bm0
two-bitmaps bitmaps --name nope
two-bitmaps bitmaps --is enabled
two-bitmaps bitmaps --is disabled
two-bitmaps bitmaps --is usable --name bm0
version-2 bitmaps --is usable
two-bitmaps bitmap-map --name bm0
two-bitmaps bitmap-map --name bm0 --totals
two-bitmaps bitmap-map --name bm0 --contains 0
in-use bitmap-map --index 0
in-use bitmap-map --index 0 --force
two-bitmaps extensions --index 9
END

image entry-ones-and-offset
changing bitmaps --output=json
check "entry-ones-and-offset: JSON has the error" \
  test "$status.$(jq -c .error.code "$out")" = '1."changed"'
check "entry-ones-and-offset: JSON has the names that were read" \
  test "$(jq -c '[.bitmaps[].name]' "$out")" = '["bm0","bm1"]'
image two-bitmaps
changing bitmaps --is enabled
check "a predicate prints nothing" test ! -s "$out"

# If there is no error, the output is kept.
for command in header extensions bitmaps 'bitmaps --tables' 'bitmaps --list' \
    bitmap-table dump 'dump --output=json'; do
  # shellcheck disable=SC2086 # a command and its options
  tool $command "$image"
  cp "$out" "$tmp/still"
  # shellcheck disable=SC2086
  changing $command
  expect_answer "two-bitmaps: $command" < "$tmp/still"
done

# Another image in the same run is not affected.
image version-2
touch -d 2001-02-03 "$tmp/entry-ones-and-offset.qcow2"
changing bitmaps --is enabled "$tmp/two-bitmaps.qcow2"
check "one of several images" test "$status.$(grep -c "$told" "$err")" = 1.1

# If the image does not change, the result is as usual.
image entry-ones-and-offset
tool bitmaps "$image"
expect "entry-ones-and-offset unchanged" 2
image two-bitmaps
tool bitmaps --is enabled "$image"
expect "two-bitmaps unchanged" 0

done_testing
