#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The commands that write: what they change, what they refuse, plans, statuses.

# shellcheck disable=SC2016,SC2034 # words for eval; lib.sh uses image
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
export QCOW2TOOL

# byte OFFSET N: prints N bytes of $image in hexadecimal.
bytes ()
{
  od -An -v -tx1 -j $(($1)) -N "$2" "$image" | tr -d ' \n'
}

# expect_done NAME: the last run ended with 0 and printed no output.
expect_done ()
{
  if [ "$status" = 0 ] && [ ! -s "$out" ]; then
    pass "$1"
  else
    fail "$1" "status $status; $(cat "$out" "$err")"
  fi
}

# expect_unchanged NAME: $image equals $image.before, and its times are those.
expect_unchanged ()
{
  if cmp -s "$image" "$image.before" \
      && [ "$(stat -c %y "$image")" = "$(stat -c %y "$image.before")" ]; then
    pass "$1"
  else
    fail "$1" "$(cmp -l "$image" "$image.before" 2>&1 | head -n 5)"
  fi
}

# fresh NAME: sets $image to a new copy of the builder's image, of which
# $image.before is another.
fresh ()
{
  copy "$1" edited
  touch -d '2020-01-01 12:00:00.5' "$image"
  cp -p --sparse=always "$image" "$image.before"
  rm -f "$tmp/plan"
}

# Without options, nothing that could do harm is done.

fresh two-bitmaps
tool set-header "$image" size 64M
expect_done 'a field that has the value'
expect_unchanged 'a field that has the value: nothing is written'
tool set-feature-bit "$image" compatible lazy-refcounts
expect_done 'set a bit'
check 'the bit is set' [ "$(bytes 80 8)" = 0000000000000001 ]
expect_silence 'no messages'
tool clear-feature-bit "$image" compatible 0
expect_done 'clear a bit'
check 'all bytes are as before' cmp -s "$image" "$image.before"

fresh two-bitmaps
while IFS='|' read -r wanted message words; do
  # shellcheck disable=SC2086
  eval "set -- $words"
  tool "$@"
  expect_refusal "refused: $words" "$wanted" "*$message*"
  expect_unchanged "refused, and nothing is written: $words"
  if [ "$wanted" = 2 ]; then
    tool "$1" --dry-run "${@:2}"
    expect_refusal "refused, as a dry run: $words" 2 "*$message*"
  fi
done << 'END'
2|[HDR-20]*--force|set-feature-bit "$image" incompatible 63
2|incompatible_features would change|set-feature-bit "$image" incompatible dirty
2|incompatible_features would change|set-header "$image" incompatible_features 2
2|[HDR-15]|set-header "$image" size 1E
2|size would shrink|set-header "$image" size 1M
2|version would change|set-header "$image" version 2
2|cluster_bits would change|set-header "$image" cluster_bits 17
2|header_length would change|set-header "$image" header_length 104
2|refcount_order would change|set-header "$image" refcount_order 5
2|crypt_method would change|set-header "$image" crypt_method 1
2|magic would change|set-header "$image" magic 1
2|l1_size would change|set-header "$image" l1_size 2
2|l1_table_offset would change|set-header "$image" l1_table_offset 0x10000
2|nb_snapshots would change|set-header "$image" nb_snapshots 1
2|snapshot_offset would change|set-header "$image" snapshot_offset 0x10000
2|refcount_table_offset would change|set-header "$image" refcount_table_offset 0
2|refcount_table_clusters would change|set-header "$image" refcount_table_clusters 2
2|[HDR-23]|set-header "$image" compression_type 1
2|[HDR-25]|del-header-ext "$image" Bitmaps
3|no such header field|set-header "$image" nosuch 1
3|no such header field|set-header "$image" cluster_size 1
3|no such bit|set-feature-bit "$image" autoclear nosuch
3|no such bit|set-feature-bit "$image" autoclear dirty
3|no such bit|clear-feature-bit "$image" autoclear 64
3|no such header extension|del-header-ext "$image" 0x12345678
3|no such header extension|del-header-ext "$image" --index=9
3|no bitmap has the index 2|remove-bitmap "$image" --index=2
3|no bitmap has the name 'nosuch'|remove-bitmap "$image" --name=nosuch
1|does not fit into version|set-header "$image" version 4294967296
1|cannot open|apply "$tmp/nosuch" "$image"
1|cannot open|set-header "$tmp/nosuch" size 1M
1|is a directory|set-header "$tmp" size 1M
END

for words in 'set-header "$image" size' 'set-header "$image" size 1 2' \
    'set-header "$image" size one' 'set-feature-bit "$image" nosuch 1' \
    'add-header-ext "$image" 0 data' 'add-header-ext "$image" 0x100000000 data' \
    'add-header-ext "$image" nosuch data' 'del-header-ext "$image"' \
    'del-header-ext "$image" 1 --index=0' 'remove-bitmap "$image"' \
    'remove-bitmap "$image" --name=a --index=0' 'apply "$image"' \
    'set-header -U "$image" size 1' 'set-header "$image" size 1 --nosuch' \
    'set-header --files-from=x "$image" size 1' 'set-header' \
    'set-header --output=xml "$image" size 1'; do
  eval "set -- $words"
  tool "$@"
  expect_usage "usage: $words" "$1" '*'
