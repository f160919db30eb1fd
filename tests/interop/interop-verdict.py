#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the verdict of `qcow2tool check` ("qemu" in its JSON) with the
behaviour of qemu-io, for images with one or two random changes.

A seed and a number make an image.  Each disagreement is printed with the
arguments of --replay that make the image again.  The keys and salts of
encrypted bases differ from run to run.
"""

import argparse
import collections
import json
import multiprocessing
import os
import random
import re
import resource
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.append(os.path.dirname(sys.path[0]))

import findings # noqa: E402

QEMU_IO = shlex.split(os.environ.get('QEMU_IO', 'qemu-io'))
# The start of a path that qemu-io does not see, as in a chroot.
STRIP = os.environ.get('VERDICT_STRIP', '')
SECRET = 'abc'

# Images that take qemu-io longer, or more memory, are not compared.
TIMEOUT = 20
MEMORY = 3 << 30
BATCH_TIMEOUT = 3600

# The predicates are tried for one image in this many, and for those with a
# rare verdict.
SAMPLE = 20

BITMAPS = 0x23852875
CRYPTO = 0x0537be77

# Values that are likely to be a limit.
EDGES = (0, 1, 2, 8, 9, 16, 0x15, 0x16, 0x1f, 0x20, 0x3f, 0x40, 0x68, 0x70,
         0xff, 0x100, 0x3ff, 0x400, 0xffff, 0x10000, 0x10001, 0x2000000,
         0x2000001, 0x7fffffff, 0x80000000, 0xffffffff, (1 << 56) - 512,
         1 << 56, (1 << 62), (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
         (1 << 64) - 512)


Field = collections.namedtuple('Field', 'name offset width')


class Layout:
    """The fields of an image and the offsets of its structures."""

    HEADER = (('magic', 0, 4), ('version', 4, 4),
              ('backing_file_offset', 8, 8), ('backing_file_size', 16, 4),
              ('cluster_bits', 20, 4), ('size', 24, 8),
              ('crypt_method', 32, 4), ('l1_size', 36, 4),
              ('l1_table_offset', 40, 8), ('refcount_table_offset', 48, 8),
              ('refcount_table_clusters', 56, 4), ('nb_snapshots', 60, 4),
              ('snapshot_offset', 64, 8), ('incompatible_features', 72, 8),
              ('compatible_features', 80, 8), ('autoclear_features', 88, 8),
              ('refcount_order', 96, 4), ('header_length', 100, 4),
              ('compression_type', 104, 1), ('padding', 105, 7))
    ENTRY = (('bitmap_table_offset', 0, 8), ('bitmap_table_size', 8, 4),
             ('flags', 12, 4), ('type', 16, 1), ('granularity_bits', 17, 1),
             ('name_size', 18, 2), ('extra_data_size', 20, 4))
    SNAPSHOT = (('l1_table_offset', 0, 8), ('l1_size', 8, 4),
                ('id_str_size', 12, 2), ('name_size', 14, 2),
                ('vm_state_size', 32, 4), ('extra_data_size', 36, 4),
                ('vm_state_size_large', 40, 8), ('disk_size', 48, 8))
    SLOT = (('active', 0, 4), ('iterations', 4, 4),
            ('key_offset', 40, 4), ('stripes', 44, 4))
    LUKS = (('magic', 0, 6), ('version', 6, 2), ('cipher_name', 8, 32),
            ('cipher_mode', 40, 32), ('hash_spec', 72, 32),
            ('payload_offset', 104, 4), ('key_bytes', 108, 4),
            ('mk_digest_iterations', 164, 4))

    def __init__(self, data):
        self.data = data
        self.cluster = 1 << self.number(20, 4)
        self.groups = {}
        self.structures = {0: 'header'}
        # Entries of equal length that can be exchanged, by group.
        self.rows = {}
        self.extensions = []
        self.read_header()
        self.read_extensions()
        self.read_tables()
        self.read_snapshots()

    def number(self, offset, width):
        return int.from_bytes(self.data[offset:offset + width], 'big')

    def add(self, group, prefix, offset, table):
        if not table:
            return
        self.groups.setdefault(group, []).extend(
            Field(prefix + name, offset + at, width)
            for name, at, width in table)

    def read_header(self):
        self.version = self.number(4, 4)
        self.header_length = 72 if self.version == 2 else self.number(100, 4)
        self.add('header', 'header ', 0,
                 [row for row in self.HEADER
                  if row[1] + row[2] <= self.header_length])

    def read_extensions(self):
        at = self.header_length
        end = self.number(8, 8) or self.cluster
        while at + 8 <= end:
            magic, length = struct.unpack_from('>II', self.data, at)
            name = 'extension %d ' % len(self.extensions)
            self.extensions.append((at, magic, length))
            self.add('extension', name, at,
                     (('magic', 0, 4), ('length', 4, 4)))
            if magic == 0:
                break
            if magic == BITMAPS:
                self.add('bitmaps', name, at + 8,
                         (('nb_bitmaps', 0, 4), ('reserved32', 4, 4),
                          ('bitmap_directory_size', 8, 8),
                          ('bitmap_directory_offset', 16, 8)))
                self.read_directory(at + 8)
            elif magic == CRYPTO:
                self.add('crypto', name, at + 8,
                         (('offset', 0, 8), ('length', 8, 8)))
                self.read_luks(self.number(at + 8, 8))
            elif length > 0:
                self.add('payload', name, at + 8,
                         [('byte %d' % i, i, 1) for i in range(length)])
            at += 8 + (length + 7) // 8 * 8

    def read_luks(self, offset):
        self.structures[offset] = 'crypto header'
        self.add('luks', 'luks ', offset, self.LUKS)
        for i in range(8):
            self.add('luks', 'luks slot %d ' % i, offset + 208 + 48 * i,
                     self.SLOT)

    def read_directory(self, at):
        directory = self.number(at + 16, 8)
        if directory + self.number(at + 8, 8) > len(self.data):
            return
        self.structures[directory] = 'bitmap directory'
        entry = directory
        for i in range(self.number(at, 4)):
            table = self.number(entry, 8)
            n_entries = self.number(entry + 8, 4)
            name_size = self.number(entry + 18, 2)
            length = (24 + self.number(entry + 20, 4) + name_size + 7) & -8
            self.add('directory', 'bitmap %d ' % i, entry, self.ENTRY)
            self.add('name', 'bitmap %d ' % i, entry + 24,
                     [('byte %d' % j, j, 1) for j in range(length - 24)])
            self.rows.setdefault('directory', []).append((entry, length))
            self.structures[table] = 'bitmap table'
            self.add_table('bitmap table', 'bitmap %d entry' % i, table,
                           n_entries)
            entry += length

    def add_table(self, group, name, offset, n_entries):
        """Adds a table of references, and the structures to which they
        refer."""
        n_entries = min(n_entries, (len(self.data) - offset) // 8)
        self.add(group, name, offset,
                 [(' %d' % i, 8 * i, 8) for i in range(n_entries)])
        if n_entries > 0:
            self.rows.setdefault(group, []).extend(
                (offset + 8 * i, 8) for i in range(n_entries))
        targets = []
        for i in range(n_entries):
            target = self.number(offset + 8 * i, 8) & 0x00fffffffffffe00
            if target:
                self.structures.setdefault(target, name + ' target')
                targets.append(target)
        return targets

    def read_tables(self):
        l1, l1_size = self.number(40, 8), self.number(36, 4)
        self.structures[l1] = 'l1 table'
        self.add_table('l1', 'l1', l1, l1_size)
        table = self.number(48, 8)
        self.structures[table] = 'refcount table'
        # Most entries are 0; the first few of these are enough.
        blocks = self.add_table('refcount table', 'refcount table', table,
                                min(16, self.cluster // 8))
        for i, block in enumerate(blocks):
            self.structures[block] = 'refcount block'
            self.add('refcount block', 'refcount block %d' % i, block,
                     [(' byte %d' % j, j, 1)
                      for j in range(min(64, self.cluster))])

    def read_snapshots(self):
        entry = self.number(64, 8)
        if entry:
            self.structures[entry] = 'snapshot table'
        for i in range(self.number(60, 4)):
            self.add('snapshot', 'snapshot %d ' % i, entry, self.SNAPSHOT)
            l1, l1_size = self.number(entry, 8), self.number(entry + 8, 4)
            self.structures[l1] = 'snapshot l1 table'
            self.add_table('snapshot l1', 'snapshot %d l1' % i, l1, l1_size)
            length = (40 + self.number(entry + 36, 4)
                      + self.number(entry + 12, 2)
                      + self.number(entry + 14, 2) + 7) & -8
            self.rows.setdefault('snapshot', []).append((entry, length))
            entry += length


# Bases.


def put(data, offset, width, value):
    data[offset:offset + width] = value.to_bytes(width, 'big')


def in_use(data, layout):
    fields = [field for field in layout.groups['directory']
              if field.name.endswith('flags')]
    put(data, fields[0].offset + 3, 1, data[fields[0].offset + 3] | 1)


def all_ones(data, layout):
    for field in layout.groups['bitmap table']:
        if layout.number(field.offset, 8) == 0:
            put(data, field.offset, 8, 1)


def odd_size(data, layout):
    put(data, 24, 8, layout.number(24, 8) - 412)


def no_autoclear(data, _):
    put(data, 88, 8, 0)


def dirty(data, _):
    data[79] |= 1


def corrupt(data, _):
    data[79] |= 2


def add_extension(data, layout, extension):
    at = layout.extensions[-1][0]
    data[at:at + len(extension)] = extension
    put(data, at + len(extension), 8, 0)


def unknown_extension(data, layout):
    add_extension(data, layout, struct.pack('>II', 0x12345678, 11)
                  + b'eleven byte'.ljust(16, b'\0'))


def second_extension(data, layout):
    for at, magic, length in layout.extensions:
        if magic == BITMAPS:
            add_extension(data, layout, data[at:at + 8 + length])


def bitmaps_in_version_2(data, layout):
    data.extend(bytes(-len(data) % layout.cluster + 32))
    add_extension(data, layout, struct.pack(
        '>IIIIQQ', BITMAPS, 24, 1, 0, 32, len(data) - 32))


def move_extensions(data, layout, header_length):
    end = layout.extensions[-1][0] + 8
    area = bytes(data[layout.header_length:end])
    data[104:end] = bytes(end - 104)
    data[header_length:header_length + len(area)] = area
    put(data, 100, 4, header_length)


def header_104(data, layout):
    move_extensions(data, layout, 104)


def header_120(data, layout):
    move_extensions(data, layout, 120)


B1 = (('b0', 65536, ''),)
B3 = (('a', 512, ''), ('second', 4096, '--disable'), ('n' * 300, 1 << 20, ''))
LONG = (('x' * 1023, 65536, ''), ('y', 1 << 16, '--disable'))
LUKS = ',cluster_size=4k'

# Name, virtual size, options, bitmaps, number of snapshots, patches.
BASES = (
    ('v2', '4M', 'compat=0.10', (), 0, ()),
    ('v2-snapshot', '4M', 'compat=0.10,cluster_size=4k', (), 2, ()),
    ('v2-bitmaps', '4M', 'compat=0.10', (), 0, (bitmaps_in_version_2,)),
    ('plain', '64M', '', (), 0, ()),
    ('512-plain', '1M', 'cluster_size=512', (), 0, ()),
    ('one', '4M', '', B1, 0, ()),
    ('three', '4M', '', B3, 0, ()),
    ('512-one', '4M', 'cluster_size=512', (('b', 512, ''),), 0, ()),
    ('512-three', '2M', 'cluster_size=512',
     (('a', 512, ''), ('bb', 512, '--disable'), ('c' * 20, 1024, '')), 0, ()),
    ('4k-three', '8M', 'cluster_size=4k', B3, 0, ()),
    ('2M-one', '64M', 'cluster_size=2M', B1, 0, ()),
    ('long-names', '4M', 'cluster_size=4k', LONG, 0, ()),
    ('in-use', '4M', '', B3, 0, (in_use,)),
    ('512-in-use', '1M', 'cluster_size=512', (('b', 512, ''),), 0, (in_use,)),
    ('all-ones', '8M', 'cluster_size=512', (('b', 512, ''), ('c', 512, '')),
     0, (all_ones,)),
    ('snapshot', '4M', 'cluster_size=4k', (), 1, ()),
    ('snapshots', '4M', 'cluster_size=512', (), 5, ()),
    ('snapshots-bitmap', '4M', 'cluster_size=4k', B1, 2, ()),
    ('backing', '4M', 'backing_file=plain.qcow2,backing_fmt=qcow2', (), 0, ()),
    ('backing-bitmap', '4M', 'backing_file=plain.qcow2,backing_fmt=qcow2,'
     'cluster_size=512', (('b', 512, ''),), 0, ()),
    ('data-file', '4M', 'data_file=data.raw', B1, 0, ()),
    ('data-file-raw', '4M', 'data_file=data-raw.raw,data_file_raw=on,'
     'cluster_size=4k', B1, 0, ()),
    ('luks', '1M', LUKS, (), 0, ()),
    ('luks-bitmap', '1M', LUKS, B1, 0, ()),
    ('extended-l2', '8M', 'extended_l2=on,cluster_size=32k', B1, 0, ()),
    ('zstd', '4M', 'compression_type=zstd', B1, 0, ()),
    ('lazy', '4M', 'lazy_refcounts=on', B1, 0, ()),
    ('refcount-1', '4M', 'refcount_bits=1,cluster_size=4k', B1, 0, ()),
    ('refcount-8', '4M', 'refcount_bits=8,cluster_size=4k', B1, 1, ()),
    ('refcount-64', '4M', 'refcount_bits=64,cluster_size=512',
     (('b', 512, ''),), 1, ()),
    ('odd-size', '4M', '', B1, 0, (odd_size,)),
    ('512-odd-size', '2M', 'cluster_size=512', (('b', 512, ''),), 0,
     (odd_size,)),
    ('no-autoclear', '4M', '', B3, 0, (no_autoclear,)),
    ('two-extensions', '4M', '', B3, 0, (second_extension,)),
    ('unknown-extension', '4M', 'cluster_size=512', (('b', 512, ''),), 0,
     (unknown_extension,)),
    ('header-104', '4M', 'cluster_size=4k', B1, 0, (header_104,)),
    ('header-120', '4M', '', B1, 0, (header_120,)),
    ('dirty', '4M', 'lazy_refcounts=on', B1, 0, (dirty,)),
    ('corrupt', '4M', '', B1, 0, (corrupt,)),
)


def run(*command, cwd=None):
    subprocess.run(command, check=True, cwd=cwd, stdout=subprocess.DEVNULL)


def make_base(folder, row):
    """Makes the image of ROW in FOLDER, with qemu-img and patches."""
    name, size, options, bitmaps, n_snapshots, patches = row
    path = name + '.qcow2'
    secret = ()
    opened = ('--image-opts', 'driver=qcow2,file.filename=' + path)
    if options == LUKS:
        findings.make_encrypted(os.path.join(folder, path), size,
                                'data=' + SECRET, options)
        secret = ('--object', 'secret,id=s0,data=' + SECRET)
        opened = (opened[0], opened[1] + ',encrypt.key-secret=s0')
    else:
        run('qemu-img', 'create', '-q', '-f', 'qcow2',
            *(('-o', options) if options else ()), path, size, cwd=folder)
    for bitmap, granularity, flag in bitmaps:
        run('qemu-img', 'bitmap', '--add', '-g', str(granularity),
            *flag.split(), *secret, *opened, bitmap, cwd=folder)
    # Clusters of data exist, and bits are set.
    run('qemu-io', *secret, '-c', 'write -q 0 3k', '-c', 'write -q 900k 100k',
        *opened, cwd=folder)
    for i in range(n_snapshots):
        run('qemu-img', 'snapshot', '-c', 'snapshot %d' % i, path, cwd=folder)

    with open(os.path.join(folder, path), 'rb') as file:
        data = bytearray(file.read())
    for patch in patches:
        patch(data, Layout(bytes(data)))
    with open(os.path.join(folder, path), 'wb') as file:
        file.write(data)


class Base:
    """The bytes of a base and its layout."""

    def __init__(self, folder, name):
        self.name = name
        with open(os.path.join(folder, name + '.qcow2'), 'rb') as file:
            self.data = file.read()
        self.layout = Layout(self.data)
        self.pieces = [
            (at, self.data[at:at + 4096])
            for at in range(0, len(self.data), 4096)
            if self.data[at:at + 4096].count(0) != len(
                self.data[at:at + 4096])]


# Changes.


Change = collections.namedtuple('Change', 'name offset old new')


class Mutant:
    """A base with changes.  A change whose offset is None sets the size."""

    def __init__(self, base, changes=()):
        self.base = base
        self.changes = []
        self.size = len(base.data)
        for change in changes:
            self.add(change)

    def add(self, change):
        self.changes.append(change)
        if change.offset is None:
            self.size = change.new

    def read(self, offset, length):
        data = bytearray(self.base.data[offset:offset + length])
        data.extend(bytes(length - len(data)))
        for change in self.changes:
            if change.offset is None:
                continue
            for i, byte in enumerate(change.new):
                at = change.offset + i - offset
                if 0 <= at < length:
                    data[at] = byte
        kept = max(0, min(length, self.size - offset))
        return bytes(data[:kept]) + bytes(length - kept)

    def set(self, name, offset, new):
        old = self.read(offset, len(new))
        self.add(Change(name, offset, old, bytes(new)))

    def write(self, path):
        with open(path, 'wb') as file:
            for at, piece in self.base.pieces:
                file.seek(at)
                file.write(piece)
            for change in self.changes:
                if change.offset is not None:
                    file.seek(change.offset)
                    file.write(change.new)
            file.truncate(self.size)

    def words(self):
        """Returns the arguments of --replay."""
        return ';'.join([self.base.name] + [
            'size=%d' % change.new if change.offset is None
            else '%#x=%s' % (change.offset, change.new.hex())
            for change in self.changes])

    def lines(self):
        for change in self.changes:
            if change.offset is None:
                yield 'the file: %d bytes, was %d' % (change.new, change.old)
            else:
                yield '%s at %#x: %s, was %s' % (
                    change.name, change.offset, change.new.hex(),
                    change.old.hex())


def replay(folder, words):
    name, *changes = words.split(';')
    mutant = Mutant(Base(folder, name))
    for change in changes:
        where, value = change.split('=')
        if where == 'size':
            mutant.add(Change('', None, mutant.size, int(value)))
        else:
            mutant.set('', int(where, 0), bytes.fromhex(value))
    return mutant


def new_value(rng, mutant, field):
    """Returns another value for FIELD, as a number."""
    bits = 8 * field.width
    cluster = mutant.base.layout.cluster
    old = int.from_bytes(mutant.read(field.offset, field.width), 'big')
    kinds = ['bit', 'byte', 'edge', 'edge', 'near']
    if field.width == 8:
        kinds += ['high', 'structure', 'structure', 'file', 'far']
    elif field.width < 8:
        kinds += ['small']
    kind = rng.choice(kinds)
    if kind == 'bit':
        return old ^ 1 << rng.randrange(bits)
    if kind == 'byte':
        shift = 8 * rng.randrange(field.width)
        return old & ~(0xff << shift) | rng.randrange(256) << shift
    if kind == 'edge':
        return rng.choice([edge for edge in EDGES if edge < 1 << bits])
    if kind == 'near':
        return (old + rng.choice((1, -1)) * rng.choice(
            (1, 2, 8, 512, cluster, 2 * cluster))) % (1 << bits)
    if kind == 'small':
        return rng.randrange(min(1 << bits, 80))
    if kind == 'high':
        value = (1 << 63) - rng.randrange(1, 1 << 30)
        return value & rng.choice((-1, -512, -cluster))
    if kind == 'far':
        value = rng.randrange(1 << rng.randrange(20, 63))
        return value & rng.choice((-1, -512, -cluster, -cluster))
    if kind == 'structure':
        value = rng.choice(sorted(mutant.base.layout.structures))
        value += rng.choice((0, 0, 0, 0, 1, 8, 512, cluster, -cluster))
    else:
        value = mutant.size & rng.choice((-1, -512, -cluster))
        value += rng.choice((0, 0, 1, -1, 8, cluster, -cluster))
    # References in an L1 table have a flag.
    return (value | old & rng.choice((0, 1 << 63))) % (1 << 64)


def change_field(rng, mutant):
    groups = mutant.base.layout.groups
    weights = {'header': 5, 'luks': 3, 'payload': 0.5, 'name': 1}
    names = sorted(groups)
    group = rng.choices(names, [weights.get(name, 2) for name in names])[0]
    field = rng.choice(groups[group])
    old = mutant.read(field.offset, field.width)
    new = old
    while new == old:
        new = new_value(rng, mutant, field).to_bytes(field.width, 'big')
    mutant.set(field.name, field.offset, new)


def swap_rows(rng, mutant):
    rows = mutant.base.layout.rows
    group = rng.choice(sorted(rows))
    first, length = rng.choice(rows[group])
    other, _ = rng.choice([row for row in rows[group] if row[1] == length])
    first_bytes = mutant.read(first, length)
    if mutant.read(other, length) == first_bytes:
        change_field(rng, mutant)
        return
    mutant.set('%s: another entry' % group, first, mutant.read(other, length))
    mutant.set('%s: that entry' % group, other, first_bytes)


def repeat_extension(rng, mutant):
    """Writes an extension over the terminator, followed by another one."""
    extensions = mutant.base.layout.extensions
    at, magic, length = rng.choice(extensions)
    if magic == 0:
        change_field(rng, mutant)
        return
    end = extensions[-1][0]
    padded = 8 + (length + 7) // 8 * 8
    room = mutant.base.layout.cluster - end
    mutant.set('an extension again', end,
               (mutant.read(at, padded) + bytes(8))[:room])


def move_terminator(rng, mutant):
    extensions = mutant.base.layout.extensions
    at, _, length = rng.choice(extensions)
    at += rng.choice((0, 0, 8, 8 + (length + 7) // 8 * 8))
    if rng.randrange(2):
        mutant.set('a terminator', at, bytes(8))
    else:
        mutant.set('an extension', at, struct.pack(
            '>II', rng.choice((0x1234, BITMAPS, CRYPTO, 0x44415441,
                               0xe2792aca, 0x6803f857)),
            rng.choice((0, 1, 8, 15, 16, 24, 48, 200, 1000, 0xfff8))))


def cut(rng, mutant):
    """Truncates the file, or occasionally extends it."""
    size = mutant.size
    kind = rng.randrange(6)
    if kind == 0:
        size = rng.randrange(max(1, size))
    elif kind == 1:
        size = rng.randrange(
            max(1, min(size, 4 * mutant.base.layout.cluster)))
    elif kind == 2:
        size += rng.choice((1, 512, mutant.base.layout.cluster, 1 << 20))
    elif kind == 3:
        size = rng.choice(rng.choice(
            sorted(mutant.base.layout.groups.items()))[1]).offset
    else:
        size = rng.choice(sorted(mutant.base.layout.structures))
        size += rng.choice((0, 0, 1, 8, 512, mutant.base.layout.cluster))
    mutant.add(Change('size', None, mutant.size, max(0, size)))


def make_mutant(bases, seed, n):
    rng = random.Random('%s %d' % (seed, n))
    mutant = Mutant(bases[n % len(bases)])
    changes = [change_field] * 12 + [swap_rows, repeat_extension,
                                     move_terminator]
    rng.choice(changes)(rng, mutant)
    kind = rng.randrange(4)
    if kind == 0:
        cut(rng, mutant)
    elif kind == 1:
        rng.choice(changes)(rng, mutant)
    return mutant


# QEMU's answer.


# QEMU's message follows this text; warnings may precede it.
CANNOT_OPEN = "qemu-io: can't open device IMAGE: "


class Unjudged(Exception):
    """The reason why the opening of an image cannot be judged."""


def qemu_filename(path):
    """Returns the argument for qemu-io, with the options that the image needs,
    and without its backing file."""
    with open(path, 'rb') as file:
        header = file.read(104).ljust(104, b'\0')
    if STRIP and path.startswith(STRIP):
        path = path[len(STRIP):]
    options = {'driver': 'qcow2', 'backing': None,
               'file': {'driver': 'file', 'filename': path}}
    if int.from_bytes(header[32:36], 'big') in (1, 2):
        options['encrypt'] = {'key-secret': 's0'}
    # A version 2 header has no features.
    if int.from_bytes(header[4:8], 'big') >= 3 and header[79] & 4:
        options['data-file'] = {'driver': 'null-co', 'size': 1 << 40}
    return 'json:' + json.dumps(options)


def qemu_open(path, *flags):
    """Returns None if qemu-io opens the image, or its message."""
    filename = qemu_filename(path)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    try:
        done = subprocess.run(
            [*QEMU_IO, *flags, '--object', 'secret,id=s0,data=' + SECRET,
             '-c', 'quit', filename], stdin=subprocess.DEVNULL,
            capture_output=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Unjudged('qemu-io takes longer than %d s' % TIMEOUT) from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    if done.returncode == 0:
        return None

    text = done.stderr.decode('utf-8', 'replace').replace(filename, 'IMAGE')
    text = text.strip()
    if text.startswith(CANNOT_OPEN):
        text = text[len(CANNOT_OPEN):]
    if 'failed to allocate' in text or 'Cannot allocate memory' in text:
        raise Unjudged('qemu-io needs more than %d MiB' % (MEMORY >> 20))
    # If the key is damaged, abc is no longer the right secret.
    if 'Invalid password' in text:
        raise Unjudged('the secret does not fit the image any more')
    if done.returncode < 0:
        return '%s: %s' % (signal.Signals(-done.returncode).name, text)
    if done.returncode in (125, 126, 127) or not text:
        raise OSError('%s: status %d: %s' % (QEMU_IO, done.returncode, text))
    return text


def general(message):
    """Returns MESSAGE without numbers, names, and the lines before the last
    one that are not about a damaged structure, all of which differ between
    images."""
    *before, message = (message or '').split(CANNOT_OPEN)
    corrupt = re.search(r'Marking image as corrupt: [^;]*', ''.join(before))
    if corrupt:
        message = corrupt.group() + '; ' + message
    message = re.sub(r"'[^']*'", "'...'", message, flags=re.DOTALL)
    message = re.sub(r'(Unknown incompatible feature): \S+', r'\1', message)
    message = re.sub(r'0x[0-9a-f]+|\b[0-9a-f]{12,}\b|\d+', 'N', message)
    return message.replace('\n', ' / ')[:200]


class Qemu:
    """QEMU's answer (opens, read-only or refuses) and its messages."""

    def __init__(self, mutant, path):
        self.read_message = qemu_open(path, '-r')
        self.write_message = None
        self.verdict = 'refuses'
        if self.read_message is not None:
            return

        # QEMU writes to the image, so the image is made again.
        copy = path + '.rw'
        mutant.write(copy)
        try:
            self.write_message = qemu_open(copy)
        finally:
            os.unlink(copy)
        self.verdict = 'opens' if self.write_message is None else 'read-only'

    def message(self):
        return general(self.read_message or self.write_message)


