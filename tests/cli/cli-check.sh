#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The output of check about findings, bitmaps and rules, and its exit status.

# shellcheck source=tests/lib.sh
. "${srcdir:-.}/tests/lib.sh"

cd "$tmp" || exit 1

# base NAME COPY: sets $image to a copy of the image in this folder.
base ()
{
  copy "$1" "$2"
  image=$2.qcow2
}

# expect_check NAME STATUS: the last run ended with STATUS, its output equals
# standard input, and it printed no messages.
expect_check ()
{
  cat > expected
  if [ "$status" = "$2" ] && [ ! -s "$err" ]; then
    expect_file "$1" "$out"
  else
    fail "$1" "status $status, not $2; messages: $(cat "$err")"
  fi
}

# expect_summary NAME STATUS TEXT: the last run ended with STATUS and without
# messages, and TEXT follows the name of $image in the last line of its output.
expect_summary ()
{
  local last

  last=$(tail -n 1 "$out")
  if [ "$status" = "$2" ] && [ ! -s "$err" ] && [ "$last" = "$image: $3" ]
  then
    pass "$1"
  else
    fail "$1" "status $status, not $2; '$last', not '$3'; messages: $(
      cat "$err")"
  fi
}

# summary ERRORS WARNINGS QEMU ENABLED DISABLED IN-USE STALE DAMAGED: prints a
# summary without the name of the image.  QEMU is opens, refuses, or - if bitmaps are selected: then QEMU's verdict is unknown, and little is
# examined.
summary ()
{
  local text left=''

  text="$1 error$([ "$1" = 1 ] || echo s)"
  text="$text, $2 warning$([ "$2" = 1 ] || echo s)"
  case $3 in
    opens) text="$text; QEMU opens it" ;;
    refuses) text="$text; QEMU refuses to open it" ;;
    -)
      left="; not looked at: all but these bitmaps and what leads to them, \
the guest's clusters"
      ;;
  esac
  text="$text; bitmaps: $4 enabled, $5 disabled, $6 in use, $7 stale"
  echo "$text, $8 damaged$left"
}

# expect_rules NAME STATUS RULE...: the last run ended with STATUS and without
# messages, and its findings are of these rules, each with the first letter of
# its severity.
expect_rules ()
{
  local name=$1 want=$2
  local rules

  shift 2
  rules=$(sed -nE 's/^(e)rror ([A-Z0-9]+-[0-9]+) .*/\1:\2/p
    s/^(w)arning ([A-Z0-9]+-[0-9]+) .*/\1:\2/p
    s/^(n)ote ([A-Z0-9]+-[0-9]+) .*/\1:\2/p' "$out" | tr '\n' ' ')
  if [ "$status" = "$want" ] && [ ! -s "$err" ] && [ "${rules% }" = "$*" ]
  then
    pass "$name"
  else
    fail "$name" "status $status, not $want; $rules, not $*; messages: $(
      cat "$err")"
  fi
}

# The text output.

base two-bitmaps clean
tool check "$image"
expect_check 'a sound image' 0 <<< \
  "clean.qcow2: $(summary 0 0 opens 2 0 0 0 0)"

# The second entry of the directory begins at 0x2c0020 with
# bitmap_table_offset.
base two-bitmaps one
patch 0x2c0020 00000000002b0010
tool check "$image"
expect_check 'one error' 2 << END
error BDIR-05 0x2c0020 bitmap 1 'bm1': bitmap_table_offset 0x2b0010 is not a \
multiple of the cluster size 65536
    QEMU refuses to open this image: "Bitmap 'bm1' doesn't satisfy the \
constraints"
    to take it out, and keep the other bitmaps: qcow2tool remove-bitmap \
--index=1 --save-plan=PLAN IMAGE
    to open the image without its bitmaps: qcow2tool clear-feature-bit \
--save-plan=PLAN IMAGE autoclear bitmaps
    to undo that, before any program opens it for writing (after \
remove-bitmap, add --force): qcow2tool apply --reverse PLAN IMAGE
one.qcow2: $(summary 1 0 refuses 1 0 0 0 1)
END

# The remedies work: in the end, the image is as before.  do_command N: runs
# command N of those that were printed, on a copy.
sed -n "s/.*: qcow2tool \(.*\)/\1/p" "$out" > commands
do_command ()
{
  # shellcheck disable=SC2086,SC2046 # words
  tool $(sed -n "$1p" commands | sed "s/PLAN/plan/; s/IMAGE/COPY/") ${2-}
  expect "command $1 ${2-}" 0
}
cp one.qcow2 COPY
do_command 1
tool check COPY
check 'the first command takes the bitmap out' \
  grep -q ' 0 errors.* QEMU opens it.* 1 enabled, 0 disabled.* 0 damaged' \
  <<< "$(tail -n 1 "$out")"
# shellcheck disable=SC2046 # words
tool $(sed -n '3s/PLAN/plan/; 3s/IMAGE/COPY/p' commands)
expect 'the third command after the first needs --force' 2
do_command 3 --force
check 'the third command undoes it' cmp -s one.qcow2 COPY
rm plan
# QEMU does not use the bitmaps of such an image: they are stale.
do_command 2
image=COPY
tool check --strict --ignore HDR-25 COPY
check 'bitmaps are hidden by the second command' \
  grep -q ' error.* 1 stale,' <<< "$(tail -n 1 "$out")"
tool header --field autoclear_features COPY
expect_answer 'the second command clears bit 0' <<< 0
do_command 3
check 'the third command undoes it, too' cmp -s one.qcow2 COPY
rm plan

# Errors, warnings and notes; an explanation is printed once, with the first
# finding to which it applies.
base every-state several
patch 0x69 01
patch 0xc0018 0a
tool check "$image"
expect_rules 'several findings' 0 w:HDR-11 n:BDIR-17 w:BDIR-09 w:BDIR-09
expect_summary 'notes are not counted' 0 "$(summary 0 3 opens 1 1 2 0 0)"
check 'a name is escaped' \
  grep -q "^note BDIR-17 0xc0018 bitmap 0 '.nnabled': " "$out"
check 'other lines than findings are indented by four spaces' \
  test "$(sed '$d' "$out" | grep -cvE '^(warning|note) |^    [^ ]')" = 0
check 'an explanation is printed once' \
  test -z "$(grep '^    ' "$out" | sort | uniq -d)"
check 'an explanation follows the first finding to which it applies' \
  test "$(sed -n '/0xc004c/{n;s/^    normal while a writer .*/&/p}' "$out" \
    | wc -l).$(grep -A1 0xc006c "$out" | grep -c '^    ')" = 1.0

