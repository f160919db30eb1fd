#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# QEMU, with the right secret, does what check says about a LUKS header.  The
# header of an image made by qemu-img gets random changes.
# QCOW2TOOL_LUKS_CASES is the number of changes, and QCOW2TOOL_LUKS_SEED is
# their seed.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
require_known_qemu

export QCOW2TOOL MKIMAGE IMAGES=$tmp
python3 "$srcdir/tests/interop/interop-luks.py"
