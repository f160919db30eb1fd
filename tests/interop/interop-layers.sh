#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# bitmap-map --backing-chain agrees about random chains with a naive union, and
# with the bitmap that QEMU merges; info --backing-chain agrees with qemu-img.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3 timeout

export QCOW2TOOL
# The seed makes the same layers again.
seed=${QCOW2TOOL_SEED:-$RANDOM$RANDOM}

# The layers have names without a folder.
cd "$tmp" || exit 1

# random_layers WHAT N: compares N random chains.
random_layers ()
{
  results python3 "$srcdir/tests/interop/interop-layers.py" "$1" "$seed" "$2"
  check "$1: there are results" [ "$n_results" -gt 0 ]
}

echo "# seed $seed"
random_layers naive 100
for program in qemu-img qemu-io qemu-nbd nbdinfo; do
  if ! command -v "$program" > /dev/null; then
    skip qemu "$program is not installed"
    done_testing
  fi
done
random_layers qemu 15
random_layers names 12

done_testing
