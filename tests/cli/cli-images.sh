#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The images that a command reads: operands, lists, and several in turn.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

cd "$tmp" || exit 1
for name in two-bitmaps four-entries version-2 entry-ones-and-offset; do
  image $name
done
image='two-bitmaps.qcow2'

heading='Bitmap table   type            offset                   size'
fine="Bitmap name               fine
$heading
0              serialized      73728                    512
1              all-zeroes      0                        512
2              serialized      74240                    512
3              serialized      74752                    512"
bm="Bitmap name               bm0
$heading
0              serialized      2686976                  65536

Bitmap name               bm1
$heading
0              all-zeroes      0                        65536"

# Several images: each has a heading, and a blank line separates them.
tool bitmap-table four-entries.qcow2 two-bitmaps.qcow2
expect_answer "two images" << EOF
image: four-entries.qcow2
$fine

image: two-bitmaps.qcow2
$bm
EOF
tool bitmap-table version-2.qcow2 four-entries.qcow2 version-2.qcow2
expect_answer "images without output have a heading" << EOF
image: version-2.qcow2

image: four-entries.qcow2
$fine

image: version-2.qcow2
EOF
tool bitmap-table four-entries.qcow2 four-entries.qcow2
expect_answer "one image twice" << EOF
image: four-entries.qcow2
$fine

image: four-entries.qcow2
$fine
EOF
tool bitmap-table four-entries.qcow2
expect_answer "one image has no heading" <<< "$fine"

# The other images are read, too, and the worst status wins: 1, 2, 3, 0.
tool bitmap-table missing four-entries.qcow2
check "a missing image first: status and message" \
  test "$status.$(wc -l < "$err")" = 1.1
check "the other image is shown" grep -qxF \
  '3              serialized      74752                    512' "$out"
tool bitmap-table four-entries.qcow2 missing two-bitmaps.qcow2
check "a missing image in the middle: status and message" \
  test "$status.$(wc -l < "$err")" = 1.1
expect_out "the other images are shown" << EOF
image: four-entries.qcow2
$fine

image: two-bitmaps.qcow2
$bm
EOF

# Bitmap 1: it exists in two-bitmaps and entry-ones-and-offset (only bitmap 0
# of entry-ones-and-offset is damaged), but not in four-entries.
for row in '0 two-bitmaps' '2 entry-ones-and-offset' '1 missing' \
    '3 four-entries' '0 two-bitmaps two-bitmaps' '1 two-bitmaps missing' \
    '1 missing two-bitmaps' '2 two-bitmaps entry-ones-and-offset' \
    '2 entry-ones-and-offset two-bitmaps' '3 two-bitmaps four-entries' \
    '3 four-entries two-bitmaps' '1 missing entry-ones-and-offset' \
    '1 entry-ones-and-offset missing' '1 missing four-entries' \
    '1 four-entries missing' '2 entry-ones-and-offset four-entries' \
    '2 four-entries entry-ones-and-offset' \
    '1 two-bitmaps four-entries entry-ones-and-offset missing' \
    '1 missing entry-ones-and-offset four-entries two-bitmaps' \
    '2 two-bitmaps four-entries entry-ones-and-offset' \
    '2 entry-ones-and-offset four-entries two-bitmaps' \
    '3 two-bitmaps two-bitmaps four-entries two-bitmaps' \
    '1 four-entries entry-ones-and-offset missing two-bitmaps'; do
  read -r expected names <<< "$row"
  files=()
  selection=()
  for name in $names; do
    files+=("$name.qcow2")
  done
  # Entry 0 of entry-ones-and-offset is damaged, and four-entries has no bitmap
  # bm0.
  selection=(--name bm0)
  tool bitmap-table "${selection[@]}" "${files[@]}"
  expect "status of $names" "$expected"
done

# Options may be anywhere in the command line, and -- ends them.
tool bitmap-table four-entries.qcow2 --start 3 two-bitmaps.qcow2 \
  --type serialized
