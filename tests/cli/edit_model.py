# SPDX-License-Identifier: LGPL-2.1-or-later
"""Edits qcow2 images in memory, for tests: what the file has to be afterwards.

Shares nothing with the program.  Offsets are those of the qcow2
specification."""

import struct

BITMAPS = 0x23852875

# Name: offset and size in bytes.
FIELDS = {
    'magic': (0, 4), 'version': (4, 4), 'backing_file_offset': (8, 8),
    'backing_file_size': (16, 4), 'cluster_bits': (20, 4), 'size': (24, 8),
    'crypt_method': (32, 4), 'l1_size': (36, 4), 'l1_table_offset': (40, 8),
    'refcount_table_offset': (48, 8), 'refcount_table_clusters': (56, 4),
    'nb_snapshots': (60, 4), 'snapshot_offset': (64, 8),
    'incompatible_features': (72, 8), 'compatible_features': (80, 8),
    'autoclear_features': (88, 8), 'refcount_order': (96, 4),
    'header_length': (100, 4), 'compression_type': (104, 1)}
GROUPS = ('incompatible', 'compatible', 'autoclear')
BITS = {'dirty': 0, 'corrupt': 1, 'external-data-file': 2,
        'compression-type': 3, 'extended-l2': 4, 'lazy-refcounts': 0,
        'bitmaps': 0, 'raw-external-data': 1}


class NotFound(Exception):
    """The image does not have what the command names: status 3."""


class NoRoom(Exception):
    """The first cluster has no room: status 2."""


def number(data, offset, size):
    return int.from_bytes(data[offset:offset + size], 'big')


def field(data, name):
    return number(data, *FIELDS[name])


def header_length(data):
    return 72 if field(data, 'version') == 2 else field(data, 'header_length')


