#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Where output and messages go, and what happens if they cannot be written.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

# Every command, with an image for which it prints something.
commands="header extensions bitmaps bitmap-table --help help --version"
arguments ()
{
  case $1 in
    -* | help) echo "$1";;
    *) echo "$1 $2";;
  esac
}

image two-bitmaps
a=$image
image entry-ones-and-offset
t01=$image
image table-of-several-clusters
long=$image
image many-bitmaps
many=$image

# A full disk.
if [ -c /dev/full ]; then
  for command in $commands 'header --help' 'help bitmaps'; do
    # shellcheck disable=SC2046,SC2086 # a command and its operand
    $QCOW2TOOL $(arguments $command "$a") > /dev/full 2> "$err"
    status=$?
    : > "$out"
    expect_refusal "$command > /dev/full" 1 '*No space left on device'
  done
  $QCOW2TOOL bitmaps "$many" > /dev/full 2> "$err"
  status=$?
  expect_refusal "long output > /dev/full: one message" 1 \
    '*No space left on device'
  $QCOW2TOOL bitmaps "$t01" > /dev/full 2> "$err"
  check "a full disk is worse than damage" test $? = 1
  $QCOW2TOOL bitmaps --name nope "$a" > /dev/full 2> "$err"
  check "no output, no error" test $? = 3
  $QCOW2TOOL bitmaps --is usable --index 0 "$a" > /dev/full 2> "$err"
  check "a predicate prints nothing" test "$?.$(wc -c < "$err")" = 0.0
  $QCOW2TOOL header > /dev/full 2> "$err"
  check "a usage error does not print to stdout" \
    test "$?.$(wc -l < "$err")" = 1.2
  # Messages that cannot be written change nothing.
  $QCOW2TOOL bitmaps "$t01" > "$out" 2> /dev/full
  check "messages > /dev/full: status and output" \
    test "$?.$(grep -c '^Bitmap name' "$out")" = 2.2
else
  skip "a full disk" "/dev/full is missing"
fi

# Closed descriptors.
for command in $commands; do
  # shellcheck disable=SC2046,SC2086 # a command and its operand
  $QCOW2TOOL $(arguments $command "$a") >&- 2> "$err"
  status=$?
  : > "$out"
  expect_refusal "$command >&-" 1 '*Bad file descriptor'
done
$QCOW2TOOL header "$a" <&- > "$out" 2> "$err"
check "<&-: standard input is not read" \
  test "$?.$(wc -l < "$out").$(wc -c < "$err")" = 0.19.0
# Not under valgrind, which itself needs stderr.
if [ -z "${QCOW2TOOL_SLOW-}" ]; then
  $QCOW2TOOL bitmaps "$t01" > "$out" 2>&-
  check "2>&-: status and output" \
    test "$?.$(grep -c '^Bitmap name' "$out")" = 2.2
  (exec $QCOW2TOOL header "$a" <&- >&- 2>&-)
  check "all three closed: status" test $? = 1
  check "all three closed: the image is unchanged" \
    cmp -s "$a" <("$MKIMAGE" two-bitmaps "$tmp/again" && cat "$tmp/again")
fi

# A reader that ends early, or has already ended.  The disposition of SIGPIPE
# is inherited, so it is set explicitly here.
closed_pipe ()
{
  local action=$1

  shift
  python3 - "$action" "$err" "$@" << 'EOF'
import os
import signal
import subprocess
import sys

action, err, *command = sys.argv[1:]
read_end, write_end = os.pipe()
os.close(read_end)
handler = signal.SIG_IGN if action == "ignore" else signal.SIG_DFL
with open(err, "wb") as errors:
    status = subprocess.run(
        command, stdout=write_end, stderr=errors, restore_signals=False,
        preexec_fn=lambda: signal.signal(signal.SIGPIPE, handler)).returncode
sys.exit(128 - status if status < 0 else status)
EOF
}

if command -v python3 > /dev/null; then
  for command in $commands; do
    # shellcheck disable=SC2046,SC2086 # a command and its operand
    closed_pipe default $QCOW2TOOL $(arguments $command "$a")
    check "$command to a closed pipe ends as cat does" \
      test "$?.$(wc -c < "$err")" = 141.0
    # shellcheck disable=SC2046,SC2086
    closed_pipe ignore $QCOW2TOOL $(arguments $command "$a")
    check "$command to a closed pipe, SIGPIPE ignored: 1, no message" \
      test "$?.$(wc -c < "$err")" = 1.0
  done
  # shellcheck disable=SC2086 # it may be several words
  closed_pipe default cat "$a"
  check "cat ends like this" test $? = 141
  # shellcheck disable=SC2086
  closed_pipe ignore $QCOW2TOOL bitmaps --is usable --index 0 "$a"
  check "a predicate needs no reader" test $? = 0
  # shellcheck disable=SC2086
  closed_pipe ignore $QCOW2TOOL bitmaps "$many" "$many" "$many"
  check "long output to a closed pipe, SIGPIPE ignored" \
    test "$?.$(wc -c < "$err")" = 1.0
else
  skip "closed pipes" "python3 is not installed"
fi

# A lot of output of which only the beginning is read: 8192 rows of 51 bytes.
image many-share-long-table
(
  trap - PIPE
  $QCOW2TOOL bitmap-table --index 0 "$image" 2> "$err"
  echo $? > "$tmp/status"
) | head -n 1 > "$out"
check "the first line of a long table" \
  grep -qx 'Bitmap table   type            offset                   size' \
  "$out"
