#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A file of 2^63 - 1 bytes, the largest possible size, with the bitmap
# directory and the tables in its last clusters.  Only some file systems
# support such a file.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3

# The last cluster of 64 KiB lacks a byte.  It contains the directory; the
# tables are in the two clusters before.  The data are in the last cluster that
# a table entry can refer to, and in the cluster of the original image.
cat > "$tmp/make.py" << 'END'
import os
import struct
import sys

path, source = sys.argv[1:]
with open(source, 'rb') as file:
    image = file.read()
directory = 2**63 - 0x10000
with open(path, 'wb') as file:
    file.write(image[:0x10000])
    os.truncate(path, 2**63 - 1)
    file.seek(0x210)
    file.write(struct.pack('>Q', directory))
    file.flush()
    for index in range(2):
        at = 0x2c0000 + 32 * index
        entry = image[at:at + 32]
        table = directory - 0x10000 * (index + 1)
        os.pwrite(file.fileno(), struct.pack('>Q', table) + entry[8:],
                  directory + 32 * index)
        os.pwrite(file.fileno(),
                  struct.pack('>Q', (2**56 - 0x10000, 0x290000)[index]), table)
END

image two-bitmaps
huge=
for dir in "$tmp" "${XDG_RUNTIME_DIR:-/nowhere}" /dev/shm; do
  [ -w "$dir" ] || continue
  file=$(mktemp "$dir/qcow2tool-huge.XXXXXX") || continue
  on_exit "rm -f $(printf %q "$file")"
  if python3 "$tmp/make.py" "$file" "$image" 2> /dev/null; then
    huge=$file
    break
  fi
done
[ -n "$huge" ] || skip_all "no file system holds a file of 2^63 - 1 bytes"

check "the file has 2^63 - 1 bytes" \
  test "$(stat -c %s "$huge")" = 9223372036854775807

tool bitmaps --tables "$huge"
expect_answer "bitmaps --tables" << 'END'
Bitmap name               bm0
bitmap_table_offset       0x7ffffffffffe0000
bitmap_table_size         1
flags                     0x2 (['auto'])
type                      1
granularity_bits          16
name_size                 3
extra_data_size           0
state                     enabled
file_offset               0x7fffffffffff0000
Bitmap table   type            offset                   size
0              serialized      72057594037862400        65536

Bitmap name               bm1
bitmap_table_offset       0x7ffffffffffd0000
bitmap_table_size         1
flags                     0x2 (['auto'])
type                      1
granularity_bits          15
name_size                 3
extra_data_size           0
state                     enabled
file_offset               0x7fffffffffff0020
Bitmap table   type            offset                   size
0              serialized      2686976                  65536
END

# Rows at the end: 2^63 - 8 would be the last possible offset of an entry, but
# the file ends one byte too early.  The directory begins with an offset, which
# is decoded as an entry: bits 9-55.
tool bitmap-table --at 0x7fffffffffff0000 --count 1 "$huge"
expect_answer "--at the directory" << 'END'
Bitmap table   type            offset                   size
0              serialized      72057594037796864        65536
END
tool bitmap-table --at 0x7ffffffffffffff0 --count 2 "$huge"
expect "--at the last bytes" 3
expect_out "--at the last bytes: one entry is complete" << 'END'
Bitmap table   type            offset                   size
0              all-zeroes      0                        65536
END
for offset in 0x7ffffffffffffff8 0x7fffffffffffffff 0x8000000000000000 \
    0xfffffffffffffff8 0xffffffffffffffff; do
  tool bitmap-table --at $offset --count 1 "$huge"
  expect "--at $offset: status" 3
  expect_out "--at $offset: no output" < /dev/null
done
tool bitmap-table --at 0x7ffffffffffe0000 --count 0xffffffffffffffff \
  --start 0xfffffffffffffffe "$huge"
expect "--at, --start and --count: status" 3
expect_out "--at, --start and --count: no output" < /dev/null

# All other commands that read images; the image is too damaged for check.  The
# L1 table and the refcount table are zeroes.
while read -r way; do
  case $way in
    'table l2 '* | 'table refcount-block '*) want=3 ;;
    *) want=0 ;;
  esac
  # shellcheck disable=SC2086 # words
  tool $way "$huge"
  expect "$way" $want
done < <({ text_ways; json_ways | sed 's/$/ --output=json/'; } \
  | grep -v -e --at -e '^check')

# The file is truncated to ten bytes.
truncate -s 10 "$huge"
tool header "$huge"
expect_refusal "truncated to ten bytes" 1 "$huge: 0xa: header: *\[HDR-03]"

done_testing
