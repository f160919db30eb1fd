#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The output of `bitmaps`: in full, for a selection, as names, for single
# fields, and as a predicate.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

# If the golden file does not have the name of the image, its name follows a
# colon.
for row in two-bitmaps four-entries every-state name-lengths \
    version-2-bitmaps autoclear-clear extra-data-compatible granularity-63 \
    granularity-0 file-cluster-aligned:two-bitmaps \
    data-whole-cluster-set:two-bitmaps refcount-all-zeroes:two-bitmaps \
    incompatible-corrupt:two-bitmaps; do
  image "${row%:*}"
  tool bitmaps "$image"
  check "bitmaps of ${row%:*}: status and messages" \
    test "$status.$(wc -c < "$err")" = 0.0
  expect_golden "bitmaps of ${row%:*}" "${row#*:}.txt"
done

for name in two-bitmaps four-entries; do
  image $name
  tool bitmaps --tables "$image"
  check "bitmaps --tables of $name: status and messages" \
    test "$status.$(wc -c < "$err")" = 0.0
  expect_golden "bitmaps --tables of $name" $name-tables.txt
done

# Damaged bitmaps are shown, too, with their state.  incompatible-bit-63 has an
# unknown feature; reserved32-1, nb-bitmaps-1-of-2 and nb-bitmaps-65535 have a
# bitmaps extension that cannot be trusted.
for row in first-entry-bad second-entry-bad flags-all-ones \
    two-bitmaps-one-name incompatible-bit-63:all-damaged \
    reserved32-1:all-damaged nb-bitmaps-1-of-2:all-damaged \
    nb-bitmaps-65535:all-damaged entry-ones-and-offset:first-damaged \
    entry-low-reserved-bits:first-damaged \
    entry-offset-past-eof:first-damaged; do
  image "${row%:*}"
  tool bitmaps "$image"
  expect "bitmaps of ${row%:*}: status" 2
  expect_golden "bitmaps of ${row%:*}" "${row#*:}.txt"
done

# Of two bitmaps extensions the last one is used, but its bitmaps are damaged.
image bitmaps-twice-different
tool bitmaps "$image"
expect "two bitmaps extensions: status" 2
head -n 10 "$srcdir/tests/expected/cli-bitmaps/all-damaged.txt" \
  | expect_out "two bitmaps extensions"

for name in version-2 no-bitmaps no-extensions nothing; do
  [ $name != nothing ] || copy no-bitmaps nothing
  image $name
  for option in '' --tables --names '--names -0'; do
    # shellcheck disable=SC2086 # it is no word, one or two
    tool bitmaps $option "$image"
    expect_answer "no bitmaps in $name $option" < /dev/null
  done
done

# States, in order of precedence.
state ()
{
  tool bitmaps --index "$1" --field state "$image"
  check "$3" test "$(cat "$out")" = "$2"
}

image in-use
state 0 in-use "in use"
patch 0x50000 8000000000000000
state 0 damaged "damaged before in use"
image autoclear-clear-in-use
state 0 stale "stale before in use"
patch 0x50000 8000000000000000
state 0 damaged "damaged before stale"
copy every-state cleared
patch 0x58 0000000000000000
for i in 0 1 2 3; do
  state $i stale "stale before any other state: bitmap $i"
done
patch 0x48 8000000000000000
state 1 damaged "an unknown feature before stale"
copy version-2-bitmaps v2-in-use
patch 0x7000c 00000001
state 0 stale "version 2: stale before in use"
image table-size-2-in-use
state 0 in-use "the table of a bitmap in use may be out of date"
image size-0-bitmap
state 0 damaged "a bitmap of an empty disk"
image flags-extra-data-without-data
state 0 disabled "the extra data flag alone is no damage"
image granularity-32
state 0 enabled "a granularity beyond QEMU's"
image extra-data-incompatible
state 0 damaged "extra data that forbids the bitmap's use"
state 1 disabled "and the bitmap after it"
image two-bitmaps-one-name
state 0 enabled "the first of a name"
state 1 damaged "the second of that name"

# is STATUS PREDICATE ARGUMENT...: --is ends with STATUS.
is ()
{
  local expected=$1

  shift
  tool bitmaps --is "$@" "$image"
  check "--is $*: $(basename "$image") status $expected, no output" \
    test "$status.$(cat "$out" "$err" | wc -c)" = "$expected.0"
}

