#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# contrib/qcow2.py edits images in place of QEMU's program, and as a module.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
export QCOW2TOOL

qcow2py ()
{
  python3 "$srcdir/contrib/qcow2.py" "$image" "$@" > "$out" 2> "$err"
  status=$?
}

copy two-bitmaps edited
qcow2py set-feature-bit incompatible 63
check 'an unknown bit: status 0, no output' \
  test "$status.$(wc -c < "$out").$(wc -c < "$err")" = 0.0.0
check 'the bit is set' \
  test "$(od -An -tx1 -j 72 -N 8 "$image" | tr -d ' ')" = 8000000000000000
qcow2py set-header incompatible_features 0
expect 'a mask' 0
image two-bitmaps
cmp -s "$image" "$tmp/edited.qcow2"
check 'all bytes are as before' test $? = 0
image=$tmp/edited.qcow2
for value in 0x4000000 0o400000000 0b100000000000000000000000000 67_108_864 \
    ' 67108864 '; do
  qcow2py set-header size "$value"
  expect "a number: '$value'" 0
done
for words in 'set-header size 064' 'set-header size 64M' 'set-header size -1' \
    'set-header size 18446744073709551616' 'set-header version 4294967296' \
    'set-header nosuch 1' 'set-header compression_type 1' \
    'set-feature-bit nosuch 1' 'set-feature-bit autoclear 64' \
    'set-feature-bit autoclear bitmaps' 'add-header-ext name data' \
    'add-header-ext 0x1234 dät' 'del-header-ext Bitmaps' 'del-header-ext' \
    'set-header size' 'add-header-ext 0 data'; do
  # shellcheck disable=SC2086 # words
  qcow2py $words
  expect "qcow2.py IMAGE $words" 1
  check "qcow2.py IMAGE $words: a message" [ -s "$err" ]
  cmp -s "$image" "$tmp/two-bitmaps.qcow2"
  check "qcow2.py IMAGE $words: nothing is written" test $? = 0
done
qcow2py del-header-ext 0x12345678
expect_answer 'an extension that does not exist' <<< 'No such header extension'
qcow2py nosuch
expect_answer 'an unknown command' <<< "Unknown command 'nosuch'"
qcow2py add-header-ext 0x12345678 'some data'
expect 'add an extension' 0
tool extensions --magic=0x12345678 --field=data "$image"
expect_answer 'its data' <<< 'some data'
qcow2py del-header-ext 0x12345678
cmp -s "$image" "$tmp/two-bitmaps.qcow2"
check 'and delete it' test $? = 0
printf '\0\77%s' 'Test feature' \
  | python3 "$srcdir/contrib/qcow2.py" "$image" add-header-ext-stdio 0x1234
tool extensions --magic=0x1234 --field=data_hex "$image"
expect_answer 'data with NUL bytes' <<< 003f546573742066656174757265
cp "$tmp/two-bitmaps.qcow2" "$image"

# A version 2 image has no features.
sample version2
image=$tmp/no-features.qcow2
cp "$sample" "$image"
qcow2py set-feature-bit incompatible 63
expect 'a bit of version 2' 1
check 'a bit of version 2: a message' [ -s "$err" ]
check 'a bit of version 2: nothing is written' cmp -s "$image" "$sample"

# The backing file name moves over its old place, and the cluster has no room
# for a copy: the edit needs a saved plan.
cat > "$tmp/full.py" << 'END'
import struct
import sys

BITS = int(sys.argv[1])
CLUSTER = 1 << BITS
NAME = b'n' * (CLUSTER - 212)
FORMAT = struct.pack('>II8s', 0xe2792aca, 5, b'qcow2')
ADDED = struct.pack('>II16s', 0x12345678, 16, b'0123456789abcdef')


def image(extensions):
    area = extensions + bytes(8)
    header = struct.pack('>4sIQIIQIIQQIIQQQQIIQ', b'QFI\xfb', 3,
                         112 + len(area), len(NAME), BITS, 1 << 20, 0, 32,
                         3 * CLUSTER, CLUSTER, 1, 0, 0, 0, 0, 0, 4, 112, 0)
    table = struct.pack('>Q', 2 * CLUSTER)
    block = struct.pack('>4H', 1, 1, 1, 1)
    return b''.join(part.ljust(CLUSTER, b'\0') for part in (
        header + area + NAME, table, block, b''))


for path, extensions in zip(sys.argv[2:], (FORMAT, FORMAT + ADDED)):
    with open(path, 'wb') as file:
        file.write(image(extensions))
END
mkdir "$tmp/full"
image=$tmp/full/full.qcow2
python3 "$tmp/full.py" 9 "$image" "$tmp/expected.qcow2"
tool add-header-ext "$image" 0x12345678 0123456789abcdef
expect 'an edit of one sector' 0
check 'an edit of one sector: the bytes' cmp "$image" "$tmp/expected.qcow2"
python3 "$tmp/full.py" 10 "$image" "$tmp/expected.qcow2"
tool add-header-ext --force "$image" 0x12345678 0123456789abcdef
expect 'an edit without a safe order' 2
qcow2py add-header-ext 0x12345678 0123456789abcdef
expect 'an edit with a plan' 0
check 'an edit with a plan: no output' \
  test "$(wc -c < "$out").$(wc -c < "$err")" = 0.0
check 'an edit with a plan: the bytes' cmp "$image" "$tmp/expected.qcow2"
check 'an edit with a plan: it is deleted' \
  test "$(ls "$tmp/full")" = full.qcow2
qcow2py del-header-ext 0x12345678
python3 "$tmp/full.py" 10 "$tmp/expected.qcow2"
check 'an edit with a plan: and back' cmp "$image" "$tmp/expected.qcow2"

# As a module.
cat > "$tmp/module.py" << 'END'
import sys

sys.path.insert(0, sys.argv[1] + '/contrib')
import qcow2
from qcow2 import QcowHeader, QcowHeaderExtension

with open(sys.argv[2], 'r+b') as fd:
    before = fd.read()
    h = QcowHeader(fd)
    assert h.size == 64 << 20 and h.cluster_bits == 16, vars(h)
    assert h.cluster_size == 65536 and h.header_length == 112
    assert [hex(e.magic) for e in h.extensions] == ['0x6803f857', '0x23852875']
    h.update(fd)
    fd.seek(0)
    assert fd.read() == before
    h.l1_table_offset = 0x123456789a
    h.l1_size = 7
    h.update(fd)
    fd.seek(0)
    after = fd.read()
    assert after[36:48].hex() == '00000007000000123456789a', after[36:48]
    assert after[:36] == before[:36] and after[48:] == before[48:]
    h = QcowHeader(fd)
    h.extensions.append(QcowHeaderExtension(0x12345678, 5, b'hello'))
    h.update(fd)
    h.extensions.pop()
    h.update(fd)
    fd.seek(0)
    assert fd.read() == after
    h.extensions.append(QcowHeaderExtension(1, 70000, bytes(70000)))
    try:
        h.update(fd)
        assert False
    except ValueError:
        pass
    fd.seek(0)
    assert fd.read() == after
with open(sys.argv[3], 'rb') as fd:
    h = qcow2.QcowHeader(fd)
    assert h.version == 2 and h.refcount_order == 4
    assert h.incompatible_features == 0
END
image=$tmp/edited.qcow2
python3 "$tmp/module.py" "$srcdir" "$image" "$sample" > "$out" 2> "$err"
status=$?
expect_answer 'the module' < /dev/null

done_testing
