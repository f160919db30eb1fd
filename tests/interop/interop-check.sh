#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What check says of QEMU is what qemu-img does: which images it refuses and
# with which words, what it makes of the others, and what remedies do.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
require_known_qemu

export QCOW2TOOL MKIMAGE IMAGES=$tmp
python3 "$srcdir/tests/interop/interop-check.py"
