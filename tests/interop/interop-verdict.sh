#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# QEMU opens an image with random damage if check says so, and only then.
# "make fuzz-verdict" tries more images.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
require_known_qemu

export QCOW2TOOL VERDICT_DIR=$tmp
n_images=${VERDICT_IMAGES:-150}
python3 "$srcdir/tests/interop/interop-verdict.py" --images "$n_images" \
  --batch 50