# Consequences that name the bitmap differ for each bitmap.
base two-bitmaps two
patch 0x2c0010 02
patch 0x2c0030 02
tool check "$image"
expect_rules 'two errors of one kind' 2 e:BDIR-11 e:BDIR-11
expect_summary 'two errors in the plural' 2 "$(summary 2 0 refuses 0 0 0 0 2)"
check 'the consequence names each bitmap' \
  test "$(grep -c "^    QEMU .*\"Bitmap 'bm[01]' doesn't" "$out")" = 2
check 'lines of the remedy are printed once' \
  test "$(grep -c clear-feature-bit "$out").$(grep -c apply "$out")" = 1.1
check 'the remedy names each bitmap' \
  test "$(grep -cE 'remove-bitmap --index=[01] ' "$out")" = 2

base data-tail-bit warning
tool check "$image"
expect_summary 'one warning in the singular' 0 "$(summary 0 1 opens 2 0 0 0 0)"

# Headings, and explanations for each image.
tool check one.qcow2 clean.qcow2 one.qcow2
check 'several images: a heading for each' \
  test "$(grep -n '^image: ' "$out" | tr '\n' ' ')" \
  = '1:image: one.qcow2 9:image: clean.qcow2 12:image: one.qcow2 '
check 'several images: a blank line between' \
  test "$(grep -n '^$' "$out" | tr '\n' ' ')" = '8: 11: '
check 'several images: explanations for each' \
  test "$(grep -c clear-feature-bit "$out")" = 2
image=one.qcow2
expect_summary 'several images: a summary for each' 2 \
  "$(summary 1 0 refuses 1 0 0 0 1)"

path=$'a\nb\e[2J\\ \xff.qcow2'
if cp clean.qcow2 "$path" 2> /dev/null; then
  tool check "$path"
  expect_check 'the path is escaped' 0 <<< \
    "a\\nb\\x1b[2J\\\\ \\xff.qcow2: $(summary 0 0 opens 2 0 0 0 0)"
else
  skip 'the path is escaped' 'the file system does not allow such a name'
fi

# An image without bitmaps is not a special case.
base no-bitmaps none
tool check --strict "$image"
expect_check 'no bitmaps' 0 <<< \
  "none.qcow2: $(summary 0 0 opens 0 0 0 0 0)"

# The status.  Each row contains a description, the image, a patch or -,
# options or -, the status, and the arguments of summary.  Ignored findings
# still count for QEMU's verdict.

while IFS='|' read -r about name change options want text; do
  base "$name" row
  # shellcheck disable=SC2086 # words
  [ "$change" = - ] || patch ${change/:/ }
  [ "$options" != - ] || options=
  # shellcheck disable=SC2086
  tool check $options "$image"
  # shellcheck disable=SC2086
  expect_summary "$about" "$want" "$(summary $text)"
done << END
clean|two-bitmaps|-|-|0|0 0 opens 2 0 0 0 0
clean, strictly|two-bitmaps|-|--strict|0|0 0 opens 2 0 0 0 0
a note|name-newline|-|-|0|0 0 opens 1 1 0 0 0
a note, strictly|name-newline|-|--strict|0|0 0 opens 1 1 0 0 0
a warning|header-padding-first-byte|-|-|0|0 1 opens 2 0 0 0 0
a warning, strictly|header-padding-first-byte|-|--strict|2|0 1 opens 2 0 0 0 0
the warning ignored, strictly|header-padding-first-byte|-|\
--strict --ignore HDR-11|0|0 0 opens 2 0 0 0 0
in use|in-use|-|-|0|0 1 opens 0 0 1 0 0
in use, strictly|in-use|-|--strict|2|0 1 opens 0 0 1 0 0
in use ignored, strictly|in-use|-|--strict --ignore BDIR-09|2|0 0 opens \
0 0 1 0 0
in use ignored|in-use|-|--ignore=BDIR-09|0|0 0 opens 0 0 1 0 0
stale|autoclear-clear|-|-|0|0 2 opens 0 0 0 2 0
stale, strictly|autoclear-clear|-|--strict|2|0 2 opens 0 0 0 2 0
stale ignored, strictly|autoclear-clear|-|--strict --ignore=HDR-25|2|0 1 \
opens 0 0 0 2 0
stale, one, strictly|autoclear-clear|-|--strict --name bm1|2|0 0 - 0 0 0 1 0
stale, one|autoclear-clear|-|--name bm1|0|0 0 - 0 0 0 1 0
version 2|version-2-bitmaps|-|-|0|0 2 opens 0 0 0 2 0
disabled, strictly|disabled|-|--strict|0|0 0 opens 0 1 0 0 0
damaged|table-offset-wraps|-|-|2|1 0 refuses 1 0 0 0 1
the only error ignored|table-offset-wraps|-|--ignore BDIR-07|0|0 0 refuses \
1 0 0 0 1
the only error ignored, strictly|table-offset-wraps|-|\
--ignore BDIR-07 --strict|2|0 0 refuses 1 0 0 0 1
another ignored|table-offset-wraps|-|--ignore BDIR-05|2|1 0 refuses 1 0 0 0 1
two rules ignored|table-offset-wraps|0x69:01|--ignore HDR-11 --strict \
--ignore BDIR-07 --index 1|0|0 0 - 1 0 0 0 0
both ignored|size-0-with-bitmaps|-|--ignore BDIR-18 --ignore=OVL-01|0|\
0 0 refuses 0 0 0 0 2
the table is not in the file|table-offset-past-eof|-|-|2|2 1 opens 1 0 0 0 1
the file's end ignored|table-offset-past-eof|-|--ignore FILE-09|2|1 1 opens \
1 0 0 0 1
the other bitmap is damaged|table-offset-past-eof|-|--name bm1|0|0 0 - \
1 0 0 0 0
the other bitmap is damaged, by index|table-offset-past-eof|-|--index=1|0|\
0 0 - 1 0 0 0 0
the damaged one|table-offset-past-eof|-|--name=bm0|2|1 0 - 0 0 0 0 1
the damaged one, by index|table-offset-past-eof|-|--index 0|2|1 0 - 0 0 0 0 1
the next entry is truncated|two-bitmaps|0x2c0032:ffff|--index 0|0|0 0 - \
1 0 0 0 0
the entry is cut|two-bitmaps|0x2c0032:ffff|--index 1|2|1 0 - 0 0 0 0 1
the header is damaged|refcount-order-7|-|--name bm0|0|0 0 - 1 0 0 0 0
the extension is damaged|reserved32-1|-|--name bm0|2|1 0 - 0 0 0 0 1
an unknown feature|incompatible-bit-63|-|--name bm1|2|1 0 - 0 0 0 0 1
two of one name|two-bitmaps-one-name|-|--name bm0|2|1 0 - 1 0 0 0 1
two of one name, the first|two-bitmaps-one-name|-|--index 0|0|0 0 - 1 0 0 0 0
two of one name, the second|two-bitmaps-one-name|-|--index 1|2|1 0 - 0 0 0 0 1
a tail bit of the other, strictly|data-tail-bit|-|--strict --name bm1|0|0 0 - \
1 0 0 0 0
a tail bit, strictly|data-tail-bit|-|--strict --name bm0|2|0 1 - 1 0 0 0 0
a refcount of 2|refcount-data-2|-|-|0|0 1 opens 2 0 0 0 0
a refcount of 2 elsewhere, strictly|refcount-data-2|-|--strict --name bm1|0|\
0 0 - 1 0 0 0 0
a refcount of 0|refcount-data-0|-|-|2|1 0 opens 2 0 0 0 0
a refcount of 0 where it may be|refcount-data-0|0x4f:01|--ignore HDR-21|0|\
0 1 opens 2 0 0 0 0
as qemu-img is called|two-bitmaps|-|-U -f qcow2|0|0 0 opens 2 0 0 0 0
END

