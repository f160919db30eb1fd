#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# map.  Image two-bitmaps has clusters of 64 KiB on a disk of 64 MiB.  Its guest
# clusters 0 to 31 and 64 to 67 have data, which is contiguous in the file.
# interop-disk-map.sh compares other images with qemu-img map.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3

# map NAME ARGUMENT...: runs map on an image of the builder.
map ()
{
  image "$1"
  tool map "${@:2}" "$image"
}

# l2_entry INDEX: prints the host offset of this entry of the first L2 table of
# $image.
l2_entry ()
{
  python3 - "$image" "$1" << 'END'
import sys
with open(sys.argv[1], 'rb') as file:
    file.seek(40)
    file.seek(int.from_bytes(file.read(8), 'big'))
    table = int.from_bytes(file.read(8), 'big') & 0xfffffffffffe00
print(table + 8 * int(sys.argv[2]))
END
}

# value_at OFFSET: prints the 8 bytes there as a number without the flags.
value_at ()
{
  python3 - "$image" "$1" << 'END'
import sys
with open(sys.argv[1], 'rb') as file:
    file.seek(int(sys.argv[2]))
    print(int.from_bytes(file.read(8), 'big') & 0xfffffffffffe00)
END
}

image two-bitmaps
first=$(value_at "$(l2_entry 0)")
second=$(value_at "$(l2_entry 64)")

map two-bitmaps
expect_answer 'text' << END
Offset          Length          Mapped to       File
0               0x200000        $(printf '%-#16x%s' "$first" "$image")
0x400000        0x40000         $(printf '%-#16x%s' "$second" "$image")
END
map two-bitmaps --output=json
expect_answer 'json' << END
[
    {"start": 0, "length": 2097152, "depth": 0, "present": true, "zero": false, "data": true, "compressed": false, "offset": $first},
    {"start": 2097152, "length": 2097152, "depth": 0, "present": false, "zero": true, "data": false, "compressed": false},
    {"start": 4194304, "length": 262144, "depth": 0, "present": true, "zero": false, "data": true, "compressed": false, "offset": $second},
    {"start": 4456448, "length": 62652416, "depth": 0, "present": false, "zero": true, "data": false, "compressed": false}
]
END
map two-bitmaps --output=jsonl --max-length=2M
expect_answer 'jsonl' << END
{"start":0,"length":2097152,"depth":0,"present":true,"zero":false,"data":true,"compressed":false,"offset":$first}
END
map two-bitmaps --totals
expect_answer '--totals' << 'END'
data                      2359296
zero                      0
unallocated               64749568
compressed                0
END
map two-bitmaps --totals --output=json
expect_answer '--totals --output=json' << 'END'
{"data": 2359296, "zero": 0, "unallocated": 64749568, "compressed": 0, "damaged": 0}
END
map two-bitmaps --totals --output=jsonl --start-offset=1M --max-length=2M
expect_answer '--totals of a range' << 'END'
{"data":1048576,"zero":0,"unallocated":1048576,"compressed":0,"damaged":0}
END

# Part of the disk.
map two-bitmaps --start-offset=2097151 --max-length=2 --output=jsonl
expect_answer 'two bytes' << END
{"start":2097151,"length":1,"depth":0,"present":true,"zero":false,"data":true,"compressed":false,"offset":$((first + 2097151))}
{"start":2097152,"length":1,"depth":0,"present":false,"zero":true,"data":false,"compressed":false}
END
for start in 64M 1E 0xffffffffffffffff; do
  map two-bitmaps --start-offset="$start" --output=json
  expect_answer "--start-offset=$start: no extent" <<< '[]'
  map two-bitmaps --start-offset="$start" --output=jsonl
  expect_answer "--start-offset=$start: no line" < /dev/null
done
map two-bitmaps --max-length=0
expect_answer 'no byte: text' <<< \
  'Offset          Length          Mapped to       File'

