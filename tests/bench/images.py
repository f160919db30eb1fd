#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes images for the benchmark, byte by byte.  Each has a bitmap named b
with NUMBER table entries or bytes of data, or NUMBER bitmaps, except for disk.

  images.py KIND NUMBER FILE

  table NUMBER     NUMBER table entries without data, alternately all-zeroes
                   and all-ones, in runs of odd lengths
  granules NUMBER  NUMBER extents: every other granule is dirty
  random NUMBER    NUMBER bytes of random data, the same every time
  zeroes NUMBER, ones NUMBER
                   NUMBER bytes of data, all equal
  names NUMBER     NUMBER bitmaps with names of 1000 bytes
  namesakes NUMBER NUMBER bitmaps with the same name of 1000 bytes
  disk NUMBER      a disk of NUMBER clusters, all allocated, with correct
                   refcounts; their data are a hole of the file
"""

import os
import random
import struct
import sys

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS
GRANULARITY_BITS = 9
AUTO = 2
COPIED = 1 << 63


def header(size, n_bitmaps=1, directory_size=32):
    """Returns a version 3 header followed by the bitmaps extension.  The
    directory is in cluster 4, and the table follows it.  The L1 table is
    empty, and covers the disk if that is at most 4 TiB."""
    l1_size = min(-(-size // (CLUSTER * CLUSTER // 8)), CLUSTER // 8)
    fields = struct.pack('>IIQIIQIIQQIIQQQQII', 0x514649fb, 3, 0, 0,
                         CLUSTER_BITS, size, 0, l1_size, 3 * CLUSTER, CLUSTER,
                         1, 0, 0, 0, 0, 1, 4, 104)
    extension = struct.pack('>IIIIQQ', 0x23852875, 24, n_bitmaps, 0,
                            directory_size, 4 * CLUSTER)
    return fields + extension + bytes(8)


def directory_entry(n_entries, name=b'b', table=5 * CLUSTER):
    return struct.pack('>QIIBBHI', table, n_entries, AUTO, 1, GRANULARITY_BITS,
                       len(name), 0) + name + bytes(-len(name) % 8)


def table_blocks(n_entries):
    """Yields entries without data whose types are hard to predict."""
    chooser = random.Random(1)
    block = b''.join(struct.pack('>Q', chooser.randrange(2))
                     for _ in range(8192))
    for start in range(0, n_entries, 8192):
        yield block[:8 * min(8192, n_entries - start)]


def data_block(kind, index):
    if kind == 'random':
        return random.Random(index).randbytes(CLUSTER)
    return {'granules': b'\x55', 'zeroes': b'\0',
            'ones': b'\xff'}[kind] * CLUSTER


def write_names(number, are_equal, file):
    """Writes bitmaps that share a table of one entry, all zeroes."""
    chooser = random.Random(1)
    stem = bytes(chooser.choices(b'abcdefghijklmnopqrstuvwxyz-0123456789',
                                 k=995))
    size = number * len(directory_entry(1, stem + b'12345'))
    table = 4 * CLUSTER + -(-size // CLUSTER) * CLUSTER

    file.write(header(CLUSTER, number, size))
    file.seek(4 * CLUSTER)
    for index in range(number):
        name = stem + b'%05d' % (0 if are_equal else index)
        file.write(directory_entry(1, name, table))
    file.truncate(table + CLUSTER)


def clusters(size):
    return -(-size // CLUSTER)


def write_disk(number, file):
    """Writes the refcount blocks in a row, and each L2 table before the
    clusters that it maps, as QEMU preallocates them."""
    per_table, per_block = CLUSTER // 8, CLUSTER // 2
    n_tables = -(-number // per_table)
    n_blocks = 1
    while True:
        # The refcount table and the L1 table follow the header.
        l1_table = 1 + clusters(8 * n_blocks)
        block = l1_table + clusters(8 * n_tables)
        n_clusters = block + n_blocks + n_tables + number
        if n_blocks * per_block >= n_clusters:
            break
        n_blocks = -(-n_clusters // per_block)

    file.write(struct.pack(
        '>IIQIIQIIQQIIQQQQII', 0x514649fb, 3, 0, 0, CLUSTER_BITS,
        number * CLUSTER, 0, n_tables, l1_table * CLUSTER, CLUSTER,
        clusters(8 * n_blocks), 0, 0, 0, 0, 0, 4, 104))
    file.seek(CLUSTER)
    for index in range(n_blocks):
        file.write(struct.pack('>Q', (block + index) * CLUSTER))
    file.seek(l1_table * CLUSTER)
    tables = range(block + n_blocks, n_clusters, per_table + 1)
    for table in tables:
        file.write(struct.pack('>Q', COPIED | table * CLUSTER))
    for index in range(n_blocks):
        file.seek((block + index) * CLUSTER)
        file.write(b'\0\1' * min(per_block, n_clusters - index * per_block))
    for table in tables:
        data = range(table + 1, min(table + 1 + per_table, n_clusters))
        file.seek(table * CLUSTER)
        file.write(struct.pack('>%dQ' % len(data), *(
            COPIED | cluster * CLUSTER for cluster in data)))
    file.truncate(n_clusters * CLUSTER)


def write(kind, number, file):
    if kind == 'disk':
        write_disk(number, file)
        return
    if kind in ('names', 'namesakes'):
        write_names(number, kind == 'namesakes', file)
        return
    if kind == 'table':
        n_entries, n_data = number, 0
    else:
        if kind == 'granules':
            number = number // 8
        n_data = n_entries = -(-number // CLUSTER)
    per_entry = CLUSTER * 8 << GRANULARITY_BITS
    data = 5 + -(-8 * n_entries // CLUSTER)
    size = n_entries * per_entry
    if kind == 'granules':
        size = number * 8 << GRANULARITY_BITS

    file.write(header(size))
    # The refcounts of clusters do not matter here.
    file.seek(4 * CLUSTER)
    file.write(directory_entry(n_entries))
    file.seek(5 * CLUSTER)
    if kind == 'table':
        for block in table_blocks(n_entries):
            file.write(block)
    for index in range(n_data):
        file.write(struct.pack('>Q', (data + index) * CLUSTER))
    for index in range(n_data):
        file.seek((data + index) * CLUSTER)
        file.write(data_block(kind, index))
    file.truncate((data + n_data) * CLUSTER)


def main():
    kind, number, path = sys.argv[1:]
    with open(path, 'wb') as file:
        write(kind, int(number), file)


main()
