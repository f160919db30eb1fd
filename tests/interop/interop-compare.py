#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of interop-qemu.sh: reads qcow2 metadata independently.

  expect IMAGE DIRECTORY          writes header, extensions, bitmaps, tables
                                  and names, as the program must print them
  info JSON DIRECTORY             compares the texts in DIRECTORY with JSON,
                                  the output of qemu-img info
  map JSON INFO IMAGE NAME TABLE  checks that TABLE, printed for the bitmap
                                  NAME, leads to the dirty extents in JSON,
                                  the output of nbdinfo
  edit WHAT IMAGE                 changes bytes that no tool of QEMU changes
  serve                           runs such command lines: reads each as a
                                  line, with tabs between the words, and prints
                                  a line "= STATUS" after its output

Written from the description of the format alone, and only for images without
damage; apparent damage ends the script.
"""

import json
import os
import re
import struct
import sys
import traceback

from qemu_version import get_version

MAGIC = 0x514649FB
BACKING_FORMAT = 0xE2792ACA
FEATURE_TABLE = 0x6803F857
CRYPTO_HEADER = 0x0537BE77
BITMAPS = 0x23852875
DATA_FILE = 0x44415441

EXTENSIONS = {
    BACKING_FORMAT: 'Backing format',
    FEATURE_TABLE: 'Feature table',
    CRYPTO_HEADER: 'Crypto header',
    BITMAPS: 'Bitmaps',
    DATA_FILE: 'Data file',
}

# Name, struct code, whether it is printed in hexadecimal.
HEADER = [
    ('magic', 'I', True),
    ('version', 'I', False),
    ('backing_file_offset', 'Q', True),
    ('backing_file_size', 'I', True),
    ('cluster_bits', 'I', False),
    ('size', 'Q', False),
    ('crypt_method', 'I', False),
    ('l1_size', 'I', False),
    ('l1_table_offset', 'Q', True),
    ('refcount_table_offset', 'Q', True),
    ('refcount_table_clusters', 'I', False),
    ('nb_snapshots', 'I', False),
    ('snapshot_offset', 'Q', True),
]

HEADER_V3 = [
    ('incompatible_features', 'Q', 0),
    ('compatible_features', 'Q', 0),
    ('autoclear_features', 'Q', 0),
    ('refcount_order', 'I', 4),
    ('header_length', 'I', 72),
]

FEATURE_KINDS = ['incompatible', 'compatible', 'autoclear']

FEATURES = [
    ['dirty', 'corrupt', 'external-data-file', 'compression-type',
     'extended-l2'],
    ['lazy-refcounts'],
    ['bitmaps', 'raw-external-data'],
]

BITMAP_FLAGS = ['in-use', 'auto', 'extra-data-compatible']
# Follows in-use, in text.
WRITER_PRESENT = ' (writer present)'
COMPRESSION = ['zlib', 'zstd']
CRYPT = ['none', 'aes', 'luks']

ESCAPED = [(0x00, 0x1F), (0x7F, 0x9F), (0x61C, 0x61C), (0x200B, 0x200F),
           (0x2028, 0x202E), (0x2060, 0x2069), (0xFEFF, 0xFEFF),
           (0xFFF9, 0xFFFB), (0xE0000, 0xE007F)]


class Damage(Exception):
    pass


def need(truth, what):
    if not truth:
        raise Damage(what)


def align(number, unit):
    return (number + unit - 1) // unit * unit


def ceil_div(number, unit):
    return (number + unit - 1) // unit


def is_printable(character):
    return not any(low <= ord(character) <= high for low, high in ESCAPED)


def hex_escape(data):
    return ''.join('\\x%02x' % byte for byte in data)


def escape(data):
    """Returns the text of an image's string, from its bytes."""
    text = ''
    # surrogateescape represents each byte that is not UTF-8.
    for character in data.decode('utf-8', 'surrogateescape'):
        if character == '\\':
            text += '\\\\'
        elif character == '\n':
            text += '\\n'
        elif character == '\t':
            text += '\\t'
        elif 0xDC80 <= ord(character) <= 0xDCFF:
            text += '\\x%02x' % (ord(character) - 0xDC00)
        elif is_printable(character):
            text += character
        else:
            text += hex_escape(character.encode())
    return text