# The disk cannot be examined, and the summary says so.
image refcount-order-7
tool check "$image"
expect_summary 'the header is damaged, all' 2 "$(summary 1 0 refuses 2 0 0 0 0
); not looked at: the guest's clusters"

# Both bitmaps with the name are examined: there is one error in each.
base two-bitmaps-one-name both
patch 0x2c0010 02
tool check --name bm0 "$image"
expect_rules 'two bitmaps with one name, both damaged' 2 e:BDIR-11 e:BDIR-15
expect_summary 'two bitmaps with one name: the summary' 2 \
  "$(summary 2 0 - 0 0 0 0 2)"

# An overlap is reported for both owners, and for no other bitmap.  Each bitmap
# of every-state has a cluster of data and one with its table, from 0x40000 on.
# The entry of the second bitmap gets the data of the first.
base every-state shared
patch 0x70000 0000000000040000
tool check "$image"
# QEMU counts two references to it, and leaks the second bitmap's own.
expect_rules 'shared data' 2 w:BDIR-09 w:BDIR-09 e:OVL-02 w:RC-02
for index in 0 1; do
  tool check --index $index "$image"
  expect_rules "shared data: owner $index" 2 e:OVL-02
  check "shared data: the finding of owner $index" \
    grep -qE "^error OVL-02 0x40000 bitmap $index '[a-z]+': 0x10000 bytes \
at 0x40000 .*bitmap 0 \\(by 0x50000\\).*bitmap 1 \\(by 0x70000\\)$" "$out"
done
tool check --name in-use "$image"
expect_rules 'shared data: another bitmap' 0 w:BDIR-09

base entry-on-l1 on-l1
tool check --name bm0 "$image"
expect_rules 'data on the L1 table' 2 e:OVL-01
tool check --name bm1 "$image"
expect_rules 'data on the L1 table: the other bitmap' 0
# The file ends with the last directory entry, so the data is truncated.
base entry-on-directory on-directory
truncate -s $((0x2d0000)) "$image"
tool check --name bm0 "$image"
expect_rules 'data on the directory' 2 e:OVL-01
base bitmaps-share-table share-table
for name in bm0 bm1; do
  tool check --name $name "$image"
  check "a shared table: $name" grep -q '^error OVL-02 0x2c0020 ' "$out"
done
# Findings about a shared table are reported for the selected bitmap.  The
# table has findings about its entry at 0x2a0000, about bits after the last
# used bit of its data at 0x290000, about their refcount, and because the data
# overlap the L1 table at 0x30000.  Without --name, the findings are reported
# for the first bitmap, and only the shared table for the second.
while IFS='|' read -r about change options want rules; do
  base bitmaps-share-table row
  patch 0x2c0031 10
  patch "${change%:*}" "${change#*:}"
  # shellcheck disable=SC2086 # words
  tool check $options "$image"
  # shellcheck disable=SC2086
  expect_rules "a shared table: $about" 2 $rules
  for index in 0 1; do
    [ "$options" = "--index $index" ] || continue
    check "a shared table: $about, its bitmap" \
      test "$(grep -E '^(error|warning) ' "$out" | cut -d ' ' -f 4-5 \
        | sort -u)" = "bitmap $index"
  done
done << END
an entry|0x2a0000:8000000000290200||2|e:BTAB-01 e:BTAB-03 e:BTAB-01 e:OVL-02
the first one's entry|0x2a0000:8000000000290200|--index 0|2|e:BTAB-01 \
e:BTAB-03 e:OVL-02
the second one's entry|0x2a0000:8000000000290200|--index 1|2|e:BTAB-01 \
e:BTAB-03 e:OVL-02
bits|0x290080:01||2|w:BDATA-03 e:OVL-02 w:RC-02
the first one's bits|0x290080:01|--index 0|2|w:BDATA-03 e:OVL-02
the second one's bits|0x290080:01|--index 1|2|w:BDATA-03 e:OVL-02
the second one's refcount|0x20052:0000|--index 1|2|e:OVL-02 e:REF-01
the second one's data|0x2a0000:0000000000030000|--index 1|2|e:OVL-01 e:OVL-02
END
# A shared table is reported for each of its owners: the first three bitmaps of
# every-state use the table at 0x50000, two of them with the same granularity.
base every-state one-table
patch 0xc0020 0000000000050000
patch 0xc0031 10
patch 0xc0040 0000000000050000
patch 0x50000 8000000000000000
tool check "$image"
check 'a table of three bitmaps: a finding for each' test "$status.$(
  grep -c '^error BTAB-01 0x50000 bitmap' "$out").$(
  tail -n 1 "$out" | grep -o '[0-9]* damaged')" = '2.3.3 damaged'
tool bitmaps --list "$image"
check 'a table of three bitmaps: a message for each' test "$status.$(
  grep -o 'bitmap [0-9]* ' "$err" | tr -d '\n')" \
  = '2.bitmap 0 bitmap 1 bitmap 2 '

# An overlap of the snapshot table and the L1 table belongs to the image, not
# to a bitmap.  two-snapshots has both tables.
base two-snapshots two-on-one
tool header --field snapshot_offset "$image"
patch 0x28 "$(printf '%016x' "$(cat "$out")")"
tool check --name bm0 "$image"
expect_rules 'an overlap without bitmaps: a bitmap' 0
tool check "$image"
check 'an overlap without bitmaps' grep -q '^error OVL-01 .* snapshot table' \
  "$out"

# Missing bitmaps, missing images and unknown rules.

