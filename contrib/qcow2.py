#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Replaces QEMU's qcow2.py for the commands that qcow2tool has, too.

  qcow2.py IMAGE dump-header|dump-header-exts [-j]

-j may be anywhere.  Runs $QCOW2TOOL, or the qcow2tool in PATH.
"""

import os
import shlex
import sys

words = [word for word in sys.argv[1:] if word != '-j']
if len(words) != 2 or words[1] not in ('dump-header', 'dump-header-exts'):
    sys.exit(__doc__.strip())

tool = shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))
options = ['-j'] if '-j' in sys.argv[1:] else []
try:
    os.execvp(tool[0], tool + [words[1]] + options + ['--', words[0]])
except OSError as error:
    sys.exit('qcow2.py: %s: %s' % (tool[0], error.strerror))
