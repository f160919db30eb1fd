# SPDX-License-Identifier: LGPL-2.1-or-later
"""The images that interop-census.py damages, made with QEMU's programs.

The words of a base, "SEED:INDEX", determine all of it except salts, keys and
dates.  The kind, the cluster size and the refcount width change from one index
to the next, in cycles of 17, 13 and 7: over 1,547 indices, each meets each.
"""

import os
import random
import struct
import subprocess

import findings

SECRET = ('--object', 'secret,id=s0,data=abc')
TIMEOUT = 300

MIN_CLUSTER_BITS = 9
N_CLUSTER_SIZES = 13
N_REFCOUNT_WIDTHS = 7

# The most entries of L2 tables that qemu-img check reads for the snapshots of
# an image, so that it takes milliseconds.
MAX_L2_ENTRIES = 1 << 20

MAX_SIZE = 8 << 40

# Data that compresses to about as many bytes.
PATTERNS = (40, 700, 5000, 90000)


class Failure(Exception):
    """A program of QEMU failed, or an image is not as intended."""


def run(*command, statuses=(0,), cwd=None):
    done = subprocess.run(command, capture_output=True, check=False,
                          timeout=TIMEOUT, cwd=cwd)
    if done.returncode not in statuses:
        raise Failure('%s: status %d: %s' % (
            ' '.join(command), done.returncode,
            done.stderr.decode('utf-8', 'replace').strip()))
    return done