image two-bitmaps
tool check --name bm7 "$image"
expect_refusal 'no bitmap has the name' 3 "*: no bitmap has the name 'bm7'"
tool check --index 2 "$image"
expect_refusal 'no bitmap has the index' 3 '*: no bitmap has the index 2'
tool check --index 0 none.qcow2
expect_refusal 'no bitmaps at all' 3 '*: no bitmap has the index 0'
# Damage may hide the bitmap: the directory is empty, its first entry is
# truncated, or the extension is truncated.
while IFS='|' read -r about change rules; do
  base two-bitmaps hidden
  patch "${change%:*}" "${change#*:}"
  tool check --name bm1 "$image"
  check "a bitmap that damage hides: $about" test "$status.$(
    cut -d ' ' -f 1-2 "$out" | grep -v '^ ' | tr '\n' ' ')$(cat "$err")" \
    = "2.$rules qcow2tool: hidden.qcow2: no bitmap has the name 'bm1'"
  tool check --name bm1 --output=json "$image"
  check "a bitmap that damage hides: $about, JSON" test "$status.$(
    jq -r '[.error.code, .summary, .problems[].rule] | join(" ")' "$out")" \
    = "2.not-found  $(tr ' ' '\n' <<< "$rules" | grep - | tr '\n' ' ' \
      | sed 's/ $//')"
done << END
no directory|0x208:0000000000000000|error BEXT-04
a cut entry|0x2c0012:ffff|error BDIR-02
a cut extension|0x1fc:ffffffff|error EXT-03 error HDR-25
END
base two-bitmaps hidden
patch 0x208 0000000000000000
tool check "$image"
check 'an unknown number of bitmaps' test "$status.$(
  tail -n 1 "$out")" = "2.hidden.qcow2: 1 error, 0 warnings; QEMU refuses to \
open it; bitmaps: unknown"
image name-newline
tool check --name 'a\nb' "$image"
expect_refusal 'a name in its escaped form' 3 '*use --index 0'
tool check --name $'a\nb' "$image"
expect 'a name in raw bytes' 0
tool check missing.qcow2
expect_refusal 'a missing file' 1 'missing.qcow2: cannot open: *'
tool check .
expect_refusal 'a folder' 1 '.: is a directory*FILE-01*'
: > empty.qcow2
tool check empty.qcow2
expect_refusal 'an empty file' 1 '*FILE-02*'
echo 'not an image' > text.qcow2
tool check text.qcow2
expect_refusal 'a text' 1 '*HDR-01*'

tool check --ignore BDIR-99 clean.qcow2
expect_usage 'an unknown rule' check "--ignore: *'BDIR-99'*--rules*"
tool check --ignore bdir-05 clean.qcow2
expect_usage 'a rule in lower case' check "--ignore: *'bdir-05'*"
tool check --ignore '' clean.qcow2
expect_usage 'a rule without a name' check '--ignore: *'
tool check --ignore $'BDIR-05\n' clean.qcow2
expect_usage 'a rule with a newline' check "--ignore: *'BDIR-05\\\\n'*"
tool check --ignore BDIR-05,OVL-01 clean.qcow2
expect_usage 'two rules in one' check '--ignore: *'
tool check --ignore
expect_usage '--ignore without a rule' check '*'
tool check
expect_usage 'no image' check '*'
tool check --strict
expect_usage 'no image, but an option' check '*'
tool check --name bm0 --index 0 clean.qcow2
expect_usage '--name and --index' check '*--name*--index*'
tool check --index bm0 clean.qcow2
expect_usage '--index of a name' check '*--index*'
tool check --tables clean.qcow2
expect_usage 'an option of another command' check '*--tables*'
tool check --output=json clean.qcow2 one.qcow2
expect_usage 'json for two images names jsonl' check '*jsonl*'

# Several images: the worst status wins, in the order 1, 2, 3.

kinds=(clean missing one none)
wrong=
for first in 0 1 2 3; do
  for second in 0 1 2 3; do
    for third in 0 1 2 3; do
      tool check --index 1 "${kinds[first]}.qcow2" \
        "${kinds[second]}.qcow2" "${kinds[third]}.qcow2"
      case $first$second$third in
        *1*) want=1 ;;
        *2*) want=2 ;;
        *3*) want=3 ;;
        *) want=0 ;;
      esac
      messages=$(tr -cd 13 <<< "$first$second$third")
      if [ "$status" != $want ] \
          || [ "$(wc -l < "$err")" != ${#messages} ]; then
        wrong="$wrong $first$second$third: $status;"
      fi
    done
    [ -z "${QCOW2TOOL_SLOW-}" ] || break
  done
done
check "mixed lists:$wrong" [ -z "$wrong" ]
tool check --files-from=/dev/null
expect_answer 'an empty list' < /dev/null
printf '%s\n' clean.qcow2 one.qcow2 > list
tool check --files-from=list
expect_rules 'a list in a file' 2 e:BDIR-05

# For check, findings are output, not messages.  Other commands print messages.
tool bitmaps one.qcow2
check 'bitmaps has a message' test "$status.$(wc -l < "$err")" = 2.1

# Very many findings.

image many-share-table
tool check "$image"
grep '^error OVL-02' "$out" > shared
check '65535 bitmaps with one table: 100 of the overlaps' \
  test "$status.$(wc -l < shared)" = 2.100
# The entries have 32 bytes; the entry of the first bitmap is at 0x300000.
check '65535 bitmaps with one table: offsets' \
  test "$(head -n 4 shared | cut -d ' ' -f 3 | tr '\n' ' ')" \
  = '0x300020 0x300040 0x300060 0x300080 '
check '65535 bitmaps with one table: the rest' \
  grep -qx "    and $((65534 - 100)) more of OVL-02 that are not shown" "$out"
check '65535 bitmaps with one table: after the last one that is shown' \
  test "$(grep -A 1 "^$(tail -n 1 shared)" "$out" | grep -c ' more of OVL-02')" \
  = 1
check '65535 bitmaps with one table: one line about the rest' \
  test "$(grep -c ' more of OVL-02 ' "$out")" = 1
others=$(grep -cE '^error ' <(grep -v OVL-02 "$out"))
check '65535 bitmaps with one table: the summary counts all' \
  grep -q ": $((65534 + others)) errors, " <<< "$(tail -n 1 "$out")"
tool check --ignore OVL-02 "$image"
check '65535 bitmaps with one table: ignored' \
  test "$(grep -c OVL-02 "$out").$(grep -c ": $others error" "$out")" = 0.1

base many-share-long-table last
patch 0x2a0008 8000000000000000
tool check --name 00065534 "$image"
check '65535 bitmaps with one table: only the last one' test "$status.$(
  grep -cE "^error (BTAB-01|OVL-02) .* bitmap 65534 '00065534': " "$out").$(
  grep -c "table entry 1 has reserved bits" "$out")" = 2.2.1

# Another process is writing.  The lock belongs to the open file description,
# which this shell keeps after the program that took the lock has ended.

base two-bitmaps live
if command -v python3 > /dev/null; then
  exec 5<> "$image"
  if python3 -c '
import fcntl, struct
fcntl.fcntl(5, getattr(fcntl, "F_OFD_SETLK", 37),
            struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 101, 1, 0))' \
      2> locking; then
    tool check "$image"
    expect_rules 'a live writer' 0 w:FILE-08
    expect_summary 'a live writer: the summary' 0 \
      "$(summary 0 1 opens 2 0 0 0 0)"
    check 'a live writer: a finding about the image as a whole' \
      grep -q '^warning FILE-08 0x0 image: ' "$out"
    tool check --strict "$image"
    expect_rules 'a live writer, strictly' 2 w:FILE-08
    tool check --strict --ignore FILE-08 "$image"
    expect_rules 'a live writer with FILE-08 ignored' 0
    tool check --name bm1 "$image"
    expect_rules 'a live writer and one bitmap' 0 w:FILE-08
    patch 0x2c000f 03
    tool check "$image"
    expect_rules 'a live writer and a bitmap in use' 0 w:FILE-08 w:BDIR-09
    expect_summary 'a live writer and a bitmap in use: the summary' 0 \
      "$(summary 0 2 opens 1 0 1 0 0)"
  else
    skip 'a live writer' "$(tail -n 1 locking)"
  fi
  exec 5>&-
  tool check "$image"
  expect_rules 'a writer that has gone' 0 w:BDIR-09