def quote(data):
    """Returns the text of an extension's data, as a string if no byte is lost
    to a reader."""
    text = escape(data)
    if text.replace('\\\\', '\\').encode() == data:
        return "'%s'" % text
    return data.hex()


def unquote(text):
    """Returns the bytes that were passed to quote ()."""
    if text.startswith("'"):
        return unescape(text[1:-1])
    return bytes.fromhex(text)


def unescape(text):
    """Returns the bytes that were passed to escape ()."""
    def byte(match):
        letter = match.group(1)
        if letter[0:1] == b'x':
            return bytes([int(letter[1:], 16)])
        return {b'n': b'\n', b't': b'\t', b'\\': b'\\'}[letter]

    return re.sub(rb'\\(x[0-9a-f]{2}|.)', byte, text.encode('utf-8'))


def line(name, value):
    return '%-25s %s\n' % (name, value)


def mask(value, names, width, own=None):
    shown = []
    for bit in range(width):
        if value >> bit & 1:
            if bit < len(names):
                shown.append("'%s'" % names[bit])
            elif own and bit in own:
                shown.append('"%s"' % escape(own[bit]))
            else:
                shown.append("'bit-%d'" % bit)
    return '0x%x ([%s])' % (value, ', '.join(shown))


class Image:
    def __init__(self, path):
        self.has_writer = False
        self.open(path)
        self.header = self.read_header()
        self.cluster = 1 << self.header['cluster_bits']
        self.extensions = list(self.read_extensions())

    def open(self, path):
        self.file = open(path, 'rb')
        self.size = os.fstat(self.file.fileno()).st_size
        # The largest first cluster, which may contain many extensions.
        self.start = os.pread(self.file.fileno(), 1 << 21, 0)

    def read(self, offset, length):
        data = self.start[offset:offset + length]
        if len(data) != length:
            data = os.pread(self.file.fileno(), length, offset)
        need(len(data) == length, 'file ends in front of 0x%x'
             % (offset + length))
        return data

    def read_header(self):
        names = [name for name, _, _ in HEADER]
        codes = ''.join(code for _, code, _ in HEADER)
        header = dict(zip(names, struct.unpack('>' + codes, self.read(0, 72))))
        need(header['magic'] == MAGIC, 'no magic')
        need(header['version'] in (2, 3), 'version')

        if header['version'] == 3:
            values = struct.unpack('>QQQII', self.read(72, 32))
        else:
            values = [default for _, _, default in HEADER_V3]
        header.update(zip([name for name, _, _ in HEADER_V3], values))

        header['compression_type'] = 0
        if header['header_length'] > 104:
            header['compression_type'] = self.read(104, 1)[0]
        return header

    def backing_file(self):
        offset = self.header['backing_file_offset']
        if offset == 0:
            return None
        return self.read(offset, self.header['backing_file_size'])

    def read_extensions(self):
        """Yields offset, magic and data of each extension."""
        offset = self.header['header_length']
        end = self.header['backing_file_offset'] or self.cluster
        while offset + 8 <= end:
            magic, length = struct.unpack('>II', self.read(offset, 8))
            if magic == 0:
                break
            need(offset + 8 + length <= end, 'extension at 0x%x' % offset)
            yield offset, magic, self.read(offset + 8, length)
            offset += 8 + align(length, 8)

    def extension_data(self, wanted):
        found = [data for _, magic, data in self.extensions if magic == wanted]
        need(len(found) <= 1, 'two of one extension')
        return found[0] if found else None

    def feature_rows(self):
        data = self.extension_data(FEATURE_TABLE) or b''
        need(len(data) % 48 == 0, 'feature table')
        for i in range(0, len(data), 48):
            yield data[i], data[i + 1], data[i + 2:i + 48].split(b'\0')[0]

    def bitmaps(self):
        data = self.extension_data(BITMAPS)
        if data is None:
            return []
        need(len(data) == 24, 'length of the bitmaps extension')
        count, reserved, size, offset = struct.unpack('>IIQQ', data)
        need(count > 0 and reserved == 0, 'bitmaps extension')

        found = []
        directory = self.read(offset, size)
        at = 0
        while at < size:
            entry = dict(zip(
                ['bitmap_table_offset', 'bitmap_table_size', 'flags', 'type',
                 'granularity_bits', 'name_size', 'extra_data_size'],
                struct.unpack('>QIIBBHI', directory[at:at + 24])))
            start = at + 24 + entry['extra_data_size']
            entry['name'] = directory[start:start + entry['name_size']]
            entry['file_offset'] = offset + at
            found.append(entry)
            at = align(start + entry['name_size'], 8)
        need(at == size and len(found) == count, 'directory')
        return found

    def table(self, bitmap):
        """Yields type, offset and size of each entry."""
        count = bitmap['bitmap_table_size']
        data = self.read(bitmap['bitmap_table_offset'], 8 * count)
        for entry, in struct.iter_unpack('>Q', data):
            offset = entry & 0x00FFFFFFFFFFFE00
            need(entry & 0xFF000000000001FE == 0, 'reserved bits')
            need(offset == 0 or entry & 1 == 0, 'offset with bit 0')
            kind = ['all-zeroes', 'all-ones'][entry & 1]
            yield 'serialized' if offset else kind, offset, self.cluster

    def state(self, bitmap):
        if self.header['version'] == 2:
            return 'stale'
        if not self.header['autoclear_features'] & 1:
            return 'stale'
        if bitmap['flags'] & 1:
            return 'in-use'
        return 'enabled' if bitmap['flags'] & 2 else 'disabled'

    def feature_mask(self, kind):
        own = {bit: name for row_kind, bit, name in self.feature_rows()
               if row_kind == kind}
        return mask(self.header[FEATURE_KINDS[kind] + '_features'],
                    FEATURES[kind], 64, own)

    def header_text(self):
        header = self.header
        text = ''
        for name, _, is_hex in HEADER:
            text += line(name, ('0x%x' if is_hex else '%d') % header[name])
        for kind, name in enumerate(FEATURE_KINDS):
            text += line(name + '_features', self.feature_mask(kind))
        text += line('refcount_order', header['refcount_order'])
        text += line('header_length', header['header_length'])
        compression = header['compression_type']
        text += line('compression_type', '%d (%s)'
                     % (compression, COMPRESSION[compression]))

        strings = [('backing_file', self.backing_file()),
                   ('backing_format', self.extension_data(BACKING_FORMAT)),
                   ('external_data_file', self.extension_data(DATA_FILE))]
        for name, value in strings:
            if value is not None:
                text += line(name, escape(value))
        return text

    def extension_text(self, offset, magic, data):
        text = 'Header extension:\n'
        text += line('magic', '0x%x (%s)'
                     % (magic, EXTENSIONS.get(magic, '<unknown>')))
        text += line('file_offset', '0x%x' % offset)
        text += line('length', len(data))
        if magic == FEATURE_TABLE:
            for kind, bit, name in self.feature_rows():
                text += line('feature', "%s %d '%s'"
                             % (FEATURE_KINDS[kind], bit, escape(name)))
        elif magic == CRYPTO_HEADER:
            start, length = struct.unpack('>QQ', data)
            text += line('crypto_header_offset', '0x%x' % start)
            text += line('crypto_header_length', length)
        elif magic == BITMAPS:
            count, reserved, size, start = struct.unpack('>IIQQ', data)
            text += line('nb_bitmaps', count)
            text += line('reserved32', reserved)
            text += line('bitmap_directory_size', '0x%x' % size)
            text += line('bitmap_directory_offset', '0x%x' % start)
        else:
            text += line('data', quote(data))
        return text

    def table_text(self, bitmap):
        row = '%-14s %-15s %-24s %s\n'
        text = row % ('Bitmap table', 'type', 'offset', 'size')
        for i, (kind, offset, size) in enumerate(self.table(bitmap)):
            text += row % (i, kind, offset, size)
        return text

    def bitmap_text(self, bitmap):
        text = line('Bitmap name', escape(bitmap['name']))
        text += line('bitmap_table_offset',
                     '0x%x' % bitmap['bitmap_table_offset'])
        text += line('bitmap_table_size', bitmap['bitmap_table_size'])
        text += line('flags', mask(bitmap['flags'], BITMAP_FLAGS, 32))
        for name in ('type', 'granularity_bits', 'name_size',
                     'extra_data_size'):
            text += line(name, bitmap[name])
        state = self.state(bitmap)
        if state == 'in-use' and self.has_writer:
            state += WRITER_PRESENT
        return (text + line('state', state)
                + line('file_offset', '0x%x' % bitmap['file_offset']))


