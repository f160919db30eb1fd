#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What check finds in the images of the corpus is what is wrong with them.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3

export QCOW2TOOL MKIMAGE IMAGES=$tmp
python3 "$srcdir/tests/cli/check-findings.py" corpus \
  "$srcdir/tests/expected/cli-check-corpus/rows"