predicates="usable enabled disabled in-use stale damaged"
# is_just N STATE PREDICATE...: bitmap N is in STATE, and exactly these
# predicates hold.
is_just ()
{
  local i=$1
  local state
  shift

  for state in $predicates; do
    case " $* " in
      *" $state "*) is 0 "$state" --index "$i";;
      *) is 2 "$state" --index "$i";;
    esac
  done
}

image every-state
is_just 0 usable enabled
is_just 1 usable disabled
is_just 2 in-use
is_just 3 in-use
is 0 enabled --name enabled
is 2 enabled --name disabled
is 0 in-use --name=in-use
image cleared
image autoclear-clear
is_just 1 stale
# If one bitmap makes QEMU refuse the image, an undamaged bitmap is not usable.
image entry-ones-and-offset
is_just 0 damaged
is_just 1 enabled
image incompatible-bit-63
is_just 1 damaged
image first-entry-bad
is_just 0 damaged
is_just 1 enabled

# no_answer NAME PATTERN ARGUMENT...: the status is neither 0 nor 2, and there
# is a message but no output.
no_answer ()
{
  local name=$1

  shift
  tool bitmaps "$@"
  if { [ "$status" = 1 ] || [ "$status" = 3 ]; } && [ ! -s "$out" ] \
      && [ -s "$err" ]; then
    pass "no answer: $name"
  else
    fail "no answer: $name" "status $status; $(cat "$out" "$err")"
  fi
}

for state in $predicates; do
  for name in two-bitmaps-one-name two-bitmaps-one-name-both-in-use; do
    image $name
    no_answer "--is $state if two bitmaps of $name have the name" \
      --is "$state" --name bm0 "$image"
  done
  image two-bitmaps
  tool bitmaps --is "$state" --name bm2 "$image"
  expect_refusal "--is $state of a missing bitmap" 3 "*'bm2'*"
  tool bitmaps --is "$state" --index 2 "$image"
  expect_refusal "--is $state of a missing index" 3 "$image: *2*"
  # Images whose directory or entries cannot be read.
  for name in bitmaps-extension-length-23 directory-offset-wraps \
      directory-offset-past-eof file-ends-before-directory cluster-bits-32 \
      header-length-all-ones bitmaps-extension-renamed \
      name-size-65535-misframed; do
    image $name
    no_answer "--is $state if bm1 of $name cannot be found" \
      --is "$state" --name bm1 "$image"
  done
done
no_answer "a missing image" --is usable --name a "$tmp/missing"
no_answer "not a qcow2 image" --is usable --name a "$0"

image two-bitmaps
tool bitmaps --is recording --name bm0 "$image"
expect_usage "--is knows six states" bitmaps "*--is*'recording'*"
tool bitmaps --is '' --name bm0 "$image"
expect_usage "--is of an empty name" bitmaps "*--is*"
tool bitmaps --is usable < /dev/null
expect_usage "--is needs an image" bitmaps "*image*"
: > "$tmp/empty"
tool bitmaps --is usable --files-from "$tmp/empty"
expect_usage "--is of an empty list" bitmaps "*image*"

# Without a selection, --is asks about any bitmap of the image.  A has two
# enabled bitmaps.  every-state has an enabled one, a disabled one, and two in
# use.
is 0 enabled
is 0 usable
is 2 disabled
is 2 damaged
image every-state
for state in $predicates; do
  is 2 "$state"
done
image autoclear-clear
is 0 stale
is 2 usable
image incompatible-bit-63
is 0 damaged
is 2 enabled
image entry-ones-and-offset
is 2 damaged
is 2 enabled
for name in version-2 no-bitmaps no-extensions; do
  image "$name"
  for state in $predicates; do
    tool bitmaps --is "$state" "$image"
    expect_refusal "--is $state of no bitmaps in $name" 3 "$image: *no bitmaps"
  done
done
# The first entry of name-size-65535-misframed extends beyond the directory;
# directory-size-8 contains only part of the second entry.
for state in $predicates; do
  for name in bitmaps-extension-length-23 directory-size-8 \
      directory-offset-wraps directory-offset-past-eof \
      file-ends-before-directory header-length-all-ones; do
    image "$name"
    no_answer "--is $state of all bitmaps of $name" --is "$state" "$image"
  done
