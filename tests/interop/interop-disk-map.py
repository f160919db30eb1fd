#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of interop-disk-map.sh.

  map SEED    makes images with QEMU's programs, and compares the output of map
              with that of qemu-img map; prints a line per result
  data SEED   makes images with a bitmap, and compares the output of bitmap-map
              --data with what nbdinfo says about an export of qemu-nbd:
              the bitmap, what reads as zeroes, and what is in the image

The images and command lines depend only on SEED.
"""

import importlib
import json
import os
import random
import signal
import sys

sys.dont_write_bytecode = True

# The file name is not a valid identifier.
interop_map = importlib.import_module('interop-map')
Failure, TooSlow = interop_map.Failure, interop_map.TooSlow
run = interop_map.run

TOOL = os.environ.get('QCOW2TOOL', '').split()
SLOW = bool(os.environ.get('QCOW2TOOL_SLOW'))

SECRET = ('--object', 'secret,id=s,data=open')

# Kinds of images: a name, the options of qemu-img create, the smallest and
# largest cluster_bits, and properties.
KINDS = [
    ('plain', '', 9, 21, ''),
    ('plain', '', 9, 21, ''),
    ('plain', '', 9, 21, ''),
    ('version 2', 'compat=0.10', 9, 21, 'version-2'),
    ('zlib', 'compression_type=zlib', 9, 21, 'compressed'),
    ('zstd', 'compression_type=zstd', 9, 21, 'compressed'),
    ('extended L2', 'extended_l2=on', 14, 21, ''),
    ('extended L2, compressed', 'extended_l2=on', 14, 21, 'compressed'),
    ('LUKS', 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10',
     9, 21, 'luks'),
    ('metadata', 'preallocation=metadata', 9, 21, 'holes'),
    ('falloc', 'preallocation=falloc', 9, 21, 'holes'),
    ('full', 'preallocation=full', 9, 21, 'holes'),
    ('extended L2, metadata', 'extended_l2=on,preallocation=metadata', 14, 21,
     'holes'),
    ('data file', 'data_file=data.raw', 9, 21, 'data-file'),
    ('raw data file', 'data_file=data.raw,data_file_raw=on', 9, 21,
     'data-file holes'),
    ('overlay', '', 9, 21, 'overlay'),
    ('overlay, extended L2', 'extended_l2=on', 14, 21, 'overlay'),
    ('overlay, compressed', '', 9, 21, 'overlay compressed'),
    ('resized', '', 9, 21, 'resized'),
    ('snapshot', '', 9, 21, 'snapshot'),
]


def demand(*command):
    """Runs COMMAND, which must succeed, and returns its output."""
    done = run(*command)
    if done.returncode != 0:
        raise Failure('%s: status %d: %s' % (
            ' '.join(command), done.returncode,
            (done.stdout + done.stderr).decode('utf-8', 'replace').strip()))
    return done.stdout


class RandomImage:
    """A random image of KIND.  If GRANULARITY is not 0, it has a bitmap b0."""

    def __init__(self, rng, kind, cluster_bits, granularity=0):
        self.name, options, _, _, properties = kind
        self.rng = rng
        self.cluster = 1 << cluster_bits
        self.properties = set(properties.split())
        self.path = 'random.qcow2'
        self.log = []
        self.size = self.random_size()
        self.secret = SECRET if 'luks' in self.properties else ()
        self.create(options)
        if granularity:
            # Data that were written before are clean.
            self.use()
            self.img('bitmap', '--add', '-g', str(granularity), self.path,
                     'b0')
        for _ in range(rng.randint(1, 2)):
            self.use()
        if 'snapshot' in self.properties:
            self.img('snapshot', '-c', 's', self.path)
            self.use()
        if 'resized' in self.properties:
            self.size += 512 * rng.randint(1, 4000)
            self.img('resize', '-q', '-f', 'qcow2', self.path, str(self.size))
            self.use()

    def random_size(self):
        # One L2 table, or several of them.
        most = min(self.cluster * self.cluster // 8 * 5, 1 << 28)
        if 'holes' in self.properties:
            most = min(most, 1 << 24)
        return self.rng.randrange(512, most, 512)

    def img(self, command, *arguments):
        self.log.append(' '.join(('qemu-img', command) + self.secret
                                 + arguments))
        demand('qemu-img', command, *self.secret, *arguments)

    def create(self, options):
        for name in (self.path, 'data.raw', 'base.qcow2'):
            if os.path.exists(name):
                os.unlink(name)
        words = ['cluster_size=%d' % self.cluster]
        if options:
            words.append(options)
        if 'overlay' in self.properties:
            size = max(512, self.size + 512 * self.rng.randint(-100, 100))
            self.img('create', '-q', '-f', 'qcow2', 'base.qcow2', str(size))
            if self.rng.random() < 0.7:
                self.io('base.qcow2', ['write -q 0 %d' % min(size, 1 << 20)])
            words.append('backing_file=base.qcow2,backing_fmt=qcow2')
        self.img('create', '-q', '-f', 'qcow2', '-o', ','.join(words),
                 self.path, str(self.size))

    def io(self, path, commands):
        words = [word for command in commands for word in ('-c', command)]
        if self.secret:
            where = [*self.secret, '--image-opts',
                     'driver=qcow2,file.filename=%s,encrypt.key-secret=s'
                     % path]
        else:
            where = ['-f', 'qcow2', path]
        self.log.append('qemu-io ' + ' '.join(
            "'%s'" % word if ' ' in word else word for word in words + where))
        done = run('qemu-io', '-t', 'unsafe', *words, *where)
        # Compressed data is written only where there was no data before.
        if done.returncode != 0 and 'compressed' not in self.properties:
            raise Failure(self.log[-1] + ': '
                          + (done.stdout + done.stderr).decode())

    def use(self):
        self.io(self.path, [self.random_command()
                            for _ in range(self.rng.randint(2, 10))])

    def random_command(self):
        verbs = ['write -q', 'write -q', 'write -q -z', 'write -q -z -u',
                 'discard -q']
        if 'compressed' in self.properties:
            verbs += ['write -q -c'] * 4
        verb = self.rng.choice(verbs)
        unit = self.cluster if verb == 'write -q -c' else 512
        if self.size < unit:
            verb, unit = 'write -q', 512
        offset = self.rng.randrange(0, self.size - unit + 1, unit)
        if self.rng.random() < 0.3:
            offset = max(offset - offset % self.cluster, 0)
        most = 1 << self.rng.randint(10, 21)
        if verb == 'write -q -c':
            most = unit * self.rng.randint(1, 3)
        length = max(unit, min(self.rng.randrange(1, most + 1) // unit * unit,
                               self.size - offset))
        if verb == 'write -q -c':
            length = unit
        return '%s %d %d' % (verb, offset, min(length, self.size - offset))

    def ask_qemu(self, *options):
        """Runs qemu-img map."""
        if self.secret:
            return run('qemu-img', 'map', *self.secret, *options,
                       '--image-opts',
                       'driver=qcow2,file.filename=%s,encrypt.key-secret=s'
                       % self.path)
        return run('qemu-img', 'map', *options, '-f', 'qcow2', self.path)

    def ask(self, *options):
        done = run(*TOOL, 'map', *options, self.path)
        if done.returncode != 0 or done.stderr:
            raise Failure('map %s: status %d: %s' % (
                ' '.join(options), done.returncode, done.stderr.decode()))
        return done.stdout


# ---- Comparison ----


ABSENT = {'present': False}


def reduce_extent(image, extent, is_ours):
    """Returns what is compared of EXTENT, without its range."""
    keep = {'present', 'zero', 'data', 'offset'}
    # Holes of the file are not examined.
    if 'holes' in image.properties:
        keep.remove('zero')
    if not is_ours and extent['depth'] > 0:
        return ABSENT
    if 'overlay' in image.properties and not extent['present']:
        return ABSENT
    return {key: extent[key] for key in keep & extent.keys()}


def merge(image, extents, is_ours):
    """Returns EXTENTS as pairs of a range and what is compared, merged."""
    merged = []
    for extent in extents:
        kind = reduce_extent(image, extent, is_ours)
        start, end = extent['start'], extent['start'] + extent['length']
        if merged:
            (first, last), before = merged[-1]
            grown = dict(before)
            if 'offset' in before:
                grown['offset'] += last - first
            if last == start and grown == kind:
                merged[-1] = (first, end), before
                continue
        merged.append(((start, end), kind))
    return merged


def shorten(value):
    text = value if isinstance(value, str) else repr(value)
    text = ' | '.join(text.splitlines())
    return text if len(text) < 400 else text[:400] + '...'


def differ(what, ours, theirs):
    """Returns a difference between two lists, or an empty list."""
    for index in range(max(len(ours), len(theirs))):
        pair = [shorten(some[index]) if index < len(some) else 'nothing'
                for some in (ours, theirs)]
        if index >= len(ours) or index >= len(theirs) \
                or ours[index] != theirs[index]:
            return ['%s: printed %s; but QEMU: %s' % (what, *pair)]
    return []


def look_for_holes(image, extents):
    """QEMU also examines the holes of images that look preallocated.  EXTENTS
    are those of qemu-img map."""
    if any(extent['data'] and extent['zero'] for extent in extents):
        image.properties.add('holes')


def compare_json(image, *options):
    theirs = json.loads(image.ask_qemu('--output=json', *options).stdout)
    ours = json.loads(image.ask('--output=json', *options))
    look_for_holes(image, theirs)
    differences = differ('json ' + ' '.join(options),
                         merge(image, ours, True),
                         merge(image, theirs, False))
    plain = not image.properties & {'holes', 'overlay'}
    if plain and len(ours) < len(theirs):
        differences.append('extents are merged that QEMU does not merge')
    return ours, differences


def compare_text(image):
    """Text is the same wherever qemu-img gets to the end of it."""
    done = image.ask_qemu()
    if done.returncode != 0 or image.properties & {'holes', 'overlay'}:
        return []
    return differ('text', image.ask().decode().splitlines(),
                  done.stdout.decode().splitlines())


def compare_totals(image, extents):
    """The totals and the lines are derived from the JSON."""
    def add(condition):
        return sum(extent['length'] for extent in extents
                   if condition(extent))
    totals = {
        'data': add(lambda extent: extent['data']),
        'zero': add(lambda extent: extent['present'] and extent['zero']),
        'unallocated': add(lambda extent: not extent['present']),
        'compressed': add(lambda extent: extent['compressed']),
        'damaged': 0,
    }
    lines = image.ask('--output=jsonl').decode().splitlines()
    return (differ('totals', [json.loads(image.ask('--totals',
                                                   '--output=json'))],
                   [totals])
            + differ('jsonl', [json.loads(line) for line in lines], extents))


def compare(rng, image):
    extents, differences = compare_json(image)
    start = rng.randrange(image.size)
    length = rng.randint(1, 1 << rng.randint(1, 28))
    differences += compare_json(image, '--start-offset=%d' % start,
                                '--max-length=%d' % length)[1]
    return (differences + compare_text(image)
            + compare_totals(image, extents))


def plan(rng):
    """Yields each kind of image, and all cluster sizes."""
    bits = list(range(9, 22))
    for kind in KINDS:
        _, _, least, most, _ = kind
        fitting = [some for some in bits if least <= some <= most]
        some = rng.choice(fitting or list(range(least, most + 1)))
        if fitting:
            bits.remove(some)
        yield kind, some


# ---- bitmap-map --data ----


class Export(interop_map.Export):
    """Also exports the layer that each range comes from."""

    def __init__(self, path):
        super().__init__(path, ['b0'])
        self.command.insert(1, '--allocation-depth')

    def ask_context(self, context):
        return json.loads(demand('nbdinfo', '--json', '--map=' + context,
                                 'nbd+unix:///?socket=' + self.socket))


def cut(maps):
    """Yields the ranges in which none of MAPS, lists of extents, changes, and
    the type that each of them has there."""
    indexes = [0] * len(maps)
    start = 0
    while indexes[0] < len(maps[0]):
        current = [extents[index] for extents, index in zip(maps, indexes)]
        ends = [extent['offset'] + extent['length'] for extent in current]
        yield start, min(ends), [extent['type'] for extent in current]
        start = min(ends)
        indexes = [index + (end == start)
                   for index, end in zip(indexes, ends)]


def get_type(image, dirty, allocation, depth):
    """Returns the type of a range, from the types of the exported maps."""
    if not dirty:
        return 0
    is_here = depth == 1
    is_zero = allocation & 2 != 0
    # The backing file is not opened.
    if 'overlay' in image.properties and not is_here:
        is_zero = False
    return 1 + 4 * is_zero + 8 * (not is_here)


def merge_types(image, ranges):
    merged = []
    for start, end, kind in ranges:
        # The holes of a file read as zeroes for QEMU alone.
        if 'holes' in image.properties and kind == 5:
            kind = 1
        if merged and merged[-1][2] == kind:
            merged[-1] = (merged[-1][0], end, kind)
        else:
            merged.append((start, end, kind))
    return merged


def ask_data(image, *options):
    return json.loads(demand(*TOOL, 'bitmap-map', '--name=b0', '--data',
                             '--output=json', *options, image.path))


def compare_data(rng, image):
    del rng
    look_for_holes(image, json.loads(image.ask_qemu('--output=json').stdout))
    with Export(image.path) as export:
        maps = [export.ask_context('qemu:dirty-bitmap:b0'),
                export.ask_context('base:allocation'),
                export.ask_context('qemu:allocation-depth')]
    ours = [(extent['offset'], extent['offset'] + extent['length'],
             extent['type']) for extent in ask_data(image)]
    theirs = [(start, end, get_type(image, *types))
              for start, end, types in cut(maps)]
    totals = {extent['type']: extent['size']
              for extent in ask_data(image, '--totals')}
    sums = {}
    for start, end, kind in ours:
        sums[kind] = sums.get(kind, 0) + end - start
    return (differ('--data', merge_types(image, ours),
                   merge_types(image, theirs))
            + differ('--data --totals', [totals], [sums]))


def compare_all(seed, what):
    cases = list(plan(random.Random(seed)))
    judge = compare if what == 'map' else compare_data
    if what == 'data':
        cases = [case for case in cases if not
                 {'version-2', 'luks', 'holes'} & set(case[0][4].split())]
    for index, (kind, cluster_bits) in enumerate(cases):
        if SLOW and index % 8 != 0:
            continue
        name = '%s %d: %s, %d-bit clusters' % (what, index, kind[0],
                                               cluster_bits)
        rng = random.Random('%s %s %d' % (what, seed, index))
        granularity = 1 << rng.randint(9, 20) if what == 'data' else 0
        try:
            image = RandomImage(rng, kind, cluster_bits, granularity)
            differences = judge(rng, image)
            print('%s\t%s' % (name, '; '.join(differences)))
            if differences:
                for line in image.log:
                    print('# ' + line)
        except TooSlow as program:
            print('# %s: %s takes too long' % (name, program))
        except Failure as failure:
            print('%s\t%s' % (name, shorten(str(failure))))
        sys.stdout.flush()


def main():
    # This also ends a program that was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    what, seed = sys.argv[1:]
    compare_all(seed, what)


if __name__ == '__main__':
    main()
