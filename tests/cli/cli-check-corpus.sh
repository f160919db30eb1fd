#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# In each image of the corpus, check finds exactly the expected violations.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3

export QCOW2TOOL MKIMAGE IMAGES=$tmp
python3 "$srcdir/tests/cli/check-findings.py" corpus \
  "$srcdir/tests/expected/cli-check-corpus/rows"
