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
T01 bitmaps
T01 bitmaps --list
T01 bitmap-table
T01 dump
T01 check
T01 bitmaps --field state --name bm0
A bitmaps --name nope
A bitmaps --is enabled
A bitmaps --is disabled
A bitmaps --is usable --name bm0
V2 bitmaps --is usable
A bitmap-map --name bm0
A bitmap-map --name bm0 --totals
A bitmap-map --name bm0 --contains 0
in-use bitmap-map --index 0
in-use bitmap-map --index 0 --force
A extensions --index 9
END

image T01
changing bitmaps --output=json
check "T01: JSON has the error" test "$status.$(jq -c .error.code "$out")" \
  = '1."changed"'
check "T01: JSON has the names that were read" \
  test "$(jq -c '[.bitmaps[].name]' "$out")" = '["bm0","bm1"]'
image A
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
  expect_answer "A: $command" < "$tmp/still"
done

# Another image in the same run is not affected.
image V2
touch -d 2001-02-03 "$tmp/T01.qcow2"
changing bitmaps --is enabled "$tmp/A.qcow2"
check "one of several images" test "$status.$(grep -c "$told" "$err")" = 1.1

# If the image does not change, the result is as usual.
image T01
tool bitmaps "$image"
expect "T01 unchanged" 2
image A
tool bitmaps --is enabled "$image"
expect "A unchanged" 0

done_testing
