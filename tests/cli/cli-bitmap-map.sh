#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# bitmap-map, and the totals of bitmaps --stats.  Bitmap bm0 of image
# two-bitmaps has granules of 64 KiB on a disk of 64 MiB.  Its bits 0 to 31 and
# 64 to 67 are set.  No bit of bm1 is set.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
export QCOW2TOOL

# map NAME ARGUMENT...: runs bitmap-map on an image of the builder.
map ()
{
  image "$1"
  tool bitmap-map "${@:2}" "$image"
}

map two-bitmaps --name bm0
expect_answer 'text' << 'END'
         0     2097152    1  dirty
   2097152     2097152    0  clean
   4194304      262144    1  dirty
   4456448    62652416    0  clean
END
map two-bitmaps --index=0 --output human
expect 'human' 0
map two-bitmaps --name=bm1
expect_answer 'nothing is dirty' << 'END'
         0    67108864    0  clean
END
map two-bitmaps --name bm0 --output=json
expect_answer 'json' << 'END'
[
    {"offset": 0, "length": 2097152, "type": 1, "description": "dirty"},
    {"offset": 2097152, "length": 2097152, "type": 0, "description": "clean"},
    {"offset": 4194304, "length": 262144, "type": 1, "description": "dirty"},
    {"offset": 4456448, "length": 62652416, "type": 0, "description": "clean"}
]
END
map two-bitmaps --name bm0 --output=jsonl --max-length 4M
expect_answer 'jsonl' << 'END'
{"offset":0,"length":2097152,"type":1,"description":"dirty"}
{"offset":2097152,"length":2097152,"type":0,"description":"clean"}
END
map two-bitmaps --name bm0 --output=ddrescue
expect_answer 'ddrescue' << 'END'
# Mapfile. Created by qcow2tool
# current_pos  current_status  current_pass
0x00000000     ?               1
#      pos        size  status
0x00000000  0x00200000  ?
0x00200000  0x00200000  +
0x00400000  0x00040000  ?
0x00440000  0x03BC0000  +
END
map two-bitmaps --name bm0 --output=ddrescue --start-offset 3M
check 'ddrescue: the first position' grep -qx '0x00300000     ?               1' \
  "$out"

# Totals: 36 of 1024 granules are 3.515625 %.
map two-bitmaps --name bm0 --totals
expect_answer '--totals' << 'END'
  64749568  96.5%   0 clean
   2359296   3.5%   1 dirty
END
map two-bitmaps --name bm1 --totals
expect_answer '--totals: only the existing kinds' << 'END'
  67108864 100.0%   0 clean
END
map two-bitmaps --name bm0 --totals --dirty
expect_answer '--totals --dirty' << 'END'
   2359296   3.5%   1 dirty
END
map two-bitmaps --name bm0 --totals --output=json
expect_answer '--totals --output=json' << 'END'
[
    {"size": 64749568, "percent": 96.4844, "type": 0, "description": "clean"},
    {"size": 2359296, "percent": 3.51562, "type": 1, "description": "dirty"}
]
END
map two-bitmaps --name bm0 --totals --output=jsonl
expect_answer '--totals --output=jsonl' << 'END'
{"size":64749568,"percent":96.4844,"type":0,"description":"clean"}
{"size":2359296,"percent":3.51562,"type":1,"description":"dirty"}
END
map two-bitmaps --name bm0 --totals --start-offset 1M --max-length 2M
expect_answer '--totals of a range' << 'END'
   1048576  50.0%   0 clean
   1048576  50.0%   1 dirty
END

# Part of the disk: extents are clipped at its start and end, even inside
# granules.
map two-bitmaps --name bm0 --start-offset 2097151 --max-length 2
expect_answer 'two bytes' << 'END'
   2097151           1    1  dirty
   2097152           1    0  clean
END
map two-bitmaps --name bm0 --start-offset 0x420001 --max-length 64k
expect_answer 'inside a granule' << 'END'
   4325377       65536    1  dirty
END
map two-bitmaps --name bm0 --start-offset 67108863
expect_answer 'the last byte' << 'END'
  67108863           1    0  clean
END
for start in 64M 1E 0xffffffffffffffff; do
  map two-bitmaps --name bm0 --start-offset "$start"
  expect_answer "--start-offset $start: no output" < /dev/null
done
map two-bitmaps --name bm0 --max-length 0
expect_answer 'no byte' < /dev/null
map two-bitmaps --name bm0 --max-length 0 --output=json
expect_answer 'no byte: json' <<< '[]'
map two-bitmaps --name bm0 --max-length 0 --totals
expect_answer 'no byte: totals' < /dev/null