done
expect_unchanged 'a usage error writes nothing'

# A bit that has no name is called what header calls it.
fresh two-bitmaps
tool set-feature-bit "$image" compatible bit-42
expect_done 'a bit without a name'
check 'that bit is set' [ "$(bytes 80 8)" = 0000040000000000 ]
for bit in bit-64 bit- bit-x; do
  tool set-feature-bit "$image" compatible "$bit"
  expect_refusal "no $bit" 3 '*0 to 63*'
done

# An edit says that QEMU refuses the image even if no rule forbids it.
fresh two-bitmaps
tool set-header --force "$image" size 0x1000000004000000
expect_done 'a size that QEMU refuses'
check 'QEMU refuses it: the message says so' \
  grep -q 'QEMU refuses to open the image now' "$err"
tool set-header --force "$image" size 0x2000000004000000
check 'it refused the image before' [ "$(grep -c 'refuses.*now' "$err")" = 0 ]

# A terminator with a length ends the extensions as well.
fresh two-bitmaps
patch 0x21c 00000005
tool add-header-ext "$image" 0x11 one
expect_done 'a terminator with a length'
tool extensions --index=2 --field=data "$image"
expect_answer 'it was in the place of the new extension' <<< one

# Version 2 has no feature bits.
fresh version-2-bitmaps 2> /dev/null || fresh version-2
for words in 'set-feature-bit "$image" autoclear 0' \
    'set-header "$image" autoclear_features 1' \
    'set-header "$image" compression_type 1'; do
  eval "tool $words"
  expect_refusal "version 2: $words" 3 '*the header has no *'
done

# A header that its file cuts off after the mandatory bytes.
fresh no-extensions
printf '\160' | dd of="$image" bs=1 seek=103 conv=notrunc status=none
truncate -s 104 "$image"
cp -p "$image" "$image.before"
tool set-header "$image" compression_type 1
expect_refusal 'a field after the end of the file' 1 \
  '*the file ends at 0x68*before the end of compression_type'
expect_unchanged 'a field after the end of the file: nothing is written'

# A stale bitmap stays stale.
fresh two-bitmaps
tool clear-feature-bit --save-plan="$tmp/plan" "$image" autoclear bitmaps
expect_done 'hide the bitmaps'
cp "$image" "$tmp/hidden"
tool apply --reverse "$tmp/plan" "$image"
expect_done 'and show them again, as nothing has changed'
check 'all bytes are as before' cmp -s "$image" "$image.before"
for change in 'touch "$image"' 'cp "$tmp/hidden" "$image"'; do
  cp "$tmp/hidden" "$image"
  rm -f "$tmp/plan"
  fresh two-bitmaps
  tool clear-feature-bit --save-plan="$tmp/plan" "$image" autoclear bitmaps
  eval "$change"
  for words in '' '--dry-run'; do
    # shellcheck disable=SC2086
    tool apply --reverse $words "$tmp/plan" "$image"
    expect_refusal "stale after $change: apply --reverse $words" 2 \
      '*bitmaps bit*was clear when this command began*--force*'
  done
  tool set-feature-bit "$image" autoclear 0
  expect_refusal "stale after $change: set-feature-bit" 2 '*was clear when*'
  tool set-header "$image" autoclear_features 1
  expect_refusal "stale after $change: set-header" 2 '*was clear when*'
  check "stale after $change" cmp -s "$image" "$tmp/hidden"
  tool apply --reverse --force "$tmp/plan" "$image"
  expect_done "stale after $change: with --force"
  check "stale after $change: a message says so" grep -q 'because of --force' \
    "$err"
done
# The line in the plan is about the file, not about any copy.
fresh two-bitmaps
tool remove-bitmap --index=0 --save-plan="$tmp/plan" "$image"
cp "$image" "$tmp/other"
tool apply --reverse "$tmp/plan" "$tmp/other"
expect_refusal 'a bitmap that was removed does not come back' 2 \
  '*a bitmap would be valid that was not*'

# remove-bitmap.
fresh two-bitmaps
tool remove-bitmap --index=0 --save-plan="$tmp/plan" "$image"
expect_done 'remove a bitmap'
check 'the other one is named' grep -q "remain, by their indexes now: 0 'bm1'" \
  "$err"
check 'the leak is named' grep -q 'qemu-img check -r leaks' "$err"
fresh two-snapshots
tool remove-bitmap --index=0 "$image"
check 'the leak is left, for the snapshots' grep -q \
  'leave them, because .*check -r leaks. would lose the snapshots' "$err"
tool remove-bitmap --index=0 "$image"
check 'without bitmaps, it can be freed' grep -q 'check -r leaks. frees' "$err"
fresh two-snapshots
patch 0x5f 21
tool remove-bitmap --index=0 "$image"
tool remove-bitmap --index=0 "$image"
check 'an unknown autoclear bit keeps the leak' grep -q \
  'leave them, because .*check -r leaks. would lose the snapshots' "$err"