# The program's answers.


def answers(command, paths):
    """Returns the lines of JSON for PATHS, by name, and the exit status."""
    try:
        done = subprocess.run(
            findings.TOOL + [command, '--output=jsonl', '--files-from=-'],
            input='\n'.join(paths).encode(), capture_output=True,
            check=False, timeout=BATCH_TIMEOUT)
    except subprocess.TimeoutExpired:
        return {}, 'it takes longer than %d s' % BATCH_TIMEOUT
    found = {}
    for line in done.stdout.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            continue # an incomplete line
        found[answer['filename']] = answer
    return found, 'status %d: %s' % (
        done.returncode, done.stderr.decode('utf-8', 'replace')[-300:])


def is_dirty(path):
    with open(path, 'rb') as file:
        header = file.read(104).ljust(104, b'\0')
    return int.from_bytes(header[4:8], 'big') >= 3 and bool(header[79] & 1)


def right_verdicts(path, qemu, ours):
    """Returns the verdicts that agree with QEMU's answer, for the answer OURS
    of check."""
    error = ours.get('error')
    if qemu.verdict == 'refuses':
        # An image that cannot be read at all has an error instead of a
        # verdict.
        return ('refuses', None) if error else ('refuses',)
    # QEMU reads zeroes after the end of the file, even in a header.
    if error and error.get('code') == 'truncated':
        return (None,)
    if is_dirty(path):
        # A repair may fail if there is anything to repair.  It is not tried if
        # the corrupt bit is set.
        if any(problem['severity'] == 'error'
               for problem in ours.get('problems') or ()):
            return ((None, 'read-only') if qemu.verdict == 'read-only'
                    else (None,))
    return (qemu.verdict,)