def expect(path, directory, writer):
    image = Image(path)
    image.has_writer = writer == 'writer'
    bitmaps = image.bitmaps()
    texts = {
        'header': image.header_text(),
        'extensions': '\n'.join(image.extension_text(*extension)
                                for extension in image.extensions),
        'bitmaps': '\n'.join(image.bitmap_text(bitmap)
                             + image.table_text(bitmap)
                             for bitmap in bitmaps),
        'tables': '\n'.join(line('Bitmap name', escape(bitmap['name']))
                            + image.table_text(bitmap)
                            for bitmap in bitmaps),
    }
    for name, text in texts.items():
        with open(os.path.join(directory, name), 'wb') as file:
            file.write(text.encode())
    with open(os.path.join(directory, 'names'), 'wb') as file:
        for bitmap in bitmaps:
            file.write(bitmap['name'] + b'\0')


# The following functions parse the program's text output by its documented
# layout.


def read_text(path):
    with open(path, encoding='utf-8', newline='\n') as file:
        return file.read()


def read_json(path):
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def blocks(text):
    """Returns the lines of each block as a list of name and value.  Rows of a
    table are lists of words with the name 'row'."""
    for block in filter(None, text.split('\n\n')):
        found = []
        for text_line in block.rstrip('\n').split('\n'):
            if re.match('[0-9]', text_line):
                found.append(('row', text_line.split()))
            else:
                found.append((text_line[:25].rstrip(), text_line[26:]))
        yield found