expect_answer "options after and between images" << EOF
image: four-entries.qcow2
Bitmap name               fine
$heading
3              serialized      74752                    512

image: two-bitmaps.qcow2
Bitmap name               bm0

Bitmap name               bm1
EOF
cp four-entries.qcow2 ./-x
cp four-entries.qcow2 ./--start
cp four-entries.qcow2 ./-
cp four-entries.qcow2 ./--
tool bitmap-table -- -x
expect_answer "a name with a dash after --" <<< "$fine"
tool bitmap-table --start 3 -- --start
expect_answer "the name of an option after --" << EOF
Bitmap name               fine
$heading
3              serialized      74752                    512
EOF
tool bitmap-table -- --
expect_answer "a second -- is a file" <<< "$fine"
tool bitmap-table -
expect_answer "- is a file" <<< "$fine"
tool bitmap-table - -- - < /dev/null
check "- is a file, twice" test "$(grep -cx 'image: -' "$out")" = 2
rm ./-
tool bitmap-table - < four-entries.qcow2
expect_refusal "- is not standard input" 1 "-: *"
tool bitmap-table ./-x
expect_answer "a dash after a folder" <<< "$fine"

# -f and -U are accepted as in qemu-img.
for option in '-f qcow2' --format=qcow2 '--format qcow2' -U --force-share; do
  # shellcheck disable=SC2086 # an option and its value
  tool bitmap-table $option four-entries.qcow2
  expect_answer "$option" <<< "$fine"
done
tool bitmap-table -f raw four-entries.qcow2
expect_usage "-f raw" bitmap-table "*'raw'*"
tool bitmap-table --format=vmdk four-entries.qcow2
expect_usage "--format=vmdk" bitmap-table "*'vmdk'*"

# Different paths to an image.
ln -s four-entries.qcow2 link
ln -s "$tmp/link" link2
tool bitmap-table link2
expect_answer "a symbolic link" <<< "$fine"
cp four-entries.qcow2 read-only
chmod 0444 read-only
tool bitmap-table read-only
expect_answer "mode 0444" <<< "$fine"
tool bitmap-table "$tmp/four-entries.qcow2"
expect_answer "an absolute name" <<< "$fine"
tool bitmap-table ./././four-entries.qcow2
expect_answer "a name with detours" <<< "$fine"
# Names that other tools take for a protocol.
for name in file:four-entries.qcow2 json:four-entries 'nbd://four-entries' \
    host_device:four-entries 'four-entries.qcow2?x=1'; do
  mkdir -p "$(dirname "$name")"
  cp four-entries.qcow2 "$name"
  tool bitmap-table "$name"
  expect_answer "$name is a file name" <<< "$fine"
done

# Unprintable characters in names are escaped in headings.
odd=$'a b\n\e[2J\xff\u202e\\'
cp four-entries.qcow2 "$odd"
tool bitmap-table "$odd" "$odd"
# shellcheck disable=SC1003 # that is a backslash
shown='a b\n\x1b[2J\xff\xe2\x80\xae\'
check "a hostile name in a heading" \
  test "$(grep -cxF "image: $shown\\" "$out")" = 2
check "a hostile name forges no line" test "$(grep -c . "$out")" = 14
check "a hostile name: status and messages" \
  test "$status.$(wc -c < "$err")" = 0.0
tool bitmap-table "$odd-missing"
expect_refusal "a hostile name in a message" 1 \
  'a b\\n\\x1b\[2J\\xff\\xe2\\x80\\xae\\\\-missing: *'
# Escaping is the same in every locale.
cp "$err" first
LC_ALL=C tool bitmap-table "$odd-missing"
check "messages are the same bytes in locale C" cmp -s first "$err"
LC_ALL=C tool bitmap-table four-entries.qcow2
expect_answer "output is the same bytes in locale C" <<< "$fine"

# Lists.
two="image: four-entries.qcow2
$fine

