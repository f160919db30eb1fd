#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The numbers in the summary of check are those of qemu-img check, for images
# with random damage.  "make fuzz-census" tries more images.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
require_known_qemu

export QCOW2TOOL
n_images=${CENSUS_IMAGES:-150}
python3 "$srcdir/tests/interop/interop-census.py" --images "$n_images" \
  --batch 25
