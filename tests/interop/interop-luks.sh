#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What check says of a LUKS header is what QEMU does with it and the right
# secret: random changes of the header of an image that qemu-img made.
# QCOW2TOOL_LUKS_CASES is how many, QCOW2TOOL_LUKS_SEED chooses them.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
require_known_qemu

export QCOW2TOOL MKIMAGE IMAGES=$tmp
python3 "$srcdir/tests/interop/interop-luks.py"
