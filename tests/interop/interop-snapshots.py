#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of interop-snapshots.sh: compares snapshots with qemu-img.

  SEED COUNT    COUNT random images, and one with many snapshots; prints a line
                per result

An image has snapshots made by qemu-img, with other values written to their
table entries, or a table that is made here, with all kinds of extra data.
"""

import json
import os
import random
import shlex
import struct
import subprocess
import sys

from qemu_version import get_version

TOOL = shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))
ZONES = ['UTC0', 'EST5', 'XYZ-5:45', 'CET-1CEST,M3.5.0,M10.5.0/3',
         'ABC+11:59:59']

HEAD = struct.Struct('>QIHHIIQII')
SIGN = 1 << 63

# QEMU keeps fewer bytes of an id and a name.
ID_MAX, NAME_MAX = 127, 255


def run(*command, **settings):
    return subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False,
                          env=dict(os.environ, **settings))


def demand(*command, **settings):
    done = run(*command, **settings)
    if done.returncode != 0 or done.stderr:
        raise RuntimeError('%s: status %d: %s' % (
            ' '.join(command), done.returncode, done.stderr.decode()))
    return done.stdout


def random_number(rng, bits):
    """Returns a number below 2^BITS; all lengths are equally likely."""
    kind = rng.random()
    if kind < 0.1:
        return rng.choice([0, 1, (1 << bits) - 1, 1 << bits - 1])
    length = rng.randint(0, bits)
    if kind < 0.4:
        # Around a unit of sizes, or a thousand of it.
        number = rng.choice([1, 10, 100, 1000, 1024]) << length // 10 * 10
        return (number + rng.randint(-2, 2)) % (1 << bits)
    return rng.getrandbits(length) if length else 0


def random_text(rng, most):
    """Returns a text that needs no escape."""
    letters = 'abcxyzABC0189 _-.:/~{}()$"\'%<>&;|' + 'äß€語\U0001f4be'
    text = ''.join(rng.choice(letters)
                   for _ in range(rng.choice([0, 1, 1, 2, 8, 9, 10, 16, 17,
                                              rng.randint(0, most)])))
    # The bytes that QEMU keeps are whole characters.
    return text.encode()[:most].decode(errors='ignore')


def random_entry(rng, l1_table):
    """Returns the bytes of a table entry, with padding."""
    extra = rng.choice([0, 4, 8, 12, 16, 24, 24, 24, 24, 28, 32, 40, 1024])
    data = struct.pack('>QQQ', random_number(rng, 64), random_number(rng, 62),
                       random_number(rng, 64)) + rng.randbytes(1000)
    name = random_text(rng, NAME_MAX)
    if rng.random() < 0.05:
        name += 'n' * rng.randint(NAME_MAX, 65535 - len(name.encode()))
    ident = random_text(rng, ID_MAX)
    if rng.random() < 0.05:
        ident += 'i' * rng.randint(ID_MAX, 1000)
    ident, name = ident.encode(), name.encode()
    entry = HEAD.pack(l1_table, 1, len(ident), len(name),
                      random_number(rng, 32), random_number(rng, 32),
                      random_number(rng, 64), random_number(rng, 32), extra)
    entry += data[:extra] + ident + name
    return entry + bytes(-len(entry) % 8)


class RandomImage:
    def __init__(self, rng, n=None):
        self.rng = rng
        self.path = 'random.qcow2'
        version = rng.choice(['0.10', '1.1', '1.1', '1.1'])
        bits = rng.choice([9, 12, 16, 16, 21])
        demand('qemu-img', 'create', '-q', '-f', 'qcow2', '-o',
               'compat=%s,cluster_size=%d' % (version, 1 << bits), self.path,
               '%dM' % rng.randint(0, 64))
        self.kind = rng.choice(['qemu', 'table'])
        if n is not None:
            self.kind = 'table'
        self.what = '%s, version %s, %d bits' % (self.kind, version, bits)
        if self.kind == 'qemu':
            self.make_snapshots(n or rng.randint(0, 6))
        else:
            self.make_table(bits, n or rng.randint(1, 30))

    def make_snapshots(self, n):
        """Makes snapshots by qemu-img, and changes numbers of some."""
        for i in range(n):
            name = random_text(self.rng, 200).replace('\0', '') or str(i)
            # qemu-img takes a snapshot by its id, too.
            demand('qemu-img', 'snapshot', '-c', 's%d' % i + name, self.path)
        with open(self.path, 'r+b') as file:
            file.seek(60)
            _, at = struct.unpack('>IQ', file.read(12))
            for i in range(n):
                file.seek(at)
                head = HEAD.unpack(file.read(HEAD.size))
                if self.rng.random() < 0.8:
                    file.seek(at + 16)
                    file.write(struct.pack(
                        '>IIQI', *(random_number(self.rng, bits)
                                   for bits in (32, 32, 64, 32))))
                    file.seek(at + HEAD.size)
                    # The disk size stays.
                    file.write(struct.pack('>Q', random_number(self.rng, 64)))
                    if head[8] >= 24:
                        file.seek(8, os.SEEK_CUR)
                        file.write(struct.pack(
                            '>Q', random_number(self.rng, 64)))
                at += (HEAD.size + head[8] + head[2] + head[3] + 7) // 8 * 8

    def make_table(self, bits, n):
        """Writes a table of N entries at the end of the file."""
        cluster = 1 << bits
        with open(self.path, 'r+b') as file:
            end = -(-file.seek(0, os.SEEK_END) // cluster) * cluster
            file.seek(end)
            for _ in range(n):
                file.write(random_entry(self.rng, end))
            file.seek(60)
            file.write(struct.pack('>IQ', n, end))

    def check_list(self):
        """Returns what differs in the list."""
        zone = self.rng.choice(ZONES)
        theirs = demand('qemu-img', 'snapshot', '-l', self.path, TZ=zone)
        ours = run(*TOOL, 'snapshots', '--list', self.path, TZ=zone)
        if ours.stdout == theirs:
            return None
        for pair in zip(ours.stdout.split(b'\n'), theirs.split(b'\n')):
            if pair[0] != pair[1]:
                return '%s: %r, not %r' % (zone, *pair)
        return '%s: %d bytes, not %d' % (zone, len(ours.stdout), len(theirs))

    def check_json(self):
        """Returns what differs in JSON."""
        info = json.loads(demand('qemu-img', 'info', '--output=json',
                                 self.path))
        answer = json.loads(run(*TOOL, 'snapshots', '--output=json',
                                self.path).stdout)
        ours = [self.as_qemu(snapshot) for snapshot in answer['snapshots']]
        theirs = info.get('snapshots', [])
        for i, pair in enumerate(zip(ours, theirs)):
            if pair[0] != pair[1]:
                return 'snapshot %d: %s, not %s' % (i, *pair)
        if len(ours) != len(theirs):
            return '%d snapshots, not %d' % (len(ours), len(theirs))
        return None

    def check_cut(self):
        """Cuts the file at random, in the table if that is at the end, or
        makes a size in the first entry too large.  Returns what differs in
        info: QEMU reads zeroes after the end."""
        with open(self.path, 'r+b') as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(60)
            n, at = struct.unpack('>IQ', file.read(12))
            if n == 0:
                return None
            if self.rng.random() < 0.3:
                file.seek(at + 14)
                file.write(b'\xff\xf0')
            file.truncate(self.rng.choice(
                [self.rng.randint(at, end), max(at, end - 9),
                 min(end, at + self.rng.randint(0, 80))]))
        words = ['info', '--output=json', self.path]
        theirs = run('qemu-img', *words)
        if theirs.returncode != 0:
            return None
        theirs = json.loads(theirs.stdout)
        ours = json.loads(run(*TOOL, *words).stdout)
        for key in ('children', 'limits'):
            theirs.pop(key, None)
        for key in theirs:
            if ours.get(key) != theirs[key]:
                return '%s: %s, not %s' % (key, ours.get(key), theirs[key])
        if len(ours) != len(theirs):
            return 'the keys %s' % sorted(ours)
        if get_version() >= (8,):
            return None
        theirs = demand('qemu-img', 'info', self.path)
        ours = run(*TOOL, 'info', self.path).stdout
        # We escape a part of a character.
        if theirs.decode(errors='ignore').encode() != theirs:
            return None
        return None if ours == theirs else '%s, not %s' % (ours, theirs)

    @staticmethod
    def as_qemu(snapshot):
        """Returns the object of qemu-img info for an object of ours."""
        def signed(number):
            return (number ^ SIGN) - SIGN

        large = snapshot['vm_state_size_large']
        theirs = {
            'id': snapshot['id'].encode()[:ID_MAX].decode(),
            'name': snapshot['name'].encode()[:NAME_MAX].decode(),
            'vm-state-size': signed(snapshot['vm_state_size'] if large is None
                                    else large),
            'date-sec': snapshot['date_sec'],
            'date-nsec': snapshot['date_nsec'],
            'vm-clock-sec': snapshot['vm_clock_nsec'] // 10**9,
            'vm-clock-nsec': snapshot['vm_clock_nsec'] % 10**9}
        icount = snapshot['icount']
        if icount is not None and icount != 2**64 - 1:
            theirs['icount'] = signed(icount)
        return theirs


def main():
    seed, count = sys.argv[1], int(sys.argv[2])
    version = get_version()
    for i in range(count + 1):
        rng = random.Random('%s-%d' % (seed, i))
        image = RandomImage(rng, 3000 if i == count else None)
        checks = [('JSON', image.check_json)]
        # Later versions print the list in another way.
        if version < (8,):
            checks.append(('list', image.check_list))
        # This changes the image.
        checks.append(('cut', image.check_cut))
        for name, check in checks:
            wrong = check()
            print('image %d (%s): %s' % (i, image.what, name),
                  (wrong or '').replace('\n', ' ')[:600], sep='\t')


main()
