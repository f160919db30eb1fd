#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images that claim, or have, far more than can be read or printed: tables of
# gigabytes, tens of thousands of bitmaps and extensions, terabytes of zeroes.
# The program processes them in time and in little memory.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
export QCOW2TOOL
[ -z "${QCOW2TOOL_SLOW-}" ] || skip_all "each of these takes minutes here"

all_images '^(many-[^b]|sparse)'
check "there are images" test "${#images[@]}" -ge 5

# These command lines include what the other ones of these commands read and
# print.  Those of other commands are added from text_ways and json_ways.
text=$(printf '%s\n' 'bitmaps --list --long' 'dump' 'dump-header -j'; text_ways \
  | grep -vE '^(header|extensions|bitmaps|bitmap-table|dump)')
json=$(printf '%s\n' 'bitmaps' 'dump')
limit_memory
results python3 "$srcdir/tests/cli/every-image.py" \
  $((20 * (1 + 2 * ${QCOW2TOOL_SANITIZED:-0}))) "$memory" 1 \
  "$text" "$json" "${images[@]}"
check "all images were tried" test "$n_results" = "${#images[@]}"

done_testing