def names_in(value):
    """Returns the names after a mask's number."""
    return re.findall(r'[\'"]([^\'"]*)[\'"]', value)


def as_qemu_shows(name):
    """Returns the name as QEMU's JSON, which must be UTF-8, represents it."""
    return name.decode('utf-8', 'replace')


class Comparison:
    def __init__(self):
        self.differences = 0

    def same(self, what, ours, qemus):
        if ours != qemus:
            print('%s: %r, but QEMU says %r' % (what, ours, qemus))
            self.differences += 1


def compare_header(compare, header, fields, info):
    data = info['format-specific']['data']
    incompatible = names_in(header['incompatible_features'])
    compatible = names_in(header['compatible_features'])
    autoclear = names_in(header['autoclear_features'])
    encrypt = data.get('encrypt', {}).get('format', 'none')

    compare.same('size', int(header['size']), info['virtual-size'])
    compare.same('cluster size', 1 << int(header['cluster_bits']),
                 info['cluster-size'])
    compare.same('version', header['version'],
                 {'0.10': '2', '1.1': '3'}[data['compat']])
    compare.same('refcount bits', 1 << int(header['refcount_order']),
                 data['refcount-bits'])
    compare.same('compression', header['compression_type'],
                 '%d (%s)' % (COMPRESSION.index(data['compression-type']),
                              data['compression-type']))
    compare.same('encryption', CRYPT[int(header['crypt_method'])], encrypt)
    compare.same('snapshots', int(header['nb_snapshots']),
                 len(info.get('snapshots', [])))

    # QEMU 5.2 calls no image dirty.
    if 'dirty' not in incompatible or get_version() >= (7, 2):
        compare.same('dirty', 'dirty' in incompatible, info['dirty-flag'])
    compare.same('corrupt', 'corrupt' in incompatible,
                 data.get('corrupt', False))
    compare.same('data file bit', 'external-data-file' in incompatible,
                 'data-file' in data)
    compare.same('extended L2', 'extended-l2' in incompatible,
                 data.get('extended-l2', False))
    compare.same('lazy refcounts', 'lazy-refcounts' in compatible,
                 data.get('lazy-refcounts', False))
    compare.same('raw data file', 'raw-external-data' in autoclear,
                 data.get('data-file-raw', False))
    if 'bitmaps' in data:
        compare.same('bitmaps bit', 'bitmaps' in autoclear, True)

    strings = [('backing_file', info.get('backing-filename')),
               ('backing_format', info.get('backing-filename-format')),
               ('external_data_file', data.get('data-file'))]
    for name, qemus in strings:
        ours = header.get(name)
        if ours is not None:
            ours = as_qemu_shows(unescape(ours))
        compare.same(name, ours, qemus)

    compare.same('--field', fields,
                 '%d\n%d\n%d\n%s\n%s\n'
                 % (info['virtual-size'], info['cluster-size'],
                    data['refcount-bits'], data['compression-type'], encrypt))


