#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# An image that is written to while it is read: there is no answer about it,
# and no damage that could be gone at the next look.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require jq
require_fault_shim

# changing ARGUMENT...: runs the program on $image, whose bytes are written
# once more, as they are, before the first read.
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

# What would be an answer, or damage, or not there.
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
check "T01: and what was read" \
  test "$(jq -c '[.bitmaps[].name]' "$out")" = '["bm0","bm1"]'
image A
changing bitmaps --is enabled
check "a predicate prints nothing" test ! -s "$out"

# What is shown without an error is as good as it can be.
for command in header extensions bitmaps 'bitmaps --tables' 'bitmaps --list' \
    bitmap-table dump 'dump --output=json'; do
  # shellcheck disable=SC2086 # a command and its options
  tool $command "$image"
  cp "$out" "$tmp/still"
  # shellcheck disable=SC2086
  changing $command
  expect_answer "A: $command" < "$tmp/still"
done

# Another image of several is not concerned.
image V2
touch -d 2001-02-03 "$tmp/T01.qcow2"
changing bitmaps --is enabled "$tmp/A.qcow2"
check "of several images one" test "$status.$(grep -c "$told" "$err")" = 1.1

# Where nothing happens all is as ever.
image T01
tool bitmaps "$image"
expect "T01 at rest" 2
image A
tool bitmaps --is enabled "$image"
expect "A at rest" 0

done_testing