fresh two-snapshots
patch 0x4f 01
tool remove-bitmap --index=0 "$image"
check 'a dirty image keeps the leak until QEMU repairs it' grep -q \
  "do not run 'qemu-img check -r leaks'" "$err"
fresh two-bitmaps
tool remove-bitmap --index=0 --save-plan="$tmp/plan" "$image"
tool bitmaps --names "$image"
expect_answer 'the other one is left' <<< bm1
tool apply --reverse "$tmp/plan" "$image"
expect_done 'put it back'
check 'all bytes are as before' cmp -s "$image" "$image.before"
rm "$tmp/plan"
tool clear-feature-bit "$image" autoclear bitmaps
tool remove-bitmap --index=1 "$image"
expect_done 'remove a stale bitmap'
check 'it stays stale' [ "$(bytes 95 1)" = 00 ]
check 'no leak is named while the others count as leaks' \
  [ "$(grep -c leaks "$err")" = 0 ]
tool remove-bitmap --name=bm0 "$image"
expect_done 'remove the last bitmap'
check 'the leak is named' grep -q leaks "$err"
tool extensions --magic=Bitmaps "$image"
expect 'the extension is gone' 3

# To move entries in the header would destroy it.
fresh two-bitmaps
patch 0x210 0000000000000010
cp -p "$image" "$image.before"
tool remove-bitmap --force --index=0 "$image"
expect_refusal 'a directory in the header' 2 \
  '*the bitmap directory is in the first cluster*'
expect_unchanged 'a directory in the header: nothing is written'

# Where the size of a cluster is wrong, the directory may be in the first one.
fresh cluster-bits-22-of-16
tool check --metadata "$image"
check 'a directory in the first cluster: check proposes to hide it' \
  grep -q 'without its bitmaps.*clear-feature-bit' "$out"
check 'a directory in the first cluster: and not to edit it' \
  test "$(grep -c remove-bitmap "$out")" = 0

# If the directory cannot be read, it is not known which bitmaps there are.
while IFS='|' read -r name offset value; do
  fresh two-bitmaps
  patch "$offset" "$value"
  cp -p "$image" "$image.before"
  for option in --index=5 --name=nosuch; do
    tool remove-bitmap --force "$option" "$image"
    expect_refusal "$name: $option" 2 '*clear-feature-bit IMAGE autoclear*'
    expect_unchanged "$name: $option: nothing is written"
  done
done << 'END'
a directory after the end of the file|0x210|0000000100000000
a directory at 2^63|0x210|8000000000000000
a directory at 0|0x210|0000000000000000
a directory without bytes|0x208|0000000000000000
a bitmaps extension of 16 bytes|0x1fc|00000010
END
fresh two-bitmaps
tool remove-bitmap --index=5 "$image"
expect_refusal 'no such index' 3 '*no bitmap has the index 5'
image version-2
tool remove-bitmap --index=0 "$image"
expect_refusal 'no bitmaps at all' 3 '*no bitmap has the index 0'

# A directory of 16 MiB, of which only one copy is in memory.
fresh two-bitmaps
python3 - "$image" << 'END'
import struct
import sys

with open(sys.argv[1], 'r+b') as file:
    file.seek(0x2c0000)
    first, second = file.read(32), file.read(32)
    # Of the second entry, most is extra data.
    second = (second[:20] + struct.pack('>I', (16 << 20) - 64)
              + bytes(range(1, 251)) * 67108 + second[24:])
    second += bytes((16 << 20) - 32 - len(second))
    file.seek(0x208)
    file.write(struct.pack('>QQ', 16 << 20, 0x400000))
    file.seek(0x400000)
    file.write(first + second)
END
cp -p --sparse=always "$image" "$image.before"
limit_memory
(
  if [ "$memory" != 0 ]; then
    ulimit -v $((memory / 1024))
  fi
  tool remove-bitmap --force --save-plan="$tmp/plan" --index=0 "$image"
  echo "$status" > "$tmp/status"
)
status=$(cat "$tmp/status")
expect_done 'a large directory'
check 'a large directory: its entries are moved' cmp -s \
  <(tail -c +$((0x400021)) "$image.before"; head -c 32 /dev/zero) \
  <(tail -c +$((0x400001)) "$image")
if [ -z "$few" ]; then
  cp "$image" "$tmp/large"
  patch 0x13ff000 00
  tool apply --reverse --force "$tmp/plan" "$image"
  expect_refusal 'a large directory: a byte that is not of the plan' 1 \
    '*: 0x13ff000: there is 0x00*'
  cp "$tmp/large" "$image"
  tool apply --reverse --force "$tmp/plan" "$image"
  expect_done 'a large directory: put back'
  check 'a large directory: all bytes are as before' \
    cmp -s "$image" "$image.before"
fi