def compare_extensions(compare, extensions, info):
    data = info['format-specific']['data']
    known = {re.search(r'\((.*)\)', extension['magic']).group(1): extension
             for extension in extensions}

    strings = [('Backing format', info.get('backing-filename-format')),
               ('Data file', data.get('data-file'))]
    for name, qemus in strings:
        ours = None
        if name in known:
            ours = as_qemu_shows(unquote(known[name]['data']))
        compare.same(name, ours, qemus)

    if 'bitmaps' in data:
        compare.same('nb_bitmaps', known['Bitmaps']['nb_bitmaps'],
                     str(len(data['bitmaps'])))
    encrypt = data.get('encrypt', {})
    compare.same('Crypto header', 'Crypto header' in known,
                 encrypt.get('format') == 'luks')
    if 'Crypto header' in known:
        # Otherwise the guest's data would begin after the header.
        compare.same('crypto header length',
                     known['Crypto header']['crypto_header_length'],
                     str(encrypt['payload-offset']))


def compare_bitmaps(compare, bitmaps, info):
    ours = []
    for block in bitmaps:
        bitmap = dict(block)
        flags = names_in(bitmap['flags'])
        state = 'enabled' if 'auto' in flags else 'disabled'
        if 'in-use' in flags:
            state = 'in-use'
        if bitmap['state'] == 'stale':
            continue # QEMU hides these
        compare.same('state', bitmap['state'].replace(WRITER_PRESENT, ''),
                     state)
        ours.append((as_qemu_shows(unescape(bitmap['Bitmap name'])),
                     1 << int(bitmap['granularity_bits']), sorted(flags)))

    qemus = [(bitmap['name'], bitmap['granularity'], sorted(bitmap['flags']))
             for bitmap in info['format-specific']['data'].get('bitmaps', [])]
    compare.same('bitmaps', sorted(ours), sorted(qemus))


def compare_tables(compare, tables, bitmaps, info):
    """Compares the number of rows of each bitmap with QEMU's numbers."""
    granularity = {bitmap['name']: bitmap['granularity'] for bitmap
                   in info['format-specific']['data'].get('bitmaps', [])}
    compare.same('how many tables', len(tables), len(bitmaps))
    for block in tables:
        name = as_qemu_shows(unescape(dict(block)['Bitmap name']))
        rows = [value for kind, value in block if kind == 'row']
        compare.same('indexes of ' + name, [row[0] for row in rows],
                     [str(i) for i in range(len(rows))])
        compare.same('sizes of ' + name, {row[3] for row in rows},
                     {str(info['cluster-size'])})
        if name in granularity:
            bits = ceil_div(info['virtual-size'], granularity[name])
            compare.same('rows of ' + name, len(rows),
                         ceil_div(ceil_div(bits, 8), info['cluster-size']))


def compare_info(path, directory):
    info = read_json(path)
    compare = Comparison()
    text = {name: read_text(os.path.join(directory, name)) for name in
            ('header', 'fields', 'extensions', 'bitmaps', 'tables')}
    bitmaps = list(blocks(text['bitmaps']))

    compare_header(compare, dict(next(blocks(text['header']))),
                   text['fields'], info)
    compare_extensions(compare, [dict(block) for block
                                 in blocks(text['extensions'])], info)
    compare_bitmaps(compare, bitmaps, info)
    compare_tables(compare, list(blocks(text['tables'])), bitmaps, info)
    sys.exit(compare.differences > 0)