# Other kinds of clusters.  The first bit is that of a cluster of zeroes.
copy two-bitmaps kinds
patch "$(l2_entry 0)" 0000000000000001
patch "$(l2_entry 1)" "$(printf '%016x' $((first + 65537)))"
patch "$(l2_entry 2)" 4000000000040123
tool map --output=jsonl --max-length=256k "$image"
expect_answer 'zeroes and compressed data' << END
{"start":0,"length":65536,"depth":0,"present":true,"zero":true,"data":false,"compressed":false}
{"start":65536,"length":65536,"depth":0,"present":true,"zero":true,"data":false,"compressed":false,"offset":$((first + 65536))}
{"start":131072,"length":65536,"depth":0,"present":true,"zero":false,"data":true,"compressed":true}
{"start":196608,"length":65536,"depth":0,"present":true,"zero":false,"data":true,"compressed":false,"offset":$((first + 196608))}
END
tool map --max-length=192k "$image"
expect_answer 'compressed data: text' << END
Offset          Length          Mapped to       File
0x20000         0x10000         -               $image
END
tool map --totals --max-length=256k "$image"
expect_answer 'compressed data: totals' << 'END'
data                      131072
zero                      131072
unallocated               0
compressed                65536
END

# QEMU's disk ends with a whole sector.
copy two-bitmaps part-of-sector
patch 0x18 0000000003ffff9c
tool map --totals "$image"
expect_answer 'part of a sector: totals' << 'END'
data                      2359296
zero                      0
unallocated               64749056
compressed                0
END
tool map --output=jsonl --start-offset=0x3fffd00 "$image"
expect_answer 'part of a sector: the end' << 'END'
{"start":67108096,"length":256,"depth":0,"present":false,"zero":true,"data":false,"compressed":false}
END

# Clusters of a backing file are not present.
map backing-file-with-format --output=jsonl --max-length=1
expect_answer 'backing file' << 'END'
{"start":0,"length":1,"depth":0,"present":false,"zero":false,"data":false,"compressed":false}
END

# Damage.
copy two-bitmaps damaged
patch "$(l2_entry 1)" 8000000000ff0200
patch "$(l2_entry 2)" 8000000000ff0000
patch "$(l2_entry 3)" 8000000000ff0000
tool map --max-length=320k "$image"
expect 'damaged entries' 2
expect_out 'damaged entries: the rest is printed' << END
Offset          Length          Mapped to       File
0               0x10000         $(printf '%-#16x%s' "$first" "$image")
0x10000         0x10000         damaged         $image
0x20000         0x20000         damaged         $image
0x40000         0x10000         $(printf '%-#16x%s' $((first + 262144)) "$image")
END
expect_err 'damaged entries: the reasons' << END
PROG: $image: $(printf '0x%x' "$(l2_entry 1)"): L2 table: the data at 0xff0200 is not at the start of a cluster; this concerns 65536 bytes of the disk from 0x10000 on [L2-02]
PROG: $image: $(printf '0x%x' "$(l2_entry 2)"): L2 table: the data at 0xff0000 is after the end of the file; this concerns 131072 bytes of the disk from 0x20000 on [L2-03]
END
tool map --output=jsonl --start-offset=64k --max-length=64k "$image"
expect_out 'damaged entries: jsonl' << 'END'
{"start":65536,"length":65536,"depth":0,"present":true,"zero":false,"data":true,"compressed":false,"damaged":true}
END
tool map --totals --max-length=320k "$image"
expect 'damaged entries: totals' 2
expect_out 'damaged entries: totals are printed' << 'END'
data                      131072
zero                      0
unallocated               0
compressed                0
damaged                   196608
END

# At most ten ranges are named.
copy two-bitmaps many
for ((i = 0; i < 24; i += 2)); do
  patch "$(l2_entry $i)" 8000000000ff0000
