#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The output of `snapshots`: blocks, the list, single values, selection, and
# tables that are damaged.  The values are worked out by hand from the bytes,
# and the lists are those of qemu-img 7.2.  interop-snapshots.sh compares other
# images with qemu-img.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require jq
export TZ=UTC0

# The table of two-snapshots is at 0x60000; the second entry begins after 70
# bytes and 2 of padding.  The id is at byte 64 of an entry, the name after it.
image two-snapshots
good=$image
tool snapshots "$good"
expect_answer 'blocks' << 'END'
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
name                      snap1

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
tool table snapshots "$good"
expect_answer 'as table prints them' < "$tmp/both"
tool snapshots --output=jsonl "$good"
expect_answer 'JSON' << END
{"filename":"$good","snapshots":[{"index":0,"l1_table_offset":262144,"l1_size":1,"id_str_size":1,"name_size":5,"date_sec":1700000000,"date_nsec":0,"vm_clock_nsec":0,"vm_state_size":0,"extra_data_size":24,"file_offset":393216,"vm_state_size_large":0,"disk_size":67108864,"icount":18446744073709551615,"unknown_extra_data_size":null,"id":"1","name":"snap1"},{"index":1,"l1_table_offset":327680,"l1_size":1,"id_str_size":1,"name_size":5,"date_sec":1700000000,"date_nsec":0,"vm_clock_nsec":0,"vm_state_size":0,"extra_data_size":24,"file_offset":393288,"vm_state_size_large":0,"disk_size":67108864,"icount":18446744073709551615,"unknown_extra_data_size":null,"id":"2","name":"snap2"}],"writer":false,"error":null,"problems":[]}
END
list='ID        TAG               VM SIZE                DATE     VM CLOCK'
list+='     ICOUNT'
# Instructions were not counted.
blank='           '
day="2023-11-14 22:13:20 00:00:00.000$blank"
tool snapshots --list "$good"
expect_answer 'the list' << END
Snapshot list:
$list
1         snap1                 0 B $day
2         snap2                 0 B $day
END
TZ=EST5 tool snapshots --list --id=2 "$good"
expect_answer 'the list has local time' << END
Snapshot list:
$list
2         snap2                 0 B 2023-11-14 17:13:20 00:00:00.000$blank
END
tool snapshots --names "$good"
expect_answer 'names' << 'END'
snap1
snap2
END
tool snapshots -0 --names "$good"
printf 'snap1\0snap2\0' > "$tmp/expected"
expect_file 'names and NUL bytes' "$out"

# No snapshots, and several images.
image two-bitmaps
none=$image
for options in '' --list --names; do
  # shellcheck disable=SC2086
  tool snapshots $options "$none"
  expect_answer "no snapshots: ${options:-blocks}" < /dev/null
done
tool snapshots --output=jsonl "$none"
expect_answer 'no snapshots: JSON' << END
{"filename":"$none","snapshots":[],"writer":false,"error":null,"problems":[]}
END
tool snapshots --list "$good" "$none" "$good"
expect_answer 'the list of several images' << END
image: $good
Snapshot list:
$list
1         snap1                 0 B $day
2         snap2                 0 B $day

image: $none

image: $good
Snapshot list:
$list
1         snap1                 0 B $day
2         snap2                 0 B $day
END
tool snapshots --id=2 "$good" "$good"
expect_answer 'blocks of several images' \
  < <(for i in 1 2; do
        [ $i = 1 ] || echo
        echo "image: $good"
        sed 1,17d "$tmp/both"
      done)

# Selection.
for selection in --id=2 --name=snap2 --index=1 --index=0x1; do
  tool snapshots "$selection" "$good"
  expect_answer "$selection" < <(sed 1,17d "$tmp/both")
  tool snapshots "$selection" --names "$good"
  expect_answer "$selection: the name" <<< snap2
  tool snapshots "$selection" --output=json "$good"
  check "$selection: JSON" \
    test "$(jq -c '[.snapshots[].index]' "$out").$status" = '[1].0'