def padded(size):
    return -(-size // 8) * 8


def extensions(data):
    """Returns the extensions as a list of (offset, magic, stored bytes), and
    the offset after them and their terminator."""
    cluster = 1 << field(data, 'cluster_bits')
    at = header_length(data)
    name = field(data, 'backing_file_offset')
    end = name if at <= name <= cluster else cluster
    found = []
    while at < end:
        magic, length = struct.unpack_from('>II', data, at)
        if magic == 0:
            return found, at + 8
        size = 8 + padded(length)
        found.append((at, magic, bytes(data[at:at + size])))
        at += size
    return found, at


def write_extensions(data, new):
    """Writes the extensions NEW, stored bytes each, in place of those on
    disk."""
    cluster = 1 << field(data, 'cluster_bits')
    start = header_length(data)
    old_end = extensions(data)[1]
    name_at = field(data, 'backing_file_offset')
    name_size = field(data, 'backing_file_size') if name_at else 0
    name = bytes(data[name_at:name_at + name_size])
    area = b''.join(new) + bytes(8)
    if start + len(area) + name_size > cluster:
        raise NoRoom
    data[start:old_end] = bytes(old_end - start)
    data[name_at:name_at + name_size] = bytes(name_size)
    data[start:start + len(area)] = area
    if name_at:
        name_at = start + len(area)
        data[name_at:name_at + name_size] = name
        data[8:16] = name_at.to_bytes(8, 'big')


def set_header(data, name, value):
    offset, size = FIELDS[name]
    if offset + size > (72 if field(data, 'version') == 2
                        else header_length(data)):
        raise NotFound
    data[offset:offset + size] = value.to_bytes(size, 'big')


def set_bit(data, group, bit, value):
    name = group + '_features'
    bit = BITS[bit] if bit in BITS else int(bit, 0)
    if field(data, 'version') == 2:
        raise NotFound
    old = field(data, name)
    set_header(data, name, old | 1 << bit if value else old & ~(1 << bit))


def add_extension(data, magic, payload):
    stored = struct.pack('>II', magic, len(payload)) + payload
    stored += bytes(padded(len(payload)) - len(payload))
    write_extensions(data, [e[2] for e in extensions(data)[0]] + [stored])


def delete_extensions(data, keep):
    """Deletes the extensions for which KEEP (index, magic) is false."""
    old = extensions(data)[0]
    new = [e[2] for i, e in enumerate(old) if keep(i, e[1])]
    if len(new) == len(old):
        raise NotFound
    write_extensions(data, new)


def bitmaps_extension(data):
    """Returns the offset of the data of the bitmaps extension, or None."""
    found = [e[0] + 8 for e in extensions(data)[0] if e[1] == BITMAPS]
    return found[-1] if found else None


def directory(data):
    """Returns the entries of the bitmap directory as (offset, size, name)."""
    extension = bitmaps_extension(data)
    if extension is None:
        return []
    size, at = struct.unpack_from('>QQ', data, extension + 8)
    end = at + size
    entries = []
    while at < end:
        name_size, extra = struct.unpack_from('>HI', data, at + 18)
        length = padded(24 + extra + name_size)
        name = at + 24 + extra
        entries.append((at, length, bytes(data[name:name + name_size])))
        at += length
    return entries


def remove_bitmap(data, index):
    entries = directory(data)
    if index >= len(entries):
        raise NotFound
    extension = bitmaps_extension(data)
    count, _, size, start = struct.unpack_from('>IIQQ', data, extension)
    at, length, _ = entries[index]
    end = start + size
    data[at:end] = data[at + length:end] + bytes(length)
    if len(entries) == 1:
        if field(data, 'version') == 3:
            set_bit(data, 'autoclear', 'bitmaps', False)
        delete_extensions(data, lambda i, magic: magic != BITMAPS)
        return
    if index < count:
        count -= 1
    data[extension:extension + 4] = count.to_bytes(4, 'big')
    data[extension + 8:extension + 16] = (size - length).to_bytes(8, 'big')


def view(data):
    """Returns what a reader finds: fields, extensions, name and bitmaps."""
    vouches = field(data, 'version') == 3 and field(data,
                                                    'autoclear_features') & 1
    found = extensions(data)[0]
    name_at = field(data, 'backing_file_offset')
    name = data[name_at:name_at + field(data, 'backing_file_size')]
    fields = [field(data, n) for n in FIELDS
              if n not in ('backing_file_offset', 'autoclear_features')
              and FIELDS[n][0] < header_length(data)]
    others = [e[2] for e in found if e[1] != BITMAPS]
    bitmaps = None
    if vouches:
        bitmaps = [bytes(data[e[0]:e[0] + e[1]]) for e in directory(data)]
    return fields, others, name if name_at else None, bitmaps


def is_either(data, old, new):
    """Returns whether a reader finds DATA to be the image OLD or NEW, or one
    of these without bitmaps."""
    found = view(data)
    for other in (old, new):
        expected = view(other)
        if found[:3] == expected[:3] and found[3] in (None, expected[3]):
            return True
    return False


def run(data, words):
    """Returns the bytes after the command WORDS, without the image."""
    data = bytearray(data)
    command, *rest = words
    if command == 'set-header':
        set_header(data, rest[0], int(rest[1], 0))
    elif command in ('set-feature-bit', 'clear-feature-bit'):
        set_bit(data, rest[0], rest[1], command[0] == 's')
    elif command == 'add-header-ext':
        add_extension(data, int(rest[0], 0), rest[1].encode())
    elif command == 'del-header-ext' and rest[0].startswith('--index='):
        wanted = int(rest[0][8:])
        delete_extensions(data, lambda i, magic: i != wanted)
    elif command == 'del-header-ext':
        wanted = int(rest[0], 0)
        delete_extensions(data, lambda i, magic: magic != wanted)
    elif command == 'remove-bitmap':
        remove_bitmap(data, int(rest[0][8:]))
    else:
        raise ValueError(command)
    return bytes(data)