image: two-bitmaps.qcow2
$bm"
printf 'four-entries.qcow2\ntwo-bitmaps.qcow2\n' > list
printf 'four-entries.qcow2\ntwo-bitmaps.qcow2' > list-without-end
printf '\n\nfour-entries.qcow2\n\n\ntwo-bitmaps.qcow2\n\n' > list-with-blanks
printf 'four-entries.qcow2\0two-bitmaps.qcow2\0' > list0
printf 'four-entries.qcow2\0two-bitmaps.qcow2' > list0-without-end
printf '\0four-entries.qcow2\0\0two-bitmaps.qcow2\0\0' > list0-with-blanks
for list in list list-without-end list-with-blanks; do
  tool bitmap-table --files-from=$list
  expect_answer "--files-from=$list" <<< "$two"
  tool bitmap-table --files-from - < $list
  expect_answer "--files-from - < $list" <<< "$two"
done
for list in list0 list0-without-end list0-with-blanks; do
  tool bitmap-table --files0-from=$list
  expect_answer "--files0-from=$list" <<< "$two"
  tool bitmap-table --files0-from - < $list
  expect_answer "--files0-from - < $list" <<< "$two"
done
printf 'four-entries.qcow2\ntwo-bitmaps.qcow2\n' \
  | tool bitmap-table --files-from -
expect_answer "--files-from - from a pipe" <<< "$two"

# A list of one image: there is no heading, and options for a single image are
# accepted.
echo four-entries.qcow2 > one
printf '\n\nfour-entries.qcow2\n\n' > one-with-blanks
printf 'four-entries.qcow2\0' > one0
for option in --files-from=one --files-from=one-with-blanks \
    --files0-from=one0; do
  tool bitmap-table $option
  expect_answer "$option has no heading" <<< "$fine"
  tool bitmaps --names $option
  expect_answer "--names $option" <<< fine
  tool bitmaps --is enabled --index 0 $option
  expect_answer "--is enabled $option" < /dev/null
  tool header --field cluster_size $option
  expect_answer "--field $option" <<< 512
done
tool header --field size --files-from=list
expect_usage "--field takes one image of a list" header '*one image*'
tool header --field size --files-from=one two-bitmaps.qcow2
expect_usage "--field takes one image of operand and list" header \
  '*one image*'

# An empty list is not an error.
: > empty
printf '\n\n' > blank
printf '\0\0' > blank0
for option in --files-from=empty --files-from=blank --files-from=/dev/null \
    --files0-from=empty --files0-from=blank0; do
  for command in header extensions bitmaps bitmap-table dump; do
    tool $command --output=jsonl $option
    expect_answer "$command --output=jsonl $option" < /dev/null
    tool $command $option
    expect_answer "$command $option" < /dev/null
  done
  tool bitmap-table $option four-entries.qcow2
  expect_answer "$option and one operand" <<< "$fine"
done
tool bitmap-table --files-from - < /dev/null
expect_answer "--files-from - < /dev/null" < /dev/null

# Operands together with lists, and several lists.
tool bitmaps --files-from=one four-entries.qcow2 --files0-from=list0 \
  --files-from=one
check "operands and three lists" \
  test "$status.$(grep -c '^image: ' "$out")" = 0.5

# Unusual names in lists.
printf '%s\0' "$odd" > odd0
tool bitmap-table --files0-from=odd0
expect_answer "a newline in a name of --files0-from" <<< "$fine"
cp four-entries.qcow2 ' with spaces '
cp four-entries.qcow2 ./-
cp four-entries.qcow2 '#c'
cp four-entries.qcow2 '~'
cp four-entries.qcow2 $'end\r'
# shellcheck disable=SC2016 # it must not be expanded
for name in ' with spaces ' - -x -- --start '#c' '~' $'end\r' '*' '$HOME'; do
  case $name in
    [*\$]*) cp four-entries.qcow2 "$name";;
  esac
  printf '%s\n' "$name" > names
  tool bitmap-table --files-from=names
  expect_answer "the name $(printf %q "$name") in --files-from" <<< "$fine"
  printf '%s\0' "$name" > names
  tool bitmap-table --files0-from=names
  expect_answer "the name $(printf %q "$name") in --files0-from" <<< "$fine"