done
while read -r selection message; do
  for options in '' --list --names --field=name '--field=name --default=x'; do
    # shellcheck disable=SC2086
    tool snapshots "$selection" $options "$good"
    expect_refusal "$selection $options" 3 "$good: $message"
  done
  tool snapshots "$selection" --output=json "$good"
  check "$selection: JSON" test "$status.$(
    jq -c '.snapshots, .error.code' "$out" | tr '\n' ' ')" \
    = '3.null "not-found" '
done << 'END'
--id=3 no snapshot has the id '3'
--id= no snapshot has the id ''
--id=snap1 no snapshot has the id 'snap1'
--name=snap no snapshot has the name 'snap'
--name=1 no snapshot has the name '1'
--index=2 no snapshot has the index 2
--index=0xffffffffffffffff no snapshot has the index 18446744073709551615
END

# Ids and names need not be unique, and may be hostile.
copy two-snapshots strings
patch 0x60041 1b5b6d0aff
patch 0x60088 31 1b5b6d0aff
hostile=$image
tool snapshots --id=1 --names "$hostile"
expect_answer 'two snapshots with one id' << 'END'
\x1b[m\n\xff
\x1b[m\n\xff
END
tool snapshots --id=1 --field=index "$hostile"
expect_refusal '--field with one id of two' 2 \
  "$hostile: 2 snapshots have the id '1': use --index"
name=$'\e[m\n\xff'
tool snapshots --name="$name" --field=id "$hostile"
expect_refusal '--field with one name of two' 2 \
  "$hostile: 2 snapshots have the name '\\\\x1b\\[m\\\\n\\\\xff': use --index"
tool snapshots --name='\x1b[m\n\xff' "$hostile"
expect_refusal 'the name as it is shown' 3 "$hostile: no snapshot has the \
name '\\\\x1b\\[m\\\\n\\\\xff', but snapshot 0 is shown that way: use --index 0"
tool snapshots --index=1 --field=name --field=id -0 "$hostile"
printf '\e[m\n\xff\0001\0' > "$tmp/expected"
expect_file 'raw bytes' "$out"
tool snapshots --index=1 --output=json "$hostile"
check 'the bytes of a name as JSON' \
  test "$(jq -r '.snapshots[0].name_hex' "$out")" = 1b5b6d0aff

# Values of an entry with all fields.  The extra data have 32 bytes, of which 8
# are unknown; the next entry is 8 bytes later.
copy two-snapshots values
patch 0x60000 0000000000040000 00000001 0001 0005 ffffffff 3b9ac9ff \
  0000000a2e90edd5 00000005 00000020 \
  0000000100000000 0000000000100000 0000000000000007 0123456789abcdef \
  31 736e617031 0000
patch 0x60050 0000000000050000 00000001 0001 0005 00000001 00000000 \
  0000000000000000 00000006 00000004 00000001 32 736e617032
values=$image
value_rows ()
{
  cat << 'END'
0 index 0
0 l1_table_offset 262144
0 l1_size 1
0 id_str_size 1
0 name_size 5
0 date_sec 4294967295
0 date_nsec 999999999
0 vm_clock_nsec 43730922965
0 vm_state_size 5
0 extra_data_size 32
0 file_offset 393216
0 vm_state_size_large 4294967296
0 disk_size 1048576
0 icount 7
0 unknown_extra_data_size 8
0 id 1
0 name snap1
1 file_offset 393296
1 vm_state_size 6
1 extra_data_size 4
1 unknown_extra_data_size 4
1 name snap2
END
}
while read -r index key value; do
  tool snapshots --index="$index" --field="$key" "$values"
  check "snapshot $index: $key" test "$(cat "$out")" = "$value"
done < <(value_rows)
tool snapshots --index=0 "$values"
# Offsets are in hexadecimal here.
sed -n 's/^0 //p' <(value_rows) | while read -r key value; do
  case $key in *offset) printf -v value '0x%x' "$value" ;; esac
  printf '%-25s %s\n' "$key" "$value"
done > "$tmp/expected"
expect_file 'all values as a block' "$out"
tool snapshots --list --index=0 "$values"
expect_answer 'the list has the full size of the VM state' << END
Snapshot list:
$list
1         snap1               4 GiB 2106-02-07 06:28:15 00:00:43.730          7
END
for key in vm_state_size_large disk_size icount; do
  tool snapshots --index=1 --field="$key" "$values"
  check "$key that is not there" test "$(wc -c < "$out")" = 0
done
tool snapshots --index=1 --field=file_offset --field=icount "$good"
expect_answer 'two fields' << 'END'
393288
18446744073709551615
END
tool snapshots --index=0 --field=unknown_extra_data_size "$good"
expect_refusal 'a field without a value' 3 \
  "$good: there is no value for 'unknown_extra_data_size'"
tool snapshots --index=0 --field=unknown_extra_data_size --default=0 "$good"
expect_answer 'a default' <<< 0

# Version 3 demands 16 bytes of extra data: snapshot 1 of the image is damaged.
for options in '' --list --names --index=1 '--index=1 --field=name' \
    '--index=1 --field=name --default=x'; do
  # shellcheck disable=SC2086
  tool snapshots $options "$values"
  expect_damage "little extra data: ${options:-blocks}" "$values: 0x60074: \
snapshot table: entry 1 has 4 bytes of extra data, less than 16 \[SNAP-01\]"
  check "little extra data: ${options:-blocks}: it is printed" \
    grep -q snap2 "$out"
done
tool snapshots --index=1 --field=icount --default=x "$values"
check 'no default for a damaged snapshot' test "$(cat "$out")" = ''
tool snapshots --output=jsonl "$values"
check 'little extra data: JSON' test "$(jq -c \
  '[.problems[] | .rule, .offset, .value], .snapshots[1].disk_size' "$out" |
  tr '\n' ' ')" = '["SNAP-01",393332,4] null '