# Entries without an end.
while read -r name index; do
  fresh "$name"
  tool remove-bitmap --force --index="$index" "$image"
  expect_refusal "$name: bitmap $index" 2 \
    '*: bitmap* directory*clear-feature-bit IMAGE autoclear bitmaps*'
  expect_unchanged "$name: nothing is written"
  tool clear-feature-bit "$image" autoclear bitmaps
  expect_done "$name: what the message names"
done << 'END'
last-name-past-directory 1
name-size-1023-misframed 1
directory-size-8 0
file-ends-in-name 1
file-ends-after-entry-head 1
END
fresh last-name-past-directory
tool remove-bitmap --index=0 "$image"
check 'an entry before one without an end' [ "$status" -le 2 ]

# An entry that nb_bitmaps does not count is taken out: the rest is sound.
fresh nb-bitmaps-1-of-2
tool remove-bitmap --index=1 "$image"
expect_done 'remove a bitmap that is not counted'
check 'nb_bitmaps is as before' [ "$(bytes 0x200 4)" = 00000001 ]
tool check --metadata "$image"
expect 'the bitmap that is counted is left' 0

# Bytes after the last entry, too few for another one, go with it.  The bitmap
# that check proposes to remove is such an entry.
fresh directory-size-96
tool remove-bitmap --index=2 --save-plan="$tmp/plan" "$image"
expect_done 'remove zeroes that nb_bitmaps does not count'
check 'the directory has its two entries' \
  [ "$(bytes 0x200 16)" = 00000002000000000000000000000040 ]
tool check --metadata "$image"
expect 'and is sound' 0
tool apply --reverse --force "$tmp/plan" "$image"
check 'all bytes are as before' cmp -s "$image" "$image.before"
fresh directory-size-72
patch 0x2c0040 0102030405060708
tool remove-bitmap --index=1 "$image"
expect_done 'remove the last bitmap before such bytes'
check 'the first entry is left' \
  [ "$(bytes 0x200 16)" = 00000001000000000000000000000020 ]
check 'and zeroes' [ "$(bytes 0x2c0020 40)" = "$(printf '%080d' 0)" ]
tool check --metadata "$image"
expect 'the directory is sound' 0
# Unless nb_bitmaps counts an entry there.
fresh directory-size-72
patch 0x200 00000003
patch 0x2c0040 0102030405060708
tool remove-bitmap --force --index=1 "$image"
expect_done 'remove a bitmap before one that is cut off'
check 'its bytes stay' [ "$(bytes 0x200 16).$(bytes 0x2c0020 8)" = \
  00000002000000000000000000000028.0102030405060708 ]

# More entries than the 65535 that are read: those after them stay, too.
fresh many-same-name
patch 0x208 0000000000200020
for at in 0x4fffe0 0x500000; do
  patch $at "$(bytes 0x300000 32)"
done
tool remove-bitmap --force --index=65534 "$image"
expect_done 'remove a bitmap before those that are not read'
check 'an entry is gone' [ "$(bytes 0x208 8)" = 0000000000200000 ]
check 'the last one that is not read is there' \
  [ "$(bytes 0x4fffe0 32)" = "$(bytes 0x300000 32)" ]

# A directory that is too large to be read.
fresh directory-size-over-max
truncate -s 128M "$image"
cp -p --sparse=always "$image" "$image.before"
tool remove-bitmap --force --index=0 "$image"
expect_refusal 'a directory that is too large' 2 '*too large*clear-feature-bit*'
expect_unchanged 'a directory that is too large: nothing is written'

# Plans.
fresh two-bitmaps
tool remove-bitmap --dry-run --index=0 "$image"
cp "$out" "$tmp/dry"
expect_unchanged 'a dry run writes nothing'
tool remove-bitmap --save-plan="$tmp/plan" --index=0 "$image"
check 'the saved plan is the one of the dry run' \
  test "$(grep -v '^# done' "$tmp/plan")" = "$(cat "$tmp/dry")"
check 'the saved plan says that it is done' \
  test "$(tail -n 1 "$tmp/plan")" = "# done $(stat -c %s "$image") \
$(date -d "$(stat -c %y "$image")" +%s%N) \
$(date -d "$(stat -c %z "$image")" +%s%N)"
cp "$image" "$tmp/after"
tool apply "$tmp/plan" "$image"
expect_done 'a plan that is done already'
tool apply --reverse --dry-run "$tmp/plan" "$image"
expect 'undo, as a dry run' 0
tool set-header --save-plan="$tmp/plan" "$image" size 64M
expect_refusal 'a plan is not overwritten' 1 '*was not saved*exists*'
cmp -s "$image" "$tmp/after"
check 'and then nothing is done' test $? = 0
cp "$image.before" "$image"
tool apply "$tmp/dry" "$image"
expect_done 'apply a plan'
check 'the result is the same' cmp -s "$image" "$tmp/after"

# Interrupted after each step, and at each byte of it.
python3 - "$tmp/dry" "$image.before" "$tmp/cut" << 'END'
import re
import sys