def judge_bitmaps(path, qemu, ours, listing):
    """Returns the errors in "usable"."""
    if listing is None:
        return ['bitmaps gives no answer']
    wrong = []
    # bitmaps does not look for what has to be repaired.
    if listing.get('qemu', 'missing') != ours.get('qemu', 'missing') and not (
            listing.get('qemu', '') is None and ours.get('qemu') == 'opens'
            and is_dirty(path)):
        wrong.append('bitmaps says of QEMU: %s'
                     % listing.get('qemu', 'no key "qemu"'))
    for bitmap in listing.get('bitmaps') or ():
        usable = (qemu.verdict != 'refuses'
                  and bitmap['state'] in ('enabled', 'disabled'))
        if listing.get('qemu') is None and qemu.verdict != 'refuses':
            continue
        if bitmap['usable'] != usable:
            wrong.append('bitmap %d: usable is %s, state %s, QEMU: %s' % (
                bitmap['index'], bitmap['usable'], bitmap['state'],
                qemu.verdict))
    return wrong


def judge_predicates(path, verdict, is_dirty):
    """Returns whether the predicates and the text agree with VERDICT.  If the
    verdict on an image that IS_DIRTY is unknown, QEMU opens it for reading."""
    wrong = []
    for predicate, yes in (('opens', ('opens', 'read-only')),
                           ('opens-rw', ('opens',))):
        done = subprocess.run(
            findings.TOOL + ['check', '--is', predicate, path],
            capture_output=True, check=False, timeout=BATCH_TIMEOUT)
        status = done.returncode
        known = verdict is not None or (is_dirty and predicate == 'opens')
        right = (status == 0 if verdict in yes or
                 (verdict is None and known) else
                 status not in (0, 2) if not known else status == 2)
        if not right:
            wrong.append('--is %s: status %d, "qemu" is %s: %s' % (
                predicate, status, verdict,
                done.stderr.decode('utf-8', 'replace').strip()[:200]))
    done = subprocess.run(findings.TOOL + ['check', path],
                          capture_output=True, check=False,
                          timeout=BATCH_TIMEOUT)
    said = b'QEMU refuses to open it' in done.stdout
    if said != (verdict == 'refuses'):
        wrong.append('the summary %s that QEMU refuses to open it, "qemu" is '
                     '%s' % ('says' if said else 'does not say', verdict))
    return wrong