def merge(extents):
    """Merges adjacent dirty extents, given as offset and end."""
    merged = []
    for start, end in extents:
        if merged and merged[-1][1] == start:
            merged[-1][1] = end
        elif start < end:
            merged.append([start, end])
    return merged


def dirty_extents(rows, image, cluster, granularity, size):
    """Returns the dirty extents to which the printed rows of a table lead."""
    covered = cluster * 8 * granularity
    for i, (_, kind, offset, _) in enumerate(rows):
        start = i * covered
        if kind == 'all-ones':
            yield start, min(start + covered, size)
        if kind != 'serialized':
            continue
        image.seek(int(offset))
        for at, byte in enumerate(image.read(cluster)):
            for bit in range(8):
                if byte >> bit & 1:
                    begin = start + (8 * at + bit) * granularity
                    yield begin, min(begin + granularity, size)


def compare_map(map_path, info_path, image_path, name, table_path):
    info = read_json(info_path)
    granularity = {bitmap['name']: bitmap['granularity'] for bitmap in
                   info['format-specific']['data']['bitmaps']}[name]
    rows = [value for block in blocks(read_text(table_path))
            for kind, value in block if kind == 'row']
    with open(image_path, 'rb') as image:
        ours = merge(dirty_extents(rows, image, info['cluster-size'],
                                   granularity, info['virtual-size']))

    qemus = merge((extent['offset'], extent['offset'] + extent['length'])
                  for extent in read_json(map_path) if extent['type'] & 1)
    compare = Comparison()
    compare.same('dirty extents', ours, qemus)
    compare.same('anything dirty at all', bool(ours), True)

    # QEMU writes a cluster of bits only if one of them is set.
    covered = info['cluster-size'] * 8 * granularity
    for i, row in enumerate(rows):
        dirty = any(start < (i + 1) * covered and end > i * covered
                    for start, end in qemus)
        compare.same('row %d is all zeroes' % i, row[1] == 'all-zeroes',
                     not dirty)
    sys.exit(compare.differences > 0)


def edit(what, path):
    image = Image(path)
    features = [offset for offset, magic, _ in image.extensions
                if magic == FEATURE_TABLE]
    formats = [offset for offset, magic, _ in image.extensions
               if magic == BACKING_FORMAT]

    if what == 'unknown-extension':
        offset, data = formats[0], b'what'
    elif what == 'all-ones':
        # The first two entries, whatever their values.
        offset = image.bitmaps()[0]['bitmap_table_offset']
        data = struct.pack('>QQ', 1, 1)
    elif what == 'guest-data-on-l1':
        # The first guest cluster, with the copied flag.
        l1_offset = image.header['l1_table_offset']
        l1_entry, = struct.unpack('>Q', image.read(l1_offset, 8))
        offset = l1_entry & 0x00FFFFFFFFFFFE00
        data = struct.pack('>Q', l1_offset | 1 << 63)
    elif what == 'feature-name':
        offset, data = features[0] + 8, struct.pack('BB46s', 0, 9, b'new idea')
    elif what == 'feature-bit':
        offset, data = 72, struct.pack('>Q', 1 << 9)
    else:
        sys.exit('no such edit: ' + what)

    with open(path, 'r+b') as file:
        file.seek(offset)
        file.write(data)


def serve():
    for words in sys.stdin:
        status = 0
        try:
            command, *arguments = words.rstrip('\n').split('\t')
            COMMANDS[command](*arguments)
        except SystemExit as end:
            status = end.code
        except Exception:
            traceback.print_exc(file=sys.stdout)
            status = 1
        print('= %s' % (status or 0), flush=True)


COMMANDS = {'expect': expect, 'info': compare_info, 'map': compare_map,
            'edit': edit, 'serve': serve}

if __name__ == '__main__':
    COMMANDS[sys.argv[1]](*sys.argv[2:])