steps = [[]]
for line in open(sys.argv[1]):
    match = re.match('0x([0-9a-f]+): ([0-9a-f]+) -> ([0-9a-f]+)', line)
    if match:
        steps[-1].append((int(match[1], 16), bytes.fromhex(match[3])))
    elif line.startswith('sync'):
        steps.append([])
data = bytearray(open(sys.argv[2], 'rb').read())
n = 0
for step in steps:
    for offset, new in step:
        data[offset:offset + len(new)] = new
        open(sys.argv[3] + '.%d' % n, 'wb').write(data)
        n += 1
END
for cut in "$tmp"/cut.*; do
  cp "$cut" "$image"
  tool apply --force "$tmp/dry" "$image"
  expect_done "completed: ${cut##*/}"
  check "${cut##*/}: the image is as after the plan" \
    cmp -s "$image" "$tmp/after"
  if ! cmp -s "$cut" "$tmp/after"; then
    check "${cut##*/}: a message says so" grep -q 'was completed' "$err"
  fi
  cp "$cut" "$image"
  tool apply --reverse --force "$tmp/dry" "$image"
  expect_done "undone: ${cut##*/}"
  check "${cut##*/}: the image is as before the plan" \
    cmp -s "$image" "$image.before"
done

# As many runs as a plan may have.  Most bytes of each stay: a plan with a run
# for each change would be too long to be read back.
# write_runs N: writes such a plan to $tmp/runs.
write_runs ()
{
  echo '# qcow2tool plan 1: test'
  for ((i = 0; i < $1; i++)); do
    printf '0x%x: %024x -> 01%020x01\n' $((0x1000 + 12 * i)) 0 0
  done
  echo sync
} > "$tmp/runs"

fresh two-bitmaps
write_runs 4096
tool apply --save-plan="$tmp/plan" "$tmp/runs" "$image"
expect_done 'a plan with 4096 runs'
check 'its first and its last run' \
  test "$(bytes 0x1000 12) $(bytes 0xcff4 12)" = \
  "$(printf '01%020x01 01%020x01' 0 0)"
tool apply --reverse "$tmp/plan" "$image"
expect_done 'the plan that was saved meanwhile is read'
check 'all bytes are as before' cmp -s "$image" "$image.before"
write_runs 4097
tool apply "$tmp/runs" "$image"
expect_refusal 'a plan with 4097 runs' 1 '*line 4098: *too many lines*'

# The disk is full when the last line of a plan is written.
fresh two-bitmaps
tool clear-feature-bit --dry-run "$image" autoclear bitmaps
cp "$out" "$tmp/hide"
size=$(wc -c < "$tmp/hide")
# shellcheck disable=SC2086
python3 -c '
import os
import resource
import sys

# Python ignores SIGXFSZ.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execvp(sys.argv[2], sys.argv[2:])' $((size + 9)) \
  $QCOW2TOOL clear-feature-bit --save-plan="$tmp/plan" "$image" \
  autoclear bitmaps > "$out" 2> "$err"
status=$?
expect_done 'an edit whose plan is cut'
check 'a message says so' grep -q 'the edit is done, but the plan' "$err"
check 'the plan is cut' [ "$(wc -c < "$tmp/plan")" = $((size + 9)) ]
tool apply --reverse --force "$tmp/plan" "$image"
expect_done 'undo an edit whose plan is cut'
check 'all bytes are as before' cmp -s "$image" "$image.before"

# The file may not be as long as the directory goes: the bit is cleared and set
# again, and nothing else is written.
fresh two-bitmaps
# shellcheck disable=SC2086
(ulimit -f 1024 && $QCOW2TOOL remove-bitmap --index=0 "$image") \
  > "$out" 2> "$err"
status=$?
expect_refusal 'a write beyond the limit of a file' 1 \
  '*File too large; *the image is as it was'
check 'all bytes are as before' cmp -s "$image" "$image.before"

# Descriptors that are closed do not become those of the image or of the plan.
for closed in '<&-' '>&-' '2>&-' '<&- >&-' '<&- 2>&-' '>&- 2>&-' \
  '<&- >&- 2>&-'; do
  fresh two-bitmaps
  eval "$QCOW2TOOL remove-bitmap --index=0 --save-plan=\"\$tmp/plan\" \
    \"\$image\" $closed" > /dev/null 2>&1
  check "closed $closed: the image" cmp -s "$image" "$tmp/after"
  check "closed $closed: the plan" test "$(grep -v '^# done' "$tmp/plan")" \
    = "$(cat "$tmp/dry")"
done
fresh two-bitmaps
eval "$QCOW2TOOL set-feature-bit --output=json \"\$image\" compatible 5 \
  <&- >&-" 2> "$err"
status=$?
expect 'standard output is closed' 1
check 'standard output is closed: the message says that the edit is done' \
  grep -q 'the edit is done, but' "$err"

# A plan of something else.
fresh two-bitmaps
patch 0x20f 41
cp "$image" "$image.before"
tool apply --force "$tmp/dry" "$image"
expect_refusal 'other bytes than those of the plan' 1 \
  '*neither expects nor leaves there*nothing was written'