def describe(mutant, n, qemu, ours):
    """Returns the lines that describe a disagreement."""
    rules = ['%s %s@%#x' % (problem['severity'][0].upper(), problem['rule'],
                            problem['offset'])
             for problem in ours.get('problems', ())
             if problem.get('rule') and problem.get('offset') is not None]
    return ['image %d: --replay %s' % (n, shlex.quote(mutant.words())),
            *('  ' + line for line in mutant.lines()),
            '  qemu-io -r: %s' % (qemu.read_message or 'opens'),
            '  qemu-io: %s' % (qemu.write_message or 'opens'
                               if qemu.read_message is None else 'not tried'),
            '  "qemu": %s (%s); error: %s' % (
                ours.get('qemu', 'missing'), ours.get('qemu_rule'),
                (ours.get('error') or {}).get('message')),
            '  found: %s' % ', '.join(rules)]


# Batches: the work of one process at a time.


class Result:
    """The result of one batch."""

    def __init__(self):
        self.wrong = {'verdict': [], 'usable': [], 'predicates': []}
        self.counts = collections.Counter() # by QEMU's answer and message
        self.disagreements = collections.Counter()
        self.unjudged = collections.Counter()
        self.n_judged = 0
        self.no_key = 0 # answers without "qemu"


STATE = {}


