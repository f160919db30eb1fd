#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Two edits at a time, or an edit and a program of QEMU: each is done or
# refused, and the image stays valid.  "make fuzz-edit" tries more.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3 qemu-img qemu-io
export QCOW2TOOL
rounds=8
[ -z "$few" ] || rounds=2

results python3 "$srcdir/tests/interop/edit-race.py" --rounds "$rounds"
check 'all rounds were run' [ "$n_results" = "$rounds" ]

done_testing
