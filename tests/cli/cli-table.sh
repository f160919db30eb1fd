#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The output of `table`: each kind of table, windows, entries decoded at any
# offset, and tables that are damaged or are not there.  The values are worked
# out by hand from the bytes.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

# squeeze: ignores the number of spaces between columns.
squeeze ()
{
  sed 's/  */ /g' "$out" > "$tmp/squeezed"
  mv "$tmp/squeezed" "$out"
}

# The base has clusters of 64 KiB, 64 MiB of disk, refcounts of 16 bits, the
# refcount table at 0x10000, its only block at 0x20000 and the L1 table, of one
# entry, at 0x30000.  The second L1 entry and the L2 table are written here.
copy two-bitmaps l2
truncate -s $((0xb00000)) "$image"
patch 0x24 00000002
patch 0x30000 8000000000a00000 0000000000000000
patch 0xa00000 8000000000500000 0000000000000001 8000000000500001 \
  40c0000000510123 3f000000005201fe
patch 0xa0fff8 c000000000530001
l2=$image

tool table l1 "$l2"
expect_answer 'l1: the columns are aligned' << 'END'
index    offset         flags      value              guest_offset
0        0xa00000       copied     0x8000000000a00000 0x0
1        0x0            -          0x0                -
END
tool table l2 --index=0 --count=5 "$l2"
expect_answer 'l2: every type' << 'END'
index    offset         flags      value              type           length   guest_offset
0        0x500000       copied     0x8000000000500000 normal         65536    0x0
1        0x0            zero       0x1                zero           0        0x10000
2        0x500000       copied,zero 0x8000000000500001 zero-allocated 65536    0x20000
3        0x510123       compressed 0x40c0000000510123 compressed     1757     0x30000
4        0x520000       reserved   0x3f000000005201fe normal         65536    0x40000
END
tool table l2 --index=0 --used --output=jsonl "$l2"
expect_answer 'l2: entries in use, as JSON' << END
{"filename":"$l2","table":{"kind":"l2","index":0,"file_offset":10485760,"size":8192,"entries":[{"index":0,"offset":5242880,"flags":["copied"],"value":9223372036860018688,"type":"normal","length":65536,"guest_offset":0,"subclusters_allocated":null,"subclusters_zeroes":null,"reserved":0},{"index":1,"offset":0,"flags":["zero"],"value":1,"type":"zero","length":0,"guest_offset":65536,"subclusters_allocated":null,"subclusters_zeroes":null,"reserved":0},{"index":2,"offset":5242880,"flags":["copied","zero"],"value":9223372036860018689,"type":"zero-allocated","length":65536,"guest_offset":131072,"subclusters_allocated":null,"subclusters_zeroes":null,"reserved":0},{"index":3,"offset":5308707,"flags":["compressed"],"value":4665729213961142563,"type":"compressed","length":1757,"guest_offset":196608,"subclusters_allocated":null,"subclusters_zeroes":null,"reserved":0},{"index":4,"offset":5373952,"flags":["reserved"],"value":4539628424394834430,"type":"normal","length":65536,"guest_offset":262144,"subclusters_allocated":null,"subclusters_zeroes":null,"reserved":4539628424389460478},{"index":8191,"offset":5439489,"flags":["copied","compressed"],"value":13835058055287603201,"type":"compressed","length":511,"guest_offset":null,"subclusters_allocated":null,"subclusters_zeroes":null,"reserved":0}]},"writer":false,"error":null,"problems":[]}
END
tool table l2 --index=0 --start=3 --count=1 "$l2"
squeeze
expect_answer 'l2: a window' << 'END'
index offset flags value type length guest_offset
3 0x510123 compressed 0x40c0000000510123 compressed 1757 0x30000
END
for window in --start=8192 '--start=2 --count=0' --start=15E; do
  # shellcheck disable=SC2086
  tool table l2 --index=0 $window "$l2"
  expect_answer "l2: an empty window: $window" < /dev/null