def set_up(folder, seed, options):
    """Runs in each process of the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    STATE['folder'] = folder
    STATE['bases'] = [Base(folder, row[0]) for row in BASES]
    STATE['seed'] = seed
    STATE['options'] = options


def ask_qemu(numbers, folder, result):
    """Returns the images that can be judged, with QEMU's answer."""
    images = {}
    for n in numbers:
        mutant = make_mutant(STATE['bases'], STATE['seed'], n)
        path = os.path.join(folder, '%d.qcow2' % n)
        mutant.write(path)
        try:
            qemu = Qemu(mutant, path)
        except Unjudged as reason:
            result.unjudged[str(reason)] += 1
            os.unlink(path)
            continue
        result.n_judged += 1
        result.counts[qemu.verdict, qemu.message()] += 1
        images[path] = (n, mutant, qemu)
    return images


def judge_image(path, image, ours, listing, how, result):
    n, mutant, qemu = image
    if ours is None:
        ours = {'error': {'message': 'no answer; ' + how}}
    right = right_verdicts(path, qemu, ours)
    if 'qemu' not in ours and 'filename' in ours:
        result.no_key += 1
        return
    verdict = ours.get('qemu', 'missing')
    lines = None
    if verdict not in right:
        lines = describe(mutant, n, qemu, ours)
        result.wrong['verdict'] += lines
        result.disagreements[
            str(verdict), '/'.join(map(str, right)), qemu.message()] += 1
    wrong = judge_bitmaps(path, qemu, ours, listing)
    if wrong and 'qemu' in ours:
        result.wrong['usable'] += (
            (lines or describe(mutant, n, qemu, ours))
            + ['  ' + line for line in wrong])
    is_rare = verdict not in ('opens', 'refuses')
    if (n % SAMPLE == 0 or is_rare) and 'qemu' in ours and not findings.SLOW:
        wrong = judge_predicates(
            path, verdict, ours.get('qemu_rule') == 'HDR-21')
        if wrong:
            result.wrong['predicates'] += (
                (lines or describe(mutant, n, qemu, ours))
                + ['  ' + line for line in wrong])