check 'nothing was written' cmp -s "$image" "$image.before"
while IFS='|' read -r name wanted message line; do
  printf '# qcow2tool plan 1: test\n%s\nsync\n' "$line" > "$tmp/bad"
  tool apply --force "$tmp/bad" "$image"
  expect_refusal "plan: $name" "$wanted" "*$message*"
done << 'END'
outside of its regions|2|outside of the first cluster|0x30000: 8000000000040000 -> 0000000000040000
after the end of the file|1|ends before|0xffffffffff: 00 -> 01
a flag of a bitmap|2|changes an entry other than|0x2c000f: 02 -> 03
no hexadecimal number|1|line 2|0x5g: 00 -> 01
no new bytes|1|line 2|0x50: 00 ->
another length|1|line 2|0x50: 0000 -> 01
something else|1|line 2|hello
END
printf '0x50: 00 -> 01\nsync\n' > "$tmp/bad"
tool apply "$tmp/bad" "$image"
expect_refusal 'a plan without its first line' 1 '*does not begin with*'
tool apply /dev/null "$image"
expect_refusal 'an empty plan' 1 '*does not begin with*'

# apply refuses what the command that made the plan refuses: here, to move
# extensions of more than a sector over each other; in the second case, the
# bitmaps are hidden meanwhile.
letters=$(printf 'a%.0s' {1..600})
for magic in 0x11 0x6803f857; do
  fresh two-bitmaps
  tool add-header-ext "$image" 0x11 "$letters"
  tool add-header-ext "$image" 0x12 "${letters//a/b}"
  cp -p "$image" "$image.before"
  tool del-header-ext --force "$image" $magic
  expect_refusal "$magic: no safe order" 2 \
    '*neither the old ones nor*--save-plan*'
  tool del-header-ext --force --dry-run --save-plan="$tmp/plan" "$image" $magic
  expect "$magic: a plan in no safe order" 0
  tool apply "$tmp/plan" "$image"
  expect_refusal "$magic: apply in no safe order" 2 \
    '*neither the old ones nor*--force*'
  expect_unchanged "$magic: apply in no safe order: nothing is written"
  tool apply --force "$tmp/plan" "$image"
  expect_done "$magic: apply --force in no safe order"
  tool extensions --magic=$magic "$image"
  expect "$magic: the extension is gone" 3
  tool extensions --magic=0x12 --field=data "$image"
  expect_answer "$magic: the one after it is there" <<< "${letters//a/b}"
  cp "$image" "$tmp/after"
  first=$(cmp -l "$image.before" "$tmp/after" \
    | awk '$1 > 112 { print $1; exit }')
  cp "$image.before" "$image"
  dd if="$tmp/after" of="$image" bs=1 skip=$((first - 1)) \
    seek=$((first - 1)) count=1 conv=notrunc status=none
  tool apply "$tmp/plan" "$image"
  expect_done "$magic: once begun, it is completed without --force"
  check "$magic: it is complete" cmp -s "$image" "$tmp/after"
done

# An empty name ends the extensions as well: before they change, it is moved to
# the end of the cluster.
fresh backing-size-0
tool del-header-ext --dry-run "$image" 'Backing format'
check 'an empty name is after the extensions meanwhile' \
  [ "$(sed -n '2s/    #.*//p' "$out")" = '0xd: 000210 -> 010000' ]
tool del-header-ext "$image" 'Backing format'
expect_done 'delete an extension before an empty name'

# Extensions that were added or deleted after the plan was made.
fresh two-bitmaps
tool add-header-ext --save-plan="$tmp/plan" "$image" 0x11 one
tool add-header-ext "$image" 0x12 two
cp -p "$image" "$image.before"
tool apply --reverse "$tmp/plan" "$image"
expect_refusal 'an extension was added since' 2 '*hide or uncover*'
expect_unchanged 'an extension was added since: nothing is written'
tool add-header-ext --dry-run "$image" 0x13 three
cp "$out" "$tmp/third"
tool del-header-ext "$image" 0x12
cp -p "$image" "$image.before"
tool apply "$tmp/third" "$image"
expect_done 'an extension was deleted since'
check 'nothing was added: a message says so' \
  grep -q 'bytes that no header extension of the image has' "$err"
cp "$image.before" "$image"
tool apply --reverse "$tmp/plan" "$image"
expect_done 'now it is the last one again'

# The bytes of the bitmaps bit are those of an extension in version 2.
image version-2
cp "$image" "$tmp/old"
fresh version-2
tool add-header-ext --save-plan="$tmp/plan-2" "$image" 0x12345678 \
  AAAAAAAAAAAAAAAAAAAAAAAAA
cp "$image" "$tmp/new"
cp -p "$tmp/old" "$image"
tool apply "$tmp/plan-2" "$image"
expect 'a plan for version 2 changes no feature bits' 0
check 'a plan for version 2 is applied' cmp -s "$image" "$tmp/new"

