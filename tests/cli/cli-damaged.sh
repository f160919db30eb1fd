#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every image of the builder is given to every command in every format.
# Whatever the image contains, the program ends properly, in time and in little
# memory, and its output is harmless.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
export QCOW2TOOL
limit=20
every=1
# Under valgrind each run takes a second.
if [ -n "$few" ]; then
  every=16
  if [ -n "${QCOW2TOOL_SLOW-}" ]; then
    limit=120
    every=64
  fi
fi

# The images with megabytes of output are left to cli-bombs.sh.
all_images ! '^(many-[^b]|sparse)'
selected=()
for ((i = 0; i < ${#images[@]}; i += every)); do
  selected+=("${images[i]}")
done

# Every command must be among those that are tried, and its JSON as well.  The
# JSON of bitmap-map, map and info is not the usual object of an image;
# text_ways has it.
for command in $(reading_names); do
  check "$command is tried" grep -qE "^$command( |$)" <(text_ways)
  tool "$command" --help
  if grep -q -e '--output=' "$out" && [[ $command != @(*map|info) ]]; then
    check "$command is tried with JSON" grep -qE "^$command( |$)" <(json_ways)
  fi
done

# Alone, an image is read by every 22nd command line; test-drive runs each of
# them with each image, in process.
limit_memory
results python3 "$srcdir/tests/cli/every-image.py" \
  "$limit" "$memory" 22 "$(text_ways)" "$(json_ways)" "${selected[@]}"
check "all images were tried" test "$n_results" = "${#selected[@]}"

# The other tests use single images.

# Damage of one bitmap does not hide the other.
for name in first-entry-bad second-entry-bad entry-ones-and-offset \
    entry-low-reserved-bits table-offset-0 table-offset-past-eof table-size-0 \
    table-size-all-ones flags-all-ones type-2 granularity-64 \
    extra-data-incompatible name-size-0 two-bitmaps-one-name reserved32-1 \
    incompatible-bit-63 nb-bitmaps-3 table-offset-l1; do
  image $name
  tool bitmaps "$image"
  check "$name: both bitmaps are shown" \
    test "$status.$(grep -c '^Bitmap name' "$out")" = 2.2
  tool bitmap-table --count 1 "$image"
  check "$name: both names are above their tables" \
    test "$(grep -c '^Bitmap name' "$out")" = 2
done

# At most ten messages of a rule are printed, then the number of the others.
image every-entry-bad
tool bitmap-table --name long "$image"
check "256 bad entries: all are shown" test "$(grep -c '^[0-9]' "$out")" = 256
expect "256 bad entries: status" 2
for rule in BTAB-01 BTAB-02 BTAB-05; do
  check "256 bad entries: ten messages of $rule" \
    test "$(grep -c "^qcow2tool: $image: 0x.* \[$rule\]\$" "$err")" = 10
  check "256 bad entries: 246 more of $rule" grep -qxF \
    "qcow2tool: $image: 246 more [$rule]: see qcow2tool check" "$err"
done
check "256 bad entries: the first ones are reported" \
  grep -q ' 0x20c00: .*BTAB-01' "$err"
check "256 bad entries: in order" test \
  "$(grep -o '0x20c[0-9a-f]*: .*BTAB-01' "$err" | cut -d : -f 1 \
    | tr '\n' ' ')" \
  = "$(printf '0x%x ' 0x20c{00,08,10,18,20,28,30,38,40,48})"
if [ -z "${QCOW2TOOL_SLOW-}" ]; then
  image many-same-name
  tool bitmaps "$image"
  check "65535 bitmaps with one name: all are shown" \
    test "$status.$(grep -c '^Bitmap name' "$out")" = 2.65535
  check "65535 bitmaps with one name: ten messages" \
    test "$(grep -c ' \[BDIR-15\]$' "$err")" = 10
  # The first bitmap with the name is not at fault.
  check "65535 bitmaps with one name: 65524 more" grep -qxF \
    "qcow2tool: $image: 65524 more [BDIR-15]: see qcow2tool check" "$err"
fi
image one-bad-entry-of-three
tool bitmap-table "$image"
check "no count if no message is left out" \
  test "$(grep -c ' more ' "$err").$(wc -l < "$err")" = 0.1
image reserved-bits-in-entries
tool bitmap-table "$image"
check "four messages are not too many" test "$(wc -l < "$err")" = 4
# Nine and eleven: the edges.
for n in 10 11; do
  copy every-entry-bad "bad-$n"
  for ((i = n; i < 256; i++)); do
    printf '\0\0\0\0\0\0\0\0'
  done | dd of="$image" bs=8 seek=$((0x20c00 / 8 + n)) conv=notrunc status=none
  tool bitmap-table --name long "$image"
  check "$n bad entries: ten messages" \
    test "$(grep -c " \[BTAB-01\]\$" "$err")" = 10
  check "$n bad entries: $((n - 10)) more" \
    test "$(grep -c ' 1 more \[BTAB-01\]: see' "$err")" = $((n - 10))
done

# No file that an image names is opened.
if command -v strace > /dev/null && [ -z "${QCOW2TOOL_SANITIZED-}" ] \
    && strace -o /dev/null true 2> /dev/null; then
  for name in backing-name-absolute data-file-name-absolute data-file \
      backing-file-with-format backing-name-json; do
    image $name
    : > "$tmp/trace"
    for command in info header extensions bitmaps bitmap-table; do
      # shellcheck disable=SC2086 # it may be several words
      (cd "$tmp" && strace -f -o "$tmp/trace-$command" \
        -e trace=openat,open,connect,execve $QCOW2TOOL $command "$image") \
        > /dev/null 2>&1
      cat "$tmp/trace-$command" >> "$tmp/trace"
    done
    check "$name: the files that it names are not opened" test \
      "$(grep -cE 'passwd|/etc/pw|DF\.data|base\.raw|json:' "$tmp/trace")" = 0
  done
else
  skip "files that an image names are not opened" "strace cannot be used"
fi

done_testing
