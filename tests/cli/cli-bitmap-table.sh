#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The output of `bitmap-table`: whole tables, windows, types, and entries
# decoded at any offset.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

golden=$srcdir/tests/expected/cli-bitmap-table

heading='Bitmap table   type            offset                   size'

# golden_rows NUMBER...: prints these rows of the table in four-entries.txt.
golden_rows ()
{
  local i

  echo "$heading"
  for i; do
    sed -n "$((i + 3))p" "$golden/four-entries.txt"
  done
}

# The tests of --long ignore the number of spaces between columns.
squeeze ()
{
  sed 's/  */ /g' "$out" > "$tmp/squeezed"
  mv "$tmp/squeezed" "$out"
}

for name in two-bitmaps four-entries mixed-entries all-ones-entries \
    all-zeroes-entries table-of-several-clusters; do
  image $name
  tool bitmap-table "$image"
  check "tables of $name: status and messages" \
    test "$status.$(wc -c < "$err")" = 0.0
  expect_golden "tables of $name" $name.txt
done

# Reserved bits do not change any row.
for name in entry-ones-and-offset entry-all-bits reserved-bits-in-entries; do
  image $name
  tool bitmap-table "$image"
  expect "tables of $name: status" 2
  expect_golden "tables of $name" $name.txt
done

for name in version-2 no-bitmaps no-extensions; do
  image $name
  tool bitmap-table "$image"
  expect_answer "no tables in $name" < /dev/null
  tool bitmap-table --name a "$image"
  expect_refusal "no bitmap in $name" 3 "$image: *'a'*"
  tool bitmap-table --index 0 "$image"
  expect_refusal "no bitmap 0 in $name" 3 "$image: *0*"
done

# A selected bitmap has no heading of its own.
image four-entries
for option in --name=fine --index=0; do
  tool bitmap-table $option "$image"
  golden_rows 0 1 2 3 | expect_answer "$option"
done
image two-bitmaps
tool bitmap-table --name bm1 "$image"
expect_answer "--name bm1" << EOF
$heading
0              all-zeroes      0                        65536
EOF
tool bitmap-table --index 0x1 "$image"
expect_answer "--index 0x1" << EOF
$heading
0              all-zeroes      0                        65536
EOF
tool bitmap-table --name bm2 "$image"
expect_refusal "no bitmap has the name bm2" 3 "$image: *'bm2'*"
tool bitmap-table --index 2 "$image"
expect_refusal "no bitmap has the index 2" 3 "$image: *2*"
tool bitmap-table --index 0 --name bm0 "$image"
expect_usage "--name and --index exclude each other" bitmap-table \
  "*--name*--index*"

# Windows.
image four-entries
window ()
{
  local expected=$1

  shift
  tool bitmap-table --name fine "$@" "$image"
  # shellcheck disable=SC2086 # row numbers
  golden_rows $expected | expect_answer "rows $expected by $*"
}

window '1 2' --start 1 --count 2
window '3' --start 3
window '3' --start 3 --count 1
window '2 3' --start=2
window '2 3' --start=0x2
window '2 3' --start=0X2
window '0' --count 1
window '0 1 2 3' --count 4
window '0 1 2 3' --count 5
window '0 1 2 3' --count 1k
window '0 1 2 3' --count 1E
window '0 1 2 3' --start 0
window '1 2 3' --start 1 --count 18446744073709551615
window '1 2 3' --start 1 --count 0xffffffffffffffff

for options in '--start 4' '--start 5' '--start 4294967296' '--start 1k' \
    '--start 18446744073709551615' '--count 0' '--start 1 --count 0' \
    '--start 18446744073709551615 --count 18446744073709551615' \
    '--start 2305843009213693951 --count 3'; do
  # shellcheck disable=SC2086 # several options
  tool bitmap-table --name fine $options "$image"
  expect_answer "no rows by $options" < /dev/null
done

for option in --start --count --at; do
  for number in '' -1 +1 x 0x 0xg 1x 1kk 1.5 18446744073709551616 16E \
      0x10000000000000000 ' 1' '1 ' 1KiB; do
    if [ $option = --at ]; then
      tool bitmap-table --count 1 "--at=$number" "$image"
    else
      tool bitmap-table "$option=$number" "$image"
    fi
    expect_usage "$option='$number' is not a number" bitmap-table "*$option*"
  done