class Base:
    """An image while it is made."""

    # Options of the kinds, which Base.make () combines.
    version = 3
    min_cluster_bits = MIN_CLUSTER_BITS
    min_refcount_bits = 1
    is_encrypted = False
    is_preallocated = False
    max_l2_tables = 300
    # Of ten images, how many have snapshots, bitmaps, compressed clusters.
    snapshots = 3
    bitmaps = 2
    compressed = 3

    def __init__(self, folder, words):
        seed, index = words.rsplit(':', 1)
        shift = random.Random('shift of ' + seed).randrange(1 << 20)
        self.turn = shift + int(index)
        self.rng = random.Random('base ' + words)
        self.folder = folder
        self.name = 'base-%s.qcow2' % index
        self.path = os.path.join(folder, self.name)
        self.options = []
        self.log = []

    # ---- Programs ----

    def opened(self):
        """Returns the arguments with which programs open the image."""
        if not self.is_encrypted:
            return ('-f', 'qcow2', self.name)
        return (*SECRET, '--image-opts', 'driver=qcow2,file.filename=%s,'
                'encrypt.key-secret=s0' % self.name)

    def img(self, *arguments, statuses=(0,)):
        self.log.append('qemu-img ' + ' '.join(arguments))
        return run('qemu-img', *arguments, statuses=statuses, cwd=self.folder)

    def io(self, commands, statuses):
        arguments = [word for command in commands for word in ('-c', command)]
        self.log.append('qemu-io ' + '; '.join(commands))
        run('qemu-io', *arguments, *self.opened(), statuses=statuses,
            cwd=self.folder)

    # ---- Geometry ----

    def choose_geometry(self):
        bits = MIN_CLUSTER_BITS + self.turn % N_CLUSTER_SIZES
        if bits < self.min_cluster_bits:
            bits = self.rng.randrange(self.min_cluster_bits,
                                      MIN_CLUSTER_BITS + N_CLUSTER_SIZES)
        self.cluster = 1 << bits
        width = 1 << self.turn % N_REFCOUNT_WIDTHS
        if self.version == 2:
            width = 16
        if width < self.min_refcount_bits:
            width = self.rng.choice(
                [width for width in (2, 4, 8, 16, 32, 64)
                 if width >= self.min_refcount_bits])
        self.refcount_bits = width
        self.options += ['cluster_size=%d' % self.cluster]
        if self.version == 3 and bits >= 14 and self.rng.randrange(4) == 0 \
                and 'extended_l2=on' not in self.options:
            self.options += ['extended_l2=on']
        if self.version == 2:
            self.options += ['compat=0.10']
        else:
            self.options += ['refcount_bits=%d' % width]
        self.size = self.choose_size()

    def choose_size(self):
        """Returns a size with one L2 table or a few."""
        per_table = self.cluster * (self.cluster // self.l2_entry_size())
        size = int(per_table * self.rng.uniform(0.3, 3.5))
        if self.rng.randrange(8) == 0:
            # With more than 64, the L1 table may need more than a cluster.
            size = per_table * self.rng.randrange(1, self.max_l2_tables)
        if self.is_preallocated:
            size = self.cluster * self.rng.randrange(
                2, 12 if self.cluster > 1 << 18 else 90)
        # Less than the largest file of any file system.
        size = min(size, MAX_SIZE)
        # QEMU has no way to refer to less than a sector.
        return max(512, size // 512 * 512)

    def l2_entry_size(self):
        return 16 if 'extended_l2=on' in self.options else 8

    # ---- Contents ----

    def somewhere(self):
        """Returns an offset in the disk, often near that of another write."""
        n_clusters = -(-self.size // self.cluster)
        kind = self.rng.randrange(4)
        if kind == 0:
            cluster = self.rng.randrange(n_clusters)
        elif kind == 1:
            per_table = self.cluster // self.l2_entry_size()
            cluster = self.rng.randrange(-(-n_clusters // per_table))
            cluster = cluster * per_table + self.rng.randrange(-2, 3)
        else:
            cluster = self.rng.randrange(min(n_clusters, 24))
        return max(0, min(cluster, n_clusters - 1)) * self.cluster

    def random_write(self, may_compress):
        offset = self.somewhere()
        n = self.rng.randrange(1, 3 if self.cluster > 1 << 19 else 6)
        length = min(n * self.cluster, self.size - offset)
        kind = self.rng.randrange(10)
        if may_compress and kind < 5:
            # Each cluster is compressed by itself.
            return ['write -c -s pattern-%d %d %d' % (
                self.rng.choice(PATTERNS), offset + i * self.cluster,
                min(self.cluster, length - i * self.cluster))
                    for i in range(-(-length // self.cluster))]
        # The zeroes are written, but the census needs no other contents.
        if kind == 5:
            return ['write -z %d %d' % (offset, length)]
        if kind == 6:
            return ['write -z -u %d %d' % (offset, length)]
        if kind == 7:
            return ['discard %d %d' % (offset, length)]
        if kind == 8 and length > 512:
            # Less than a cluster, or less than a subcluster.
            start = self.rng.randrange(0, length, 512)
            return ['write -P 0 %d %d' % (
                offset + start,
                min(512 * self.rng.randrange(1, 9), length - start))]
        return ['write -P 0 %d %d' % (offset, length)]

    def write(self, n=None, after=()):
        may_compress = self.rng.randrange(10) < self.compressed
        commands = []
        for _ in range(n or self.rng.randrange(1, 12)):
            commands += self.random_write(may_compress)
        # A compressed cluster cannot replace another one: that write fails.
        self.io(commands + list(after), (-6,) if after else (0, 1))

    def add_snapshots(self, n=None):
        for i in range(n or self.rng.randrange(1, 4)):
            # qemu-img has no way to name a secret here.
            if self.is_encrypted or self.refcount_bits == 1:
                return
            done = self.img('snapshot', '-c', 'snapshot %d' % i, self.name,
                            statuses=(0, 1))
            if done.returncode != 0:
                # The refcounts are too narrow, and some were increased.
                self.img('check', '-q', '-r', 'all', self.name,
                         statuses=(0, 1, 2, 3))
            self.write(self.rng.randrange(1, 4))

    def add_bitmaps(self):
        if self.version == 2:
            return
        for i in range(self.rng.randrange(1, 4)):
            # An entry of the table stands for so many bytes of the disk.
            bits = self.rng.randrange(9, 25)
            if self.size >> bits > 1 << 22:
                bits = 31
            flags = ['--disable'] if self.rng.randrange(4) == 0 else []
            self.img('bitmap', '--add', '-g', str(1 << bits), *flags,
                     *self.opened(), 'bitmap %d' % i)
            self.write(self.rng.randrange(1, 5))

    def create(self):
        options = ','.join(self.options)
        if self.is_encrypted:
            findings.make_encrypted(self.path, str(self.size), 'data=abc',
                                    ',' + options)
        else:
            self.img('create', '-q', '-f', 'qcow2', '-o', options, self.name,
                     str(self.size))

    def prepare(self):
        """Makes other files and sets options, before the image is made."""

    def finish(self):
        """Does what the kind needs in the end."""

    def make(self):
        """Makes the image and returns its path."""
        for n in PATTERNS:
            path = os.path.join(self.folder, 'pattern-%d' % n)
            if not os.path.exists(path):
                with open(path, 'wb') as file:
                    file.write(random.Random(n).randbytes(n))
        self.prepare()
        self.choose_geometry()
        self.create()
        self.write()
        if self.rng.randrange(10) < self.bitmaps:
            self.add_bitmaps()
        if self.rng.randrange(10) < self.snapshots:
            self.add_snapshots()
        self.finish()
        return self.path

    def lines(self):
        yield 'base: %s, %s' % (type(self).__name__, ','.join(self.options))
        for command in self.log:
            yield '  ' + command

    # ---- Bytes ----

    def read(self, offset, length):
        with open(self.path, 'rb') as file:
            file.seek(offset)
            return file.read(length)

    def number(self, offset, width):
        return int.from_bytes(self.read(offset, width), 'big')

    def put(self, offset, data):
        with open(self.path, 'r+b') as file:
            file.seek(offset)
            file.write(data)


class Plain(Base):
    snapshots = bitmaps = compressed = 0


class Snapshots(Base):
    min_refcount_bits = 4
    snapshots = 10


class ManySnapshots(Base):
    """The entries of hundreds of snapshots, written here, share the L1 tables
    of a few that QEMU made.  QEMU's repair adapts the refcounts and flags."""

    min_refcount_bits = 8
    max_l2_tables = 20
    snapshots = 0
    bitmaps = 1

    def prepare(self):
        self.version = self.rng.choice((2, 3, 3))

    def choose_geometry(self):
        super().choose_geometry()
        # A cluster counts once for each compressed cluster in it and each of
        # 240 snapshots.
        if self.refcount_bits == 8:
            self.compressed = 0

    def finish(self):
        self.add_snapshots(self.rng.randrange(1, 4))
        entries = self.read_entries()
        n_tables = max(n_tables for _, _, n_tables in entries) or 1
        per_table = self.cluster // self.l2_entry_size()
        n = min(self.rng.randrange(100, 700),
                MAX_L2_ENTRIES // (n_tables * per_table))
        if self.refcount_bits == 8:
            n = min(n, 240)
        table = b''.join(self.entry(i, *entries[i % len(entries)][:2])
                         for i in range(max(n, len(entries))))
        end = -(-os.path.getsize(self.path) // self.cluster) * self.cluster
        self.put(end, table)
        self.put(60, struct.pack('>IQ', max(n, len(entries)), end))
        for _ in range(3):
            done = self.img('check', '-q', '-r', 'all', self.name,
                            statuses=(0, 1, 2, 3))
            if done.returncode == 0:
                break
        self.img('check', '-q', self.name)

    def read_entries(self):
        """Returns the L1 table of each snapshot, the number of its entries,
        and how many of these refer to an L2 table."""
        entries = []
        at = self.number(64, 8)
        for _ in range(self.number(60, 4)):
            table, n, id_size, name_size = struct.unpack(
                '>QIHH', self.read(at, 16))
            n_used = sum(1 for i in range(n)
                         if self.number(table + 8 * i, 8))
            entries.append((table, n, n_used))
            at += (40 + self.number(at + 36, 4) + id_size + name_size + 7) & -8
        return entries

    def entry(self, i, table, n):
        name = b'n' * self.rng.randrange(1, 30)
        snapshot_id = b'%d' % (i + 1)
        extra = struct.pack('>QQQ', 0, self.size, (1 << 64) - 1)
        extra = extra[:self.rng.choice((16, 24) if self.version == 3
                                       else (0, 16, 24))]
        data = struct.pack('>QIHHIIQII', table, n, len(snapshot_id), len(name),
                           1700000000, 0, 0, 0, len(extra))
        data += extra + snapshot_id + name
        return data + bytes(-len(data) % 8)


class Zlib(Base):
    compressed = 10


class Zstd(Base):
    compressed = 10

    def prepare(self):
        self.options += ['compression_type=zstd']


class ExtendedL2(Base):
    min_cluster_bits = 14
    snapshots = 4

    def prepare(self):
        self.options += ['extended_l2=on']


class DataFile(Base):
    snapshots = compressed = 0
    raw = ''

    def prepare(self):
        self.options += ['data_file=%s.data' % self.name + self.raw]


class DataFileRaw(DataFile):
    """QEMU allocates all of it, so the disk is small."""

    raw = ',data_file_raw=on'

    def choose_size(self):
        return min(super().choose_size(),
                   self.rng.randrange(1, 20000) * self.cluster)


class Luks(Base):
    is_encrypted = True
    compressed = 0


class Preallocated(Base):
    is_preallocated = True

    def prepare(self):
        self.options += ['preallocation=' + self.rng.choice(
            ('metadata', 'falloc', 'full'))]


class Resized(Base):
    def finish(self):
        for _ in range(self.rng.randrange(1, 4)):
            self.size = self.choose_size()
            # A disk with bitmaps cannot shrink.
            self.img('resize', '-q', '--shrink', self.name, str(self.size),
                     statuses=(0, 1))
            self.write()


class Converted(Base):
    """Also has its contents from another image, with all clusters in order."""

    max_l2_tables = 5

    def create(self):
        source = os.path.join(self.folder, 'source.raw')
        with open(source, 'wb') as file:
            for _ in range(self.rng.randrange(1, 6)):
                file.seek(self.somewhere())
                file.write(self.rng.randbytes(
                    self.rng.randrange(1, min(3 * self.cluster, 1 << 20))))
            file.truncate(self.size)
        flags = ['-c'] if self.rng.randrange(2) else []
        self.img('convert', '-f', 'raw', '-O', 'qcow2', *flags, '-o',
                 ','.join(self.options), 'source.raw', self.name)
        os.unlink(source)


class Bitmaps(Base):
    bitmaps = 10


class StaleBitmaps(Base):
    """As if a program that does not know bitmaps had written to the image."""

    bitmaps = 10

    def finish(self):
        self.put(88, bytes(8))


class Dirty(Base):
    """As after a crash: refcounts that were not written, or only the bit."""

    def prepare(self):
        self.options += ['lazy_refcounts=on']

    def finish(self):
        if self.rng.randrange(3) == 0:
            self.put(79, bytes([self.number(79, 1) | 1]))
        else:
            self.write(after=('flush', 'abort'))


class Backing(Base):
    def prepare(self):
        if not os.path.exists(os.path.join(self.folder, 'backing.raw')):
            with open(os.path.join(self.folder, 'backing.raw'), 'wb') as file:
                file.truncate(1 << 20)
        self.options += ['backing_file=backing.raw', 'backing_fmt=raw']


class Version2(Base):
    version = 2
    snapshots = 5


# 17 of them, which is prime to the number of cluster sizes and widths.
KINDS = (Plain, Snapshots, Zlib, ManySnapshots, ExtendedL2, DataFile, Luks,
         Preallocated, Resized, Bitmaps, Converted, StaleBitmaps, Dirty,
         Backing, Version2, Zstd, DataFileRaw)


def make_base(folder, words, kinds=KINDS):
    """Makes the base of WORDS, of one of KINDS, in FOLDER and returns it."""
    shift = Base(folder, words).turn
    base = kinds[shift % len(kinds)](folder, words)
    base.make()
    return base
