#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# table prints the entries that an independent decoder reads from images made
# by QEMU: of every refcount width, compressed, with extended L2 entries,
# snapshots and data files.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
require_known_qemu

export QCOW2TOOL
# The seed makes the same images again.
seed=${QCOW2TOOL_SEED:-$RANDOM$RANDOM}
echo "# seed $seed"

cd "$tmp" || exit 1
results python3 "$srcdir/tests/interop/interop-table.py" random "$seed" \
  "${QCOW2TOOL_IMAGES:-25}"
check 'images were compared' [ "$n_results" -ge 10 ]

done_testing
