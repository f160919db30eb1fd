#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check finds no errors in images that a killed or a running QEMU leaves, and
# its numbers are those of qemu-img check.  "make fuzz-crash" tries more.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3 qemu-nbd
require_known_qemu

export QCOW2TOOL CC
n_images=36
if [ -n "${QCOW2TOOL_SLOW:-}" ]; then
  n_images=12
fi
python3 "$srcdir/tests/interop/interop-crash.py" --images "$n_images"