# The dirty extents only, and extents in pieces.
map two-bitmaps --name bm0 --dirty
expect_answer '--dirty' << 'END'
         0     2097152    1  dirty
   4194304      262144    1  dirty
END
map two-bitmaps --name bm1 --dirty
expect_answer '--dirty: no extents' < /dev/null
map two-bitmaps --name bm1 --dirty --output=json
expect_answer '--dirty: no extents in JSON' <<< '[]'
map two-bitmaps --name bm0 --dirty --split 900k
expect_answer '--split' << 'END'
         0      921600    1  dirty
    921600      921600    1  dirty
   1843200      253952    1  dirty
   4194304      262144    1  dirty
END
map two-bitmaps --name bm0 --split 1 --start-offset 2097150 --max-length 3 \
  --output=jsonl
expect_answer '--split 1' << 'END'
{"offset":2097150,"length":1,"type":1,"description":"dirty"}
{"offset":2097151,"length":1,"type":1,"description":"dirty"}
{"offset":2097152,"length":1,"type":0,"description":"clean"}
END

# With --data.  The guest has data in all that is dirty here, unless it is made
# another kind of cluster; the L2 table has an entry for each granule.
map two-bitmaps --name bm0 --data
expect_answer '--data: all of it is data' << 'END'
         0     2097152    1  dirty
   2097152     2097152    0  clean
   4194304      262144    1  dirty
   4456448    62652416    0  clean
END
# l2_table: prints the host offset of the first L2 table of $image.
l2_table ()
{
  python3 - "$image" << 'END'
import sys
with open(sys.argv[1], 'rb') as file:
    file.seek(40)
    file.seek(int.from_bytes(file.read(8), 'big'))
    print(int.from_bytes(file.read(8), 'big') & 0xfffffffffffe00)
END
}
copy two-bitmaps data
l2=$(l2_table)
patch "$((l2 + 8))" 0000000000000000
patch "$((l2 + 16))" 0000000000000001
patch "$((l2 + 64 * 8))" 0000000000000000
tool bitmap-map --name bm0 --data "$image"
expect_answer '--data: zeroes, and nothing' << 'END'
         0       65536    1  dirty
     65536       65536   13  dirty,zero,unallocated
    131072       65536    5  dirty,zero
    196608     1900544    1  dirty
   2097152     2097152    0  clean
   4194304       65536   13  dirty,zero,unallocated
   4259840      196608    1  dirty
   4456448    62652416    0  clean
END
tool bitmap-map --name bm0 --data --dirty --split=128k --output=jsonl \
  --start-offset=100000 --max-length=400000 "$image"
expect_answer '--data: a part, in pieces' << 'END'
{"offset":100000,"length":31072,"type":13,"description":"dirty,zero,unallocated"}
{"offset":131072,"length":65536,"type":5,"description":"dirty,zero"}
{"offset":196608,"length":131072,"type":1,"description":"dirty"}
{"offset":327680,"length":131072,"type":1,"description":"dirty"}
{"offset":458752,"length":41248,"type":1,"description":"dirty"}
END
tool bitmap-map --name bm0 --data --totals "$image"
expect_answer '--data: totals' << 'END'
  64749568  96.5%   0 clean
   2162688   3.2%   1 dirty
     65536   0.1%   5 dirty,zero
    131072   0.2%  13 dirty,zero,unallocated
END
tool bitmap-map --name bm0 --data --totals --dirty --output=json "$image"
expect_answer '--data: totals in JSON' << 'END'
[
    {"size": 2162688, "percent": 3.22266, "type": 1, "description": "dirty"},
    {"size": 65536, "percent": 0.0976562, "type": 5, "description": "dirty,zero"},
    {"size": 131072, "percent": 0.195312, "type": 13, "description": "dirty,zero,unallocated"}
]
END
copy two-bitmaps data-damaged
patch "$((l2 + 8))" 8000000000ff0000
tool bitmap-map --name bm0 --data "$image"
expect_damage '--data: a damaged entry' \
  "$image: 0x*: L2 table: *after the end of the file; *65536 bytes*"
expect_out '--data: a damaged entry must be copied' << 'END'
         0     2097152    1  dirty
   2097152     2097152    0  clean
   4194304      262144    1  dirty
   4456448    62652416    0  clean
