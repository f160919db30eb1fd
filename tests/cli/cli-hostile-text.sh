#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Text from an image, from file names and from the command line is harmless
# wherever it is shown.  It cannot control a terminal, forge a line or break
# JSON, and the expected bytes of the output are computed independently.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
export QCOW2TOOL

# HOSTILE_TURNS=1 tries each command line with each text.
turns=${HOSTILE_TURNS:-4}

# Under valgrind a run takes a second, so only two texts are tried.
step=1
if [ -n "$few" ]; then
  step=${QCOW2TOOL_SLOW:+48}
  step=${step:-8}
fi

# oracle WHAT: reports a result for each text.
oracle ()
{
  results python3 "$srcdir/tests/cli/hostile-text.py" \
    "$1" "$step" "$turns" "$(text_ways)"
}

mkdir "$tmp/files"
cd "$tmp/files" || exit 1

oracle image
if : > $'\xff' 2> /dev/null; then
  oracle path
else
  skip "path" "the file system allows only names in UTF-8"
fi
oracle words

done_testing