done

# Lists that cannot be read, and listed images that cannot be read.
tool bitmap-table --files-from=missing
expect_refusal "a missing list" 1 'missing: *'
tool bitmap-table --files0-from=missing
expect_refusal "a missing NUL list" 1 'missing: *'
tool bitmap-table --files-from="$tmp"
expect_refusal "a list that is a folder" 1 "$tmp: *"
tool bitmap-table --files-from=
expect "a list without a name" 1
tool bitmap-table --files-from=missing four-entries.qcow2 --files-from=one
check "the other images are read after a missing list" \
  test "$status.$(grep -c '^3 ' "$out").$(wc -l < "$err")" = 1.2.1
tool bitmap-table --files-from=$'missing\e[2J'
expect_refusal "the name of a list is escaped" 1 '*missing\\x1b\[2J*'
printf '%s\n' four-entries.qcow2 missing entry-ones-and-offset.qcow2 \
  two-bitmaps.qcow2 > mixed
tool bitmap-table --files-from=mixed
check "bad images in a list: the others are read" \
  test "$status.$(grep -c '^Bitmap name' "$out").$(wc -l < "$err")" = 1.5.2
printf 'four-entries.qcow2\0two-bitmaps.qcow2\0' > nul-in-lines
tool bitmap-table --files-from=nul-in-lines
expect_refusal "a NUL in a list of lines" 1 '*nul-in-lines*NUL*'

# A name that is too long, up to one without an end.  The memory that a
# sanitizer or valgrind needs cannot be limited.
head -c 1048576 /dev/zero | tr '\0' x > longest
{ cat longest; echo x; echo four-entries.qcow2; } > too-long
tool bitmap-table --files-from=too-long
expect_refusal "a name of 1 MiB and a byte" 1 \
  'too-long: cannot read the list of images: File name too long'
tool bitmap-table --files-from=longest
expect_refusal "a name of 1 MiB is tried" 1 'xxx*: cannot open: *'
(
  [ -n "$few" ] || ulimit -v 300000
  tool header --files-from=/dev/zero
  exit "$status"
)
check "a name without an end" test "$?.$(wc -l < "$err")" = 1.1
tool bitmap-table --files-from=too-long --files-from=one
check "the other images are read after a name that is too long" \
  test "$status.$(grep -c '^3 ' "$out").$(wc -l < "$err")" = 1.1.1

# Many images.
for ((i = 0; i < 2000; i++)); do
  echo version-2.qcow2
done > many
tool bitmaps --files-from=many
check "two thousand images" \
  test "$status.$(grep -c '^image: version-2.qcow2$' "$out")" = 0.2000
(
  ulimit -n 32 && tool bitmaps --files-from=many
  exit "$status"
)
check "files are closed" test $? = 0

# The memory that the first images needed is enough for the others.
memory=
if [ -z "$few" ] && getconf GNU_LIBC_VERSION > /dev/null 2>&1 \
    && strace -o "$tmp/log" true > /dev/null 2>&1; then
  memory=1
fi
for command in 'bitmaps --list' 'bitmaps --output=jsonl' check; do
  if [ -z "$memory" ]; then
    skip "$command: memory" "glibc's own allocator and strace are needed"
    continue
  fi
  counts=()
  for n in 20 60; do
    for ((i = 0; i < n; i++)); do
      echo "$image"
    done > several
    # shellcheck disable=SC2086 # they may be several words
    strace -o "$tmp/log" -e trace=brk,mmap,munmap $QCOW2TOOL $command \
      --files-from=several > "$out" 2> "$err"
    counts+=("$(wc -l < "$tmp/log")")
  done
  check "$command: memory" \
    test "${counts[1]}.$(wc -c < "$err")" = "${counts[0]}.0"
done

done_testing
