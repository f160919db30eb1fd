#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# info prints what qemu-img info prints about random images of every kind.
# QCOW2TOOL_IMAGES is the number of images.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require_known_qemu
require python3 timeout

export QCOW2TOOL
# The seed makes the same images again.
seed=${QCOW2TOOL_SEED:-$RANDOM$RANDOM}
n_images=${QCOW2TOOL_IMAGES:-60}

# The images have names without a folder.
cd "$tmp" || exit 1

echo "# seed $seed"
results timeout 3600 python3 "$srcdir/tests/interop/interop-info.py" \
  "$seed" "$n_images"
check 'there are results' [ "$n_results" -gt 0 ]

done_testing