done

# Several images: without an answer for one of them there is no answer, and one
# "no" is enough for "no".
several ()
{
  local expected=$1
  local names=$2
  local name
  local files=()

  shift 2
  for name in $names; do
    image "$name"
    files+=("$image")
  done
  tool bitmaps --is "$@" "${files[@]}"
  check "--is $* of $names: $expected, and no output" \
    test "$status.$(wc -c < "$out")" = "$expected.0"
}
several 0 'two-bitmaps four-entries two-bitmaps' enabled
several 2 'two-bitmaps every-state two-bitmaps' enabled
several 2 'every-state two-bitmaps' enabled
several 3 'two-bitmaps version-2 two-bitmaps' enabled
several 3 'every-state version-2' enabled
several 3 'version-2 every-state' enabled
several 1 'every-state version-2 magic-last-byte' enabled
several 1 'magic-last-byte version-2 every-state' enabled
several 0 'two-bitmaps entry-ones-and-offset' enabled --name bm1
several 2 'two-bitmaps entry-ones-and-offset' enabled --name bm0
several 3 'entry-ones-and-offset four-entries two-bitmaps' enabled --name bm0
several 0 'two-bitmaps every-state' enabled --index 0
check "and there is no message" test ! -s "$err"

# Selection by index.
image two-bitmaps
tool bitmaps --index 1 "$image"
tail -n +12 "$srcdir/tests/expected/cli-bitmaps/two-bitmaps.txt" \
  | expect_answer "--index 1"
tool bitmaps --index 0x0 "$image"
head -n 10 "$srcdir/tests/expected/cli-bitmaps/two-bitmaps.txt" \
  | expect_answer "--index 0x0"
for index in 2 65535 4294967296 18446744073709551615; do
  tool bitmaps --index $index "$image"
  expect_refusal "no bitmap has the index $index" 3 "$image: *$index*"
done
for index in '' -1 +1 bm0 1.0 0x 18446744073709551616 ' 0' '0 ' 1kb; do
  tool bitmaps "--index=$index" "$image"
  expect_usage "--index='$index' is not a number" bitmaps "*--index*"
done
tool bitmaps --index 0 --name bm0 "$image"
expect_usage "--name and --index exclude each other" bitmaps \
  "*--name*--index*"

# Names are raw bytes.
named ()
{
  local name=$1
  local index=$2

  tool bitmaps --names -0 --name "$name" "$image"
  printf '%s\0' "$name" | cmp -s - "$out"
  check "--names -0 --name $(printf %q "$name")" \
    test "$?.$status.$(wc -c < "$err")" = 0.0.0
  for locale in C C.UTF-8 POSIX; do
    LC_ALL=$locale tool bitmaps --field index "--name=$name" "$image"
    expect_answer "--name=$(printf %q "$name") in locale $locale" <<< "$index"
  done
}

image two-bitmaps
named bm0 0
named bm1 1
image name-newline
named $'a\nb' 0
image name-terminal-title
named $'\e]0;PWNED\a' 0
image name-utf8
named $'gr\xc3\xb6\xc3\x9fe-\xe9\x9b\xaa\xc3\xa9x' 0
image name-printf-directives
named '%s%n%x%p' 0
image name-backslash-u
named '\u0000' 0
image name-right-to-left
named $'\xe2\x80\xaeevil' 0
image name-non-utf8
named $'\xfcber' 0
image name-utf8-overlong
named $'\xc0\xafa' 0
image name-command
# shellcheck disable=SC2016 # it must not be expanded
named '$(touch oops)' 0
check "a name is not executed" test ! -e oops
image name-option
named --help 0
image name-spaces
named ' a b ' 0
image name-quotes
named "'\"\\\`" 0
image name-tab-return
named $'a\tb\rc' 0
image name-forges-entry
named $'x\nBitmap name   fake\n\n\n\n' 0
image name-emoji
named $'\xf0\x9f\x92\xbe' 0
image name-lengths
named abcdefgh 7
copy two-bitmaps dash
patch 0x2c0012 0002
patch 0x2c0018 2d7800
named -x 0
tool bitmaps --name -x --field index "$image"
expect_answer "--name -x" <<< 0
patch 0x2c0018 2d2d00
named -- 0
tool bitmaps --field index --name -- "$image"
expect_answer "--name --" <<< 0
image name-65535-bytes
named "$(printf '%65535s' '' | tr ' ' n)" 0
tool bitmaps --name "$(printf '%65534s' '' | tr ' ' n)" "$image"
expect_refusal "a name without its last byte is another name" 3 "$image: *"
tool bitmaps --name bm1 --field index "$image"
expect_answer "the bitmap after a name of 65535 bytes" <<< 1
image name-1023-bytes
named "$(printf '%1023s' '' | tr ' ' n)" 0