for selection in --index=0 --id=1 --name=snap1; do
  tool snapshots "$selection" "$values"
  check "$selection: damage of another snapshot does not count" \
    test "$status.$(wc -c < "$err")" = 0.0
done

# damaged NAME PATTERN BYTES: snapshot 0 with other bytes at offset 0 is
# damaged, and snapshot 1 is not.
damaged ()
{
  copy two-snapshots damaged
  patch 0x60000 "$3"
  tool snapshots "$image"
  expect_damage "$1" "$image: $2"
  check "$1: both are printed" test "$(grep -c '^name ' "$out")" = 2
  tool snapshots --index=1 "$image"
  expect_answer "$1: snapshot 1" < <(sed 1,17d "$tmp/both")
}

damaged 'an unaligned L1 table' "0x60000: snapshot table: the L1 table of \
entry 0 is at 0x40001, not the start of a cluster \[SNAP-02\]" 0000000000040001
damaged 'a large L1 table' "0x60008: snapshot table: the L1 table of entry 0 \
has 4194305 entries, more than 32 MiB \[SNAP-03\]" 000000000004000000400001
damaged 'an L1 table outside of the file' "0x60000: snapshot table: the L1 \
table of entry 0, 1 entries at 0x7fffffff0000, does not end in the file \
\[SNAP-04\]" 00007fffffff0000

# The table breaks off in the last name: QEMU sees the part in the file.
copy two-snapshots truncated
truncate -s $((0x60048 + 69)) "$image"
sed 's/snap2$/snap/' "$tmp/both" > "$tmp/cut"
tool snapshots "$image"
expect_damage 'a truncated table' "$image: *\[HDR-19\]"
check 'a truncated table: the entries' cmp -s "$out" "$tmp/cut"
tool snapshots --list "$image"
expect_damage 'a truncated table: the list' "$image: *\[HDR-19\]"
expect_out 'a truncated table: the rows' << END
Snapshot list:
$list
1         snap1                 0 B $day
2         snap                  0 B $day
END
for selection in --index=0 --id=1 --name=snap1; do
  tool snapshots "$selection" "$image"
  expect_answer "a truncated table: $selection" < <(sed 16q "$tmp/both")
