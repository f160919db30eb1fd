#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Edits images at random, and compares each result with edit_model.py.

  edit-random.py [--seed N] [--sequences N] [--all-cuts] [FOLDER]

Makes the images with qemu-img in FOLDER, or in a temporary folder.  Prints a
line for each sequence: its name and, after a tab, the reason if it is wrong.
For every edit:

* The file is as the model says, or, if the edit is refused, as before.
* The plan, in JSON and as text, says what changed, and nothing else changes.
* In each state in which a power failure can leave the image, a reader finds
  the old or the new extensions and name, and bitmaps only where they are
  valid.  A write within a sector of 512 bytes is done or not done; of several
  sectors that are not synced, any may be.  All these states are read if a step
  has at most 10 sectors, and otherwise some of them.
* From some of these states, and from more of them with --all-cuts, apply and
  apply --reverse complete the plan, and qemu-img opens the image if it opens
  the old and the new one.
* A plan that was changed at random does nothing, or changes only bytes of the
  first cluster and the bitmap directory.  The file never grows."""

import argparse
import json
import os
import random
import re
import shlex
import struct
import subprocess
import sys
import tempfile

import edit_model as model

TOOL = shlex.split(os.environ['QCOW2TOOL'])
SECTOR = 512

# The number of sectors of a step up to which all states are tried, and the
# number of states that are tried beyond.
MAX_SECTORS = 10
SAMPLE = 64


class Wrong(Exception):
    pass


def make_images(folder):
    """Makes the images that sequences begin with, and returns their bytes."""
    made = {}

    def make(name, *words, bitmaps=0):
        path = os.path.join(folder, name)
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', *words,
                        path, '64M'], check=True, cwd=folder)
        for i in range(bitmaps):
            words = ['--disable'] if i % 2 else []
            subprocess.run(['qemu-img', 'bitmap', '--add', *words, path,
                            'bitmap-%d' % i], check=True)
        with open(path, 'rb') as file:
            made[name] = file.read()

    subprocess.run(['qemu-img', 'create', '-q', '-f', 'raw', 'base.raw',
                    '64M'], check=True, cwd=folder)
    backing = ['-b', 'base.raw', '-F', 'raw']
    make('v3')
    make('v2', '-o', 'compat=0.10')
    make('bitmaps', bitmaps=3)
    make('backing', *backing)
    make('backing-v2', '-o', 'compat=0.10', *backing)
    make('backing-bitmaps', *backing, bitmaps=3)
    make('small', '-o', 'cluster_size=512')
    make('small-bitmaps', '-o', 'cluster_size=4k', bitmaps=2)
    make('small-backing', '-o', 'cluster_size=1k', *backing, bitmaps=2)
    make('data-file', '-o', 'data_file=' + os.path.join(folder, 'data'))
    # An empty name still ends the extensions.
    for name in 'backing-bitmaps', 'small-backing':
        made['empty-' + name] = made[name][:16] + bytes(4) + made[name][20:]
    return made


def choose(rng, data):
    """Returns a command, without its image."""
    magics = [e[1] for e in model.extensions(data)[0]]
    kind = rng.choice(['field', 'bit', 'add', 'add', 'delete', 'delete',
                       'index', 'bitmap', 'bitmap'])
    if kind == 'field':
        name = rng.choice(['compatible_features', 'autoclear_features',
                           'nb_snapshots', 'snapshot_offset', 'size',
                           'l1_size', 'crypt_method', 'compression_type'])
        limit = 256 ** model.FIELDS[name][1]
        return ['set-header', name,
                hex(rng.choice([0, 1, rng.randrange(limit)]))]
    if kind == 'bit':
        bit = rng.choice(['0', '1', '42', '63', 'bitmaps'])
        group = 'autoclear' if bit == 'bitmaps' else rng.choice(model.GROUPS)
        return [rng.choice(['set-feature-bit', 'clear-feature-bit']), group,
                bit]
    if kind == 'add':
        length = rng.choice([0, 1, 7, 8, 9, 31, rng.randrange(600)])
        return ['add-header-ext', hex(rng.choice([0x12345678, 0xcc, 0xabcd])),
                'x' * length]
    if kind == 'delete':
        return ['del-header-ext', hex(rng.choice(magics + [0x12345678, 0xcc]))]
    if kind == 'index':
        return ['del-header-ext', '--index=%d' % rng.randrange(5)]
    return ['remove-bitmap', '--index=%d' % rng.randrange(4)]


def tool(*words):
    result = subprocess.run(TOOL + list(words), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=False)
    if result.returncode not in (0, 1, 2, 3):
        raise Wrong('status %d' % result.returncode)
    return result


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def write(path, data):
    with open(path, 'wb') as file:
        file.write(data)


def steps_of(changes):
    steps = {}
    for change in changes:
        steps.setdefault(change['step'], []).append(
            (change['offset'], bytes.fromhex(change['old']),
             bytes.fromhex(change['new'])))
    return [steps[i] for i in sorted(steps)]


def sectors_of(step):
    """Returns the changes of a step by sector: lists of (offset, bytes)."""
    sectors = {}
    for offset, _, new in step:
        at = 0
        while at < len(new):
            here = offset + at
            size = min(SECTOR - here % SECTOR, len(new) - at)
            sectors.setdefault(here // SECTOR, []).append(
                (here, new[at:at + size]))
            at += size
    return list(sectors.values())


def subsets_of(rng, n):
    """Returns the sets of N sectors that are written before a power failure:
    all sets, or some of them."""
    if n <= MAX_SECTORS:
        return [[k for k in range(n) if bits >> k & 1]
                for bits in range(1 << n)]
    return [[]] + [[k for k in range(n) if rng.random() < 0.5]
                   for _ in range(SAMPLE)]


def count_states(steps):
    sizes = [len(sectors_of(step)) for step in steps]
    return 1 + sum(1 << n if n <= MAX_SECTORS else SAMPLE + 1 for n in sizes)


def states(rng, data, steps):
    """Yields the number of complete steps, and the bytes that a power failure
    can leave after them."""
    data = bytearray(data)
    for i, step in enumerate(steps):
        sectors = sectors_of(step)
        subsets = subsets_of(rng, len(sectors))
        for subset in subsets:
            torn = bytearray(data)
            for k in subset:
                for offset, new in sectors[k]:
                    torn[offset:offset + len(new)] = new
            yield i, bytes(torn)
        for offset, old, new in step:
            if data[offset:offset + len(old)] != old:
                raise Wrong('step %d does not begin with the old bytes' % i)
            data[offset:offset + len(new)] = new
    yield len(steps), bytes(data)


def qemu_opens(path):
    return subprocess.run(['qemu-img', 'info', path], check=False,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def mutate(rng, text):
    """Returns the text of a plan with a random change."""
    lines = text.splitlines(keepends=True)
    i = rng.randrange(len(lines))
    kind = rng.randrange(6)
    if kind == 0:
        lines.insert(rng.randrange(len(lines) + 1), lines[i])
    elif kind == 1:
        del lines[i]
    elif kind == 2:
        lines[i] = re.sub('0x[0-9a-f]+', hex(rng.choice(
            [0, 1 << 16, 0x50000, 1 << 62, rng.randrange(1 << 20)])),
                          lines[i], count=1)
    elif kind == 3:
        other = rng.randrange(len(lines))
        lines[i], lines[other] = lines[other], lines[i]
    else:
        at = rng.randrange(len(lines[i]))
        lines[i] = (lines[i][:at] + rng.choice('0123456789abcdef#\n \0>s')
                    + lines[i][at + (kind == 4):])
    return ''.join(lines)


def try_plan(rng, path, plan, data):
    """Applies a plan that was changed to the image DATA."""
    text = mutate(rng, read(plan).decode())
    write(plan + '.changed', text.encode())
    write(path, data)
    options = rng.choice([[], ['--force'], ['--reverse', '--force']])
    result = tool('apply', *options, plan + '.changed', path)
    after = read(path)
    if len(after) != len(data):
        raise Wrong('a changed plan changes the size: ' + text)
    if result.returncode != 0 and after != data:
        raise Wrong('a changed plan fails, and writes: ' + text)
    cluster = 1 << model.field(data, 'cluster_bits')
    allowed = [(0, cluster)]
    extension = model.bitmaps_extension(data)
    if extension is not None:
        size, start = struct.unpack_from('>QQ', data, extension + 8)
        allowed.append((start, start + size))
    rest = bytearray(after)
    for start, end in allowed:
        rest[start:end] = data[start:end]
    if rest != data:
        raise Wrong('a changed plan writes elsewhere: ' + text)


def edit(rng, folder, data, words, n_cuts):
    """Does the edit WORDS, checks everything, and returns the bytes after it.
    N_CUTS is the number of interruptions after which the plan is applied."""
    path = os.path.join(folder, 'image')
    plan = os.path.join(folder, 'plan')
    write(path, data)
    if os.path.exists(plan):
        os.remove(plan)
    line = words[:1] + ['--force', '--save-plan=' + plan, '--output=json',
                        path] + words[1:]
    try:
        expected, status = model.run(data, words), 0
    except model.NotFound:
        expected, status = data, 3
    except model.NoRoom:
        expected, status = data, 2
    result = tool(*line)
    after = read(path)
    if result.returncode != 0 and after != data:
        raise Wrong('it failed, and changed the image')
    if len(after) != len(data):
        raise Wrong('the file has another size')
    if (words[0] == 'remove-bitmap' and result.returncode == 2
            and b'shares a cluster' in result.stderr):
        # A field that was changed before makes another structure overlap.
        return after
    if result.returncode != status:
        raise Wrong('status %d, not %d: %r'
                    % (result.returncode, status, result.stderr[:300]))
    if after != expected:
        raise Wrong('other bytes at %s' % ' '.join(
            hex(i) for i in range(len(after)) if after[i] != expected[i])[:99])
    if status != 0 or after == data:
        return after

    changes = json.loads(result.stdout)['changes']
    steps = steps_of(changes)
    write(path, data)
    opens = qemu_opens(path)
    write(path, after)
    opens = opens and qemu_opens(path)
    unsafe = any('in no safe order' in (c['note'] or '') for c in changes)
    n_states = count_states(steps)
    for i, torn in states(rng, data, steps):
        if not unsafe:
            if not model.is_either(torn, data, after):
                raise Wrong('a power failure leaves neither the old nor the '
                            'new image')
            if opens and rng.random() * n_states < n_cuts / 4:
                write(path, torn)
                if not qemu_opens(path):
                    raise Wrong('QEMU does not open it after step %d' % i)
        if rng.random() * n_states > n_cuts:
            continue
        for option, target in (([], after), (['--reverse'], data)):
            write(path, torn)
            result = tool('apply', '--force', *option, plan, path)
            if result.returncode != 0 or read(path) != target:
                raise Wrong('after step %d, apply %s: status %d %r'
                            % (i, option, result.returncode,
                               result.stderr[:300]))
    for _ in range(3):
        try_plan(rng, path, plan, data)
    return after


def sequence(seed, folder, images, n_cuts):
    rng = random.Random(seed)
    name = rng.choice(sorted(images))
    data = images[name]
    done = []
    try:
        for _ in range(rng.randrange(1, 8)):
            words = choose(rng, data)
            done.append(' '.join(words)[:40])
            after = edit(rng, folder, data, words, n_cuts)
            # Where the extensions cannot be found, the sequence ends.
            data = after
            if (model.field(data, 'crypt_method') > 2
                    or model.field(data, 'version') == 2
                    and model.field(data, 'snapshot_offset') % 512):
                break
    except Wrong as error:
        return '%s: %s: %s' % (name, '; '.join(done), error)
    except (struct.error, IndexError) as error:
        return '%s: %s: the model fails: %s' % (name, '; '.join(done), error)
    return ''


def try_all(options, folder):
    images = make_images(folder)
    n_cuts = 20 if options.all_cuts else 1
    for i in range(options.sequences):
        wrong = sequence(options.seed + i, folder, images, n_cuts)
        print('sequence %d%s' % (options.seed + i,
                                 '\t' + re.sub(r'\s+', ' ', wrong)
                                 if wrong else ''))
        sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--sequences', type=int, default=40)
    parser.add_argument('--all-cuts', action='store_true')
    parser.add_argument('folder', nargs='?')
    options = parser.parse_args()
    if options.folder is not None:
        try_all(options, os.path.abspath(options.folder))
        return
    memory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        try_all(options, folder)


main()