# An empty name is damage, but it can be selected.
image name-size-0
for option in '--name ' --name=; do
  IFS=' ' read -r -d '' -a words <<< "$option" || true
  if [ "$option" = '--name ' ]; then
    words=(--name '')
  else
    words=(--name=)
  fi
  tool bitmaps "${words[@]}" "$image"
  check "${words[*]}: the bitmap without a name" grep -qxF \
    "$(printf '%-25s %s' 'Bitmap name' '')" "$out"
  expect "${words[*]}: status" 2
done
image two-bitmaps
tool bitmaps --name '' "$image"
expect_refusal "no bitmap without a name" 3 "$image: *"

# A NUL cannot be typed, and the part before it is a different name.
image name-equal-to-nul
tool bitmaps --name bm1 --field index "$image"
expect_answer "a name up to its NUL is not the name" <<< 1
image name-nul
tool bitmaps --name '' "$image"
expect_refusal "a NUL is not the empty name" 3 "$image: *"

# A part of the name, another case, or a longer name does not match.
image two-bitmaps
for name in bm b BM0 bm00 'bm0 ' ' bm0' 'bm*' 0 'enabled'; do
  tool bitmaps --name "$name" "$image"
  expect_refusal "--name '$name' is not bm0" 3 "$image: *'$name'*"
done
tool bitmaps --name $'\e[2Jx\ny' "$image"
expect_refusal "a name in a message is escaped" 3 \
  "$image: *'\\\\x1b\[2Jx\\\\ny'*"

# The escaped form is not the name; the message says which bitmap has the name
# that is shown this way.
lookalike ()
{
  tool bitmaps --name "$1" "$image"
  expect_refusal "--name '$1' is not the name of bitmap $2" 3 \
    "$image: *bitmap $2 is shown that way: use --index $2"
}

image name-newline
lookalike 'a\nb' 0
image name-nul
lookalike '\x00' 0
image name-terminal-title
lookalike '\x1b]0;PWNED\x07' 0
image name-backslash-u
lookalike '\\u0000' 0
image name-right-to-left
lookalike '\xe2\x80\xaeevil' 0
image name-non-utf8
lookalike '\xfcber' 0
image name-looks-escaped
tool bitmaps --name 'a\nb' --field index "$image"
expect_answer "a name that looks like an escape is found" <<< 1
lookalike 'a\\nb' 1
image two-bitmaps
tool bitmaps --name 'a\nb' "$image"
expect_refusal "no hint if no bitmap is shown this way" 3 "$image: *'a*b'"

# --names
names_are ()
{
  tool bitmaps --names "$image"
  expect_answer "--names of $(basename "$image")"
}