END
map in-use --index 0 --data --force --max-length=512k
expect '--data --force' 2
expect_out '--data --force: unknown extents are not split' << 'END'
         0      262144   13  dirty,zero,unallocated
    262144      262144    3  unknown
END

# --contains as a predicate.
contains ()
{
  image "${3-two-bitmaps}"
  tool bitmap-map --index 0 --contains "$1" "$image"
  expect "--contains $1 of ${3-two-bitmaps}" "$2"
  expect_silence "--contains $1 of ${3-two-bitmaps}: silence"
}
contains 0 0
contains 2097151 0
contains 2M 2
contains 2M+2M 2
contains 2M+2097153 0
contains 0x200000+0x200000 2
contains 4194303+2 0
contains 4456447 0
contains 4456448+1 2
contains 4M+1E 0
contains 67108863 2
contains 0 2 granularity-31
for range in 64M 67108863+2 5M+64M 0xffffffffffffffff; do
  map two-bitmaps --name bm0 --contains "$range"
  expect_refusal "--contains $range is not on the disk" 3 '*67108864 bytes'
done
for name in in-use autoclear-clear entry-ones-and-offset; do
  map "$name" --index 0 --contains 0
  expect_refusal "--contains of $name: no answer" 1 "*bitmap 0 '*--force*"
  # With --force, a set bit (except in entry-ones-and-offset) and a clear bit.
  for at in 0 40M 0+64M 67108863; do
    map "$name" --index 0 --contains "$at" --force
    expect "--contains $at of $name with --force" 0
    check "--contains $at of $name with --force: no output" test ! -s "$out"
    check "--contains $at of $name with --force: the reason" is_one_message \
      "*: 0x*: bitmap 0 '*, so its bits cannot prove that anything is clean *"
  done
done
map in-use --index 0 --contains 64M --force
expect_refusal '--contains with --force: not on the disk' 3 '*67108864 bytes'
map two-bitmaps --index 0 --contains 2M --force
expect '--contains of a sound bitmap with --force' 2
expect_silence '--contains of a sound bitmap with --force: silence'
map two-bitmaps-one-name --name bm0 --contains 0
expect_refusal '--contains of two bitmaps: no answer' 1 '*use --index'

# Bitmaps that cannot be used.
map in-use --index 0
expect_refusal 'in use' 2 "*: 0x*: bitmap 0 *in use*--force*BDIR-09]"
map autoclear-clear --index 0
expect_refusal 'stale' 2 "*: 0x58: bitmap 0 'bm0': stale*--force*HDR-25]"
image entry-ones-and-offset
tool bitmap-map --index 0 "$image"
expect 'damaged' 2
expect_out 'damaged: nothing is printed' < /dev/null
expect_err 'damaged: the reason' << END
PROG: $image: 0x2a0000: bitmap 0 'bm0': table entry 0 has the all-ones bit beside the offset 0x290000 [BTAB-02]
PROG: $image: 0x2c0000: bitmap 0 'bm0': damaged: not all of the contents can be known (--force goes on all the same) [see qcow2tool check]
END
map entry-ones-and-offset --index 1
expect_answer "damage of another bitmap does not matter" << 'END'
         0    67108864    0  clean
END
map in-use --index 0 --output=json
expect_refusal 'in use: no JSON either' 2 '*in use*'

# With --force.  Bits 0 to 3 are set in in-use, the bits of two-bitmaps in
# autoclear-clear.  A clear bit proves nothing.
map in-use --index 0 --force
expect_damage 'in use, by force' "*in use: *, so its bits cannot prove*BDIR-09]"
expect_out 'in use, by force: set bits' << 'END'
         0      262144    1  dirty
    262144    66846720    3  unknown
END
map in-use --index 0 --force --output=json
expect_out 'in use, by force: json' << 'END'
[
    {"offset": 0, "length": 262144, "type": 1, "description": "dirty"},
    {"offset": 262144, "length": 66846720, "type": 3, "description": "unknown"}
]
END
map in-use --index 0 --force --output=jsonl
expect_out 'in use, by force: jsonl' << 'END'
{"offset":0,"length":262144,"type":1,"description":"dirty"}
{"offset":262144,"length":66846720,"type":3,"description":"unknown"}
END
map in-use --index 0 --force --output=ddrescue
expect_out 'in use, by force: no extent is finished' << 'END'
# Mapfile. Created by qcow2tool
# current_pos  current_status  current_pass
0x00000000     ?               1
#      pos        size  status
0x00000000  0x00040000  ?
0x00040000  0x03FC0000  ?
END
map in-use --index 0 --force --plot-size=4x1
expect_out 'in use, by force: a plot' << 'END'
       0 |????|

