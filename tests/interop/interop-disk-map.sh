#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# map and qemu-img map agree about random images of every kind, and
# bitmap-map --data agrees with qemu-nbd about what has to be copied.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require_known_qemu
require python3 timeout

export QCOW2TOOL
# The seed makes the same images again.
seed=${QCOW2TOOL_SEED:-$RANDOM$RANDOM}

# The images have names without a folder.
cd "$tmp" || exit 1

# random_images WHAT: compares random images.
random_images ()
{
  results python3 "$srcdir/tests/interop/interop-disk-map.py" "$1" "$seed"
  # An image that takes too long on this machine has no result.
  check "$1: there are results" [ "$n_results" -gt 0 ]
}

echo "# seed $seed"
random_images map
if command -v qemu-nbd > /dev/null && command -v nbdinfo > /dev/null; then
  random_images data
else
  skip data 'qemu-nbd or nbdinfo is not installed'
fi

done_testing