done
# A leading zero does not make a number octal.
image table-of-several-clusters
tool bitmap-table --name long --start 0200 --count 1 "$image"
check "0200 is not 128" test "$(grep -c '^128 ' "$out")" = 0
tool bitmap-table --name long --start 128 --count 1 "$image"
expect_answer "the window begins in another cluster of the table" << EOF
$heading
128            serialized      133120                   512
EOF
tool bitmap-table --name long --start 63 --count 2 "$image"
expect_answer "the window spans two clusters of the table" << EOF
$heading
63             all-zeroes      0                        512
64             all-zeroes      0                        512
EOF
tool bitmap-table --start 1 --count 1 "$image"
check "a window of every table" \
  test "$status.$(grep -c '^1 ' "$out").$(grep -c '^0 ' "$out")" = 0.1.0

# Types.
image mixed-entries
typed ()
{
  local rows=$1

  shift
  tool bitmap-table --name fine "$@" "$image"
  check "rows $rows of mixed-entries by $*" \
    test "$status:$(tail -n +2 "$out" | cut -d ' ' -f 1 | tr '\n' ' ')" \
    = "0:$rows "
}

typed '0 2 3' --type serialized
typed '1' --type all-ones
typed '0 1 2 3' --type all-ones --type serialized
typed '0 1 2 3' --type=serialized --type=all-ones --type all-zeroes
typed '1' --type all-ones --type all-ones
typed '2 3' --start 1 --type serialized
typed '0' --count 2 --type serialized
typed '2' --start 1 --count 2 --type serialized
tool bitmap-table --name fine --type all-zeroes "$image"
expect_answer "no entry of the type" < /dev/null
image four-entries
typed '1' --type all-zeroes
typed '0 2 3' --type serialized
for type in ones invalid '' All-Ones 'serialized ' serialised; do
  tool bitmap-table "--type=$type" "$image"
  expect_usage "--type='$type' is not a type" bitmap-table "*--type*"
done
image entry-ones-and-offset
tool bitmap-table --index 0 --type all-ones "$image"
check "an entry with an offset is not all-ones" test ! -s "$out"
expect "entries that are not shown are examined, too" 2

# --long: the guest's disk is one sector smaller than 8 MiB, and an entry maps
# 2 MiB.
image last-entry-all-ones
tool bitmap-table --long "$image"
squeeze
expect_answer "--long" << EOF
Bitmap name fine
Bitmap table type offset size reserved guest_offset guest_length
0 serialized 73728 512 0x0 0 2097152
1 all-zeroes 0 512 0x0 2097152 2097152
2 serialized 74240 512 0x0 4194304 2097152
3 all-ones 0 512 0x0 6291456 2096640
EOF
image reserved-bits-in-entries
tool bitmap-table --long --name fine "$image"
squeeze
expect_out "--long: reserved bits" << EOF
Bitmap table type offset size reserved guest_offset guest_length
0 serialized 73728 512 0x2 0 2097152
1 all-zeroes 0 512 0x100 2097152 2097152
2 serialized 74240 512 0x100000000000000 4194304 2097152
3 serialized 74752 512 0x8000000000000000 6291456 2097152
EOF
expect "--long: status for reserved bits" 2
check "each has a message" test "$(grep -c '\[BTAB-01\]$' "$err")" = 4
image entry-ones-and-offset
tool bitmap-table --long --index 0 "$image"
squeeze
expect_out "--long: bit 0 beside an offset is reserved" << EOF
Bitmap table type offset size reserved guest_offset guest_length
0 serialized 2686976 65536 0x1 0 67108864
EOF
image entry-all-bits
tool bitmap-table --long --index 0 "$image"
squeeze
expect_out "--long: all bits" << EOF
Bitmap table type offset size reserved guest_offset guest_length
0 serialized 72057594037927424 65536 0xff000000000001ff 0 67108864
EOF
image mixed-entries
tool bitmap-table --long --index 0 --type all-ones "$image"
squeeze
expect_answer "--long with --type" << EOF
Bitmap table type offset size reserved guest_offset guest_length
1 all-ones 0 512 0x0 2097152 2097152
EOF