A character is 16M: · clean, ░ dirty up to a third, ▒ up to two thirds, ▓ more, █ all of it, ? unknown
END
map autoclear-clear --index 0 --force
expect_damage 'stale, by force' "*stale: *, so its bits cannot prove*HDR-25]"
expect_out 'stale, by force: set bits' << 'END'
         0     2097152    1  dirty
   2097152     2097152    3  unknown
   4194304      262144    1  dirty
   4456448    62652416    3  unknown
END
map autoclear-clear --index 0 --force --dirty --start-offset=1M --max-length=3M
expect_out 'stale, by force: --dirty prints everything' << 'END'
   1048576     1048576    1  dirty
   2097152     2097152    3  unknown
END
map autoclear-clear --index 0 --force --totals
expect_out 'stale, by force: totals' << 'END'
   2359296   3.5%   1 dirty
  64749568  96.5%   3 unknown
END
map autoclear-clear --index 1 --force
expect_out 'stale, by force: no bit is set' << 'END'
         0    67108864    3  unknown
END
map every-state --index 3 --force
expect_damage 'in use without the flag auto, by force' "*in use: *BDIR-09]"
expect_out 'in use without the flag auto, by force: set bits' << 'END'
         0     2097152    1  dirty
   2097152    65011712    3  unknown
END
map every-state --index 1 --force
expect_answer 'disabled: clear bits are clean' << 'END'
         0      524288    1  dirty
    524288    66584576    0  clean
END
map entry-ones-and-offset --index 0 --force
expect 'damaged, by force' 2
expect_out 'damaged, by force' << 'END'
         0    67108864    3  unknown
END
map entry-ones-and-offset --index 0 --force --output=ddrescue
check 'ddrescue: unknown extents are not tried' \
  grep -qx '0x00000000  0x04000000  ?' "$out"
map entry-ones-and-offset --index 0 --force --dirty --output=jsonl
expect_out 'damaged, by force: --dirty prints unknown extents' << 'END'
{"offset":0,"length":67108864,"type":3,"description":"unknown"}
END
map entry-ones-and-offset --index 0 --force --totals
expect_out 'damaged, by force: totals' << 'END'
  67108864 100.0%   3 unknown
END
map two-bitmaps --index 0 --force
expect '--force of a sound bitmap' 0

map two-bitmaps-one-name --name bm0
expect_refusal 'two bitmaps with one name' 2 '*use --index'
map two-bitmaps --name nosuch
expect_refusal 'no such name' 3 "*'nosuch'"
map two-bitmaps --index 2
expect_refusal 'no such index' 3 '*index 2'
map magic-last-byte --index 0
expect_refusal 'not a qcow2 image' 1 '*HDR-01]'

# The file ends inside the data, and QEMU reads the missing bytes as zeroes.
# Three bytes of 128 are left; their set bits are dirty with --force.
copy two-bitmaps cut
end=$((0x2e0000))
patch 0x2a0000 "$(printf '%016x' $end)"
patch $end 0f8001ff
truncate -s $((end + 3)) "$image"
tool bitmap-map --index 0 "$image"
check 'truncated data: no output' \
  [ "$status.$(wc -c < "$out")" = 2.0 ]
check 'truncated data: the reason' grep -q '0x2a0000: .*BTAB-05' "$err"
tool bitmap-map --index 0 --force "$image"
expect_out 'truncated data, by force: the remaining bytes' << 'END'
         0      262144    1  dirty
    262144      720896    3  unknown
    983040      131072    1  dirty
   1114112    65994752    3  unknown
END

# More data than the program reads.  4096 entries of a table refer to one
# cluster of 2 MiB of zeroes, and entry 4097 has no data.  An entry maps 2^24
# granules of 512 bytes, 8 GiB.
if [ -z "${QCOW2TOOL_SLOW-}" ]; then
  image=$tmp/bomb.qcow2
  python3 - "$image" << 'END'
import struct
import sys

n, cluster = 4096, 1 << 21
table, data = 2 * cluster, 3 * cluster
header = struct.pack('>4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3, 0, 0, 21,
                     (n + 1) << 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 104)
