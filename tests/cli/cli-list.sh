#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# bitmaps --list prints a row for each bitmap.  The expected rows are worked
# out by hand.  DISK is the size of the table's clusters, with 8 bytes for each
# entry, and of one cluster for each entry with data.  DIRTY comes from the
# bits that the builder sets, for example 36 bits in the first bitmap of
# two-bitmaps.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
export QCOW2TOOL

# list NAME ARGUMENT...: runs bitmaps --list on an image of the builder.
list ()
{
  image "$1"
  tool bitmaps --list "${@:2}" "$image"
}

# Clusters of 64 KiB: one of them contains the data of bm0.
list two-bitmaps
expect_answer 'two-bitmaps' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK NAME
    0 enabled         64K  2.2M   3.5% 128K bm0
    1 enabled         32K     0   0.0%  64K bm1
END
list every-state
expect_answer 'columns are as wide as their values' << 'END'
INDEX STATE    GRANULARITY DIRTY DIRTY% DISK NAME
    0 enabled          64K  256K   0.4% 128K enabled
    1 disabled        128K  512K   0.8% 128K disabled
    2 in-use          256K     -      - 128K in-use
    3 in-use          512K     -      - 128K in-use-disabled
END
list autoclear-clear
expect_answer 'stale' << 'END'
INDEX STATE GRANULARITY DIRTY DIRTY% DISK NAME
    0 stale         64K     -      - 128K bm0
    1 stale         32K     -      -  64K bm1
END
list entry-ones-and-offset
expect_damage 'damaged: status 2 and a message' "*: 0x2a0000: *BTAB-02]"
expect_out 'damaged: the other bitmaps are listed, too' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK NAME
    0 damaged         64K     -      - 128K bm0
    1 enabled         32K     0   0.0%  64K bm1
END
list two-bitmaps-one-name
expect_damage 'two bitmaps with one name' "*BDIR-15]"
expect_out 'two bitmaps with one name: rows' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK NAME
    0 enabled         64K  2.2M   3.5% 128K bm0
    1 damaged         32K     -      -  64K bm0
END

# An image without bitmaps is not a special case.
for name in version-2 no-bitmaps zstd size-0; do
  list "$name"
  expect_answer "$name has no bitmaps: no output, no headings" < /dev/null
done

# Sizes are in the largest unit that is not larger than the size.
expect_sizes ()
{
  local name=$1 found

  found=$(awk 'NR > 1 { print $3, $6 }' "$out")
  check "$name: granularity and disk are $2" [ "$found" = "$2" ]
}

# Clusters of 512 bytes: 4 for a table of 2 KiB and 3 for data, then 1 and 1.
list table-of-several-clusters
expect_sizes 'four clusters of table' $'512 3.5K\n1M 1K'
# 512 bytes for the table, and 2 clusters of data.
list three-entries
expect_sizes 'clusters of 512 bytes' '512 1.5K'
list cluster-4k
expect_sizes 'clusters of 4 KiB' $'64K 8K\n32K 4K'
list cluster-2m
expect_sizes 'clusters of 2 MiB' '64K 4M'
list zstd-bitmaps
expect_sizes 'zstd' $'64K 8K\n32K 4K'
list size-1t
expect_sizes '1 TiB' '64K 128K'
# No data, only the table.
list granularity-31
expect_sizes '2 GiB' '2G 64K'
list granularity-32
expect_sizes '4 GiB' $'4G 128K\n32K 64K'
list granularity-63
expect_sizes '2^63 bytes' '8E 128K'
# 1 MiB of bits in 2 entries, one of them with data.
list granularity-0
expect_sizes 'one byte' '1 128K'

# A hundred and twenty-five clusters of data and four of table: 64.5 KiB.  The
# first number of the first entry is the offset of the table.  The offset of
# the directory is at byte 16 of the extension's data, which follow the
# extension's header.
copy table-of-several-clusters wide
number_at ()
{
  printf '%d' "0x$(od -An -tx1 -j "$1" -N 8 "$image" | tr -d ' \n')"
}
table=$(number_at "$(number_at $((112 + 8 + 16)))")
data=$(od -An -tx1 -j "$table" -N 8 "$image" | tr -d ' \n')
for ((i = 0; i < 256; i++)); do
  entries[i]=0000000000000000
  if [ "$i" -lt 125 ]; then
    entries[i]=$data
  fi
