#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random sequences of edits, compared with an editor in Python, and every state
# in which a power failure can leave the image.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3 qemu-img
export QCOW2TOOL
sequences=30
[ -z "$few" ] || sequences=4

mkdir "$tmp/images"
results python3 "$srcdir/tests/cli/edit-random.py" --sequences "$sequences" \
  "$tmp/images"
check 'all sequences were tried' [ "$n_results" = "$sequences" ]

done_testing