image sparse-table-32-gib
rows=100000
[ -z "${QCOW2TOOL_SLOW-}" ] || rows=20000
(
  trap - PIPE
  # shellcheck disable=SC2086 # it may be several words
  timeout 60 $QCOW2TOOL bitmap-table --index 0 --count 134217728 "$image" \
    2> "$err"
  echo $? > "$tmp/status"
) | head -n $rows | tail -n 1 > "$out"
check "a table of 2^27 rows is printed while it is read" \
  test "$(cut -d ' ' -f 1 "$out")" = $((rows - 2))
check "and the program ends when its reader does" \
  grep -qxE '141|1' "$tmp/status"

# Short output is written in one piece, and long output in blocks, in order.
tool bitmap-table --index 0 "$long"
check "256 rows" test "$(wc -l < "$out")" = 257
tool bitmaps "$many"
check "a thousand blocks are in order" test \
  "$(sed -n 's/^Bitmap name  *bitmap-//p' "$out" | tr '\n' ' ')" \
  = "$(seq 0 999 | tr '\n' ' ')"
check "with a blank line between them, and none at the end" test \
  "$(grep -c '^$' "$out").$(tail -n 1 "$out" | grep -c '^file_offset')" = 999.1

# Messages appear next to the block that they are about, with any buffering.
for name in entry-ones-and-offset first-entry-bad; do
  image $name
  $QCOW2TOOL bitmaps "$image" > "$out" 2>&1
  message=$(grep -n '^qcow2tool: ' "$out" | head -n 1 | cut -d : -f 1)
  check "$name: the message follows the block of bm0" test "$message" \
    -gt "$(grep -n '^Bitmap name  *bm0$' "$out" | cut -d : -f 1)"
  check "$name: the message precedes the block of bm1" test "$message" \
    -lt "$(grep -n '^Bitmap name  *bm1$' "$out" | cut -d : -f 1)"
done
image second-entry-bad
$QCOW2TOOL bitmaps "$image" > "$out" 2>&1
check "second-entry-bad: messages come last" test \
  "$(grep -n '^qcow2tool: ' "$out" | head -n 1 | cut -d : -f 1)" -gt 19
$QCOW2TOOL bitmap-table "$a" "$tmp/missing" "$a" > "$out" 2>&1
check "the message about an image is between its neighbours" test \
  "$(sed -n 's/^\(image: \|qcow2tool: \).*/\1/p' "$out" | tr -d '\n')" \
  = 'image: qcow2tool: image: '
image refcount-order-7
$QCOW2TOOL header "$image" > "$out" 2>&1
check "the message about a header follows it" \
  test "$(tail -n 1 "$out" | grep -c '^qcow2tool: ').$(wc -l < "$out")" = 1.20
image feature-table-length-wraps
$QCOW2TOOL extensions "$image" > "$out" 2>&1
check "the message about an extension follows it" \
  test "$(grep -n '^qcow2tool: ' "$out" | head -n 1 | cut -d : -f 1)" -gt 3

# stderr is empty if the status is 0, and stdout ends with a newline.
for command in header extensions bitmaps bitmap-table 'bitmaps --tables' \
    'bitmaps --names' 'bitmap-table --long'; do
  for file in "$a" "$long" "$many"; do
    # shellcheck disable=SC2086 # a command and its option
    tool $command "$file"
    check "$command $(basename "$file"): no message, complete lines" test \
      "$status.$(wc -c < "$err").$(tail -c 1 "$out" | od -An -tx1)" = '0.0. 0a'
  done
done

# With jsonl the line of an image is written in one piece, even if it is long
# or there are messages about the image.  The messages follow.
strace=
if [ -z "$few" ] \
    && strace -f -o "$tmp/log" -e trace=write true > /dev/null 2>&1; then
  strace=1
fi
for row in two-bitmaps: entry-ones-and-offset:messages many-bitmaps:; do
  IFS=: read -r name message <<< "$row"
  if [ -z "$strace" ]; then
    skip "$name: a line in one write" 'strace does not work here'
    continue
  fi
  image "$name"
  # shellcheck disable=SC2086 # it may be several words
  strace -f -o "$tmp/log" -e trace=write \
    $QCOW2TOOL bitmaps --output=jsonl "$image" "$image" > "$out" 2> "$err"
  writes=$(sed -n 's/^[0-9]* *write(\([12]\),.*/\1/p' "$tmp/log" | tr -d '\n')
  check "$name: a line in one write" test "$writes" \
    = "1${message:+2}1${message:+2}"
  check "$name: two lines" test "$(wc -l < "$out")" = 2
done
image entry-ones-and-offset
$QCOW2TOOL bitmaps --output=jsonl "$image" "$tmp/missing" "$image" \
  > "$out" 2>&1
check "the messages about an image follow its line" test \
  "$(sed 's/^\(qcow2tool: \|{\).*/\1/' "$out" | tr -d '\n')" \
  = '{qcow2tool: {qcow2tool: {qcow2tool: '

# Therefore lines of several processes do not mix in a pipe, as long as they
# have at most PIPE_BUF bytes, 4096 here.
check "the line of entry-ones-and-offset is short enough" \
  test "$($QCOW2TOOL bitmaps --output=jsonl "$image" 2> "$err" | wc -c)" \
  -le 4096
# shellcheck disable=SC2086 # it may be several words
yes "$image" | head -n 2000 \
  | xargs -P 4 -n 100 $QCOW2TOOL bitmaps --output=jsonl 2> "$err" \
  | sort | uniq -c > "$out"
check "four processes and one pipe: 2000 equal lines" \
  test "$(awk '{ print $1 }' "$out" | tr '\n' ' ')" = '2000 '

# Without any output, there is no write at all.
image version-2
tool bitmaps "$image"
expect_answer "no bitmaps: no byte" < /dev/null

done_testing