else
  skip 'a live writer' 'python3 is not installed'
fi

# The list of rules.

tool check --rules
expect 'rules' 0
check 'rules: no messages' [ ! -s "$err" ]
cp "$out" rules
check 'rules: each line is a rule or a comment' test "$(grep -cvE \
  '^[A-Z0-9]+-[0-9]{2} +(error|warning|note) +[^ ]|^    [^ ]' rules)" = 0
check 'rules: no full stop' test "$(grep -c '\.$' rules)" = 0
check 'rules: an error' grep -qE '^BDIR-05  error    bitmap_table_offset ' \
  rules
check 'rules: a warning' grep -qE '^BDIR-09  warning  ' rules
check 'rules: a note' grep -qE '^BDIR-17  note     ' rules
check 'rules: the lines of one rule are together' \
  test -z "$(grep -oE '^[A-Z0-9]+-[0-9]+' rules | uniq | sort | uniq -d)"
tool check --rules --strict
expect_answer 'rules: other options do not matter' < rules

# The list contains the rules that images break, with the same severity.
for name in l2-entry-on-l1 table-offset-past-eof name-newline \
    header-padding-first-byte in-use entry-ones-and-offset entry-on-own-table \
    reserved32-1 many-share-table; do
  image $name
  tool check "$image"
  sed -nE 's/^(error|warning|note) ([A-Z0-9]+-[0-9]+) .*/\2 \1/p' "$out"
done | sort -u > broken
grep -oE '^[A-Z0-9]+-[0-9]+ +[a-z]+' rules | tr -s ' ' | sort -u > known
check 'rules: all broken rules are listed' \
  test "$(wc -l < broken).$(comm -23 broken known)" = 12.
# Each rule can be ignored.
wrong=
for rule in $(cut -d ' ' -f 1 known | uniq); do
  tool check --ignore "$rule" clean.qcow2
  [ "$status" = 0 ] || wrong="$wrong $rule"
  [ -z "${QCOW2TOOL_SLOW-}" ] || break
done
check "rules: each can be ignored:$wrong" [ -z "$wrong" ]

tool check --rules clean.qcow2
expect_usage 'rules: with an image' check '--rules takes no image'
tool check --rules --files-from=list
expect_usage 'rules: with a list of images' check '--rules takes no image'
tool check --rules --output=jsonl clean.qcow2
expect_usage 'rules: with an image, jsonl' check '--rules takes no image'
for output in text json; do
  tool check -q --rules --output=$output
  expect_usage "rules: -q, $output" check '--quiet and --rules exclude each other'
done

# Output to a full disk.

if [ -c /dev/full ]; then
  # shellcheck disable=SC2086 # it may be several words
  $QCOW2TOOL check clean.qcow2 > /dev/full 2> "$err"
  check 'a full disk' test "$?.$(wc -l < "$err")" = 1.1
  # shellcheck disable=SC2086
  $QCOW2TOOL check --rules > /dev/full 2> "$err"
  check 'a full disk: rules' test "$?.$(wc -l < "$err")" = 1.1
  # shellcheck disable=SC2086
  $QCOW2TOOL check one.qcow2 > /dev/full 2> "$err"
  check 'a full disk is worse than damage' test "$?.$(wc -l < "$err")" = 1.1
else
  skip 'a full disk' 'there is no /dev/full'
fi

# JSON output.

if ! command -v jq > /dev/null; then
  skip 'JSON' 'jq is not installed'
  done_testing
fi

# expect_json NAME STATUS FILTER: the last run ended with STATUS and without
# messages, and jq's FILTER is true for its output.
expect_json ()
{
  if [ "$status" = "$2" ] && [ ! -s "$err" ] \
      && jq -e "$3" "$out" > "$tmp/result" 2>&1; then
    pass "$1"
  else
    fail "$1" "status $status, not $2, or not $3: $(head -c 2000 "$out"); \
messages: $(cat "$err")"
  fi
}

tool check --output=json clean.qcow2
expect_answer 'JSON: a sound image' << END
{
    "filename": "clean.qcow2",
    "summary": {
        "errors": 0,
        "warnings": 0,
        "notes": 0,
        "bitmaps": {"enabled": 2, "disabled": 0, "in_use": 0, "stale": 0, \
"damaged": 0},
        "not_examined": [],
        "image-end-offset": 2949120,
        "total-clusters": 1024,
        "allocated-clusters": 36,
        "fragmented-clusters": 0,
        "compressed-clusters": 0,
        "corruptions": 0,
        "leaks": 0,
        "check-errors": 0
    },
    "qemu": "opens",
    "qemu_rule": null,
    "writer": false,
    "error": null,
    "problems": []
}
END
tool check --output=jsonl clean.qcow2
expect_json 'JSON: a line' 0 '.summary.bitmaps.enabled == 2'
check 'JSON: a line has no spaces' \
  test "$(wc -l < "$out").$(grep -c ' ' "$out")" = 1.0