done
tool map "$image"
expect 'many damaged entries' 2
check 'many damaged entries: the messages' \
  test "$(grep -c 'this concerns 65536 bytes' "$err").$(tail -n 1 "$err")" \
  = "10.qcow2tool: $image: 2 more damaged extents"

# Tables that are not there.
copy two-bitmaps l1
patch 0x24 00000000
tool map --output=jsonl "$image"
expect 'l1_size is 0' 2
expect_out 'l1_size is 0: all of the disk is damaged' << 'END'
{"start":0,"length":67108864,"depth":0,"present":true,"zero":false,"data":true,"compressed":false,"damaged":true}
END
check 'l1_size is 0: the findings and the range' \
  test "$(grep -c '\[HDR-15\]$' "$err").$(wc -l < "$err")" = 1.2
copy two-bitmaps file-end
truncate -s "$(($(l2_entry 64) + 8))" "$image"
tool map --output=jsonl --start-offset=4M --max-length=128k "$image"
expect 'the file ends in the L2 table' 2
check 'the file ends in the L2 table: both clusters are damaged' \
  test "$(grep -c '"damaged":true' "$out").$(wc -l < "$out")" = 2.2
check 'the file ends in the L2 table: the reasons' \
  test "$(grep -c 'is after the end of the file; .* \[L2-03\]$' "$err").$(
  grep -c 'is not in the file to its end; .* \[L1-03\]$' "$err")" = 1.1
map cluster-bits-64 --output=jsonl --max-length=1k
expect 'nothing can be located' 2
expect_out 'nothing can be located: all is damaged' << 'END'
{"start":0,"length":1024,"depth":0,"present":true,"zero":false,"data":true,"compressed":false,"damaged":true}
END

# Damage elsewhere does not matter.
for name in refcount-table-offset-0 entry-ones-and-offset \
    bitmaps-extension-length-23 reserved32-1; do
  map "$name" --totals
  expect "$name: the map is sound" 0
done
map incompatible-bit-63 --totals
expect_damage 'an unknown feature' "$image: 0x48: *HDR-20*"

# The external data file is named as in the image: QEMU opens it relative to
# the folder of the process.  The name ends at a NUL.
copy data-file damaged-data-file
patch 0x24 00000000
tool map "$image"
check 'data file: its name' test "$(sed -n '2s/.* //p' "$out")" = DF.data
(cd "$tmp" && tool map damaged-data-file.qcow2)
check 'data file: its name in the same folder' \
  test "$(sed -n '2s/.* //p' "$out")" = DF.data
patch 0x7a 00
tool map "$image"
check 'data file: its name ends at a NUL' \
  test "$(sed -n '2s/.* //p' "$out")" = DF

# File names are escaped.
cp --sparse=always "$tmp/two-bitmaps.qcow2" "$tmp/"$'a\nb'
tool map "$tmp/"$'a\nb'
check 'file names are escaped' test "$(sed -n '3s/.*\///p' "$out")" = 'a\nb'

# A sparse disk of a petabyte takes neither time nor memory.
if command -v qemu-img > /dev/null; then
  if qemu-img create -q -f qcow2 "$tmp/sparse.qcow2" 1P > /dev/null 2>&1; then
    (ulimit -t 20; tool map --output=jsonl "$tmp/sparse.qcow2"
     exit "$status")
    check 'a sparse petabyte' test "$?.$(wc -l < "$out")" = 0.1
  else
    skip 'a sparse petabyte' 'qemu-img cannot make it here'
  fi
else
  skip 'a sparse petabyte' 'qemu-img is not installed'
fi

# Usage.
image two-bitmaps
for option in --start-offset --max-length; do
  for number in -1 1.5 x ''; do
    tool map "$option=$number" "$image"
    expect_usage "$option=$number" map "*$option: '*"
  done
done
tool map --output=ddrescue "$image"
expect_usage '--output=ddrescue' map '*--output*'
tool map "$image" "$image"
expect_usage 'two images' map '*one image*'

done_testing