# --at decodes any bytes and reports no findings.
image four-entries
tool bitmap-table --at 0x12600 --count 4 "$image"
golden_rows 0 1 2 3 | expect_answer "--at the table"
tool bitmap-table --count=4 --at=75264 "$image"
golden_rows 0 1 2 3 | expect_answer "--at in decimal"
tool bitmap-table --at 0x12600 --count 2 --type serialized "$image"
golden_rows 0 | expect_answer "--at with --type"
tool bitmap-table --at 64k --count 1 "$image"
expect_answer "--at with a suffix" << EOF
$heading
0              all-zeroes      0                        512
EOF
tool bitmap-table --at 0x12600 --count 0 "$image"
expect_answer "--at, no entries" < /dev/null
# From the second byte of the table: 00 00 00 00 01 20 00 00 00 00 00 ...
tool bitmap-table --at 0x12601 --count 1 "$image"
expect_answer "--at an odd offset" << EOF
$heading
0              serialized      18874368                 512
EOF
# The header: 5146 49fb 0000 0003.  Bits 9-55 are 0x464 9fb0 0000 0000.
tool bitmap-table --at 0 --count 1 "$image"
expect_answer "--at 0 is the header" << EOF
$heading
0              serialized      $((0x004649fb00000000))        512
EOF
for name in entry-ones-and-offset entry-low-reserved-bits entry-all-bits \
    incompatible-bit-63 autoclear-clear table-offset-0 \
    bitmaps-extension-length-23; do
  image $name
  tool bitmap-table --at 0x2a0000 --count 1 "$image"
  check "--at reports no findings in $name" \
    test "$status.$(wc -l < "$out").$(wc -c < "$err")" = 0.2.0
done
image no-bitmaps
tool bitmap-table --at 0x30000 --count 1 "$image"
expect_answer "--at in an image without bitmaps" << EOF
$heading
0              all-zeroes      0                        65536
EOF

# The end of the file: two-bitmaps has 2883648 bytes, 0x2c0040.  The last 24
# bytes are the flags and type of a directory entry, "bm1" and zeroes.
image two-bitmaps
tool bitmap-table --at 0x2c0038 --count 1 "$image"
expect_answer "--at the last eight bytes" << EOF
$heading
0              serialized      $((0x006d310000000000))        65536
EOF
tool bitmap-table --at 0x2c0030 --count 3 "$image"
expect_out "--at beyond the end: the complete rows" << EOF
$heading
0              serialized      $((0x000f000300000000))         65536
1              serialized      $((0x006d310000000000))        65536
EOF
check "--at beyond the end: status 3 and one message" \
  test "$status.$(wc -l < "$err")" = 3.1
tool bitmap-table --at 0x2c0031 --count 2 "$image"
check "a truncated entry is not printed" \
  test "$status.$(wc -l < "$out").$(wc -l < "$err")" = 3.2.1
for at in 0x2c0039 0x2c003f 0x2c0040 0x2c0041 3M 1T 0x7ffffffffffffff8 \
    0x8000000000000000 18446744073709551608 18446744073709551615; do
  tool bitmap-table --at $at --count 1 "$image"
  expect_refusal "--at $at is beyond the end" 3 "$image: 0x*"
done
tool bitmap-table --at 0x2c0038 --count 18446744073709551615 "$image"
check "--at with a count that overflows" \
  test "$status.$(wc -l < "$out").$(wc -l < "$err")" = 3.2.1
tool bitmap-table --at 0x2c0040 --count 0 "$image"
expect_answer "--at the end, no entries" < /dev/null

tool bitmap-table --at 0 "$image"
expect_usage "--at needs --count" bitmap-table "*--at*--count*"
tool bitmap-table --at 0 --count 1 --name bm0 "$image"
expect_usage "--at excludes --name" bitmap-table "*--at*--name*"
tool bitmap-table --at 0 --count 1 --index 0 "$image"
expect_usage "--at excludes --index" bitmap-table "*--at*--index*"

# Two bitmaps with the same name.
image two-bitmaps-one-name
tool bitmap-table --name bm0 "$image"
expect_refusal "two bitmaps with one name are refused" 2 \
  "$image: *use --index*"
tool bitmap-table --index 0 "$image"
expect_answer "--index picks the first of them" << EOF
$heading
0              serialized      2686976                  65536
EOF
tool bitmap-table --index 1 "$image"
expect_damage "--index picks the second of them" "*bitmap 1 'bm0': *\[BDIR-15]"
tool bitmap-table "$image"
check "both are shown without --name" \
  test "$status.$(grep -c '^Bitmap name  *bm0$' "$out")" = 2.2

# Names with unprintable characters.
image name-newline
tool bitmap-table --name $'a\nb' --count 1 "$image"
expect_answer "a name with a newline" << EOF
$heading
0              serialized      2686976                  65536
EOF
tool bitmap-table --name 'a\nb' "$image"
expect_refusal "the escaped form of that name" 3 \
  "*bitmap 0 is shown that way: use --index 0"
tool bitmap-table "$image"
check "the name above its table is escaped" \
  grep -qxF 'Bitmap name               a\nb' "$out"

# Only damage of the selected bitmap is reported.
image second-entry-bad
tool bitmap-table --index 0 "$image"
expect_answer "damage of another bitmap is not reported" << EOF
$heading
0              serialized      2686976                  65536
EOF
tool bitmap-table --name bm1 "$image"
check "the damage of the selected bitmap is reported" \
  test "$status.$(grep -c "bitmap 1 'bm1'" "$err")" = "2.$(wc -l < "$err")"