tool check --output=json one.qcow2
expect_json 'JSON: an error' 2 '.summary == {errors: 1, warnings: 0, notes: 0,
    bitmaps: {enabled: 1, disabled: 0, in_use: 0, stale: 0, damaged: 1},
    not_examined: [], "image-end-offset": null, "total-clusters": null,
    "allocated-clusters": null, "fragmented-clusters": null,
    "compressed-clusters": null, corruptions: null, leaks: null,
    "check-errors": null}
  and .qemu == "refuses" and .qemu_rule == "BDIR-05"
  and (.problems | length) == 1
  and (.problems[0] | keys_unsorted == ["rule", "severity", "offset",
      "message", "bitmap", "extension", "value", "allowed", "consequence",
      "remedy"]
    and .rule == "BDIR-05" and .severity == "error" and .offset == 2883616
    and .bitmap == 1 and .extension == null and .value == 2818064
    and (.consequence | startswith("QEMU refuses to open this image: "))
    and (.remedy | split("\n") | length == 3
      and all(contains("qcow2tool "))))'
tool check --output=json several.qcow2
expect_json 'JSON: warnings and notes' 0 '.summary.errors == 0
  and .summary.warnings == 3 and .summary.notes == 1
  and .summary.bitmaps == {enabled: 1, disabled: 1, in_use: 2, stale: 0,
    damaged: 0}
  and ([.problems[].severity] | sort) == ["note", "warning", "warning",
    "warning"]'
expect_json 'JSON: null for absent values' 0 '.problems
  | map(select(.rule == "HDR-11"))[0] | .bitmap == null and .remedy == null
    and has("remedy")'
expect_json 'JSON: explanations with each finding' 0 '.problems
  | map(select(.rule == "BDIR-09")) | length == 2
    and all(.consequence != null and .remedy != null)'
image refcount-order-7
tool check --output=json "$image"
expect_json 'JSON: no remedy' 2 '.problems[0].consequence != null
  and .problems[0].remedy == null'
image flags-all-ones
tool check --output=json "$image"
expect_json 'JSON: the flags that two findings allow' 2 '.problems
  | map(select(.rule == "BDIR-08")) | map(.allowed) == ["3", "3"]'
while read -r name rule value allowed; do
  image "$name"
  tool check --output=json "$image"
  check "JSON: the only right entry: $name" test "$(jq -r --arg rule "$rule" \
    '.problems | map(select(.rule == $rule))[0].allowed' "$out")" \
    = "$(printf %u "0x$allowed")"
  check "JSON: the wrong entry: $name" grep -qF \
    "\"value\": $(printf %u "0x$value")," "$out"
done << END
l1-entry-reserved-bit L1-01 8000000000040001 8000000000040000
l1-entry-not-copied L1-04 40000 8000000000040000
l1-entry-not-copied-dirty L1-04 40000 8000000000040000
l2-entry-reserved-bit L2-01 8000000000050002 8000000000050000
l2-entry-extended-bit-0 L2-01 8000000000050001 8000000000050000
l2-entry-not-copied L2-04 50000 8000000000050000
l2-entry-compressed-copied L2-05 c000000000050000 4000000000050000
l2-entry-zero-version-2 L2-10 8000000000070001 8000000000070000
END
image name-size-1023-misframed
tool check --output=json "$image"
expect_json 'JSON: no value' 2 'any(.problems[]; .rule == "BDIR-02"
  and .value == null and .allowed == null)'
image version-2-bitmaps
tool check --output=json "$image"
expect_json 'JSON: stale' 0 '.summary.bitmaps == {enabled: 0, disabled: 0,
  in_use: 0, stale: 2, damaged: 0}'
# With a selected bitmap, less is examined, and QEMU's verdict is unknown.
tool check --output=json --index 1 "$image"
expect_json 'JSON: one bitmap' 0 '.qemu == null and .qemu_rule == null
  and (.summary.not_examined | length == 2 and index("guest-clusters") == 1)'
image many-share-table
tool check --output=json "$image"
expect_json 'JSON: findings that are left out' 2 '[.problems[]
  | select(.rule == "OVL-02")] | length == 101
    and (.[:100] | all(.consequence != null and .remedy != null
      and (has("suppressed") | not)))
    and (.[100] | .suppressed == 65434 and .offset == null and .bitmap == null
      and .value == null and .allowed == null and .consequence == null
      and .remedy == null)'
expect_json 'JSON: the findings that are left out are counted' 2 \
  ".summary.errors == 65534 + $others"
tool check --output=json --index 5 "$image"
expect_json 'JSON: one of many' 2 '[.problems[]
  | select(.rule == "OVL-02")] | length == 1 and .[0].bitmap == 5'

tool check --output=jsonl clean.qcow2 missing.qcow2 one.qcow2 none.qcow2
check 'JSON: a line for each image' \
  test "$status.$(jq -c '[.filename, .summary == null, .error.code]' "$out")" \
  = '1.["clean.qcow2",false,null]
["missing.qcow2",true,"open"]
["one.qcow2",false,null]
["none.qcow2",false,null]'
tool check --output=json --name bm7 clean.qcow2
check 'JSON: a missing bitmap' test "$status.$(wc -l < "$err").$(
  jq -c '[.summary, .error.code, .problems]' "$out")" \
  = '3.1.[null,"not-found",[]]'

