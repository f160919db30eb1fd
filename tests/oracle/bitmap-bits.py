#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads a bitmap bit by bit, as a reference for the tests of bitmap-map.

bitmap-bits.py IMAGE INDEX          prints extents in the columns of bitmap-map
bitmap-bits.py --totals IMAGE INDEX prints the numbers of clean, dirty and
                                    unknown bytes
bitmap-bits.py --set IMAGE INDEX    prints extents, with unknown for clear bits

The image is not checked.  Missing bytes of the file are unknown (3), as are
entries of the table with reserved bits or an offset inside a cluster.  A
bitmap of an unknown type, or without a table, is unknown as a whole.  Only
entries without data and blocks of zeroes are processed as a whole.
"""

import struct
import sys

CLEAN, DIRTY, UNKNOWN = 0, 1, 3
WORDS = {CLEAN: 'clean', DIRTY: 'dirty', UNKNOWN: 'unknown'}
BITMAPS = 0x23852875

# Blocks of zeroes of this many bytes are not read bit by bit, which would take
# minutes.
BLOCK = 256


class Image:
    def __init__(self, path):
        self.file = open(path, 'rb')
        self.file.seek(0, 2)
        self.end = self.file.tell()
        head = self.read(0, 104)
        self.version, = struct.unpack_from('>I', head, 4)
        self.cluster_size = 1 << struct.unpack_from('>I', head, 20)[0]
        self.size, = struct.unpack_from('>Q', head, 24)
        length = struct.unpack_from('>I', head, 100)[0]
        self.extensions = length if self.version >= 3 else 72

    def read(self, offset, length):
        """Returns those of the requested bytes that the file has."""
        if offset >= self.end:
            return b''
        self.file.seek(offset)
        return self.file.read(min(length, self.end - offset))

    def bitmap(self, index):
        """Returns table offset, table size, type and granularity_bits of
        bitmap INDEX."""
        at = self.extensions
        directory = None
        while True:
            magic, length = struct.unpack('>II', self.read(at, 8))
            if magic == 0:
                break
            if magic == BITMAPS:
                directory, = struct.unpack('>Q', self.read(at + 24, 8))
            at += 8 + (length + 7) // 8 * 8
        for i in range(index + 1):
            entry = self.read(directory, 24)
            table, size, _, kind, granularity, name, extra = struct.unpack(
                '>QIIBBHI', entry)
            directory += (24 + extra + name + 7) // 8 * 8
        return table, size, kind, granularity


def runs(image, index):
    """Yields (number of bits, type) in order, without merging."""
    table, size, kind, granularity = image.bitmap(index)
    left = -(-image.size // (1 << granularity))
    per_entry = image.cluster_size * 8
    entry = 0
    if table == 0 or kind != 1 or granularity > 63:
        yield left, UNKNOWN
        return
    while left > 0:
        n = min(left, per_entry)
        left -= n
        raw = image.read(table + 8 * entry, 8) if entry < size else b''
        if len(raw) < 8:
            yield n + left, UNKNOWN
            return
        entry += 1
        value, = struct.unpack('>Q', raw)
        offset = value & 0x00fffffffffffe00
        reserved = value & 0xff000000000001fe
        if reserved or (offset and value & 1) or offset % image.cluster_size:
            yield n, UNKNOWN
        elif offset == 0:
            yield n, DIRTY if value & 1 else CLEAN
        else:
            data = image.read(offset, -(-n // 8))
            for start in range(0, n, 8 * BLOCK):
                block = data[start // 8:start // 8 + BLOCK]
                bits = min(n - start, 8 * BLOCK)
                if block == bytes(BLOCK):
                    yield bits, CLEAN
                    continue
                for bit in range(bits):
                    if bit // 8 >= len(block):
                        yield 1, UNKNOWN
                    else:
                        yield 1, block[bit // 8] >> bit % 8 & 1


def extents(image, index, clear):
    granule = 1 << image.bitmap(index)[3]
    start, bits, kind = 0, 0, None
    for n, this in runs(image, index):
        if this == CLEAN:
            this = clear
        if kind not in (None, this):
            yield start, bits * granule - start, kind
            start = bits * granule
        kind = this
        bits += n
    if kind is not None:
        yield start, image.size - start, kind


def line(extent):
    """Returns the line of bitmap-map for EXTENT."""
    start, length, kind = extent
    return '%10d  %10d  %3d  %s\n' % (start, length, kind, WORDS[kind])


def totals(found):
    """Returns the numbers of clean, dirty and unknown bytes in the extents
    FOUND."""
    sums = {CLEAN: 0, DIRTY: 0, UNKNOWN: 0}
    for _, length, kind in found:
        sums[kind] += length
    return tuple(sums.values())


def main():
    clear = UNKNOWN if sys.argv[1] == '--set' else CLEAN
    path, index = sys.argv[-2:]
    found = extents(Image(path), int(index), clear)
    if sys.argv[1] == '--totals':
        print(*totals(found))
        return
    for extent in found:
        sys.stdout.write(line(extent))


if __name__ == '__main__':
    main()
