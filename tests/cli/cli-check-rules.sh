#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each rule of check has an image that breaks it, and one that just does not
# break it.  Images made by QEMU break none.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3

export QCOW2TOOL MKIMAGE IMAGES=$tmp
python3 "$srcdir/tests/cli/check-findings.py" rules \
  "$srcdir/tests/expected/cli-check-rules/rows" "$srcdir/tests/samples"