image two-bitmaps
printf 'bm0\nbm1\n' | names_are
image every-state
printf 'enabled\ndisabled\nin-use\nin-use-disabled\n' | names_are
image name-newline
printf '%s\n' 'a\nb' bm1 | names_are
image name-forges-entry
printf '%s\n' 'x\nBitmap name   fake\n\n\n\n' bm1 | names_are
image name-quotes
printf '%s\n' "'\"\\\\\`" bm1 | names_are
image name-utf8
printf 'gr\xc3\xb6\xc3\x9fe-\xe9\x9b\xaa\xc3\xa9x\nbm1\n' | names_are
image name-tab-return
printf '%s\n' 'a\tb\x0dc' bm1 | names_are
image name-zero-width
printf '%s\n' 'bm\xe2\x80\x8b0' bm1 | names_are
image name-byte-order-mark
printf '%s\n' '\xef\xbb\xbfbm0' bm1 | names_are
image name-tag
printf '%s\n' '\xf3\xa0\x81\x81bm0' bm1 | names_are
image name-c1
printf '%s\n' 'a\xc2\x9b2J' bm1 | names_are
image name-delete
printf '%s\n' 'a\x7fb' bm1 | names_are
image name-utf8-surrogate
printf '%s\n' '\xed\xa0\xbda' bm1 | names_are
image name-utf8-cut
printf '%s\n' 'a\xe2\x82' bm1 | names_are
image name-utf8-too-large
printf '%s\n' '\xf4\x90\x80\x80' bm1 | names_are
image name-empty-looking
printf '%s\n' '\x00\x00' bm1 | names_are
image many-bitmaps
seq -f 'bitmap-%.0f' 0 999 | names_are

image name-newline
tool bitmaps --names -0 "$image"
printf 'a\nb\0bm1\0' | expect_answer "--names -0: raw bytes, ended by NUL"
tool bitmaps -0 --names "$image"
printf 'a\nb\0bm1\0' | expect_answer "-0 --names: raw bytes, ended by NUL"
image name-nul
tool bitmaps --names --null "$image"
printf '\0\0bm1\0' | expect_answer "--null: a NUL in a name is kept"
image two-bitmaps
tool bitmaps --names --index 1 "$image"
expect_answer "--names with a selection" <<< bm1
tool bitmaps --names "$image" "$image"
expect_usage "--names takes one image" bitmaps "*--names*one image*"
tool bitmaps -0 "$image"
expect_usage "-0 goes with --names or --field" bitmaps "*-0*"

# --tables with a selection.
image four-entries
tool bitmaps --tables --name fine "$image"
expect_golden "--tables --name" four-entries-tables.txt
image two-bitmaps
tool bitmaps --tables --index 1 "$image"
tail -n +14 "$srcdir/tests/expected/cli-bitmaps/two-bitmaps-tables.txt" \
  | expect_answer "--tables --index"

# --field
field ()
{
  tool bitmaps "$1" --field "$2" "$image"
  expect_answer "--field $2 of $(basename "$image"), $1" <<< "$3"
}

image two-bitmaps
field --name=bm1 index 1
field --name=bm1 name bm1
field --name=bm1 bitmap_table_offset 2818048
field --name=bm1 bitmap_table_size 1
field --name=bm1 flags 2
field --name=bm1 type 1
field --name=bm1 granularity_bits 15
field --name=bm1 granularity 32768
field --name=bm1 name_size 3
field --name=bm1 extra_data_size 0
field --name=bm1 state enabled
field --name=bm1 usable true
field --name=bm1 file_offset $((0x2c0020))
image every-state
field --index=2 usable false
field --index=3 flags 1
field --index=3 state in-use
image granularity-63
field --index=0 granularity 9223372036854775808
image granularity-0
field --index=0 granularity 1
image extra-data-compatible
field --index=0 extra_data_size 13
field --index=0 flags 6
field --index=1 name b1
image name-newline
field --index=0 name 'a\nb'
image two-bitmaps
tool bitmaps --index 0 --field state --field name --field granularity \
  --field state "$image"
expect_answer "several fields, in the order given" << EOF
enabled
bm0
65536
enabled
EOF
image name-newline
tool bitmaps --index 0 -0 --field name --field flags "$image"
printf 'a\nb\0002\0' | expect_answer "-0 --field: raw bytes, ended by NUL"

image two-bitmaps
tool bitmaps --index 0 --field nope "$image"
expect_usage "an unknown key" bitmaps "*'nope'*"
for key in index name bitmap_table_offset bitmap_table_size flags type \
    granularity_bits name_size extra_data_size granularity state usable \
    file_offset; do
  check "the message about an unknown key lists $key" \
    grep -qE "[ ,]$key([,;]|\$)" "$err"