done
tool table l2 --at=0xa0fff8 --count=1 "$l2"
squeeze
expect_answer 'l2 --at: no guest offset is known' << 'END'
index offset flags value type length guest_offset
0 0x530001 copied,compressed 0xc000000000530001 compressed 511 -
END
tool table l2 --at=0xafffe8 --start=1 --count=3 "$l2"
squeeze
expect_out 'l2 --at: the whole entries at the end of the file' << 'END'
index offset flags value type length guest_offset
1 0x0 - 0x0 unallocated 0 -
2 0x0 - 0x0 unallocated 0 -
END
expect_err 'l2 --at: the end of the file' << END
PROG: $l2: 0xafffe8: L2 table: only 2 of 3 entries are in the file, which has 11534336 bytes
END
expect 'l2 --at: the status at the end of the file' 3

# Nothing is there.
tool table l2 --index=1 "$l2"
expect_refusal 'an L1 entry without an L2 table' 3 \
  "$l2: 0x30008: L1 table: entry 1 points to no L2 table"
tool table l2 --index=2 "$l2"
expect_refusal 'an L1 entry that does not exist' 3 \
  "$l2: 0x30000: L1 table: there is no entry 2, only 2 entries"
tool table l2 --index=1 --output=jsonl "$l2"
expect 'nothing as JSON: status' 3
check 'nothing as JSON' grep -qF '"table":null,"writer":false,"error":{"code":"not-found"' "$out"
tool table refcount-block --index=8191 "$l2"
expect_refusal 'an entry without a refcount block' 3 \
  "$l2: 0x1fff8: refcount table: entry 8191 points to no refcount block"
image no-bitmaps
tool table snapshots "$image"
expect_answer 'no snapshots' < /dev/null

# Damage: what there is, a message, and status 2.
cp --sparse=always "$l2" "$tmp/damaged.qcow2"
image=$tmp/damaged.qcow2
patch 0x30008 8000000000a00200
tool table l2 --index=1 --count=1 "$image"
expect_damage 'an unaligned L2 table' "$image: 0x30008: L1 table: entry 1 \
points to the L2 table at 0xa00200, not a multiple of the cluster size 65536 \
\[L1-02\]"
squeeze
expect_out 'an unaligned L2 table is printed' << 'END'
index offset flags value type length guest_offset
0 0x0 - 0x0 unallocated 0 -
END
patch 0x30008 0000000000b00000
tool table l2 --index=1 "$image"
expect_refusal 'an L2 table after the end of the file' 2 \
  "$image: 0xb00000: L2 table: only 0 of 8192 entries are in the file, which \
has 11534336 bytes \[L1-03\]"
truncate -s $((0xa00013)) "$image"
tool table l2 --index=0 "$image"
expect_damage 'a truncated L2 table' "$image: 0xa00000: L2 table: only 2 of \
8192 entries are in the file, which has 10485779 bytes \[L1-03\]"
check 'a truncated L2 table: two rows and a heading' \
  test "$(wc -l < "$out")" = 3
tool table l2 --index=0 --count=2 "$image"
expect 'the part of a truncated L2 table that is there' 0
patch 0x10000 0000000000020005
tool table refcount-table --count=1 "$image"
squeeze
expect_answer 'a reserved bit is shown, not judged' << 'END'
index offset flags value host_offset
0 0x20000 reserved 0x20005 0x0
END
patch 0x10000 00f0000000020000
tool table refcount-block --index=0 "$image"
expect_refusal 'a refcount block outside of any file' 2 \
  "$image: 0xf0000000020000: refcount block: only 0 of 32768 entries are in \
the file, which has 10485779 bytes \[HDR-18\]"
for row in \
    'l1-offset-unaligned l1 HDR-17' \
    'l1-offset-past-eof l1 HDR-17' \
    'l1-ends-past-eof l1 HDR-17' \
    'l1-offset-0 l1 HDR-17' \
    'refcount-table-unaligned refcount-table HDR-18' \
    'refcount-table-past-eof refcount-table HDR-18'; do
  read -r name kind rule <<< "$row"
  image "$name"
  tool table "$kind" "$image"
  expect_damage "table $kind of $name" "$image: *\[$rule\]"
