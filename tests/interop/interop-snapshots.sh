#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapshots --list and qemu-img snapshot -l of QEMU 7.2 print the same about
# random images, byte for byte, and the JSON of snapshots has what qemu-img info
# has.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require_known_qemu
require python3

export QCOW2TOOL
# The seed makes the same images again.
seed=${QCOW2TOOL_SEED:-$RANDOM$RANDOM}
echo "# seed $seed"

cd "$tmp" || exit 1
results python3 "$srcdir/tests/interop/interop-snapshots.py" "$seed" \
  "${QCOW2TOOL_IMAGES:-15}"
check 'images were compared' [ "$n_results" -ge 10 ]

done_testing