done
patch "$table" "${entries[@]}"
tool bitmaps --list --index 0 "$image"
expect_answer 'a wide size moves the name' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY%  DISK NAME
    0 enabled         512  500K   0.1% 64.5K long
END
tool bitmaps --list --long "$image"
expect_answer 'all rows have the same width' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY%  DISK SERIALIZED ALL-ONES ALL-ZEROES NAME
    0 enabled         512  500K   0.1% 64.5K        125        0        131 long
    1 enabled          1M    4M   0.8%    1K          1        0          0 short
END

# --long: the number of entries of each type.
list four-entries --long
expect_answer '--long' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK SERIALIZED ALL-ONES ALL-ZEROES NAME
    0 enabled         512   66K   0.8%   2K          3        0          1 fine
END
list mixed-entries --long
expect_answer '--long: all types' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK SERIALIZED ALL-ONES ALL-ZEROES NAME
    0 enabled         512  2.0M  25.8%   2K          3        1          0 fine
END
list all-ones-entries --long
expect_answer '--long: only ones' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK SERIALIZED ALL-ONES ALL-ZEROES NAME
    0 enabled         512    8M 100.0%  512          0        4          0 fine
END
list size-1t --long
expect_answer '--long: 32 entries, little of them dirty' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK SERIALIZED ALL-ONES ALL-ZEROES NAME
    0 enabled         64K  256K  <0.1% 128K          1        0         31 b0
END

# Unknown values are shown as -.
list directory-size-56 --long
expect_damage 'a name that cannot be read' '*BDIR-02]'
expect_out 'a name that cannot be read: its row' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK SERIALIZED ALL-ONES ALL-ZEROES NAME
    0 enabled         64K  2.2M   3.5% 128K          1        0          0 bm0
    1 damaged         32K     -      -    -          -        -          - <unreadable>
END
list granularity-64
expect 'granularity_bits 64: status' 2
check 'granularity_bits 64: granularity is unknown' \
  test "$(awk 'NR == 2 { print $2, $3 }' "$out")" = 'damaged -'
list table-past-eof --long
expect 'a table after the end: status' 2
expect_out 'a table after the end: unknown values' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK SERIALIZED ALL-ONES ALL-ZEROES NAME
    0 damaged         64K     -      -    -          -        -          - bm0
    1 damaged         32K     -      -    -          -        -          - bm1
END

# Names are last, so that their width on a screen moves no other column.
name_rows ()
{
  list "$1"
  check "$1: a row each" test "$(wc -l < "$out")" = 3
  check "$1: escaped as everywhere" \
    test "$(sed -n '2s/^    0 enabled          64K  2.2M   3.5% 128K //p' \
      "$out")" = "$2"
}

name_rows name-newline 'a\nb'
name_rows name-nul '\x00'
name_rows name-utf8 $'gr\xc3\xb6\xc3\x9fe-\xe9\x9b\xaa\xc3\xa9x'
name_rows name-right-to-left '\xe2\x80\xaeevil'
name_rows name-emoji $'\xf0\x9f\x92\xbe'
name_rows name-option --help
name_rows name-spaces ' a b '
# A letter, a combining acute accent over it, and letters of double width.
copy every-state combining
directory=$(number_at "$(($(grep -abom 1 $'\x23\x85\x28\x75' "$image" \
  | cut -d : -f 1) + 8 + 16))")
patch $((directory + 24)) 65cc81e99baa78
tool bitmaps --list --index 0 "$image"
expect_answer 'combining and wide letters' << END
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK NAME
    0 enabled         64K  256K   0.4% 128K e$(printf '\xcc\x81\xe9\x9b\xaa')x
END
list name-size-0
expect_damage 'an empty name' '*BDIR-13]'
check 'an empty name: the last column is empty' \
  grep -qx '    0 damaged          64K     -      - 128K ' "$out"