done
for selection in --index=1 --id=2 --name=snap; do
  tool snapshots "$selection" "$image"
  expect_damage "a truncated table: $selection" "$image: *\[HDR-19\]"
  check "a truncated table: $selection: the entry" \
    cmp -s "$out" <(sed 1,17d "$tmp/cut")
  tool snapshots "$selection" --field=name --field=l1_size "$image"
  expect_damage "a truncated table: $selection: fields" "$image: *\[HDR-19\]"
  check "a truncated table: $selection: the values" \
    cmp -s "$out" <(printf '%s\n' snap 1)
done
for selection in --index=2 --id=3 --name=snap2; do
  tool snapshots "$selection" "$image"
  check "a truncated table: $selection" test "$status.$(wc -c < "$out").$(
    grep -c '\[HDR-19\]' "$err").$(grep -c 'no snapshot has' "$err")" = 2.0.1.1
done

# cut SIZE TEXT ROW JSON: of the second entry, SIZE bytes are in the file.  Its
# block ends with the line TEXT, its row in the list has ROW before the date,
# and JSON has these values.
cut ()
{
  local size=$1

  truncate -s $((0x60048 + size)) "$image"
  tool snapshots "$image"
  expect_damage "$size bytes of an entry" "$image: *\[HDR-19\]"
  check "$size bytes of an entry: the block" test "$(tail -n 1 "$out" \
    | tr -s ' ')" = "$2"
  tool snapshots --list "$image"
  expect_damage "$size bytes of an entry: the list" "$image: *\[HDR-19\]"
  check "$size bytes of an entry: the row" \
    test "$(tail -n 1 "$out" | sed 's/ 2023.*//' | tr -s ' ')" = "$3"
  tool snapshots --output=jsonl "$image"
  check "$size bytes of an entry: JSON" test "$(jq -c '.snapshots[1] |
    [.l1_size, .disk_size, (.icount != null), .id, .name]' "$out")" = "$4"
  tool snapshots --index=1 --field=date_sec "$image"
  expect_damage "$size bytes of an entry: a field" "$image: *\[HDR-19\]"
  check "$size bytes of an entry: the value" test "$(cat "$out")" = 1700000000
}

cut 66 'name s' '2 s 0 B' '[1,67108864,true,"2","s"]'
cut 65 'name <unreadable>' '2 <unreadable> 0 B' '[1,67108864,true,"2",null]'
cut 64 'name <unreadable>' '<unreadable> <unreadable> 0 B' \
  '[1,67108864,true,null,null]'
cut 63 'name <unreadable>' '<unreadable> <unreadable> 0 B' \
  '[1,67108864,false,null,null]'
cut 40 'name <unreadable>' '<unreadable> <unreadable> -' \
  '[1,null,false,null,null]'
truncate -s $((0x60048 + 39)) "$image"
tool snapshots "$image"
expect_damage 'without a whole fixed part' "$image: *\[HDR-19\]"
check 'without a whole fixed part: the first entry' \
  cmp -s "$out" <(sed 16q "$tmp/both")

# A size that is too large, in the first entry.
copy two-snapshots long-name
truncate -s $((0x60048 + 70)) "$image"
patch 0x6000e 8005
tool snapshots "$image"
expect_damage 'a long name' "$image: *\[HDR-19\]"
check 'a long name: the entry' grep -q '^name  *snap1\\x00' "$out"
tool snapshots --list "$image"
expect_out 'a long name: the row' << END
Snapshot list:
$list
1         snap1                 0 B $day
END
copy two-snapshots truncated
truncate -s $((0x60000 + 39)) "$image"
tool snapshots --output=jsonl "$image"
check 'a table without a whole entry is null in JSON' \
  test "$(jq -c .snapshots "$out").$status" = null.2
