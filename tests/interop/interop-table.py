#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of interop-table.sh: makes images with QEMU's programs and
compares each of their tables, as table prints them, with the entries that it
reads itself.  The decoder is written from the specification alone.

  random SEED COUNT          COUNT images, and one for each refcount width;
                             prints a line per result

The images depend only on SEED.
"""

import json
import os
import random
import struct
import subprocess
import sys

TOOL = os.environ.get('QCOW2TOOL', '').split()

ABSENT = None


def run(*command):
    return subprocess.run(command, capture_output=True, check=False)


def qemu(*command):
    done = run(*command)
    if done.returncode != 0:
        raise RuntimeError('%s: %s' % (' '.join(command), done.stderr))


class Image:
    def __init__(self, path):
        with open(path, 'rb') as file:
            self.data = file.read()
        (_, self.version, _, _, self.bits, self.size, _, self.l1_size,
         self.l1, self.refcounts, self.refcount_clusters, self.n_snapshots,
         self.snapshots) = struct.unpack_from('>IIQIIQIIQQIIQ', self.data)
        self.incompatible, self.refcount_order = 0, 4
        if self.version == 3:
            self.incompatible, = struct.unpack_from('>Q', self.data, 72)
            self.refcount_order, = struct.unpack_from('>I', self.data, 96)
        self.cluster = 1 << self.bits
        self.extended = self.incompatible >> 4 & 1
        self.data_file = self.incompatible >> 2 & 1
        self.n_l2 = self.cluster // (16 if self.extended else 8)
        self.per_block = self.cluster * 8 >> self.refcount_order

    def word(self, offset):
        return struct.unpack_from('>Q', self.data, offset)[0]

    def words(self, offset, count):
        return struct.unpack_from('>%dQ' % count, self.data, offset)

    def guest(self, offset):
        return offset if offset < self.size else ABSENT

    def l1_entry(self, index, value, known):
        return {'index': index, 'offset': value & 0x00FFFFFFFFFFFE00,
                'flags': ['copied'] if value >> 63 else [], 'value': value,
                'guest_offset': self.guest(
                    index * self.n_l2 * self.cluster) if known else ABSENT,
                'reserved': 0}

    def l1_table(self):
        return [self.l1_entry(i, value, True) for i, value in
                enumerate(self.words(self.l1, self.l1_size))]

    def l2_entry(self, index, offset, first):
        """Returns the entry at OFFSET; FIRST is the guest offset of entry 0,
        or None."""
        value = self.word(offset)
        flags = ['copied'] if value >> 63 else []
        if value >> 62 & 1:
            width = 62 - (self.bits - 8)
            host = value & (1 << width) - 1
            sectors = (value >> width & (1 << self.bits - 8) - 1) + 1
            kind, length = 'compressed', sectors * 512 - host % 512
            flags.append('compressed')
        else:
            host = value & 0x00FFFFFFFFFFFE00
            zero = value & 1 and not self.extended
            if zero:
                flags.append('zero')
            # Offset 0 is a cluster in an external data file only, and for QEMU
            # only if it has data.
            has = host != 0 or self.data_file and value >> 63 and not zero
            if zero:
                kind = 'zero-allocated' if has else 'zero'
            else:
                kind = 'normal' if has else 'unallocated'
            length = self.cluster if has else 0
        guest = ABSENT
        if first is not None:
            guest = self.guest(first + index * self.cluster)
        second = self.word(offset + 8) if self.extended else None
        return {'index': index, 'offset': host, 'flags': flags,
                'value': value, 'type': kind, 'length': length,
                'guest_offset': guest,
                'subclusters_allocated':
                    None if second is None else second & 0xFFFFFFFF,
                'subclusters_zeroes':
                    None if second is None else second >> 32,
                'reserved': 0}

    def l2_table(self, offset, first):
        step = 16 if self.extended else 8
        return [self.l2_entry(i, offset + i * step, first)
                for i in range(self.n_l2)]

    def refcount_table(self):
        count = self.refcount_clusters * self.cluster // 8
        return [{'index': i, 'offset': value, 'flags': [], 'value': value,
                 'host_offset': i * self.per_block * self.cluster,
                 'reserved': 0}
                for i, value in enumerate(self.words(self.refcounts, count))]

    def refcount(self, block, index):
        bits = 1 << self.refcount_order
        if bits >= 8:
            at = block + index * bits // 8
            return int.from_bytes(self.data[at:at + bits // 8], 'big')
        return (self.data[block + index * bits // 8] >> index * bits % 8
                & (1 << bits) - 1)

    def refcount_block(self, index, block):
        rows = []
        for i in range(self.per_block):
            cluster = index * self.per_block + i
            rows.append({'index': i, 'cluster': cluster,
                         'host_offset': cluster * self.cluster,
                         'refcount': self.refcount(block, i)})
        return rows

    def snapshot_table(self):
        at, rows = self.snapshots, []
        for index in range(self.n_snapshots):
            (l1, l1_size, id_size, name_size, sec, nsec, clock, state,
             extra) = struct.unpack_from('>QIHHIIQII', self.data, at)
            end = at + 40
            known = [None, None, None]
            for i in range(min(extra // 8, 3)):
                known[i] = self.word(end + 8 * i)
            end += extra
            row = {'index': index, 'file_offset': at, 'l1_table_offset': l1,
                   'l1_size': l1_size, 'id_str_size': id_size,
                   'name_size': name_size, 'date_sec': sec,
                   'date_nsec': nsec, 'vm_clock_nsec': clock,
                   'vm_state_size': state, 'extra_data_size': extra,
                   'vm_state_size_large': known[0], 'disk_size': known[1],
                   'icount': known[2]}
            unknown = extra - 8 * min(extra // 8, 3)
            row['unknown_extra_data_size'] = unknown or None
            row['id'] = self.data[end:end + id_size].decode()
            end += id_size
            row['name'] = self.data[end:end + name_size].decode()
            rows.append(row)
            at = end + name_size + 7 & ~7
        return rows


class Mismatch(Exception):
    pass


def ask(path, *words):
    done = run(*TOOL, 'table', *words, '--output=json', path)
    return done.returncode, json.loads(done.stdout), done.stderr


def compare(path, expected, *words):
    status, answer, messages = ask(path, *words)
    if (status, messages) != (0, b''):
        raise Mismatch('%s: status %d: %r' % (words, status, messages))
    ours = answer['table']['entries']
    if ours == expected:
        return
    for mine, other in zip(ours, expected):
        if mine != other:
            raise Mismatch('%s: %r, not %r' % (words, mine, other))
    raise Mismatch('%s: %d entries, not %d' % (words, len(ours),
                                               len(expected)))


def is_used(row):
    return row.get('value', row.get('refcount')) != 0 \
        or bool(row.get('subclusters_allocated')) \
        or bool(row.get('subclusters_zeroes'))


def compare_variants(path, rng, expected, *words):
    """Compares the whole table, a window of it, and the entries in use."""
    compare(path, expected, *words)
    start = rng.randrange(len(expected) + 2)
    count = rng.randrange(len(expected) + 2)
    compare(path, expected[start:start + count], *words,
            '--start=%d' % start, '--count=%d' % count)
    compare(path, list(filter(is_used, expected)), *words, '--used')


def without_place(rows):
    keys = ('guest_offset', 'host_offset', 'cluster')
    return [{key: None if key in keys else value
             for key, value in row.items()} for row in rows]


def compare_listed(path, rng, kind, top, tables):
    """Compares the tables to which the entries of TOP point."""
    for row in top:
        words = kind, '--index=%d' % row['index']
        if row['offset'] == 0:
            status, answer, messages = ask(path, *words)
            if status != 3 or answer['table'] is not None or not messages:
                raise Mismatch('%s: status %d' % (words, status))
            continue
        compare_variants(path, rng, tables(row), *words)


def compare_image(path, rng):
    image = Image(path)
    l1 = image.l1_table()
    compare_variants(path, rng, l1, 'l1')
    step = image.n_l2 * image.cluster
    compare_listed(path, rng, 'l2', l1, lambda row: image.l2_table(
        row['offset'], row['index'] * step))
    table = image.refcount_table()
    compare_variants(path, rng, table, 'refcount-table')
    compare_listed(path, rng, 'refcount-block', [
        row for row in table if row['offset']] + table[-1:],
        lambda row: image.refcount_block(row['index'], row['offset']))
    for row in table:
        if row['offset']:
            compare(path, without_place(
                image.refcount_block(0, row['offset'])), 'refcount-block',
                '--at=%d' % row['offset'], '--count=%d' % image.per_block)

    snapshots = image.snapshot_table()
    compare(path, snapshots, 'snapshots')
    compare(path, snapshots[1:2], 'snapshots', '--start=1', '--count=1')
    # The tables of a snapshot are read by their offsets.
    for row in snapshots:
        words = image.words(row['l1_table_offset'], row['l1_size'])
        entries = [image.l1_entry(i, value, False)
                   for i, value in enumerate(words)]
        compare(path, entries, 'l1', '--at=%d' % row['l1_table_offset'],
                '--count=%d' % row['l1_size'])
        for entry in entries:
            if entry['offset'] != 0:
                compare(path, image.l2_table(entry['offset'], None), 'l2',
                        '--at=%d' % entry['offset'],
                        '--count=%d' % image.n_l2)
    return image


def random_options(rng):
    bits = rng.choice(range(9, 17))
    options = {'cluster_size': 1 << bits}
    if rng.random() < 0.2:
        options['compat'] = '0.10'
        return options
    options['refcount_bits'] = 1 << rng.randrange(7)
    if bits >= 14 and rng.random() < 0.6:
        options['extended_l2'] = 'on'
    if rng.random() < 0.3:
        options['compression_type'] = 'zstd'
    if rng.random() < 0.2:
        options['preallocation'] = 'metadata'
    return options


def random_write(rng, size, cluster):
    length = min(size, rng.choice((512, 4096, cluster, 3 * cluster)))
    offset = rng.randrange(size - length + 1) // 512 * 512
    kind = rng.choice(('-P 7', '-P 7', '-z', '-z -u', '-c'))
    if kind == '-c':
        length = cluster
        offset = offset // cluster * cluster
        if offset + length > size:
            return 'discard 0 %d' % cluster
        kind = '-c -P %d' % rng.randrange(256)
    if rng.random() < 0.1:
        return 'discard %d %d' % (offset, length)
    return 'write %s %d %d' % (kind, offset, length)


def make_image(path, rng, options):
    cluster = options['cluster_size']
    # Small enough that Python reads all its tables.
    size = rng.randrange(1, 6) * (cluster // 8 * cluster if cluster < 4096
                                  else 256 * cluster)
    size = min(size, 1 << 26)
    data_file = options.get('compat') != '0.10' and rng.random() < 0.15
    words = ['%s=%s' % item for item in options.items()]
    if data_file:
        words.append('data_file=%s.raw' % path)
    qemu('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', ','.join(words),
         path, str(size))
    for first in range(rng.randrange(3) + 1):
        commands = []
        if first == 0 and size >= 2 * cluster:
            # QEMU keeps a cluster whose contents become zeroes.
            commands = ['-c', 'write -P 7 0 %d' % cluster,
                        '-c', 'write -z 0 %d' % cluster]
        for _ in range(rng.randrange(1, 12)):
            command = random_write(rng, size, cluster)
            if not (data_file and ' -c' in command):
                commands += ['-c', command]
        # A command that QEMU refuses changes nothing.
        run('qemu-io', *commands, path)
        if not data_file and rng.random() < 0.6:
            name = rng.choice(('s', 'with space', 'r\u00e4tsel', 'x' * 200))
            run('qemu-img', 'snapshot', '-c', name, path)


def try_image(path, name, rng, options):
    try:
        make_image(path, rng, options)
        image = compare_image(path, rng)
        print('%s: %s' % (name, options), flush=True)
        return image
    except (Mismatch, RuntimeError, struct.error, ValueError) as error:
        print('%s: %s\t%s' % (name, options, str(error)[:600]), flush=True)
        return None
    finally:
        if os.path.exists(path):
            os.unlink(path)


def main():
    seed, count = sys.argv[2:]
    kinds, widths, n_snapshots = set(), set(), 0
    for i in range(int(count) + 7):
        rng = random.Random('%s %d' % (seed, i))
        options = random_options(rng) if i >= 7 else {
            'cluster_size': 65536 if i % 2 else 512, 'refcount_bits': 1 << i}
        image = try_image('table-%d.qcow2' % i, 'image %d' % i, rng, options)
        if image is None:
            continue
        widths.add(image.refcount_order)
        n_snapshots += image.n_snapshots
        for row in image.l1_table():
            if row['offset']:
                kinds.update(entry['type'] for entry in image.l2_table(
                    row['offset'], 0))
    print('each refcount width' + ('' if len(widths) == 7
                                   else '\tonly %s' % sorted(widths)))
    print('each type of L2 entry' + ('' if len(kinds) == 5
                                     else '\tonly %s' % sorted(kinds)))
    print('several snapshots' + ('' if n_snapshots > 3 else '\tnone'))


if __name__ == '__main__':
    main()