done
tool bitmaps --field state "$image"
expect_usage "--field needs a selection" bitmaps "*--field*"
tool bitmaps --index 0 --field state "$image" "$image"
expect_usage "--field takes one image" bitmaps "*--field*one image*"
tool bitmaps --index 2 --field state "$image"
expect_refusal "no field of a missing bitmap" 3 "$image: *2*"
image entry-ones-and-offset
tool bitmaps --index 0 --field state --field name "$image"
expect_out "a field of a damaged bitmap is printed" << EOF
damaged
bm0
EOF
expect_damage "the damage is reported, too" \
  "$image: 0x2a0000: bitmap 0 'bm0': *\[BTAB-02]"
image granularity-64
tool bitmaps --index 0 --field index --field granularity "$image"
check "granularity 2^64: no output" test ! -s "$out"
expect "damage is worse than a missing value" 2
check "the missing value is reported" grep -qF "'granularity'" "$err"

# --default replaces an absent value, but not one that damage hides, and not a
# bitmap.
image two-bitmaps
tool bitmaps --index 0 --field dirty_bytes --field name --default '' "$image"
printf '\nbm0\n' | expect_answer "--default, which may be empty"
tool bitmaps --index 0 --field dirty_bytes -0 --default 'a\n b' "$image"
printf '%s\0' 'a\n b' | expect_answer "--default -0: as it is given"
tool bitmaps --index 2 --field state --default none "$image"
expect_refusal "--default: a missing bitmap" 3 "$image: *2*"
tool bitmaps --index 0 --field nope --default none "$image"
expect_usage "--default: an unknown key" bitmaps "*'nope'*"
image granularity-64
tool bitmaps --index 0 --field granularity --default none "$image"
check "--default: no replacement for damage" \
  test "$status.$(wc -c < "$out")" = 2.0

# Two bitmaps with the same name: both are listed, but neither can be selected
# by name.
image two-bitmaps-one-name
tool bitmaps --name bm0 "$image"
expect_golden "both bitmaps with a name are listed" two-bitmaps-one-name.txt
expect_damage "the second one is reported" \
  "$image: 0x2c0038: bitmap 1 'bm0': *\[BDIR-15]"
tool bitmaps --name bm0 --field index "$image"
check "--field of two bitmaps with one name: no output" \
  test "$status.$(wc -c < "$out")" = 2.0
check "the message suggests --index" grep -qF 'use --index' "$err"
tool bitmaps --index 0 --field index "$image"
expect_answer "--index picks the first" <<< 0

# Damage of one bitmap is not reported for the other.
image first-entry-bad
tool bitmaps --name bm1 "$image"
tail -n +12 "$srcdir/tests/expected/cli-bitmaps/first-entry-bad.txt" \
  | expect_answer "the sound bitmap after a damaged one"
tool bitmaps --name bm0 "$image"
expect "the damaged bitmap: status" 2
check "the damaged bitmap: messages" \
  test "$(grep -c "bitmap 0 'bm0': " "$err")" = "$(wc -l < "$err")"
for rule in 0x2c0000:BDIR-05 0x2c0008:BDIR-06 0x2c000c:BDIR-08 \
    0x2c0010:BDIR-11 0x2c0011:BDIR-12; do
  check "first-entry-bad: $rule" grep -q \
    "^qcow2tool: $image: ${rule%:*}: bitmap 0 'bm0': .* \[${rule#*:}\]\$" \
    "$err"
done
image second-entry-bad
tool bitmaps --index 0 "$image"
head -n 10 "$srcdir/tests/expected/cli-bitmaps/second-entry-bad.txt" \
  | expect_answer "the sound bitmap before a damaged one"
# After bm0, the start of the next entry is unknown.
image name-size-9-misframed
tool bitmaps --index 0 "$image"
check "before the damage: no message" \
  test "$status.$(wc -c < "$err")" = 0.0
tool bitmaps --index 1 "$image"
expect "after the damage: status" 2

# Errors: offset, subject and rule.
damage ()
{
  image "$1"
  tool bitmaps "$image"
  if [ "$status" = 2 ] \
      && grep -q "^qcow2tool: $image: $2: .* \[$3\]\$" "$err"; then
    pass "$1 is $3 at $2"
  else
    fail "$1 is $3 at $2" "status $status; $(cat "$err")"
  fi
}