done
# The other tables of these images are sound.
image l1-offset-past-eof
tool table refcount-table --count=1 "$image"
expect 'the refcount table beside a damaged L1 table' 0
tool table l2 --index=0 "$image"
expect 'an L2 table that a damaged L1 table hides: status' 2
check 'an L2 table that a damaged L1 table hides: the rule' \
  grep -qF '[HDR-17]' "$err"
image cluster-bits-32
tool table l1 "$image"
expect_refusal 'an unknown cluster size' 2 "$image: *\[HDR-04\]"
image refcount-order-7
tool table refcount-block --index=0 "$image"
expect_refusal 'an unknown refcount width' 2 "$image: *\[HDR-28\]"

# Refcounts.
copy two-bitmaps refcounts
patch 0x20000 0001ffff
tool table refcount-block --index=0 --count=2 "$image"
expect_answer 'refcounts of 16 bits' << 'END'
index    cluster      host_offset    refcount
0        0            0x0            1
1        1            0x10000        65535
END
patch 0x60 00000001
patch 0x20000 e4
tool table refcount-block --index=0 --start=1 --count=3 "$image"
squeeze
expect_answer 'refcounts of 2 bits begin with the lowest ones' << 'END'
index cluster host_offset refcount
1 1 0x10000 1
2 2 0x20000 2
3 3 0x30000 3
END
tool table refcount-block --at=0x20000 --start=3 --count=1 "$image"
squeeze
expect_answer 'refcount-block --at: no cluster is known' << 'END'
index cluster host_offset refcount
3 - - 3
END

# Extended L2 entries.
copy extended-l2 extended
truncate -s $((0xb00000)) "$image"
patch 0x30000 8000000000a00000
patch 0xa00000 8000000000500000 00000001800000f0 0000000000000000 \
  0000000000000000 0000000000000000 0000000200000000 4000000000510000 \
  0000000000000000
tool table l2 --index=0 --used "$image"
squeeze
expect_answer 'extended entries; one with zeroes alone is in use' << 'END'
index offset flags value type length guest_offset subclusters_allocated subclusters_zeroes
0 0x500000 copied 0x8000000000500000 normal 65536 0x0 0x800000f0 0x1
2 0x0 - 0x0 unallocated 0 0x20000 0x0 0x2
3 0x510000 compressed 0x4000000000510000 compressed 512 0x30000 0x0 0x0
END