# A plan that sets the bitmaps bit of stale bitmaps, and clears it again.
fresh two-bitmaps
patch 0x5f 00
cp -p "$image" "$image.before"
cat > "$tmp/bad" << 'END'
# qcow2tool plan 1: test
0x5f: 00 -> 01
sync
0x57: 00 -> 01
sync
0x5f: 01 -> 00
sync
END
tool apply "$tmp/bad" "$image"
expect_refusal 'the bitmaps bit is set for a while' 2 \
  '*sets the bitmaps bit for a while*'
expect_unchanged 'the bitmaps bit is set for a while: nothing is written'

# A wrong size makes the table of a bitmap cover the directory.  That bitmap
# can be taken out, but not the other one.
fresh two-bitmaps
patch 0x2c0008 00004008
cp -p "$image" "$image.before"
tool remove-bitmap --index=1 "$image"
expect_refusal 'the table of another bitmap covers the directory' 2 \
  '*shares a cluster with the table of a bitmap*'
expect_unchanged 'the table of another bitmap: nothing is written'
tool remove-bitmap --index=0 --save-plan="$tmp/plan" "$image"
expect_done 'its own table covers the directory'
cp "$image" "$tmp/after"
cp "$image.before" "$image"
tool apply "$tmp/plan" "$image"
expect_done 'its own table: the plan can be carried out'
check 'its own table: the plan does the same' cmp -s "$image" "$tmp/after"
tool check --metadata "$image"
check 'its own table: the image is sound' grep -q ' 0 errors' "$out"

# Valid bitmaps know nothing of a disk with other contents.
while IFS='|' read -r name words; do
  fresh "$name"
  # shellcheck disable=SC2086
  tool ${words/IMAGE/"$image"}
  expect_done "other contents: $words"
  check "other contents: $words: a message says so" \
    grep -q 'the next backup must be a full one' "$err"
done << 'END'
backing-file|set-header IMAGE backing_file_offset 0
backing-file|set-header IMAGE size 67109376
backing-file|del-header-ext IMAGE 0xe2792aca
END
fresh two-bitmaps
tool set-header "$image" size 67109376
check 'a larger disk without a backing file' \
  test "$(grep -c 'must be a full one' "$err")" = 0

# The steps that clear and set the bitmaps bit are missing.
fresh two-bitmaps
sed '/^0x5f: /,/^sync/d' "$tmp/dry" > "$tmp/bad"
tool apply "$tmp/bad" "$image"
expect_refusal 'a directory that changes while the bit is set' 2 \
  '*while the bitmaps bit is set*'
expect_unchanged 'the bit is set: nothing is written'

# The last of them is missing: the bit is set while the directory changes.
fresh two-bitmaps
tac "$tmp/dry" | awk '!(/^sync/ && ++n == 2)' | tac > "$tmp/bad"
tool apply "$tmp/bad" "$image"
expect_refusal 'the bit is set together with the directory' 2 \
  '*while the bitmaps bit is set*'
expect_unchanged 'the bit is set too early: nothing is written'

# The flags of a bitmap that is in use, in an entry that the file cuts off.
fresh two-bitmaps
patch 0x2c002f 03
truncate -s $((0x2c0039)) "$image"
touch -d '2020-01-01 12:00:00.5' "$image"
cp -p "$image" "$image.before"
printf '# qcow2tool plan 1: test\n%s\nsync\n%s\nsync\n%s\nsync\n' \
  '0x5f: 01 -> 00' '0x2c002f: 03 -> 02' '0x5f: 00 -> 01' > "$tmp/bad"
tool apply --force "$tmp/bad" "$image"
expect_refusal 'a flag in an entry that is cut off' 2 \
  '*changes an entry other than*'
expect_unchanged 'a flag in an entry that is cut off: nothing is written'

# Bytes of the header that no command writes.
fresh two-bitmaps
printf '# qcow2tool plan 1: test\n0x6a: 00 -> 01\nsync\n' > "$tmp/bad"
tool apply "$tmp/bad" "$image"
expect_refusal 'padding of the header' 2 '*bytes that no field has*--force*'
expect_unchanged 'padding of the header: nothing is written'

# A crypto header over an L2 table: all of the image is judged.
fresh luks-pointer
clusters=$((($(stat -c %s "$image") + 65535) / 65536))
dd if="$image.before" of="$image" bs=64k skip=4 count=32 seek=$clusters \
  conv=notrunc status=none
truncate -s $(((clusters + 32) << 16)) "$image"
patch $((0x20000 + 2 * clusters)) "$(printf '0001%.0s' {1..32})"
patch 0x30000 "$(printf '%016x' $((1 << 63 | (clusters + 31) << 16)))"
cp -p --sparse=always "$image" "$image.before"
printf '# qcow2tool plan 1: test\n0x78: %016x -> %016x\nsync\n' \
  $((0x40000)) $((clusters << 16)) > "$tmp/bad"
tool apply "$tmp/bad" "$image"
expect_refusal 'a crypto header over an L2 table' 2 \
  '*would be damaged*belong to the crypto header*L2 table*--force*'
expect_unchanged 'a crypto header over an L2 table: nothing is written'