copy two-snapshots misplaced
patch 0x40 0000000000060001
tool snapshots "$image"
check 'a misplaced table' test "$status.$(head -n 1 "$err" |
  grep -c ': snapshot_offset 0x60001 is not the start of a cluster')" = 2.1
copy two-snapshots misplaced
patch 0x14 00000040
tool snapshots "$image"
expect_damage 'without a cluster size' "$image: *\[HDR-04\]"
check 'without a cluster size: the blocks' cmp -s "$out" "$tmp/both"

# More than QEMU accepts: 65537 entries of 40 zero bytes, and entries after the
# first 64 MiB.
copy no-bitmaps many
patch 0x3c 00010001
patch 0x40 0000000000100000
truncate -s 16M "$image"
tool snapshots --names "$image"
check 'too many snapshots: the names' \
  test "$(wc -l < "$out").$status" = 65536.2
check 'too many snapshots: the message' grep -qF "0x380000: snapshot table: \
entries 65536 to 65536 are left out: QEMU accepts no more" "$err"
tool snapshots --index=65536 "$image"
expect 'too many snapshots: the last one' 3
patch 0x7 02
tool snapshots --names "$image"
expect_damage 'too many snapshots of version 2' "$image: 0x380000: *"
tool snapshots --index=65535 --field=file_offset "$image"
expect_answer 'snapshot 65535' <<< $((0x100000 + 65535 * 40))
copy no-bitmaps large
patch 0x7 02
patch 0x3c 00000003
patch 0x40 0000000000100000
truncate -s 80M "$image"
patch 0x100024 03ffffd8
tool snapshots --output=jsonl "$image"
check 'entries after 64 MiB' test "$status.$(jq -c \
  '[.snapshots[].file_offset], .error.code' "$out" | tr '\n' ' ')" \
  = '2.[1048576] "corrupt" '

# The largest strings, of 65535 bytes: an id and a name.
copy no-bitmaps strings
patch 0x3c 00000001
patch 0x40 0000000000100000
truncate -s 4M "$image"
patch 0x100000 0000000000030000 00000001 ffff ffff
patch 0x100024 00000010
for at in $((0x100038)) $((0x100038 + 65535)); do
  head -c 65535 /dev/zero | tr '\0' x \
    | dd of="$image" bs=4096 seek="$at" oflag=seek_bytes conv=notrunc \
      status=none
done
large=$image
tool snapshots --names "$image"
check 'the largest name' test "$status.$(wc -c < "$out").$(tr -d x < "$out")" \
  = 0.65536.
tool snapshots --index=0 --field=id -0 "$image"
check 'the largest id' test "$status.$(tr -d '\0' < "$out" | wc -c)" = 0.65535
tool snapshots --name="$(head -c 65535 /dev/zero | tr '\0' x)" --field=index \
  "$image"
expect_answer 'selection by the largest name' <<< 0
tool snapshots --list "$image"
check 'the list has the start of the largest strings' test \
  "$(sed -n 3p "$out" | grep -c '^x\{127\} x\{255\}      0 B ')" = 1

# Strings that cannot be read: the entry is printed without them.  The read of
# the name fails, and so does its second attempt.
faulty ()
{
  LD_PRELOAD=$tmp/fault-shim.so FAULT_FILE=$large FAULT_KIND=eio \
    FAULT_FIRST=$fault FAULT_LAST=$((fault + 1)) FAULT_LOG=$tmp/met \
    tool snapshots "$@" "$large"
}

if [ -n "${QCOW2TOOL_SANITIZED-}" ] || [ -n "${QCOW2TOOL_SLOW-}" ]; then
  skip 'unreadable strings' 'nothing can be loaded before the program'
