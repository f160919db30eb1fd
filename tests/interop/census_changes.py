# SPDX-License-Identifier: LGPL-2.1-or-later
"""The damage that interop-census.py does to its bases: changes of the fields
and table entries from which QEMU counts references.

The layout of an image and its changes are those of interop-verdict.py.
"""

import array
import importlib
import random

# The file name is not a valid identifier.
verdict = importlib.import_module('interop-verdict')

COPIED = 1 << 63
COMPRESSED = 1 << 62
OFFSET = 0x00fffffffffffe00

INT_MAX = (1 << 31) - 1


class Layout(verdict.Layout):
    """Adds the L2 tables and all refcounts."""

    def __init__(self, data):
        super().__init__(data)
        self.cluster_bits = self.number(20, 4)
        version_3 = self.version >= 3
        self.refcount_bits = 1 << self.number(96, 4) if version_3 else 16
        self.is_extended = version_3 and bool(self.data[79] & 16)
        self.entry_size = 16 if self.is_extended else 8
        self.l2_tables = []
        for group in ('l1', 'snapshot l1'):
            for field in self.groups.get(group, ()):
                offset = self.number(field.offset, 8) & OFFSET
                if offset and offset not in self.l2_tables:
                    self.l2_tables.append(offset)
        # The offsets of entries that are not 0.
        self.l2_entries = {at: self.used_entries(at) for at in self.l2_tables}

    def used_entries(self, table):
        table_bytes = self.data[table:table + self.cluster]
        words = array.array('Q', table_bytes.ljust(self.cluster, b'\0'))
        step = self.entry_size // 8
        return [table + 8 * i for i in range(0, len(words), step)
                if any(words[i:i + step])]

    def refcount_table(self):
        """Returns the offset of the table and the number of its entries."""
        return self.number(48, 8), self.number(56, 4) * self.cluster // 8

    def refcount_place(self, cluster):
        """Returns the offset of the byte with the first bit of the refcount of
        CLUSTER, and the bit's number in this byte, or None."""
        per_block = self.cluster * 8 // self.refcount_bits
        table, n_blocks = self.refcount_table()
        if cluster // per_block >= n_blocks:
            return None
        block = self.number(table + cluster // per_block * 8, 8) & OFFSET
        if block == 0:
            return None
        bit = cluster % per_block * self.refcount_bits
        return block + bit // 8, bit % 8


class Damage:
    """Makes random changes of MUTANT."""

    def __init__(self, rng, mutant):
        self.rng = rng
        self.mutant = mutant
        self.layout = mutant.base.layout
        self.cluster = self.layout.cluster

    def number(self, offset, width=8):
        return int.from_bytes(self.mutant.read(offset, width), 'big')

    def put(self, name, offset, width, value):
        """Changes a field.  Returns whether it differs now."""
        new = (value % (1 << 8 * width)).to_bytes(width, 'big')
        if self.mutant.read(offset, width) == new:
            return False
        self.mutant.set(name, offset, new)
        return True

    def field(self, group, suffixes=('',)):
        fields = [field for field in self.layout.groups.get(group, ())
                  if field.name.endswith(suffixes)]
        return self.rng.choice(fields) if fields else None

    def change(self, field):
        """Sets FIELD to any other value, preferably to a limit."""
        if field is None:
            return False
        return self.put(field.name, field.offset, field.width,
                        verdict.new_value(self.rng, self.mutant, field))

    # ---- References ----

    def n_clusters(self):
        return -(-self.mutant.size // self.cluster)

    def new_offset(self, old):
        """Returns an offset for a reference in place of OLD."""
        rng, cluster = self.rng, self.cluster
        kind = rng.choice(('end', 'end', 'inside', 'inside', 'structure',
                           'structure', 'unaligned', 'unaligned', 'far',
                           'near', 'zero'))
        if kind == 'end':
            return max(0, self.n_clusters() + rng.randrange(-2, 4)) * cluster
        if kind == 'inside':
            return rng.randrange(self.n_clusters() or 1) * cluster
        if kind == 'structure':
            return rng.choice(sorted(self.layout.structures))
        if kind == 'unaligned':
            return (old ^ 512 * rng.randrange(1, 16)) & OFFSET
        if kind == 'near':
            return max(0, old + rng.choice((-1, 1, 2)) * cluster)
        if kind == 'far':
            return rng.randrange(1 << rng.randrange(24, 57)) & rng.choice(
                (-512, -cluster, -cluster)) & OFFSET
        return 0

    def reserved_bit(self, places):
        return 1 << self.rng.choice(places)

    def reference(self, name, at, entry, reserved):
        """Changes ENTRY at AT, which has an offset and the copied flag."""
        kind = self.rng.randrange(8)
        if kind == 0:
            return self.put(name + ': reserved', at, 8,
                            entry ^ self.reserved_bit(reserved))
        if kind == 1:
            return self.put(name + ': copied', at, 8, entry ^ COPIED)
        if kind == 2:
            flags = self.rng.choice((COPIED, self.reserved_bit(reserved)))
            return self.put(name + ': only flags', at, 8, flags)
        offset = self.new_offset(entry & OFFSET)
        flags = self.rng.choice((entry & COPIED, COPIED))
        return self.put(name + ': offset', at, 8,
                        entry & ~(OFFSET | COPIED) | offset | flags)

    # ---- Structures ----

    def header(self):
        return self.change(self.field('header', (
            'l1_size', 'l1_table_offset', 'refcount_table_offset',
            'refcount_table_clusters', 'nb_snapshots', 'snapshot_offset',
            ' size')))

    def rest_of_header(self):
        return self.change(self.field('header'))

    def l1(self, group='l1'):
        fields = self.layout.groups.get(group)
        if not fields:
            return False
        used = [field for field in fields if self.number(field.offset)]
        at = self.rng.choice(used if used and self.rng.randrange(5) else
                             fields).offset
        if self.rng.randrange(6) == 0:
            # A second reference to a table.
            return self.put(group + ': another entry', at, 8,
                            self.number(self.rng.choice(fields).offset))
        return self.reference(group, at, self.number(at),
                              (*range(9), *range(56, 63)))

    def snapshot_l1(self):
        return self.l1('snapshot l1')

    def l2_place(self):
        """Returns the offset of an entry, or None."""
        tables = self.layout.l2_tables
        if not tables:
            return None
        table = self.rng.choice(tables)
        used = self.layout.l2_entries[table]
        if used and self.rng.randrange(6):
            return self.rng.choice(used)
        size = self.layout.entry_size
        return table + self.rng.randrange(self.cluster // size) * size

    def l2(self):
        at = self.l2_place()
        if at is None:
            return False
        entry = self.number(at)
        kind = self.rng.randrange(10)
        if kind == 0:
            return self.put('l2: compressed flag', at, 8, entry ^ COMPRESSED)
        if kind == 1:
            return self.put('l2: zero flag', at, 8, entry ^ 1)
        if kind == 2:
            other = self.l2_place()
            size = self.layout.entry_size
            return self.put('l2: another entry', at, size,
                            self.number(other, size))
        if kind == 3:
            return self.put('l2: zeroed', at, self.layout.entry_size, 0)
        if entry & COMPRESSED:
            return self.compressed(at, entry)
        return self.reference('l2', at, entry, (*range(9), *range(56, 62)))

    def compressed(self, at, entry=None):
        """Changes the descriptor of a compressed cluster, or makes one."""
        rng = self.rng
        bits = 62 - (self.layout.cluster_bits - 8)
        limit = 1 << self.layout.cluster_bits - 8
        if entry is None:
            entry = self.number(at)
        offset = entry % (1 << bits)
        n_sectors = entry >> bits & limit - 1
        kind = rng.randrange(8)
        if kind == 0 and entry & COMPRESSED:
            return self.put('l2: compressed, copied', at, 8, entry ^ COPIED)
        if kind < 4:
            end = rng.choice((self.mutant.size, self.n_clusters()
                              * self.cluster))
            offset = end + rng.choice(
                (-self.cluster, 0, 0, self.cluster)) + rng.randrange(
                    -2 * 512 - 1, 2 * 512)
        elif kind == 4:
            offset = rng.randrange(1 << rng.randrange(9, bits + 1))
        elif kind == 5:
            offset += rng.randrange(-self.cluster, self.cluster)
        if kind > 4 or rng.randrange(2):
            n_sectors = rng.choice((0, 1, limit - 1, rng.randrange(limit)))
        return self.put('l2: compressed, %d sectors' % n_sectors, at, 8,
                        COMPRESSED | n_sectors % limit << bits
                        | max(0, offset) % (1 << bits))

    def new_compressed(self):
        at = self.l2_place()
        return at is not None and self.compressed(at)

    def subclusters(self):
        if not self.layout.is_extended:
            return False
        at = self.l2_place()
        if at is None:
            return False
        bitmap = self.number(at + 8)
        rng = self.rng
        new = rng.choice((
            bitmap ^ 1 << rng.randrange(64), bitmap | bitmap << 32,
            bitmap << 32, 0, 1 << rng.randrange(64), 0xffffffff,
            0xffffffff << 32, rng.randrange(1 << 64)))
        return self.put('l2: subclusters', at + 8, 8, new)

    def refcount_table(self):
        table, n_entries = self.layout.refcount_table()
        per_block = self.cluster * 8 // self.layout.refcount_bits
        n_used = -(-self.n_clusters() // per_block)
        i = self.rng.randrange(
            max(1, min(n_entries, n_used + self.rng.randrange(3))))
        at = table + 8 * i
        entry = self.number(at)
        kind = self.rng.randrange(6)
        if kind == 0:
            # The offset extends to bit 63.
            return self.put('refcount table: reserved', at, 8,
                            entry ^ self.reserved_bit(range(9)))
        if kind == 1:
            other = self.rng.randrange(max(1, n_used))
            return self.put('refcount table: another entry', at, 8,
                            self.number(table + 8 * other))
        if kind == 2:
            return self.put('refcount table: high', at, 8,
                            entry ^ 1 << self.rng.randrange(40, 64))
        if kind == 3:
            return self.put('refcount table: unaligned', at, 8,
                            entry ^ 512 * self.rng.randrange(1, 16))
        return self.put('refcount table: offset', at, 8,
                        self.new_offset(entry & OFFSET))

    def refcount(self):
        """Changes the refcount of a cluster."""
        rng = self.rng
        n = self.n_clusters()
        cluster = rng.randrange(n + 2)
        if rng.randrange(3) == 0:
            cluster = rng.choice(sorted(self.layout.structures)) \
                // self.cluster
        elif rng.randrange(8) == 0:
            cluster = n + rng.randrange(self.cluster)
        place = self.layout.refcount_place(cluster)
        if place is None:
            return False
        at, bit = place
        width = self.layout.refcount_bits
        n_bytes = max(1, width // 8)
        mask = (1 << width) - 1
        number = self.number(at, n_bytes)
        old = number >> bit & mask
        new = rng.choice((old + 1, old - 1, old + 1, old - 1, 0, 1, mask,
                          rng.randrange(mask + 1))) & mask
        return self.put('refcount of cluster %d' % cluster, at, n_bytes,
                        number & ~(mask << bit) | new << bit)

    def snapshot(self):
        field = self.field('snapshot', (
            'l1_table_offset', 'l1_size', 'extra_data_size', 'l1_table_offset',
            'l1_size', 'disk_size', 'id_str_size', 'name_size'))
        if field is None:
            return False
        old = self.number(field.offset, field.width)
        if field.name.endswith('l1_size') and self.rng.randrange(2):
            new = max(0, old + self.rng.randrange(-3, 4) * self.rng.choice(
                (1, 1, self.cluster // 8)))
            return self.put(field.name, field.offset, 4, new)
        if field.name.endswith('l1_table_offset') and self.rng.randrange(2):
            return self.put(field.name, field.offset, 8, self.new_offset(old))
        if field.name.endswith('extra_data_size') and self.rng.randrange(2):
            return self.put(field.name, field.offset, 4,
                            self.rng.choice((0, 8, 15, 16, 24, 32)))
        return self.change(field)

    def bitmap_directory(self):
        return self.change(self.field(self.rng.choice(
            ('bitmaps', 'directory'))))

    def bitmap_table(self):
        field = self.field('bitmap table')
        if field is None:
            return False
        entry = self.number(field.offset)
        kind = self.rng.randrange(3)
        if kind == 0:
            return self.put('bitmap table: flags', field.offset, 8,
                            entry ^ self.reserved_bit(
                                (*range(9), *range(56, 64))))
        if kind == 1:
            return self.put(
                'bitmap table: another entry', field.offset, 8,
                self.number(self.field('bitmap table').offset))
        return self.put('bitmap table: offset', field.offset, 8,
                        self.new_offset(entry & OFFSET))

    def crypto_header(self):
        field = self.field('crypto')
        if field is None:
            return False
        old = self.number(field.offset)
        if field.name.endswith('length') and self.rng.randrange(2):
            return self.put(field.name, field.offset, 8, old
                            + self.rng.randrange(-3, 4) * self.rng.choice(
                                (1, 512, self.cluster)))
        return self.change(field)

    def file_size(self):
        rng, size, cluster = self.rng, self.mutant.size, self.cluster
        if size == 0:
            return False
        kind = rng.randrange(8)
        if kind < 2:
            new = size - rng.randrange(min(size, 3 * cluster))
        elif kind == 2:
            new = rng.randrange(size + 1)
        elif kind == 3:
            new = rng.choice(sorted(self.layout.structures)) + rng.choice(
                (0, 1, 8, 511, 512, cluster - 1, cluster))
        elif kind == 4:
            new = size + rng.randrange(3 * cluster)
        elif kind == 5:
            new = size + rng.choice((1, 511, 512, 513, cluster - 1, cluster,
                                     cluster + 1, 2 * cluster))
        elif kind == 6:
            new = size + rng.randrange(2000 * cluster)
        elif rng.randrange(10) == 0:
            # QEMU examines no more clusters than this.
            new = INT_MAX * cluster + rng.choice((1, cluster))
        else:
            new = size - rng.randrange(1, min(size, 512) + 1)
        if new == size:
            return False
        self.mutant.add(verdict.Change('size', None, size, max(0, new)))
        return True

    def swap(self):
        """Exchanges two entries.  All references stay."""
        l1 = self.layout.groups.get('l1', ())
        if l1 and self.rng.randrange(4) == 0:
            places, size = [self.rng.choice(l1).offset for _ in range(2)], 8
        else:
            places = [self.l2_place() for _ in range(2)]
            size = self.layout.entry_size
        if None in places or places[0] == places[1]:
            return False
        first, second = (self.number(at, size) for at in places)
        return (self.put('another entry', places[0], size, second)
                and self.put('that entry', places[1], size, first))

    # The kinds of damage, and how often they are tried.  Those that few bases
    # allow are tried more often.
    WEIGHTS = {
        'header': 8, 'rest_of_header': 2, 'l1': 14, 'snapshot_l1': 14,
        'l2': 24, 'new_compressed': 8, 'subclusters': 24, 'swap': 10,
        'refcount_table': 9, 'refcount': 16, 'snapshot': 14,
        'bitmap_directory': 9, 'bitmap_table': 12, 'crypto_header': 18,
        'file_size': 10}

    def add(self):
        """Adds a change and returns its kind."""
        kinds, weights = zip(*self.WEIGHTS.items())
        while True:
            kind, = self.rng.choices(kinds, weights)
            if getattr(self, kind)():
                return kind


class Base:
    """The bytes and the layout of the image that MADE describes."""

    PIECE = 4096

    def __init__(self, words, made):
        self.name = words
        self.made = made
        with open(made.path, 'rb') as file:
            self.data = file.read()
        self.layout = Layout(self.data)
        zeroes = bytes(self.PIECE)
        self.pieces = []
        for at in range(0, len(self.data), self.PIECE):
            piece = self.data[at:at + self.PIECE]
            if piece != zeroes[:len(piece)]:
                self.pieces.append((at, piece))


def make_mutant(base, seed, n):
    """Returns BASE with one change to three, and the kinds of the changes."""
    rng = random.Random('census %s %d' % (seed, n))
    mutant = verdict.Mutant(base)
    damage = Damage(rng, mutant)
    kinds = [damage.add()
             for _ in range(rng.choice((1, 1, 1, 1, 1, 2, 2, 2, 3)))]
    return mutant, kinds


def replay(base, changes):
    """Returns BASE with CHANGES, a list of OFFSET=HEX and size=BYTES."""
    mutant = verdict.Mutant(base)
    for change in changes:
        where, value = change.split('=')
        if where == 'size':
            mutant.add(verdict.Change('size', None, mutant.size, int(value)))
        else:
            mutant.set('', int(where, 0), bytes.fromhex(value))
    return mutant