def run_batch(numbers):
    result = Result()
    with tempfile.TemporaryDirectory(dir=STATE['folder']) as folder:
        images = ask_qemu(numbers, folder, result)
        if STATE['options'].qemu_only:
            return numbers, result
        checked, how = answers('check', images)
        listed, _ = answers('bitmaps', images)
        for path, image in images.items():
            judge_image(path, image, checked.get(path), listed.get(path), how,
                        result)
    if result.no_key > 0:
        for wrong in result.wrong.values():
            wrong.append('%d answers of check have no key "qemu"'
                         % result.no_key)
    return numbers, result


def print_summary(tap, total):
    tap.note('%d images judged' % total.n_judged)
    for reason, count in sorted(total.unjudged.items()):
        tap.note('%d images not judged: %s' % (count, reason))
    verdicts = collections.Counter()
    for (verdict, _), count in total.counts.items():
        verdicts[verdict] += count
    tap.note('QEMU: ' + ', '.join('%d %s' % (count, verdict) for verdict, count
                                  in verdicts.most_common()))
    if total.disagreements:
        tap.note('Disagreements: count, "qemu", right, what QEMU says')
    for row, count in total.disagreements.most_common():
        tap.note('%6d  %s  %s  %s' % (count, *row))


def main_run(arguments, folder):
    tap = findings.Tap()
    tap.note('seed %s, %d images, %s' % (arguments.seed, arguments.images,
                                         shlex.join(QEMU_IO)))
    batch = max(1, min(arguments.batch, arguments.images))
    batches = [range(first, min(first + batch, arguments.images))
               for first in range(0, arguments.images, batch)]
    total = Result()
    kinds = ('verdict', 'usable', 'predicates')
    failed = collections.Counter()
    with multiprocessing.Pool(arguments.jobs, set_up,
                              (folder, arguments.seed, arguments)) as pool:
        for numbers, result in pool.imap(run_batch, batches):
            for counter in ('counts', 'disagreements', 'unjudged'):
                getattr(total, counter).update(getattr(result, counter))
            total.n_judged += result.n_judged
            if arguments.qemu_only:
                continue
            for kind in kinds:
                tap.ok('images %d to %d: %s' % (numbers[0], numbers[-1], kind),
                       result.wrong[kind])
                failed[kind] += bool(result.wrong[kind])
    print_summary(tap, total)
    if arguments.qemu_only:
        for (verdict, message), count in total.counts.most_common():
            print('%6d  %s  %s' % (count, verdict, message))
        return 0
    # If QEMU always refuses or always opens, the run proves nothing.
    seen = {verdict for verdict, _ in total.counts}
    tap.ok('QEMU opens some images and refuses others',
           [] if {'opens', 'refuses'} <= seen else [str(sorted(seen))])
    return tap.finish()