# Snapshots.  Their table is at 0x60000; the second entry begins after 70 bytes
# and 2 of padding.  The id is at byte 64 of an entry, the name after it.
copy two-snapshots snapshots
patch 0x60041 1b5b6d0aff
tool table snapshots "$image"
expect_answer 'snapshots, with a hostile name' << 'END'
index                     0
l1_table_offset           0x40000
l1_size                   1
id_str_size               1
name_size                 5
date_sec                  1700000000
date_nsec                 0
vm_clock_nsec             0
vm_state_size             0
extra_data_size           24
file_offset               0x60000
vm_state_size_large       0
disk_size                 67108864
icount                    18446744073709551615
id                        1
name                      \x1b[m\n\xff

index                     1
l1_table_offset           0x50000
l1_size                   1
id_str_size               1
name_size                 5
date_sec                  1700000000
date_nsec                 0
vm_clock_nsec             0
vm_state_size             0
extra_data_size           24
file_offset               0x60048
vm_state_size_large       0
disk_size                 67108864
icount                    18446744073709551615
id                        2
name                      snap2
END
cp "$out" "$tmp/both"
tool table snapshots --start=1 "$image"
expect_answer 'the second snapshot' < <(sed '1,17d' "$tmp/both")
tool table snapshots --at=0x60048 --count=1 "$image"
expect_answer 'a snapshot at an offset' \
  < <(sed '1,17d; s/^\(index  *\)1$/\10/' "$tmp/both")
tool table l1 --at=0x50000 --count=1 "$image"
squeeze
expect_answer 'the L1 table of a snapshot' << 'END'
index offset flags value guest_offset
0 0x0 - 0x0 -
END
tool table snapshots --count=1 --output=jsonl "$image"
check 'a name that is not UTF-8, as JSON' grep -qF \
  '"id":"1","name":"\u001b[m\n�","name_hex":"1b5b6d0aff"}]' "$out"
# Only 8 bytes of extra data: the entry is 16 bytes shorter.
patch 0x60024 00000008
patch 0x60030 31 736e617031
tool table snapshots --count=1 "$image"
expect_answer 'extra data that an entry lacks are not printed' << 'END'
index                     0
l1_table_offset           0x40000
l1_size                   1
id_str_size               1
name_size                 5
date_sec                  1700000000
date_nsec                 0
vm_clock_nsec             0
vm_state_size             0
extra_data_size           8
file_offset               0x60000
vm_state_size_large       0
id                        1
name                      snap1
END
tool table snapshots --count=1 --output=jsonl "$image"
check 'extra data that an entry lacks are null' grep -qF \
  '"vm_state_size_large":0,"disk_size":null,"icount":null,"unknown_extra_data_size":null,"id":"1"' \
  "$out"
copy two-snapshots truncated
truncate -s $((0x60048 + 69)) "$image"
tool table snapshots "$image"
expect_damage 'a truncated snapshot table' "$image: *\[HDR-19\]"
check 'a truncated snapshot table: the names' \
  test "$(grep '^name ' "$out" | tr -s ' \n' ' ')" = 'name snap1 name snap '
tool table snapshots --at=0x60000 --count=2 "$image"
expect 'a truncated snapshot table at an offset' 3
check 'a truncated snapshot table at an offset: the message' grep -qxF \
  "qcow2tool: $image: 0x60048: snapshot table: only 1 of 2 entries are in the \
file, which has 393357 bytes" "$err"
# More than QEMU accepts: 65537 entries of 40 zero bytes.
copy no-bitmaps many
patch 0x3c 00010001
patch 0x40 0000000000100000
truncate -s 16M "$image"
tool table snapshots "$image"
expect_damage 'too many snapshots' "$image: 0x380000: snapshot table: entries \
65536 to 65536 are left out: QEMU accepts no more"
check 'too many snapshots: the first ones are printed' \
  test "$(grep -c '^index ' "$out")" = 65536
tool table snapshots --count=3 "$image"
expect 'a few of too many snapshots' 0

# Several images.
tool table l1 --count=1 "$l2" "$l2"
expect_answer 'two images' << END
image: $l2
index    offset         flags      value              guest_offset
0        0xa00000       copied     0x8000000000a00000 0x0

image: $l2
index    offset         flags      value              guest_offset
0        0xa00000       copied     0x8000000000a00000 0x0
END
(cd "$tmp" && cp --sparse=always "$l2" l1 && tool table l1 --count=1 l1 \
  && tail -n 1 "$out" | grep -q '^0 .*0x8000000000a00000')
check 'an image with the name of a kind' test $? = 0

# A large sparse table takes little time and memory.
copy no-bitmaps large
patch 0x24 20000000
patch 0x28 0000000100000000
truncate -s 9G "$image"
patch 0x100000000 8000000000050000
patch 0x13ffffff8 8000000000060000
patch 0x1fffffff8 8000000000070000
limit_memory
(
  if [ "$memory" != 0 ]; then
    ulimit -v $((memory / 1024))
  fi
  tool table l1 --used "$image"
  squeeze
  echo "$status" > "$tmp/status"
)
status=$(cat "$tmp/status")
expect_damage 'a table of 4 GiB' "$image: 0x100000000: L1 table: entries \
134217728 to 536870911 are left out: use --start and --count"
expect_out 'a table of 4 GiB: the entries in use' << 'END'
index offset flags value guest_offset
0 0x50000 copied 0x8000000000050000 0x0
134217727 0x60000 copied 0x8000000000060000 -
END
tool table l1 --used --start=503316480 --count=1G "$image"
squeeze
expect_answer 'the rest of a table of 4 GiB' << 'END'
index offset flags value guest_offset
536870911 0x70000 copied 0x8000000000070000 -
END

done_testing