else
  require_fault_shim
  for fault in 1 2 3 4 5 6 7 8 9; do
    faulty
    if grep -q '^id  *<unreadable>$' "$out"; then
      break
    fi
  done
  expect_out 'unreadable strings: the block' << 'END'
index                     0
l1_table_offset           0x30000
l1_size                   1
id_str_size               65535
name_size                 65535
date_sec                  0
date_nsec                 0
vm_clock_nsec             0
vm_state_size             0
extra_data_size           16
file_offset               0x100000
id                        <unreadable>
name                      <unreadable>
END
  check 'unreadable strings: the message' is_one_message \
    "$large: *: snapshot table: cannot read: *\[FILE-04\]"
  expect 'unreadable strings: the status' 1
  faulty --list
  expect_out 'unreadable strings: the list' << END
Snapshot list:
$list
<unreadable> <unreadable>            - 1970-01-01 00:00:00 00:00:00.000$blank
END
  for options in --names --name=x '--index=0 --field=l1_size'; do
    # The search for an index is one more read.
    [ "$options" = "${options#--index}" ] || fault=$((fault + 1))
    # shellcheck disable=SC2086
    faulty $options
    [ "$options" = "${options#--index}" ] || fault=$((fault - 1))
    check "unreadable strings: $options" \
      test "$status.$(wc -c < "$out").$(wc -l < "$err")" = 1.0.1
  done
  faulty --output=jsonl
  check 'unreadable strings: JSON' test "$(jq -c \
    '.error.code, (.snapshots[0] | .l1_size, .id, .name, .disk_size)' "$out" |
    tr '\n' ' ')" = '"read" 1 null null null '
fi

# Options.
while read -r one two; do
  # shellcheck disable=SC2086
  tool snapshots --index=0 $one $two "$good"
  expect_usage "$one and $two" snapshots \
    "${one%=*} and ${two%=*} exclude each other"
done << 'END'
--names --list
--names --field=id
--field=id --list
END
while read -r one two; do
  # shellcheck disable=SC2086
  tool snapshots $one $two "$good"
  expect_usage "$one and $two" snapshots \
    "${one%=*} and ${two%=*} exclude each other"
done << 'END'
--id=1 --name=snap1
--id=1 --index=0
--name=snap1 --index=0
END
for options in --names '--id=1 --field=id'; do
  # shellcheck disable=SC2086
  tool snapshots $options "$good" "$good"
  expect_usage "$options of two images" snapshots '*exactly one image'
  # shellcheck disable=SC2086
  tool snapshots $options --output=json "$good"
  expect_usage "$options as JSON" snapshots '*is for text output'
done
tool snapshots --list --output=jsonl "$good"
expect_usage '--list as JSON' snapshots '--list is for text output'
tool snapshots -0 "$good"
expect_usage '-0 alone' snapshots '-0 goes with --names or --field'
tool snapshots --default=x --index=0 "$good"
expect_usage '--default alone' snapshots '--default goes with --field'
tool snapshots --field=id "$good"
expect_usage '--field alone' snapshots \
  '--field needs --id, --name or --index'
tool snapshots --index=0 --field=date "$good"
expect_usage 'an unknown key' snapshots "--field: unknown key 'date', not one \
of: index, file_offset, l1_table_offset, l1_size, id_str_size, name_size, \
date_sec, date_nsec, vm_clock_nsec, vm_state_size, extra_data_size, \
vm_state_size_large, disk_size, icount, unknown_extra_data_size, id, name*"
tool snapshots --index=-1 "$good"
expect_usage '--index=-1' snapshots "*--index: '-1'*"
cd "$tmp" || exit 1
cp --sparse=always "$good" disk.qcow2
tool snapshots snap1 disk.qcow2
check 'a name as an operand: a hint' grep -qx \
  'qcow2tool: snap1: cannot open: .* (to select a snapshot, use --name=snap1)' \
  "$err"

done_testing