def main_replay(arguments, folder):
    """Makes one image, and prints both answers."""
    if arguments.replay is not None:
        mutant = replay(folder, arguments.replay)
    else:
        mutant = make_mutant([Base(folder, row[0]) for row in BASES],
                             arguments.seed, arguments.image)
    n = arguments.image or 0
    path = os.path.join(folder, 'image.qcow2')
    mutant.write(path)
    if arguments.keep:
        shutil.copyfile(path, arguments.keep)
    try:
        qemu = Qemu(mutant, path)
    except Unjudged as reason:
        print('not judged: %s' % reason)
        return 1
    ours, how = answers('check', [path])
    ours = ours.get(path, {'error': {'message': how}})
    listed, _ = answers('bitmaps', [path])
    verdict = ours.get('qemu', 'missing')
    wrong = []
    if verdict not in right_verdicts(path, qemu, ours):
        wrong.append('QEMU: %s, not %s' % (qemu.verdict, verdict))
    if 'qemu' in ours:
        wrong += judge_bitmaps(path, qemu, ours, listed.get(path))
        wrong += judge_predicates(
            path, verdict, ours.get('qemu_rule') == 'HDR-21')
    print('\n'.join(describe(mutant, n, qemu, ours) + wrong))
    return 1 if wrong else 0


