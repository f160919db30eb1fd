#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# qemu-img does what check says about QEMU: which images it refuses, with which
# messages, how it treats the others, and what remedies do.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
require_known_qemu

export QCOW2TOOL MKIMAGE IMAGES=$tmp
python3 "$srcdir/tests/interop/interop-check.py"