for row in table-offset-0:0x2c0000:BDIR-05 \
    table-offset-wraps:0x2c0000:BDIR-07 \
    table-offset-past-eof:0x2c0000:BDIR-07 table-size-0:0x2c0008:BDIR-06 \
    table-size-0:0x2c0008:BDIR-18 table-size-3-of-4:0x12808:BDIR-18 \
    table-size-all-ones:0x2c0008:BDIR-06 table-size-512-mib:0x2c0008:BDIR-18 \
    flags-all-ones:0x2c000c:BDIR-08 type-2:0x2c0010:BDIR-11 \
    granularity-0-patched:0x2c0008:BDIR-18 granularity-64:0x2c0011:BDIR-12 \
    name-size-1023-misframed:0x2c0012:BDIR-02 \
    name-size-65535-misframed:0x2c0012:BDIR-02 \
    extra-data-all-ones:0x2c0012:BDIR-02 \
    extra-data-wraps-to-0:0x2c0012:BDIR-02 \
    two-bitmaps-one-name-both-in-use:0x2c0038:BDIR-15 \
    extra-data-incompatible:0x2c0014:BDIR-14 name-size-0:0x2c0012:BDIR-13 \
    entry-ones-and-offset:0x2a0000:BTAB-02 \
    entry-reserved-bit-1:0x2a0000:BTAB-01 \
    entry-low-reserved-bits:0x2a0000:BTAB-01 \
    entry-reserved-bit-63:0x2a0000:BTAB-01 \
    entry-offset-unaligned:0x2a0000:BTAB-03 \
    entry-offset-past-eof:0x2a0000:BTAB-05 \
    bitmaps-extension-length-23:0x1fc:EXT-12 \
    bitmaps-extension-length-0:0x1fc:EXT-12 reserved32-1:0x204:BEXT-03 \
    nb-bitmaps-1-of-2:0x200:BDIR-03 nb-bitmaps-65535:0x208:BEXT-04 \
    nb-bitmaps-all-ones:0x200:BEXT-02 directory-size-all-ones:0x210:BEXT-06 \
    directory-size-over-max:0x208:BEXT-04 directory-size-65:0x208:BEXT-04 \
    directory-size-8:0x2c0000:BDIR-01 \
    directory-offset-unaligned:0x210:BEXT-05 \
    directory-offset-wraps:0x210:BEXT-06 \
    directory-offset-past-eof:0x210:BEXT-06 \
    bitmaps-twice-different:0x218:EXT-08 nb-bitmaps-0:0x200:BEXT-01 \
    cluster-bits-0:0x14:HDR-04 header-length-108:0x64:HDR-07 \
    incompatible-bit-63:0x48:HDR-20 autoclear-without-extension:0x58:HDR-25 \
    file-ends-before-directory:0x210:BEXT-06 \
    file-ends-after-entry-head:0x2c0012:BDIR-02 \
    file-ends-after-first-name:0x200:BDIR-03 \
    size-2-63-with-bitmaps:0x2c0008:BDIR-18 \
    size-2-63-with-bitmaps:0x2c0028:BDIR-18; do
  IFS=: read -r name offset rule <<< "$row"
  damage "$name" "$offset" "$rule"
done

# Without damage there is no message.
for name in flags-extra-data-without-data granularity-32 \
    granularity-31-patched name-padding-not-zero name-1024-bytes name-newline \
    name-terminal-title name-nul name-right-to-left name-equal-to-nul \
    data-byte-after-last-bit data-bit-past-disk last-entry-all-ones \
    flags-extra-data-without-data flags-all-in-use all-ones-entry \
    table-size-2-in-use file-ends-in-last-padding one-of-two-bitmaps \
    trailing-garbage refcount-order-7 compression-type-255 crypt-method-1; do
  image $name
  tool bitmaps "$image"
  check "no message about $name" test "$status.$(wc -c < "$err")" = 0.0
done

# Options that exclude each other.
image two-bitmaps
tool bitmaps --default x "$image"
expect_usage "--default goes with --field" bitmaps "*--default*"
for pair in '--names --tables' '--names --field state' '--names --is usable' \
    '--tables --field state' '--tables --is usable' \
    '--field state --is usable'; do
  # shellcheck disable=SC2086 # the options are words
  tool bitmaps --index 0 $pair "$image"
  expect_usage "$pair exclude each other" bitmaps "*exclude*"
done

done_testing
