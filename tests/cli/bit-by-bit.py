#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of cli-list.sh and cli-bitmap-map.sh: compares what the program
says about bitmaps with the reader in bitmap-bits.py.

  rows SINGLE IMAGE...    bitmaps --list --long: its rows can be split, agree
                          with the blocks of bitmaps, and have the percentage
                          that is dirty.  Every SINGLE-th image also has a run
                          of its own.
  maps IMAGE...           bitmap-map: its extents, and their totals

The program is $QCOW2TOOL.  Prints a line for each image: its name and, after a
tab, the errors.  The last line says whether there were bitmaps.
"""

import importlib
import json
import os
import re
import shlex
import signal
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(sys.path[0]), 'oracle'))

# Its name is no identifier.
bits = importlib.import_module('bitmap-bits')

TOOL = shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))

# A bitmap that takes longer to read bit by bit is left out.
SECONDS = 10

# Bitmaps of an image whose maps are compared.
MOST_BITMAPS = 3

USABLE = ('enabled', 'disabled')
SIZE = re.compile('(-|[0-9]+(\\.[0-9])?[KMGTPE]?)')
COUNT = re.compile('(-|[0-9]+)')

wrong = []


def same(what, ours, expected):
    if ours != expected:
        wrong.append('%s: %.300r, not %.300r' % (what, ours, expected))


def run(*words):
    done = subprocess.run(TOOL + list(words), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class TooLong(Exception):
    """A bitmap takes too long."""


def interrupt(*_):
    raise TooLong


def extents_of(path, index, clear):
    """Returns the extents of a bitmap, or None if it cannot be read like
    this."""
    signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        image = bits.Image(path)
        with image.file:
            return list(bits.extents(image, index, clear))
    except (OSError, OverflowError, TooLong, ValueError, struct.error):
        return None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


# bitmaps --list.


def percentage(path, index):
    """Returns the percentage of dirty bytes as --list writes it."""
    extents = extents_of(path, index, bits.CLEAN)
    if extents is None:
        return 'a bitmap that can be read'
    clean, dirty, unknown = bits.totals(extents)
    if clean + dirty + unknown == 0:
        return '-'
    text = '%.1f%%' % (dirty / (clean + dirty + unknown) * 100)
    if text == '0.0%' and dirty != 0:
        return '<0.1%'
    if text == '100.0%' and clean + unknown != 0:
        return '>99.9%'
    return text


def check_row(path, words):
    index, state, granularity, dirty, percent, disk, *counts = words[:9]
    what = 'bitmap ' + index
    for text, pattern in [(granularity, SIZE), (disk, SIZE), (dirty, SIZE)] \
            + [(count, COUNT) for count in counts]:
        if not pattern.fullmatch(text):
            same(what + ': value', text, pattern.pattern)
    same(what + ': dirty is unknown', dirty == '-', state not in USABLE)
    same(what + ': percentage', percent,
         percentage(path, int(index)) if state in USABLE else '-')


def read_blocks(text, path):
    """Returns (index, state, name) of each block, by the path of its image:
    PATH or, if that is None, the path in the heading."""
    blocks = {}
    for line in text.splitlines():
        key, _, value = line.partition(' ')
        if path is None and line.startswith('image: '):
            blocks[value] = []
            current = blocks[value]
        elif line.startswith('Bitmap name '):
            name = line[26:].strip(' ')
            current = blocks.setdefault(path, []) if path else current
        elif key == 'state':
            current.append((str(len(current)), value.strip(), name))
    return blocks


def read_rows(text, path):
    """Returns the words of each row, by the path of its image.  Only spaces at
    the ends of names are lost."""
    rows = {}
    for line in text.splitlines()[1:]:
        words = line.split(None, 9 if path else 10)
        where = path or words.pop(0)
        rows.setdefault(where, []).append(words + [''] * (10 - len(words)))
    return rows


def compare_lists(paths):
    """Compares both lists of bitmaps for each of PATHS.  Returns the rows by
    the paths."""
    status, blocks, messages = run('bitmaps', *paths)
    row_status, rows, row_messages = run('bitmaps', '--list', '--long', *paths)
    same('status and messages', (row_status, row_messages),
         (status, messages))
    path = paths[0] if len(paths) == 1 else None
    blocks = read_blocks(blocks, path)
    rows = read_rows(rows, path)
    for path in paths:
        same('rows of ' + os.path.basename(path),
             [(words[0], words[1], words[9].strip(' '))
              for words in rows.get(path, [])], blocks.get(path, []))
    return rows


def check_rows(single, *paths):
    rows = compare_lists(paths)
    for at, path in enumerate(paths):
        for words in rows.get(path, []):
            check_row(path, words)
        if at % int(single) == 0:
            compare_lists([path])
        report(path)
    report_number(sum(map(len, rows.values())))


# bitmap-map.


def bitmaps_of(paths):
    """Returns the bitmaps of each image, by its path."""
    _, lines, _ = run('bitmaps', '--output=jsonl', *paths)
    answers = map(json.loads, lines.splitlines())
    return {answer['filename']: answer['bitmaps'] or [] for answer in answers}


def check_map(path, index, state):
    """Compares the map of a bitmap.  Returns whether it can be read bit by
    bit.  Clear bits of a bitmap that cannot be used are unknown."""
    option = '--dirty' if state in USABLE else '--force'
    expected = extents_of(path, index,
                          bits.CLEAN if state in USABLE else bits.UNKNOWN)
    if expected is None:
        return False
    what = 'bitmap %d (%s)' % (index, state)
    if option == '--dirty':
        expected = [extent for extent in expected if extent[2] != bits.CLEAN]
    words = ('bitmap-map', '--index', str(index), option)
    same(what, run(*words, path)[1], ''.join(map(bits.line, expected)))
    sums = {str(kind): 0 for kind in bits.WORDS}
    for line in run(*words, '--totals', path)[1].splitlines():
        sums[line.split()[2]] += int(line.split()[0])
    same(what + ': totals', tuple(sums.values()), bits.totals(expected))
    return True


def check_maps(*paths):
    n = 0
    bitmaps = bitmaps_of(paths)
    for path in paths:
        for bitmap in bitmaps[path][:MOST_BITMAPS]:
            # The fields of an entry whose name is missing are not used.
            if bitmap['name'] is not None:
                n += check_map(path, bitmap['index'], bitmap['state'])
        report(path)
    report_number(n)


def report(path):
    print(os.path.basename(path)[:-6], '; '.join(wrong[:5]), sep='\t')
    wrong.clear()


def report_number(n):
    print('there are bitmaps (%d)' % n, '' if n >= 30 else 'too few', sep='\t')


if __name__ == '__main__':
    {'rows': check_rows, 'maps': check_maps}[sys.argv[1]](*sys.argv[2:])