entry = struct.pack('>QIIBBHI', table, n + 1, 2, 1, 9, 1, 0) + b'b' + bytes(7)
with open(sys.argv[1], 'wb') as file:
    file.write(header + struct.pack('>IIIIQQ', 0x23852875, 24, 1, 0,
                                    len(entry), cluster) + bytes(8))
    file.seek(cluster)
    file.write(entry)
    file.seek(table)
    file.write(struct.pack('>Q', data) * n + struct.pack('>Q', 1))
    file.truncate(data + cluster)
END
  for options in '' --totals --dirty --plot --output=json --contains=0+1E \
                 --start-offset=1G; do
    # shellcheck disable=SC2086 # none or one
    tool bitmap-map --index 0 $options "$image"
    expect_refusal "too much data${options:+, $options}" 1 \
      "*: 0x*: bitmap table: data from entry 204[89] on is not read: the limit is 4294967296 bytes"
  done
  tool bitmap-map --index 0 --contains=1T "$image"
  expect 'one byte of too much data' 2
  tool bitmap-map --index 0 --max-length=16T --totals "$image"
  expect_answer 'as much data as the program reads' << 'END'
17592186044416 100.0%   0 clean
END
  tool bitmap-map --index 0 --force "$image"
  expect_damage 'too much data, by force' \
    '*: 0x404000: bitmap table: data from entry 2048 on is not read: *'
  expect_out 'too much data, by force: the rest is unknown' << 'END'
         0  17592186044416    0  clean
17592186044416  17592186044416    3  unknown
35184372088832  8589934592    1  dirty
END
  tool bitmap-map --index 0 --force --contains=17T+1 "$image"
  expect 'too much data, by force: --contains' 2
  tool bitmap-map --index 0 --force --contains=0+20T "$image"
  expect 'too much data, by force: --contains of an unknown byte' 0
  check 'too much data, by force: --contains has a reason' is_one_message \
    '*: 0x404000: bitmap table: data from entry 2048 on is not read: *'
else
  skip 'too much data' 'reading that much data takes minutes here'
fi

# For every other image of the builder, the text and its totals are compared
# with the results of a bit-by-bit reader.  The excluded images have at least
# 2^40 bits, or very many bitmaps.
all_images ! '^(many|sparse|file-15-tib)'
every=2
if [ -n "${QCOW2TOOL_SLOW-}" ]; then
  every=60
