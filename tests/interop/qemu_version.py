# SPDX-License-Identifier: LGPL-2.1-or-later
"""The version of QEMU's programs, which decides what is compared."""

import re
import subprocess


def get_version():
    """Returns the major and the minor version of qemu-img."""
    line = subprocess.check_output(['qemu-img', '--version'], text=True)
    return tuple(map(int, re.search(r' version (\d+)\.(\d+)', line).groups()))