def parse():
    environ = os.environ
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, metavar='N',
                        default=int(environ.get('VERDICT_IMAGES') or 400))
    parser.add_argument('--seed', default=environ.get('VERDICT_SEED')
                        or str(random.randrange(1 << 32)))
    parser.add_argument('--batch', type=int, metavar='N', default=100,
                        help='images per run of qcow2tool')
    parser.add_argument('--jobs', type=int, metavar='N',
                        default=len(os.sched_getaffinity(0)))
    parser.add_argument('--qemu-only', action='store_true',
                        help="only count QEMU's answers")
    parser.add_argument('--image', type=int, metavar='N',
                        help='only image N of --seed, with details')
    parser.add_argument('--replay', metavar='WORDS',
                        help='only the image that WORDS describe: '
                        'BASE;OFFSET=HEX;size=BYTES')
    parser.add_argument('--keep', metavar='FILE',
                        help='with --image or --replay, keep the image')
    return parser.parse_args()


def main():
    arguments = parse()
    where = os.environ.get('VERDICT_DIR') or None
    if where:
        os.makedirs(where, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where) as folder:
        for row in BASES:
            make_base(folder, row)
        if arguments.image is None and arguments.replay is None:
            return main_run(arguments, folder)
        return main_replay(arguments, folder)


if __name__ == '__main__':
    sys.exit(main())