fi
some=()
for ((i = 0; i < ${#images[@]}; i += every)); do
  some+=("${images[i]}")
done
results python3 "$srcdir/tests/cli/bit-by-bit.py" maps "${some[@]}"
check 'all these images have a result' [ "$n_results" = $((${#some[@]} + 1)) ]

# A plot.  Each of 4 x 2 characters represents 8 MiB of 64 MiB; 2.25 MiB of the
# first 8 MiB are dirty.
map two-bitmaps --name bm0 --plot-size 4x2
expect_answer '--plot-size' << 'END'
       0 |░···|
     32M |····|

A character is 8M: · clean, ░ dirty up to a third, ▒ up to two thirds, ▓ more, █ all of it, ? unknown
END
LC_ALL=C map two-bitmaps --name bm0 --plot-size 8x1 --start-offset 1M \
  --max-length 8M
expect_answer '--plot-size, of a range, in ASCII' << 'END'
      1M |#..:....|

A character is 1M: . clean, : dirty up to a third, + up to two thirds, * more, # all of it, ? unknown
END
LC_ALL=C map entry-ones-and-offset --index 0 --force --plot-size=2x2
expect 'a plot by force' 2
check 'a plot of unknown data' grep -qx '       0 |??|' "$out"
map two-bitmaps --name bm0 --plot
check '--plot: lines of 64 characters' [ "$(head -n 1 "$out" | wc -m)" = 76 ]
check '--plot: 16 lines' [ "$(grep -c '|$' "$out")" = 16 ]

# bitmaps --stats.
image two-bitmaps
tool bitmaps --stats "$image"
check '--stats: a line at the end of each block' \
  [ "$(grep -A 1 '^state' "$out" | grep -c '^dirty_bytes  ')" = 2 ]
check '--stats: of bm0' grep -qx 'dirty_bytes               2359296' "$out"
tool bitmaps --stats --name bm0 --field dirty_bytes --field state "$image"
expect_answer '--stats --field' << 'END'
2359296
enabled
END
tool bitmaps --name bm0 --field dirty_bytes "$image"
expect_refusal '--field dirty_bytes needs --stats' 3 '*dirty_bytes*'
tool bitmaps "$image"
check 'no dirty_bytes without --stats' [ "$(grep -c dirty_bytes "$out")" = 0 ]
if command -v jq > /dev/null; then
  tool bitmaps --stats --output=json "$image"
  check '--stats in JSON' \
    [ "$(jq -c '[.bitmaps[].dirty_bytes]' "$out")" = '[2359296,0]' ]
  tool bitmaps --output=json "$image"
  check 'null without --stats' \
    [ "$(jq -c '[.bitmaps[].dirty_bytes]' "$out")" = '[null,null]' ]
  image every-state
  tool bitmaps --stats --output=json "$image"
  check 'null for a bitmap that cannot be used' \
    [ "$(jq -c '[.bitmaps[].dirty_bytes]' "$out")" = '[262144,524288,null,null]' ]
else
  skip '--stats in JSON' 'jq is not installed'
fi

# The only data cluster of two-bitmaps is at 0x290000, before all other
# structures of its bitmaps.
if [ -z "$few" ] \
    && strace -o /dev/null true 2> /dev/null; then
  image two-bitmaps
  reads ()
  {
    # shellcheck disable=SC2086 # QCOW2TOOL may be several words
    strace -o "$tmp/trace" -e trace=pread64 $QCOW2TOOL "$@" "$image" \
      > /dev/null 2>&1
    grep -c ', 2686976) = ' "$tmp/trace"
  }
  check 'strace sees reads' [ "$(reads bitmaps --stats)" -gt 0 ]
  check '--list reads data' [ "$(reads bitmaps --list)" -gt 0 ]
  check 'without --stats no data is read' \
    [ "$(reads bitmaps --output=json)$(reads bitmaps --tables)" = 00 ]
else
  skip 'without --stats no data is read' 'strace does not work here'
fi

# In the help of bitmap-map, the text about jsonl differs from that of other
# commands.
tool bitmap-map --help
check '--help: a line of jsonl is an extent' \
  eval "tr -s ' \\n' ' ' < '$out' | grep -q 'jsonl: a line per extent'"
tool bitmaps --help
check 'bitmaps --help: a line of jsonl is an image' \
  eval "tr -s ' \\n' ' ' < '$out' | grep -q 'jsonl: a line per image'"

# Invalid arguments.
image two-bitmaps
for number in '' -1 1.5 010x 16E 18446744073709551616; do
  for option in --start-offset --max-length --split; do
    tool bitmap-map --name bm0 "$option=$number" "$image"
    expect_usage "$option=$number" bitmap-map "*$option: '*"
  done
done
tool bitmap-map --name bm0 --split 0 "$image"
expect_usage '--split 0' bitmap-map '*--split*'
for range in '' + 1+ +1 1+0 1+2+3 -1 x; do
  tool bitmap-map --name bm0 --contains="$range" "$image"
  expect_usage "--contains=$range" bitmap-map "*--contains: '*"
done
for size in '' 0x0 1 x 1x 1x0 513x1 1x513 1x1x1 -1x1; do
  tool bitmap-map --name bm0 --plot-size="$size" "$image"
  expect_usage "--plot-size=$size" bitmap-map "*--plot-size: '*"
done
while read -r one two; do
  # shellcheck disable=SC2086
  tool bitmap-map --name bm0 $one $two "$image"
  expect_usage "$one and $two" bitmap-map \
    "*${one%%[ =]*}*exclude each other"
done << 'END'
--totals --plot
--totals --contains=0
--plot --contains=0
--totals --split=4k
--plot --split=4k
--contains=0 --split=4k
--plot --dirty
--contains=0 --dirty
--output=ddrescue --totals
--output=ddrescue --plot
--output=ddrescue --dirty
--output=ddrescue --data
--plot --data
--contains=0 --data
--contains=0 --start-offset=0
--contains=0 --max-length=1
END
for output in json jsonl; do
  tool bitmap-map --name bm0 --contains=0 --output=$output "$image"
  expect_usage "--contains and $output" bitmap-map '*text output'
  tool bitmap-map --name bm0 --plot --output=$output "$image"
  expect_usage "--plot and $output" bitmap-map '*text output'
done
tool bitmap-map --name bm0 --index 0 "$image"
expect_usage '--name and --index' bitmap-map '*exclude each other'
tool bitmap-map --name bm0 "$image" "$image"
expect_usage 'two images' bitmap-map '*one image*'
tool header --output=ddrescue "$image"
expect_usage 'another command has no ddrescue' header "*'ddrescue'*"
for option in --names --is=usable; do
  tool bitmaps --index 0 --stats "$option" "$image"
  expect_usage "--stats and $option" bitmaps '*--stats*'
done

done_testing
