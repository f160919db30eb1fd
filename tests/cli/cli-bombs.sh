#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images that claim, or have, far more than can be read or printed: tables of
# gigabytes, tens of thousands of bitmaps and extensions, terabytes of zeroes.
# The program processes them in time and in little memory.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
export QCOW2TOOL
[ -z "${QCOW2TOOL_SLOW-}" ] || skip_all "each of these takes minutes here"

all_images '^(many-[^b]|sparse)'
check "there are images" test "${#images[@]}" -ge 5

# These command lines include what the other ones of these commands read and
# print.  Those of other commands are added from text_ways and json_ways.
text=$(printf '%s\n' 'bitmaps --list --long' 'dump' 'dump-header -j'; text_ways \
  | grep -vE '^(header|extensions|bitmaps|bitmap-table|dump)')
json=$(printf '%s\n' 'bitmaps' 'dump')
limit_memory
results python3 "$srcdir/tests/cli/every-image.py" \
  $((20 * (1 + 2 * ${QCOW2TOOL_SANITIZED:-0}))) "$memory" 1 \
  "$text" "$json" "${images[@]}"
check "all images were tried" test "$n_results" = "${#images[@]}"

# Many bitmaps whose tables are all the same large part of a sparse file.
image cluster-512
python3 - "$image" "$tmp/tables.qcow2" << 'EOF'
import struct
import sys

BITMAPS = 4096
ENTRY = struct.Struct('>QIIBBHI8s')

with open(sys.argv[1], 'rb') as file:
    data = file.read()
start = -len(data) % 512 + len(data)
at = data.index(bytes.fromhex('23852875')) + 8
extension = struct.pack('>IIQQ', BITMAPS, 0, BITMAPS * ENTRY.size, start)
data = data[:at] + extension + data[at + len(extension):]
with open(sys.argv[2], 'wb') as file:
    file.write(data.ljust(start, b'\0'))
    for i in range(BITMAPS):
        file.write(ENTRY.pack(0x200000, 0xffffffff, 2, 1, 16, 8, 0,
                              b'%08d' % i))
    file.truncate(9 << 32)
EOF
# Processor time is the same on a busy machine.
# shellcheck disable=SC2086 # QCOW2TOOL may be several words
(ulimit -t 60 && exec $QCOW2TOOL check "$tmp/tables.qcow2") > "$out" 2> "$err"
status=$?
expect 'large tables: the check ends' 2
check 'large tables: not all are counted' grep -q 'RES-08' "$out"

done_testing