image one-bad-entry-of-three
tool bitmap-table --index 0 "$image"
check "one bad entry of three: all are shown" test "$(wc -l < "$out")" = 4
expect_damage "the bad entry is reported" \
  "$image: 0x1008: bitmap 0 'b0': *1*\[BTAB-01]"
tool bitmap-table --index 0 --start 2 "$image"
check "entries outside the window are not reported" \
  test "$status.$(wc -l < "$out").$(wc -l < "$err")" = 0.2.0

damage ()
{
  image "$1"
  tool bitmap-table "$image"
  if [ "$status" = 2 ] \
      && grep -q "^qcow2tool: $image: $2: .* \[$3\]\$" "$err"; then
    pass "$1 is $3 at $2"
  else
    fail "$1 is $3 at $2" "status $status; $(cat "$err")"
  fi
}

for row in table-offset-0:0x2c0000:BDIR-05 \
    table-offset-past-eof:0x2c0000:BDIR-07 table-size-0:0x2c0008:BDIR-06 \
    table-size-3-of-4:0x12808:BDIR-18 table-size-all-ones:0x2c0008:BDIR-06 \
    table-size-all-ones:0x2c0000:BDIR-07 \
    name-size-1023-misframed:0x2c0012:BDIR-02 \
    entry-ones-and-offset:0x2a0000:BTAB-02 \
    entry-reserved-bit-1:0x2a0000:BTAB-01 \
    entry-low-reserved-bits:0x2a0000:BTAB-01 \
    entry-reserved-bit-63:0x2a0000:BTAB-01 \
    entry-offset-unaligned:0x2a0000:BTAB-03 \
    entry-offset-past-eof:0x2a0000:BTAB-05 \
    bitmaps-extension-length-23:0x1fc:EXT-12 \
    directory-offset-past-eof:0x210:BEXT-06 incompatible-bit-63:0x48:HDR-20 \
    entry-offset-max-aligned:0x2a0000:BTAB-05 \
    data-one-byte-past-eof:0x2a0000:BTAB-05 \
    table-one-byte-past-eof:0x2c0020:BDIR-07; do
  IFS=: read -r name offset rule <<< "$row"
  damage "$name" "$offset" "$rule"
done
for name in last-entry-all-ones all-ones-entry data-ends-at-eof \
    table-ends-at-eof name-nul autoclear-clear flags-in-use \
    version-2-bitmaps; do
  image $name
  tool bitmap-table "$image"
  check "no message about $name" test "$status.$(wc -c < "$err")" = 0.0
done

# For a truncated directory entry, only the damage of the entry is reported, as
# in check.  Its table is not examined, since the entry may not be real.
copy two-bitmaps cut-entry
patch 0x2c0012 ffff
patch 0x2a0000 8000000000290000
tool bitmap-table "$image"
check "damage in the table of a truncated entry" \
  test "$status.$(grep -o '\[[^]]*\]$' "$err" | tr -d '\n')" = '2.[BDIR-02]'
check "rows of the table of a truncated entry" \
  grep -qE '^0 +serialized +2686976 ' "$out"

# As many rows as bitmap_table_size says, as far as the entries are in the
# file.
image table-size-3-of-4
tool bitmap-table --index 0 "$image"
check "three entries where four are needed" test "$(wc -l < "$out")" = 4
image table-size-2
tool bitmap-table --index 0 "$image"
check "two entries where one is needed" test "$(wc -l < "$out")" = 3
image table-size-0
tool bitmap-table --index 0 "$image"
check "a table without entries" test ! -s "$out"
image table-one-byte-past-eof
tool bitmap-table --index 1 "$image"
check "a truncated entry is not a row" test ! -s "$out"

# A table of 2^32 - 1 entries: more than 2^27 rows are printed only on request.
image sparse-table-32-gib
tool bitmap-table --index 0 --start 4294967290 --count 10 "$image"
check "the last five rows of a table of 32 GiB" \
  test "$status:$(tail -n +2 "$out" | cut -d ' ' -f 1 | tr '\n' ' ')" \
  = '2:4294967290 4294967291 4294967292 4294967293 4294967294 '
if [ -n "$few" ]; then
  skip "the rows that are left out are counted" "it reads a gigabyte"
else
  tool bitmap-table --index 0 --type all-ones "$image"
  expect "rows are left out: status" 2
  check "the rows that are left out are counted" \
    grep -q '134217728.*4294967294.*\[RES-02\]$' "$err"
fi

done_testing
