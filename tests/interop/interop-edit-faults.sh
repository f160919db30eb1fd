#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# System calls of edits fail, or the edit is killed there: the image is as it
# was or as it should be, or the plan completes it.  "make fuzz-edit" tries
# every call.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3 qemu-img strace
strace -o /dev/null true 2> /dev/null || skip_all 'strace cannot be used'
[ -z "$few" ] || skip_all 'a sanitizer or valgrind makes other calls'

export QCOW2TOOL
results python3 "$srcdir/tests/interop/edit-faults.py" --faults 4
check 'every command was tried' [ "$n_results" = 11 ]

done_testing