heads=$(grep -c '^[A-Z]' rules)
tool check --rules --output=json
expect_json 'JSON: rules' 0 "type == \"array\" and length == $heads
  and all(keys_unsorted == [\"rule\", \"severity\", \"condition\",
    \"allowed\", \"consequence\", \"remedy\", \"told_as\"]
    and (.rule | test(\"^[A-Z0-9]+-[0-9]{2}\$\")) and .condition != null
    and (.severity | IN(\"error\", \"warning\", \"note\")))"
expect_json 'JSON: rules as in text' 0 'map(select(.rule == "BDIR-05"))
  | length == 1 and .[0].severity == "error"
    and .[0].told_as == null and .[0].allowed != null'
jq -r '.[] | .rule + " " + .severity + " " + .condition' "$out" > expected
tr -s ' ' < rules | grep '^[A-Z]' > "$out"
expect_file 'JSON: rules in the order of the text' "$out"
tool check --rules --output=json
jq -c . "$out" > expected
tool check --rules --output=jsonl
expect_file 'JSON: rules in a line' "$out"

# The disk: --metadata leaves it out, and --field prints what qemu-img check
# counts.  These images lack a reference, a refcount and both.

image l2-entry-on-l1
tool check --metadata "$image"
expect_summary 'without the disk' 0 "$(summary 0 0 opens 2 0 0 0 0); not \
looked at: the guest's clusters"
tool check --metadata --output=json "$image"
expect_json 'without the disk: no numbers' 0 '.summary
  | .not_examined == ["guest-clusters"] and .corruptions == null
    and ."image-end-offset" == null'
tool check "$image"
expect_rules 'an entry on the L1 table' 2 e:OVL-03 w:RC-02
tool check --output=json "$image"
expect_json 'a refcount is not the number at the offset of its cluster' 2 '
  [.problems[] | select (.rule == "RC-02")]
  | length > 0 and all (.value == null)'
image l1-entry-past-eof
tool check "$image"
check 'what an L1 entry maps ends with the disk' \
  grep -q 'L1-03 .*: 0x4000000 bytes at guest offset 0x0$' "$out"
image incompatible-dirty
tool check --metadata "$image"
check 'whether QEMU can repair a dirty image is not known without the disk' \
  grep -q 'QEMU opens it for reading, and for writing if it can repair it' \
  "$out"
while IFS='|' read -r name key want value; do
  image "$name"
  tool check --field="$key" "$image"
  check "--field: $key of $name" \
    test "$status.$(cat "$out" "$err")" = "$want.$value"
done << END
two-bitmaps|image-end-offset|0|2949120
two-bitmaps|total-clusters|0|1024
two-bitmaps|allocated-clusters|0|36
l2-entry-compressed|compressed-clusters|0|1
l2-entry-compressed|fragmented-clusters|0|1
l2-entry-on-l1|corruptions|2|1
l2-entry-on-l1|leaks|2|1
refcount-guest-2|leaks|0|1
refcount-block-unaligned|check-errors|2|45
END
image two-bitmaps
tool check --field leaks --field corruptions -0 "$image"
check '--field: two numbers, ended by NUL' \
  test "$status.$(od -An -c "$out" | tr -d ' \n')" = '0.0\00\0'
# QEMU reads no extension of this image, so that nothing refers to a directory,
# two tables and a cluster of data.
copy two-bitmaps ignored-extensions
patch 8 0000000000000004
tool check --field=leaks "$image"
check '--field: leaks of bitmaps that QEMU does not read' \
  test "$status.$(cat "$out")" = 2.4
copy luks ignored-crypto-header
patch 8 0000000000000068
patch 32 00000000
tool check --field=corruptions --field=leaks -0 "$image"
check '--field: a crypto header that QEMU does not read' \
  test "$status.$(tr '\0' ' ' < "$out")" = '2.0 32 '
copy two-bitmaps refcount-block-too-far
patch 0x10000 7fffffffc0000000
tool check --field=corruptions --field=check-errors -0 "$image"
check '--field: a refcount block that ends after the largest file' \
  test "$status.$(tr '\0' ' ' < "$out")" = '2.1 45 '

copy luks crypto-header-too-long
tool extensions --magic=0x0537be77 --field=file_offset "$image"
patch $(($(cat "$out") + 16)) 7fffffffda847ad9
tool check --field=corruptions "$image"
check '--field: a crypto header that ends after the largest file' \
  test "$status.$(cat "$out")" = 2.1

# aborted NAME COPY OFFSET HEX: qemu-img check does not get to its end.
aborted ()
{
  copy "$1" "$2"
  patch "$3" "$4"
  tool check --field=corruptions "$image"
  expect_refusal "--field: $2: no number" 2 \
    "*there is no value for 'corruptions'"
}

image flags-in-use
tool bitmaps --name=bm0 --field=bitmap_table_offset "$image"
table=$(cat "$out")
aborted flags-in-use table-entry-reserved "$table" 0000000000000002
aborted flags-in-use table-entry-unaligned "$table" 0000000000000200
image snapshot
tool header --field=snapshots_offset "$image"
snapshots=$(cat "$out")
aborted snapshot l1-too-far "$snapshots" 7fffffffc0000000
aborted snapshot l1-ends-too-far "$snapshots" 7fffffffbfff000000002001
image table-offset-wraps
tool check --field leaks "$image"
expect_refusal '--field: QEMU refuses the image' 2 \
  "*there is no value for 'leaks'"
tool check --field leaks --default=- "$image"
check '--field: QEMU refuses the image: a default' \
  test "$status.$(cat "$out")" = 2.-
tool check --field size "$image"
expect_usage '--field: another key' check "--field: unknown key 'size', *"
for option in --metadata --rules --name=bm0 --index=0 --is=opens; do
  tool check --field leaks $option "$image"
  expect_usage "--field: $option" check "--field and ${option%=*} exclude *"
done
tool check -0 "$image"
expect_usage '-0 alone' check '-0 goes with --field'

# The file lacks an L2 table: what that refers to only looks as if it were
# leaked.
copy two-bitmaps cut-copy
patch 0x30000 80000000002d0000
patch 0x2005a 0001
tool check "$image"
check 'a cut copy: a leak is found' grep -q ' RC-02 ' "$out"
check 'a cut copy: nothing is repaired' test \
  "$(grep -c 'check -r' "$out")" = 0

# A dirty image whose header has no room to be written again, which QEMU does
# when it has repaired everything: an extension fills the first cluster.
copy no-bitmaps dirty-and-full
patch 0x70 123456780000ff88
tool check --is=opens-rw "$image"
expect 'a header without room that is not written' 0
patch 0x4f 01
tool check --is=opens-rw "$image"
expect 'a header without room of a dirty image' 2
tool check --is=opens "$image"
expect 'a header without room of a dirty image: QEMU reads it' 0
patch 0x30000 0000000000000001
tool check --is=opens-rw "$image"
expect 'a header without room, and damage that QEMU does not repair' 1

# Where references cannot be followed, no repair is named: it would free what
# they lead to.
while read -r name; do
  image "$name"
  tool check "$image"
  check "$name: a leak is found" grep -q ' RC-02 ' "$out"
  check "$name: nothing is repaired" test "$(grep -c 'check -r .* COPY' \
    "$out")" = 0
done << 'END'
l1-entry-cut-table
l1-entry-unaligned
l2-entry-compressed-subclusters
snapshot-l1-unaligned
END

# So does one that drops snapshots, if not only theirs are damaged.
copy snapshot-extra-data-1025 snapshot-and-disk
tool check "$image"
check 'to drop snapshots is a remedy' grep -q 'check -r all COPY' "$out"
patch 0x28 00000000fff00000
tool check "$image"
check 'to drop snapshots frees the disk: it is no remedy' test \
  "$(grep -c ' HDR-17 ' "$out").$(grep -c 'check -r' "$out")" = 1.0

# A repair makes the file so large that a block which no cluster needs is in
# it: QEMU does not open the result.
copy refcount-guest-2 far-block
tool check "$image"
check 'a leak is repaired' grep -q 'check -r all COPY' "$out"
patch 0x10008 0000004000000000
tool check "$image"
check 'a block after the end of the file: nothing is repaired' test \
  "$(grep -c ' HDR-18 ' "$out").$(grep -c 'check -r' "$out")" = 1.0

# qemu-img does not remove a bitmap from a dirty image that it cannot repair.
copy flags-in-use dirty-in-use
patch 0x4f 01
tool bitmaps --name=bm0 --field=bitmap_table_offset "$image"
table=$(cat "$out")
tool check "$image"
check 'a dirty image: qemu-img removes a bitmap' \
  grep -q 'qemu-img bitmap --remove IMAGE' "$out"
patch "$table" 0000000000000002
tool check "$image"
check 'a dirty image, and damage in use: qemu-img does not' test \
  "$(grep -c 'remove-bitmap --index=0' "$out").$(grep -c -- --remove "$out")" \
  = 1.0
image snapshot-l1-unaligned
tool check "$image"
check 'what is counted as leaked may be in use' grep -qF \
  'QEMU counts the cluster as leaked, but what is damaged may refer to it' \
  "$out"
copy l2-entry-compressed-subclusters dirty-and-hidden
patch 0x4f 01
tool check "$image"
check 'a dirty image: a repair may free data' grep -qF \
  'opens the image for writing, which may free data that are in use' "$out"
check 'a dirty image: nothing is repaired' test "$(grep -c 'check -r .* COPY' \
  "$out")" = 0

# The writes of qemu-img bitmap --remove could destroy data of the guest, or go
# where the missing part of the file was.
copy two-bitmaps in-use
patch 0x2c000f 03
tool check "$image"
check 'a bitmap in use is removed by qemu-img' grep -q 'qemu-img bitmap --rem' \
  "$out"
patch 0x2000a 0000
tool check "$image"
check 'not beside a refcount that is too low' test \
  "$(grep -c 'qemu-img bitmap --remove' "$out")" = 0
check 'remove-bitmap needs no cluster' grep -q 'qcow2tool remove-bitmap' "$out"
patch 0x2000a 0001
patch 0x40200 80000000002f0000
tool check "$image"
check 'not beside FILE-09' test \
  "$(grep -c 'FILE-09' "$out").$(grep -c 'bitmap --remove' "$out")" = 1.0
check 'remove-bitmap needs no more room' grep -q 'qcow2tool remove-bitmap' \
  "$out"

patch 0x40200 0000000000000000
patch 0x2a0000 0000000000050000
tool check "$image"
check 'not beside an overlap' test \
  "$(grep -c '^error OVL-0' "$out").$(grep -c 'bitmap --remove' "$out")" = 1.0
patch 0x2a0000 0000000000290000
patch 0x4f 01
patch 0x30000 8000000000040200
tool check "$image"
check 'not where a repair may free data' test \
  "$(grep -c '^error L1-02' "$out").$(grep -c 'bitmap --remove' "$out")" = 1.0

# QEMU refuses an image with a larger L1 table, which is not read.
image l1-size-over-32-mib-whole
tool check --output=json "$image"
check 'a large L1 table: what was not examined is said' jq -e \
  '.summary.not_examined == ["guest-clusters"]' "$out"

# The same if the L1 table is not where QEMU can read it.
for name in l1-offset-unaligned l1-offset-wraps l1-size-0; do
  image $name
  tool check --output=json --ignore=HDR-15 --ignore=HDR-17 "$image"
  check "$name: what was not examined is said" jq -e \
    '.summary.not_examined == ["guest-clusters"]' "$out"
done

# A damaged number of snapshots is reported as that, not as damage of all that
# is taken for their tables.
for number in 00000080 ffffffff; do
  copy four-entries damaged-number
  patch 0x3c $number
  tool check --output=json "$image"
  check "$number snapshots" jq -e '([.problems[].rule] | unique) == ["HDR-19"]
    and .summary.not_examined == ["guest-clusters"]' "$out"
done

# QEMU loses the snapshots when it repairs an image that has bitmaps, or whose
# autoclear bits it clears.  A refcount block follows at 0x20000.
leak ()
{
  local -i n=$((($(stat -c %s "$image") + 65535) / 65536))

  patch $((n * 65536)) "$(printf '%0131072d' 0)"
  patch $((0x20000 + 2 * n)) 0001
}
repairs_to ()
{
  local before

  tool check "$image"
  check "$1: what a repair costs" test "$(grep -c \
    '^    to repair refcounts, on a copy, which may lose the snapshots: ' \
    "$out").$(grep -c '^    to repair refcounts, on a copy: ' "$out")" = "$2"
  if [ -z "$(type -P qemu-img)" ]; then
    skip "$1: the snapshots after it" 'qemu-img is missing'
    return
  fi
  before=$(qemu-img snapshot -l "$image" 2> "$tmp/log" | wc -l)
  qemu-img check -r all "$image" > "$tmp/log" 2>&1
  check "$1: the snapshots after it" test \
    "$(qemu-img snapshot -l "$image" | wc -l)" = \
    "$([ "$2" = 1.0 ] && echo 0 || echo "$before")"
}
copy two-snapshots lost-snapshots
leak
repairs_to 'snapshots and bitmaps' 1.0
copy snapshot kept-snapshots
leak
repairs_to 'only snapshots' 0.1
copy snapshot autoclear-lost-snapshots
patch 0x5f 20
leak
repairs_to 'an unknown autoclear bit' 1.0

# No copy of a disk of which a part is lost.
copy l1-entry-cut-table no-copy
patch 0x30008 8000000000040001
patch 0x27 02
tool check "$image"
check 'no copy of a disk of which a part is lost' test \
  "$(grep -c 'qemu-img convert' "$out")" = 0

# The disk without its snapshots.
copy snapshot reserved
patch 0x60000 0100000000000000
tool check "$image"
check 'convert leaves snapshots out' grep -q 'bitmaps and snapshots (with --' \
  "$out"
check 'convert fails where a cluster cannot be read' grep -q \
  '(with --salvage, clusters that cannot be read become zeroes): qemu-img' \
  "$out"

# The only right value of an entry has none of its problems.  If the refcount
# is wrong, the copied flag may be right.
allowed ()
{
  tool check --output=json "$image"
  jq -r '[.problems[] | select(.rule | test("^L[12]-")) | .allowed] | unique
    | join(" ")' "$out"
}

copy two-bitmaps allowed
patch 0x40000 0000000000050002
check 'allowed: a reserved bit, and no copied flag' \
  test "$(allowed)" = 9223372036855103488
patch 0x40000 0000000000050000 0000000000050000
check 'allowed: a refcount that is too low' \
  test "$(allowed)" = 'bit 63 set if the refcount is 1'

# Of several L1 entries with one table, QEMU reads a data file by one of them.
image l2-entry-several-raw-offsets
tool check "$image"
check 'L2-12: the part of the disk that QEMU does not read' grep -qE \
  '^error L2-12 .* for another one: .* at guest offset 0x[1-9a-f]' "$out"

# More references than a refcount of one bit can say are an error in a dirty
# image, too.
copy refcount-1-bit-of-2 overflow
patch 0x4f 01
tool check "$image"
check 'dirty: references that QEMU cannot count' grep -q '^error RC-01 ' "$out"

done_testing