# The plan as JSON.
fresh backing-file-with-format
tool add-header-ext --output=jsonl --save-plan="$tmp/plan" "$image" 0x11 one
check 'JSON: the field of a run that is one' \
  grep -qE '"offset":1[0-5],[^}]*"field":"backing_file_offset","note":null}' \
  "$out"
fresh two-bitmaps
tool clear-feature-bit --save-plan="$tmp/plan" --output=jsonl "$image" \
  autoclear bitmaps
sed 's/.*"changes"/"changes"/' "$out" > "$tmp/changes"
cp "$image.before" "$image"
tool apply --output=jsonl "$tmp/plan" "$image"
check 'JSON: the same changes when the plan is applied' test "$(
  sed 's/.*"changes"/"changes"/' "$out")" = "$(cat "$tmp/changes")"
fresh two-bitmaps
if [ -e /dev/full ]; then
  $QCOW2TOOL set-feature-bit --output=json "$image" compatible 5 \
    > /dev/full 2> "$err"
  status=$?
  check 'JSON cannot be printed: the message says that the edit is done' \
    grep -q 'the edit is done, but' "$err"
  check 'JSON cannot be printed: status' test $status = 1
  check 'JSON cannot be printed: it is done' \
    test "$(bytes 80 8)" = 0000000000000020
fi
fresh two-bitmaps
tool clear-feature-bit --output=json --dry-run "$image" autoclear bitmaps
expect_answer 'JSON' << END
{
    "filename": "$image",
    "command": "clear-feature-bit autoclear bitmaps",
    "size": $(stat -c %s "$image"),
    "changes": [
        {"step": 0, "offset": 95, "old": "01", "new": "00", "field": "autoclear_features", "note": "bitmaps is cleared"}
    ]
}
END
tool clear-feature-bit --output=jsonl "$image" autoclear bitmaps
expect_answer 'JSON on one line, of what was done' << END
{"filename":"$image","command":"clear-feature-bit autoclear bitmaps","size":$(stat -c %s "$image"),"changes":[{"step":0,"offset":95,"old":"01","new":"00","field":"autoclear_features","note":"bitmaps is cleared"}]}
END

# Standard input, with any bytes.
fresh two-bitmaps
printf 'a\0b\xff' > "$tmp/data"
# shellcheck disable=SC2086
$QCOW2TOOL add-header-ext-stdio "$image" 0x1234 < "$tmp/data" \
  > "$out" 2> "$err"
status=$?
expect_done 'data from standard input'
tool extensions --magic=0x1234 --field=data_hex "$image"
expect_answer 'its bytes' <<< 610062ff

# The help of all commands.  Their examples work as they are printed: that of
# apply undoes that of clear-feature-bit.
mkdir "$tmp/examples"
sample iotest291-merged
cp --sparse=always "$sample" "$tmp/examples/disk.qcow2"
echo data > "$tmp/examples/data"
for command in $(edit_names); do
  tool "$command" --help
  expect "$command --help" 0
  check "$command --help: at most 80 columns" \
    test "$(awk 'length ($0) > 80' "$out" | wc -l)" = 0
  check "$command --help names its page" \
    grep -qx 'See qcow2tool-edit(1)\.' "$out"
  example=$(sed -n '/^Example:$/{n;s/^  qcow2tool //p}' "$out")
  (cd "$tmp/examples" && eval "tool $example" &&
   test "${example%% *}.$status.$(wc -c < "$err")" = "$command.0.0")
  check "the example of $command works: $example" test $? = 0
  tool "$command"
  expect_usage "$command without operands" "$command" '*'
done

# The cases of QEMU's qcow2.py.
if command -v qemu-img > /dev/null && qemu_is_known; then
  mkdir "$tmp/cases"
  (
    cd "$tmp/cases" || exit 1
    qemu-img create -q -f qcow2 v3.qcow2 64M
    qemu-img create -q -f qcow2 -o compat=0.10 v2.qcow2 64M
    qemu-img create -q -f raw base.raw 64M
    qemu-img create -q -f qcow2 -b base.raw -F raw bk.qcow2
    qemu-img create -q -f qcow2 -o compression_type=zstd zstd.qcow2 64M
    qemu-img create -q -f qcow2 -o cluster_size=512 c512.qcow2 1M
    cp v3.qcow2 bm.qcow2
    qemu-img bitmap --add bm.qcow2 b0
    qemu-img bitmap --add --disable bm.qcow2 b1
    cp c512.qcow2 full.qcow2
    { printf '\0\0\0\xaa\0\0\1\x88'; head -c 392 /dev/zero | tr '\0' z; } \
      | dd of=full.qcow2 bs=1 seek=112 conv=notrunc status=none
  ) > "$tmp/log" 2>&1
  results python3 "$srcdir/tests/cli/edit-cases.py" "$tmp/cases" \
    "$srcdir/tests/expected/cli-edit"
  check 'there are 21 cases' [ "$n_results" = 21 ]
else
  skip 'the cases of qcow2.py' 'there is no qemu-img 7.2 or later'
fi

done_testing