list name-utf8
cp "$out" "$tmp/utf8"
LC_ALL=C list name-utf8
check 'the same bytes in locale C' cmp -s "$tmp/utf8" "$out"

# A selection: the column widths are those of its own rows.
list every-state --name disabled
expect_answer '--name' << 'END'
INDEX STATE    GRANULARITY DIRTY DIRTY% DISK NAME
    1 disabled        128K  512K   0.8% 128K disabled
END
list every-state --index 2
expect_answer '--index' << 'END'
INDEX STATE  GRANULARITY DIRTY DIRTY% DISK NAME
    2 in-use        256K     -      - 128K in-use
END
list entry-ones-and-offset --name bm1
expect_answer "damage of another bitmap does not matter" << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK NAME
    1 enabled         32K     0   0.0%  64K bm1
END
list two-bitmaps-one-name --name bm0
expect '--name of two bitmaps: status 2' 2
check '--name of two bitmaps: rows' test "$(wc -l < "$out")" = 3
list two-bitmaps --name nosuch
expect_refusal 'a missing name' 3 "*'nosuch'"
list two-bitmaps --index 2
expect_refusal 'a missing index' 3 '*index 2'
list version-2 --index 0
expect_refusal 'no bitmap at all' 3 '*'
list magic-last-byte
expect_refusal 'not a qcow2 image' 1 '*HDR-01]'
tool bitmaps --list "$tmp/missing"
expect_refusal 'a missing image' 1 '*missing: *'

# expect_one_message NAME STATUS LINES: the last run printed one message, and
# one table of LINES lines.
expect_one_message ()
{
  check "$1" test "$status.$(wc -l < "$err").$(grep -c '^IMAGE' "$out").$(
    wc -l < "$out")" = "$2.1.1.$3"
}

# Several images: one table.  The columns have room for usual values.
cd "$tmp" || exit 1
image two-bitmaps
image four-entries
image version-2
tool bitmaps --list two-bitmaps.qcow2 version-2.qcow2 four-entries.qcow2
expect_answer 'several images' << 'END'
IMAGE              INDEX STATE    GRANULARITY  DIRTY DIRTY%   DISK NAME
two-bitmaps.qcow2      0 enabled          64K   2.2M   3.5%   128K bm0
two-bitmaps.qcow2      1 enabled          32K      0   0.0%    64K bm1
four-entries.qcow2     0 enabled          512    66K   0.8%     2K fine
END
cp "$out" several
tool bitmaps --list version-2.qcow2 two-bitmaps.qcow2 four-entries.qcow2
check 'the heading comes with the first row' cmp -s several "$out"
tool bitmaps --list version-2.qcow2 version-2.qcow2
expect_answer 'several images without bitmaps: no output' < /dev/null
tool bitmaps --list two-bitmaps.qcow2 missing four-entries.qcow2
expect_one_message 'a missing image among several' 1 4
image entry-ones-and-offset
tool bitmaps --list four-entries.qcow2 entry-ones-and-offset.qcow2
expect_one_message 'a damaged image among several' 2 4
tool bitmaps --list --name bm1 two-bitmaps.qcow2 four-entries.qcow2
expect_one_message 'a selection in several images' 3 2

