#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the cases in tests/expected/cli-edit, which QEMU's qcow2.py ran before.

  edit-cases.py FOLDER CASES

FOLDER has the images that the cases begin with.  Each must become the image
that the case calls right, or else the one that qcow2.py made.  Prints a line
for each result: its name and, after a tab, the reason if it is wrong."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys

TOOL = shlex.split(os.environ['QCOW2TOOL'])

# Cases that change nothing here, and their status.
UNCHANGED = {'02': 0, '22': 2, '25': 3, '26': 2}


def parse(path):
    """Returns the commands, and the changes that are right: a dictionary of
    bytes by offset."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    commands = re.findall(r'^command +qcow2\.py (\S+) (.*)$', text, re.M)
    changes, part = {'bytes': {}, 'right': {}}, None
    for line in text.splitlines():
        if line.startswith('bytes '):
            part = 'bytes'
        elif 'right result:' in line:
            part = 'right'
        match = re.match(r' +0x([0-9a-f]+): ([0-9a-f]+) -> ([0-9a-f]+)$', line)
        if match and part:
            offset = int(match[1], 16)
            for i, byte in enumerate(bytes.fromhex(match[3])):
                changes[part][offset + i] = byte
    size = re.search(r'^ +size (\d+), sha256 ([0-9a-f]+)$', text, re.M)
    return commands, changes['right'] or changes['bytes'], size[2]


def fail(name, what):
    print('%s\t%s' % (name, what.replace('\n', ' ')))


def arguments_of(command):
    # The data of one case are abbreviated.
    match = re.match(r'(add-header-ext \S+) y.*\((\d+) characters\)$', command)
    if match:
        return match[1].split() + ['y' * int(match[2])]
    return shlex.split(command)


def run(folder, path):
    name = os.path.basename(path)[:-4]
    case = name[:2]
    commands, changes, digest = parse(path)
    base = os.path.join(folder, commands[0][0])
    image = os.path.join(folder, 'case-' + case)
    shutil.copyfile(base, image)
    with open(image, 'rb') as file:
        before = file.read()
    if hashlib.sha256(before).hexdigest() != digest:
        # Another QEMU makes other images.
        print('# %s: the image differs from the one of the case' % name)
    expected = bytearray(before)
    for offset, byte in changes.items():
        expected[offset] = byte
    if case in UNCHANGED:
        expected = before
    for _, command in commands:
        words = arguments_of(command)
        force = [] if case == '26' else ['--force']
        result = subprocess.run(
            TOOL + words[:1] + force + [image] + words[1:],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        status = UNCHANGED.get(case, 0)
        if result.returncode != status or result.stdout:
            fail(name, 'status %d, not %d; %r' % (result.returncode, status,
                                                  result.stderr))
            return
        if (status != 0) != (result.stderr != b'') and status != 0:
            fail(name, 'no message')
            return
    with open(image, 'rb') as file:
        after = file.read()
    if after != expected:
        wrong = [i for i in range(len(before))
                 if i >= len(after) or after[i] != expected[i]]
        fail(name, 'the bytes at %s' % ' '.join(map(hex, wrong[:9])))
        return
    print(name)


for case_name in sorted(os.listdir(sys.argv[2])):
    run(sys.argv[1], os.path.join(sys.argv[2], case_name))