# The names in a list are not known before their turn: the column becomes wider
# on the way.  A longer name than 64 characters moves its own row only.
long=$(printf '%064d' 0)
cp four-entries.qcow2 a
cp four-entries.qcow2 "${long}x"
cp four-entries.qcow2 "$long"
printf '%s\0' a four-entries.qcow2 a > list0
tool bitmaps --list --files0-from=list0
expect_answer 'images of a list' << 'END'
IMAGE INDEX STATE    GRANULARITY  DIRTY DIRTY%   DISK NAME
a         0 enabled          512    66K   0.8%     2K fine
four-entries.qcow2     0 enabled          512    66K   0.8%     2K fine
a                      0 enabled          512    66K   0.8%     2K fine
END
tool bitmaps --list a "${long}x" "$long"
expect_answer 'a long name' << END
IMAGE$(printf '%59s' '') INDEX STATE    GRANULARITY  DIRTY DIRTY%   DISK NAME
a$(printf '%63s' '')     0 enabled          512    66K   0.8%     2K fine
${long}x     0 enabled          512    66K   0.8%     2K fine
$long     0 enabled          512    66K   0.8%     2K fine
END
tool bitmaps --list --long a size-1t.qcow2
expect_answer '--long of several images' << 'END'
IMAGE         INDEX STATE    GRANULARITY  DIRTY DIRTY%   DISK SERIALIZED ALL-ONES ALL-ZEROES NAME
a                 0 enabled          512    66K   0.8%     2K          3        0          1 fine
size-1t.qcow2     0 enabled          64K   256K  <0.1%   128K          1        0         31 b0
END

# Names of files are escaped, and have no blanks.  The column is as wide as
# they are on a screen.
hostile=$' x\n\e[2J\\y '
cp four-entries.qcow2 "$hostile"
cp four-entries.qcow2 $'e\xcc\x81\xe9\x9b\xaa'
tool bitmaps --list "$hostile" $'e\xcc\x81\xe9\x9b\xaa'
expect_answer 'names of files' << END
IMAGE                 INDEX STATE    GRANULARITY  DIRTY DIRTY%   DISK NAME
\\x20x\\n\\x1b[2J\\\\y\\x20     0 enabled          512    66K   0.8%     2K fine
$(printf 'e\xcc\x81\xe9\x9b\xaa')                       0 enabled          512    66K   0.8%     2K fine
END
sed -n 2p "$out" | {
  read -r name i state gran dirty pct disk bitmap
  check 'a shell can split the rows' \
    test "$i $state $gran $dirty $pct $disk $bitmap" \
    = '0 enabled 512 66K 0.8% 2K fine'
  printf -v name '%b' "$name"
  check 'a shell can undo the escapes' test "$name" = "$hostile"
}
rm -f "$hostile"

# 8 MiB in granules of 512 bytes, in four entries of 2 MiB.  All bits are set,
# then all but the first: less than 100 percent.
copy mixed-entries full
table=$(number_at "$(number_at $((112 + 8 + 16)))")
ones=$(printf '%0512d' 0 | sed 's/0/ff/g')
for ((i = 0; i < 4; i++)); do
  data=$(number_at $((table + 8 * i)))
  if [ "$data" -gt 1 ]; then
    patch "$data" "$ones"
    last=$data
  fi
done
tool bitmaps --list "$image"
expect_answer 'everything is dirty' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK NAME
    0 enabled         512    8M 100.0%   2K fine
END
patch "$last" fe
tool bitmaps --list "$image"
expect_answer 'almost everything is dirty' << 'END'
INDEX STATE   GRANULARITY DIRTY DIRTY% DISK NAME
    0 enabled         512  7.9M >99.9%   2K fine
END

# Options that exclude each other.
for other in --names --tables --field=state --is=enabled; do
  tool bitmaps --list "$other" --index 0 two-bitmaps.qcow2
  expect_usage "--list and $other" bitmaps '*--list*exclude each other'
  tool bitmaps "$other" --list --index 0 two-bitmaps.qcow2
  expect_usage "$other and --list" bitmaps '*--list*exclude each other'
done
tool bitmaps --long two-bitmaps.qcow2
expect_usage '--long without --list' bitmaps '*--long*--list*'
tool bitmaps --list -0 two-bitmaps.qcow2
expect_usage '--list and -0' bitmaps '*-0*'
for output in json jsonl; do
  tool bitmaps --list --output=$output two-bitmaps.qcow2
  expect_usage "--list and $output" bitmaps '*--list*'
done

# For all images, the rows can be split into columns, whose values equal those
# in the blocks of the bitmaps.
all_images ! '^(many|sparse|file-15-tib)'
results python3 "$srcdir/tests/cli/bit-by-bit.py" rows 8 "${images[@]}"
check 'all images have a result' test "$n_results" = $((${#images[@]} + 1))

done_testing
