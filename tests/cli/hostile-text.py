#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of cli-hostile-text.sh: wherever a text appears, it cannot control
a terminal, forge a line or break JSON.

  image STEP LINES    in an image: names of bitmaps and features, the backing
                      file, its format, the data file, extension data
  path STEP           in the name of an image or a list, and in lists
  words STEP          on the command line

Every STEP-th text is tried.  LINES are command lines, one per line, whose
output must only be harmless.  Every fourth of them is tried, with a different
first one for each text.  The program is $QCOW2TOOL, and files are made in the
current folder.  Prints a line for each text: its description and, after a tab,
the errors.
"""

import json
import os
import re
import shlex
import struct
import subprocess
import sys

TOOL = shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))
TURNS = 4

# The description of each text, its bytes in hexadecimal, and its escaped form,
# which is worked out by hand from the documentation.  \xHH stands for a byte;
# \n, \t and \\ stand for themselves; all other characters are printed
# unchanged.
TEXTS = [
    ('plain', '61', 'a'),
    # Controls.
    ('NUL', '00', r'\x00'),
    ('NUL between letters', '610062', r'a\x00b'),
    ('C0, first half', '0102030405060708090a0b0c0d0e0f',
     r'\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\x0d\x0e\x0f'),
    ('C0, second half', '101112131415161718191a1b1c1d1e1f',
     r'\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f'),
    ('DEL', '7f', r'\x7f'),
    ('CSI: clear', '1b5b324a', r'\x1b[2J'),
    ('CSI: colour', '1b5b33316d', r'\x1b[31m'),
    ('CSI: report', '1b5b366e', r'\x1b[6n'),
    ('OSC ended by BEL', '1b5d303b7807', r'\x1b]0;x\x07'),
    ('OSC ended by ST', '1b5d303b781b5c', r'\x1b]0;x\x1b\\'),
    ('DCS', '1b5024717e1b5c', r'\x1bP$q~\x1b\\'),
    ('ESC c', '1b63', r'\x1bc'),
    ('CSI as a C1 byte', '9b324a', r'\x9b2J'),
    ('CSI as C1 in UTF-8', 'c29b324a', r'\xc2\x9b2J'),
    ('OSC as C1 in UTF-8', 'c29d303b78c29c', r'\xc2\x9d0;x\xc2\x9c'),
    ('NEL as a byte', '85', r'\x85'),
    ('NEL in UTF-8', 'c285', r'\xc2\x85'),
    ('first of C1', 'c280', r'\xc2\x80'),
    ('last of C1', 'c29f', r'\xc2\x9f'),
    ('newline', '0a', r'\n'),
    ('newline and a field', '0a7374617465', r'\nstate'),
    ('CR', '0d7374617465', r'\x0dstate'),
    ('CR and newline', '0d0a', r'\x0d\n'),
    ('VT and FF', '0b0c', r'\x0b\x0c'),
    ('backspaces', '080808', r'\x08\x08\x08'),
    ('tab', '09', r'\t'),
    # Characters that hide or reorder text.
    ('U+061C', 'd89c', r'\xd8\x9c'),
    ('U+200B', 'e2808b', r'\xe2\x80\x8b'),
    ('U+200C and U+200D', 'e2808ce2808d', r'\xe2\x80\x8c\xe2\x80\x8d'),
    ('U+200E and U+200F', 'e2808ee2808f', r'\xe2\x80\x8e\xe2\x80\x8f'),
    ('U+2028 and U+2029', 'e280a8e280a9', r'\xe2\x80\xa8\xe2\x80\xa9'),
    ('U+202A and U+202B', 'e280aae280ab', r'\xe2\x80\xaa\xe2\x80\xab'),
    ('U+202C and U+202D', 'e280ace280ad', r'\xe2\x80\xac\xe2\x80\xad'),
    ('U+202E', 'e280ae6576', r'\xe2\x80\xaeev'),
    ('U+2060', 'e281a0', r'\xe2\x81\xa0'),
    ('U+2066 and U+2067', 'e281a6e281a7', r'\xe2\x81\xa6\xe2\x81\xa7'),
    ('U+2068 and U+2069', 'e281a8e281a9', r'\xe2\x81\xa8\xe2\x81\xa9'),
    ('U+FEFF', 'efbbbf', r'\xef\xbb\xbf'),
    ('U+FFF9 to U+FFFB', 'efbfb9efbfbaefbfbb',
     r'\xef\xbf\xb9\xef\xbf\xba\xef\xbf\xbb'),
    ('U+E0000 and U+E0001', 'f3a08080f3a08081',
     r'\xf3\xa0\x80\x80\xf3\xa0\x80\x81'),
    ('U+E0041', 'f3a08181', r'\xf3\xa0\x81\x81'),
    ('U+E007F', 'f3a081bf', r'\xf3\xa0\x81\xbf'),
    # Invalid UTF-8.
    ('continuation', '80', r'\x80'),
    ('another', 'bf', r'\xbf'),
    ('a lead of two', 'c3', r'\xc3'),
    ('a lead of two and a letter', 'c328', r'\xc3('),
    ('a lead of two and ESC', 'c31b5b41', r'\xc3\x1b[A'),
    ('one of three', 'e2', r'\xe2'),
    ('two of three', 'e282', r'\xe2\x82'),
    ('two of three that an override lacks', 'e280', r'\xe2\x80'),
    ('two of three and a letter', 'e28241', r'\xe2\x82A'),
    ('one of three and two of two', 'e2c3a9', '\\xe2é'),
    ('one of four', 'f0', r'\xf0'),
    ('two of four', 'f09f', r'\xf0\x9f'),
    ('three of four', 'f09f98', r'\xf0\x9f\x98'),
    ('three of four that a tag lacks', 'f3a081', r'\xf3\xa0\x81'),
    ('overlong slash, two', 'c0af', r'\xc0\xaf'),
    ('overlong, last of two', 'c1bf', r'\xc1\xbf'),
    ('overlong NUL', 'c080', r'\xc0\x80'),
    ('overlong newline, two', 'c08a', r'\xc0\x8a'),
    ('overlong newline, three', 'e0808a', r'\xe0\x80\x8a'),
    ('overlong ESC', 'c09b', r'\xc0\x9b'),
    ('overlong slash, three', 'e080af', r'\xe0\x80\xaf'),
    ('overlong, last of three', 'e09fbf', r'\xe0\x9f\xbf'),
    ('overlong slash, four', 'f08080af', r'\xf0\x80\x80\xaf'),
    ('overlong, last of four', 'f08fbfbf', r'\xf0\x8f\xbf\xbf'),
    ('overlong slash, five', 'f8808080af', r'\xf8\x80\x80\x80\xaf'),
    ('overlong slash, six', 'fc80808080af', r'\xfc\x80\x80\x80\x80\xaf'),
    ('surrogate', 'eda080', r'\xed\xa0\x80'),
    ('last surrogate', 'edbfbf', r'\xed\xbf\xbf'),
    ('surrogate pair', 'eda0bdedb880', r'\xed\xa0\xbd\xed\xb8\x80'),
    ('U+110000', 'f4908080', r'\xf4\x90\x80\x80'),
    ('F5', 'f5808080', r'\xf5\x80\x80\x80'),
    ('F7', 'f7bfbfbf', r'\xf7\xbf\xbf\xbf'),
    ('FE and FF', 'feff', r'\xfe\xff'),
    ('Latin-1', 'fc626572', r'\xfcber'),
    # Text that looks like an escape, quotes, formats, commands.
    ('backslash', '5c', r'\\'),
    ('backslash n', '5c6e', r'\\n'),
    ('backslash x1b', '5c783162', r'\\x1b'),
    ('quotes', '272260', '\'"`'),
    ('quote and backslash', '5c225c27', '\\\\"\\\\\''),
    ('format', '2573256e252a64', '%s%n%*d'),
    ('command', '242869642960696460', '$(id)`id`'),
    # Characters next to the escaped ones, and text that must remain readable.
    ('U+00A0', 'c2a0', '\u00a0'),
    ('U+061B and U+061D', 'd89bd89d', '\u061b\u061d'),
    ('U+200A and U+2010', 'e2808ae28090', '\u200a\u2010'),
    ('U+2027 and U+202F', 'e280a7e280af', '\u2027\u202f'),
    ('U+205F and U+206A', 'e2819fe281aa', '\u205f\u206a'),
    ('U+FEFE and U+FF00', 'efbbbeefbc80', '\ufefe\uff00'),
    ('U+FFF8 and U+FFFC', 'efbfb8efbfbc', '\ufff8\ufffc'),
    ('U+FFFD', 'efbfbd', '\ufffd'),
    ('U+D7FF and U+E000', 'ed9fbfee8080', '\ud7ff\ue000'),
    ('U+DFFFF and U+E0080', 'f39fbfbff3a08280', '\U000dffff\U000e0080'),
    ('U+10FFFF', 'f48fbfbf', '\U0010ffff'),
    ('accents', 'c3a4cc81', '\u00e4\u0301'),
    ('Chinese and a face', 'e4b8adf09f9880', '\u4e2d\U0001f600'),
    ('Hebrew', 'd7a9d7aa', '\u05e9\u05ea'),
]

# Except for the newline, no byte of the output may be a control, and no
# character may be one that hides or reorders text.
CONTROLS = re.compile(rb'[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]')
FORMATS = re.compile('[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff'
                     '\ufff9-\ufffb\U000e0000-\U000e007f]')

# Python's string.printable, which QEMU's own dumper prints in extension data:
# letters and these five controls.  dump-header therefore prints them, too.
DUMPED = re.compile(rb'[\x20-\x7e\t\n\r\x0b\x0c]*')
PLAIN = re.compile(rb'[\x20-\x7e]*')

wrong = []


def complain(what, value, rest='', other=''):
    wrong.append(' '.join(filter(None, (what, repr(value)[:300], rest,
                                        other and repr(other)[:300]))))


def run(*words, locale=None, stdin=b''):
    environment = dict(os.environ, LC_ALL=locale) if locale else None
    done = subprocess.run(TOOL + list(words), input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment, check=False)
    return done.returncode, done.stdout, done.stderr


def check_harmless(what, data):
    if CONTROLS.search(data):
        complain(what + ' has a control in', data)
    try:
        if FORMATS.search(data.decode('utf-8')):
            complain(what + ' has a format character in', data)
    except UnicodeDecodeError:
        complain(what + ' is not UTF-8:', data)
    if data and not data.endswith(b'\n'):
        complain(what + ' does not end a line:', data)


def check_messages(what, messages, n=None):
    check_harmless(what + ': messages', messages)
    lines = messages.splitlines(True)
    if n is not None and len(lines) != n:
        complain('%s has not %d messages:' % (what, n), messages)
    for line in lines:
        if not line.startswith((b'qcow2tool: ', b"Try 'qcow2tool")):
            complain(what + ' has a stray message:', line)


def same(what, ours, expected):
    if ours == expected:
        return
    if isinstance(ours, str) and isinstance(expected, str):
        # The path to the difference, and the difference.
        at = max(len(os.path.commonprefix([ours, expected])) - 60, 0)
        ours, expected = ours[at:at + 160], expected[at:at + 160]
    complain(what + ' is', ours, 'and not', expected)


# An image with a text in every place.

PLACES = {'backing_format': 0xe2792aca, 'external_data_file': 0x44415441,
          'feature': 0x6803f857, 'unknown': 0xaeaeaeae}
KNOWN = {0xe2792aca: 'Backing format', 0x44415441: 'Data file',
         0x6803f857: 'Feature table', 0xaeaeaeae: '<unknown>',
         0x23852875: 'Bitmaps'}
TABLES = [0x40000, 0x50000]
DIRECTORY = 0x60000
# Follows every text: the last byte of U+202E, which would complete two
# preceding bytes.
FILL = b'\xae'


def pad(data):
    return data + FILL * (-len(data) % 8)


def make_features(text):
    """Returns a feature name table for compatible bit 5, which is set, and
    incompatible bit 63, which is not.  The second name fills its field, so
    that the text is followed directly by the next field."""
    return (b'\1\5' + text.ljust(46, b'\0')
            + b'\0\77' + b'f' * (46 - len(text)) + text)


def make_directory(text):
    data = b''
    for name, table in zip((text, b'other'), TABLES):
        data += pad(struct.pack('>QIIBBHI', table, 1, 2, 1, 16, len(name), 0)
                    + name)
    return data


def make_image(text, damaged=False):
    """Returns the image's bytes, and its extensions as (magic, offset,
    data)."""
    directory = make_directory(text)
    contents = [(PLACES['backing_format'], text),
                (PLACES['external_data_file'], text),
                (PLACES['feature'], make_features(text)),
                (PLACES['unknown'], text),
                (0x23852875, struct.pack('>IIQQ', 2, 0, len(directory),
                                         DIRECTORY))]
    area = b''
    extensions = []
    for magic, data in contents:
        extensions.append((magic, 112 + len(area), data))
        area += struct.pack('>II', magic, len(data)) + pad(data)
    area += bytes(8)
    header = struct.pack(
        '>4sIQIIQIIQQIIQQQQIIB7x', b'QFI\xfb', 3, 112 + len(area), len(text),
        16, 64 << 20, 0, 1, 0x30000, 0x10000, 1, 0, 0, 1 << 2, 1 << 5, 1, 4,
        112, 0)
    image = bytearray(DIRECTORY)
    first = header + area + text + FILL
    image[:len(first)] = first
    image[0x10000:0x10008] = struct.pack('>Q', 0x20000)
    image[0x20000:0x2000e] = b'\0\1' * 7
    for table in TABLES:
        image[table] = 0x80 if damaged else 0
    return bytes(image) + directory, extensions


# The expected output, derived from the documented layouts.


def line(name, value):
    return '%-25s %s\n' % (name, value)


def cut(data):
    """Returns a feature's name, which ends at its first NUL."""
    return data.split(b'\0')[0]


def is_shown_plainly(shown):
    """Returns whether the text is printed without escapes, except for a
    backslash."""
    return '\\' not in shown.replace('\\\\', '')


def header_text(text, shown, shown_feature, extensions, dumped=False):
    end = extensions[-1][1] + 8 + 24 + 8
    masks = (["0x4 (['external-data-file'])",
              # An empty name is omitted.
              '0x20 (["%s"])' % shown_feature if shown_feature
              else "0x20 (['bit-5'])", "0x1 (['bitmaps'])"]
             if not dumped else ['[2]', '[5]', '[0]'])
    result = ''.join(line(*row) for row in (
        ('magic', '0x514649fb'), ('version', 3),
        ('backing_file_offset', '0x%x' % end),
        ('backing_file_size', '0x%x' % len(text)), ('cluster_bits', 16),
        ('size', 67108864), ('crypt_method', 0), ('l1_size', 1),
        ('l1_table_offset', '0x30000'), ('refcount_table_offset', '0x10000'),
        ('refcount_table_clusters', 1), ('nb_snapshots', 0),
        ('snapshot_offset', '0x0'), ('incompatible_features', masks[0]),
        ('compatible_features', masks[1]), ('autoclear_features', masks[2]),
        ('refcount_order', 4), ('header_length', 112)))
    if dumped:
        return result
    return result + ''.join(line(*row) for row in (
        ('compression_type', '0 (zlib)'), ('backing_file', shown),
        ('backing_format', shown), ('external_data_file', shown)))


def bitmaps_extension_lines():
    return (line('nb_bitmaps', 2) + line('reserved32', 0)
            + line('bitmap_directory_size', '0x%x' % BITMAPS_SIZE)
            + line('bitmap_directory_offset', '0x60000'))


BITMAPS_SIZE = 0


def extension_text(extension, shown, shown_features):
    magic, offset, data = extension
    result = 'Header extension:\n'
    result += line('magic', '0x%x (%s)' % (magic, KNOWN[magic]))
    result += line('file_offset', '0x%x' % offset)
    result += line('length', len(data))
    if magic == 0x23852875:
        return result + bitmaps_extension_lines()
    if magic == PLACES['feature']:
        return (result
                + line('feature', "compatible 5 '%s'" % shown_features[0])
                + line('feature', "incompatible 63 '%s'" % shown_features[1]))
    return result + line('data', "'%s'" % shown if is_shown_plainly(shown)
                         else data.hex())


def bitmap_text(index, size, name, offset=None):
    """Returns the text of QEMU's dumper, which has no OFFSET of the entry."""
    return ''.join(line(*row) for row in (
        ('Bitmap name', name),
        ('bitmap_table_offset', '0x%x' % TABLES[index]),
        ('bitmap_table_size', 1), ('flags', "0x2 (['auto'])"), ('type', 1),
        ('granularity_bits', 16), ('name_size', size),
        ('extra_data_size', 0))) + (
            '' if offset is None else line('state', 'enabled')
            + line('file_offset', '0x%x' % offset))


def table_text():
    return ('%-14s %-15s %-24s %s\n' % ('Bitmap table', 'type', 'offset',
                                        'size')
            + '%-14s %-15s %-24s %s\n' % (0, 'all-zeroes', 0, 65536))


def dump_text(extensions, text, shown):
    """Returns what QEMU's own dumper prints about the extensions."""
    result = ''
    for magic, _, data in extensions:
        result += 'Header extension:\n'
        result += line('magic', '0x%x (%s)' % (magic, KNOWN[magic]))
        result += line('length', len(data))
        if magic == 0x23852875:
            result += bitmaps_extension_lines()
            # The dumper does not escape a backslash in a name.
            name = text.decode() if PLAIN.fullmatch(text) else shown
            for index, row in enumerate(((len(text), name), (5, 'other'))):
                result += '\n' + bitmap_text(index, *row)
                result += '%-14s %-15s %-12s %s\n' % (
                    'Bitmap table', 'type', 'size', 'offset')
                result += '%-14s %-15s %-12s %s\n' % (0, 'all-zeroes', 0, 0)
        elif DUMPED.fullmatch(data):
            result += line('data', "'%s'" % data.decode())
        else:
            result += line('data', '<binary>')
        result += '\n'
    return result


def expected_texts(text, shown, extensions):
    """Returns the expected output of each command line."""
    # The name that fills its field begins with letters.
    feature = shown.split(r'\x00')[0] if b'\0' in text else shown
    features = [feature, 'f' * (46 - len(text)) + feature]
    header = header_text(text, shown, feature, extensions)
    blocks = [extension_text(extension, shown, features)
              for extension in extensions]
    second = DIRECTORY + (24 + len(text) + 7) // 8 * 8
    bitmaps = [bitmap_text(0, len(text), shown, DIRECTORY),
               bitmap_text(1, 5, 'other', second)]
    dumped = dump_text(extensions, text, shown)
    columns = ('INDEX STATE   GRANULARITY DIRTY DIRTY%% DISK NAME\n'
               '    %d enabled         64K     0   0.0%%  64K %s\n'
               '    %d enabled         64K     0   0.0%%  64K %s\n')
    return {
        'header': header,
        'extensions': '\n'.join(blocks),
        'bitmaps': '\n'.join(bitmaps),
        'bitmaps --tables': '\n'.join(block + table_text()
                                      for block in bitmaps),
        'bitmaps --list': columns % (0, shown, 1, 'other'),
        'bitmaps --names': shown + '\nother\n',
        'bitmap-table': '\n'.join(line('Bitmap name', name) + table_text()
                                  for name in (shown, 'other')),
        'dump': '\n'.join(['Header:\n' + header] + blocks
                          + [block + table_text() for block in bitmaps]),
        'header --field backing_file --field backing_format '
        '--field external_data_file': (shown + '\n') * 3,
        'bitmaps --index 0 --field name': shown + '\n',
        'dump-header': header_text(text, shown, '', extensions, True) + '\n'
                       + dumped,
        'dump-header-exts': dumped,
    }


def check_text(path, text, shown, extensions, some=None):
    for way, expected in expected_texts(text, shown, extensions).items():
        if some is not None and way not in some:
            continue
        status, output, messages = run(*way.split(), path)
        same(way, output.decode('utf-8', 'surrogateescape'), expected)
        # QEMU's own dumper stops at a name that is not plain ASCII.
        stops = way.startswith('dump-header') and not PLAIN.fullmatch(text)
        same(way + ': status', status, 2 if stops else 0)
        check_messages(way, messages, 1 if stops else 0)


def check_raw(path, text):
    # Raw bytes are printed only on request, each name followed by a NUL.
    for way, expected in (
            ('bitmaps --names -0', text + b'\0other\0'),
            ('bitmaps --index 0 --field name -0', text + b'\0'),
            ('header --field backing_file -0', text + b'\0')):
        same(way, run(*way.split(), path), (0, expected, b''))
    for way in ('dump', 'bitmaps --names'):
        same(way + ' in the C locale', run(*way.split(), path, locale='C'),
             run(*way.split(), path))


# JSON.


def unique_pairs(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError('a key twice')
    return dict(pairs)


DECODER = json.JSONDecoder(object_pairs_hook=unique_pairs)


def parse(what, output, n_lines=None):
    check_harmless(what, output)
    try:
        text = output.decode('utf-8')
        if n_lines is not None and text.count('\n') != n_lines:
            complain('%s has not %d lines:' % (what, n_lines), output)
        return DECODER.decode(text)
    except ValueError as error:
        complain('%s is not JSON: %s:' % (what, error), output)
    return None


def check_string(what, record, key, data):
    """Compares KEY in RECORD with the bytes DATA."""
    try:
        expected = data.decode('utf-8')
        same(what, record[key], expected)
        same(what + '_hex', record.get(key + '_hex'), None)
    except UnicodeDecodeError:
        ours = record[key]
        if '\ufffd' not in ours:
            complain(what + ' has no replacement character:', ours)
        same(what, ours.replace('\ufffd', ''), data.decode('utf-8', 'ignore'))
        same(what + '_hex', record.get(key + '_hex'), data.hex())


def check_extension_json(what, record, extension, text, shown):
    magic, offset, data = extension
    same(what + ': place', (record['magic'], record['file_offset']),
         (magic, offset))
    if magic == PLACES['feature']:
        rows = record['features']
        same(what + ': rows', [(row['type'], row['bit']) for row in rows],
             [('compatible', 5), ('incompatible', 63)])
        check_string(what, rows[0], 'name', cut(text))
        check_string(what, rows[1], 'name',
                     b'f' * (46 - len(text)) + cut(text))
    elif magic != 0x23852875:
        plain = is_shown_plainly(shown)
        same(what, (record['data'], record['data_hex']),
             (text.decode(), None) if plain else (None, data.hex()))


def check_answer(what, answer, path, text, shown, extensions):
    same(what + ': filename', answer['filename'], path)
    same(what + ': error', answer['error'], None)
    if 'header' in answer:
        for key in ('backing_file', 'backing_format', 'external_data_file'):
            check_string('%s: %s' % (what, key), answer['header'], key, text)
        # The name from the image is never printed.
        same(what + ': mask', answer['header']['compatible_features_names'],
             ['bit-5'])
    if 'extensions' in answer:
        same(what + ': extensions', len(answer['extensions']),
             len(extensions))
        for record, extension in zip(answer['extensions'], extensions):
            check_extension_json('%s: %s' % (what, record['name']), record,
                                 extension, text, shown)
    for key in ('bitmaps', 'bitmap_tables'):
        if key in answer:
            same(what + ': bitmaps', len(answer[key]), 2)
            check_string(what + ': name', answer[key][0], 'name', text)
            check_string(what + ': name', answer[key][1], 'name', b'other')


def check_json(path, text, shown, extensions, ways):
    for way in ways:
        for output, n_lines in ('json', None), ('jsonl', 1):
            what = '%s --output=%s' % (way, output)
            status, out, messages = run(*what.split(), path)
            same(what + ': status and messages', (status, messages), (0, b''))
            answer = parse(what, out, n_lines)
            if answer is not None:
                check_answer(what, answer, path, text, shown, extensions)


def check_dumper_json(path, text):
    for way in 'dump-header -j', 'dump-header-exts -j':
        status, output, messages = run(*way.split(), path)
        same(way + ': status', status, 0 if text.isascii() else 2)
        check_messages(way, messages)
        if not re.fullmatch(rb'[\x20-\x7e\n]*', output):
            complain(way + ' is not ASCII:', output)
        value = parse(way, output[output.index(b'\n\n') + 2:]
                      if way == 'dump-header -j' else output)
        data = text.decode() if DUMPED.fullmatch(text) else None
        same(way + ': data_str', value and value[3]['data_str'],
             "'%s'" % data if data is not None else '<binary>')


# Messages.


def check_damage(path, text, shown):
    # The text before the name, and the rule after it.
    begin = 'qcow2tool: %s: 0x40000: bitmap 0 \'%s\': ' % (path, shown)
    for way in ('bitmaps', 'bitmaps --list', 'bitmap-table', 'dump',
                'bitmaps --output=json', 'dump --output=jsonl'):
        status, output, messages = run(*way.split(), path)
        what = way + ' of damage'
        check_harmless(what, output)
        check_messages(what, messages, 2)
        same(what + ': status', status, 2)
        first = messages.decode('utf-8', 'replace').split('\n')[0]
        if not first.startswith(begin) or not first.endswith('[BTAB-01]'):
            complain(what + ' is reported as', first, 'and not', begin)
        if 'json' in way:
            problems = (parse(what, output) or {}).get('problems')
            same(what + ': JSON',
                 problems and [(p['bitmap'], p['offset']) for p in problems
                               if p['rule'] == 'BTAB-01'],
                 [(0, 0x40000), (1, 0x50000)])


def check_selection(path, text, shown):
    """A bitmap can be selected by the raw bytes of its name, but not by the
    escaped form."""
    if b'\0' not in text:
        status, output, messages = run('bitmap-table', '--name', text, path)
        same('--name', (status, output, messages),
             (0, table_text().encode(), b''))
    if shown.encode() != text:
        status, output, messages = run('bitmap-table', '--name', shown, path)
        same('--name as it is shown', (status, output), (3, b''))
        check_messages('--name as it is shown', messages, 1)
        if b'bitmap 0 is shown that way: use --index 0' not in messages:
            complain('--name with the escaped form has no hint:', messages)


def write_image(text, damaged=False):
    """Writes the image named it, and returns its extensions."""
    global BITMAPS_SIZE
    BITMAPS_SIZE = len(make_directory(text))
    image, extensions = make_image(text, damaged)
    with open('it', 'wb') as file:
        file.write(image)
    return extensions


# An image with a snapshot whose id and name are the text.


def write_snapshots(text):
    """Writes the image named shot, whose snapshot table is at 0x40000, and
    returns the lines of the block before the strings."""
    entry = (('l1_table_offset', 0x50000), ('l1_size', 1),
             ('id_str_size', len(text)), ('name_size', len(text)),
             ('date_sec', 0), ('date_nsec', 0), ('vm_clock_nsec', 0),
             ('vm_state_size', 0), ('extra_data_size', 24))
    extra = (('vm_state_size_large', 5), ('disk_size', 64 << 20),
             ('icount', 7))
    header = struct.pack(
        '>4sIQIIQIIQQIIQQQQIIB7x', b'QFI\xfb', 3, 0, 0, 16, 64 << 20, 0, 1,
        0x30000, 0x10000, 1, 1, 0x40000, 0, 0, 0, 4, 112, 0)
    with open('shot', 'wb') as file:
        file.write(header)
        file.seek(0x40000)
        file.write(struct.pack('>QIHHIIQII', *(value for _, value in entry))
                   + struct.pack('>QQQ', *(value for _, value in extra))
                   + text + text + FILL)
        file.truncate(0x60000)
    rows = (('index', 0),) + entry + (('file_offset', 0x40000),) + extra
    return ''.join(line(key, '0x%x' % value if 'offset' in key else value)
                   for key, value in rows)


def check_snapshots(text, shown):
    block = write_snapshots(text)
    # For QEMU, whose list this is, a string ends at a NUL.
    row = shown.split(r'\x00')[0] if b'\0' in text else shown
    texts = {
        'snapshots': block + line('id', shown) + line('name', shown),
        'snapshots --list': 'Snapshot list:\n%-10s%-17s%8s%20s%13s%11s\n' % (
            'ID', 'TAG', 'VM SIZE', 'DATE', 'VM CLOCK', 'ICOUNT')
        + (row.encode().ljust(9) + b' ' + row.encode().ljust(16)).decode()
        + '      5 B 1970-01-01 00:00:00 00:00:00.000          7\n',
        'snapshots --names': shown + '\n',
        'snapshots --index=0 --field=id': shown + '\n'}
    for way, expected in texts.items():
        status, output, messages = run(*way.split(), 'shot')
        same(way, (status, messages, output.decode('utf-8', 'replace')),
             (0, b'', expected))
        check_harmless(way, output)
    for way in 'snapshots --names -0', 'snapshots --index=0 --field=id -0':
        same(way, run(*way.split(), 'shot'), (0, text + b'\0', b''))
    answer = parse('snapshots', run('snapshots', '--output=json', 'shot')[1])
    for key in 'id', 'name':
        check_string('snapshots: ' + key, answer['snapshots'][0], key, text)
        if b'\0' not in text:
            same('--' + key, run('snapshots', '--names', b'--%s=%s' % (
                key.encode(), text), 'shot'),
                 (0, shown.encode() + b'\n', b''))
        if shown.encode() != text:
            what = '--%s as it is shown' % key
            status, output, messages = run(
                'snapshots', '--%s=%s' % (key, shown), 'shot')
            same(what, (status, output), (3, b''))
            check_messages(what, messages, 1)
            same(what + ': a hint',
                 b'snapshot 0 is shown that way: use --index 0' in messages,
                 True)


def check_good_order(path, ways):
    for way in ways:
        status, output, messages = run(*way.split(), path)
        same(way + ': status is known', status in (0, 1, 2, 3), True)
        check_messages(way, messages)
        # See DUMPED above.
        if not way.startswith('dump-header'):
            check_harmless(way, output)


def check_image(text, shown, ways):
    extensions = write_image(text)
    check_text('it', text, shown, extensions)
    check_raw('it', text)
    check_json('it', text, shown, extensions,
               ('header', 'extensions', 'bitmaps', 'bitmaps --tables',
                'bitmap-table', 'dump'))
    check_dumper_json('it', text)
    check_selection('it', text, shown)
    check_snapshots(text, shown)
    write_image(text, True)
    check_damage('it', text, shown)
    check_good_order('it', ways)
    # At first the text was followed by a byte of the image that may complete
    # it.  Now letters surround the text.
    text, shown = b'<' + text + b'>', '<' + shown + '>'
    extensions = write_image(text)
    check_text('it', text, shown, extensions, ['dump'])
    check_json('it', text, shown, extensions, ['dump'])


# Names of files.


def write_list(name, *entries, end=b'\n'):
    with open(name, 'wb') as file:
        file.write(b''.join(entry + end for entry in entries))


def check_lists(path, begins, good):
    """Tries a list that contains the name, and a missing list with the
    name."""
    lists = [('files0-from', b'\0')]
    if b'\n' not in path:
        lists.append(('files-from', b'\n'))
    for option, end in lists:
        write_list('list', path, path, end=end)
        what = '--' + option
        same(what, run('bitmap-table', '--%s=list' % option), good)
        same(what + '=-', run('bitmap-table', '--%s=-' % option,
                              stdin=(path + end) * 2), good)
        status, output, messages = run(
            'header', b'--%s=%s' % (option.encode(), path + b'.no'))
        same(what + ' that is missing', (status, output), (1, b''))
        check_messages(what + ' that is missing', messages, 1)
        if not messages.startswith(begins + b'.no: '):
            complain(what + ' is missing as', messages)


def check_path(text, shown, ways):
    if b'\0' in text or b'/' in text:
        return
    # These are neither options nor names with a special meaning.
    path = b'./' + text
    escaped = ('./' + shown).encode()
    with open('image', 'wb') as file:
        file.write(make_image(b'name', True)[0])
    try:
        os.link('image', path)
    except OSError:
        return
    block = '\n'.join(line('Bitmap name', name) + table_text()
                      for name in ('name', 'other'))
    status, output, messages = run('bitmap-table', path, path)
    same('two of it', (status, output.decode('utf-8', 'surrogateescape')),
         (2, '\n'.join(['image: %s\n' % escaped.decode() + block] * 2)))
    check_messages('two of it', messages, 4)
    begins = b'qcow2tool: ' + escaped
    same('messages begin', [row.startswith(begins + b': 0x')
                            for row in messages.splitlines()], [True] * 4)
    check_lists(path, begins, (status, output, messages))

    for way in 'header', 'bitmaps', 'dump':
        for output in 'json', 'jsonl':
            what = '%s --output=%s' % (way, output)
            _, out, messages = run(*what.split(), path)
            answer = parse(what, out, 1 if output == 'jsonl' else None)
            check_messages(what, messages)
            check_string(what + ': filename', answer or {'filename': ''},
                         'filename', path)
    for name, code in (path + b'.no', 'open'), (path + b'/', 'open'):
        status, output, messages = run('header', '--output=json', name)
        same('missing', status, 1)
        check_messages('missing', messages, 1)
        same('missing: the message names it',
             messages.startswith(begins + name[len(path):] + b': '), True)
        answer = parse('missing', output) or {'filename': '', 'error': {}}
        check_string('missing: filename', answer, 'filename', name)
        same('missing: code', answer['error'].get('code'), code)
    check_good_order(path, ways)
    os.unlink(path)


# The command line.

# TEXT stands for the text.  The second value says whether the message repeats
# the text.
LINES = [
    (['TEXT'], True),
    (['help', 'TEXT'], True),
    (['--TEXT'], True),
    (['header', '--TEXT', 'image'], True),
    (['header', '--output=TEXT', 'image'], True),
    (['header', '--format=TEXT', 'image'], True),
    (['header', '-fTEXT', 'image'], True),
    (['header', '--field=TEXT', 'image'], True),
    (['header', '--field', 'TEXT', 'image'], True),
    (['extensions', '--magic', 'TEXT', 'image'], True),
    (['extensions', '--index', 'TEXT', 'image'], True),
    (['bitmaps', '--index=TEXT', 'image'], True),
    (['bitmaps', '--is', 'TEXT', '--index', '0', 'image'], True),
    (['bitmap-table', '--name', 'TEXT', 'image'], True),
    (['bitmap-table', '--start', 'TEXT', 'image'], True),
    (['bitmap-table', '--count', 'TEXT', 'image'], True),
    (['bitmap-table', '--at', 'TEXT', '--count=1', 'image'], True),
    (['bitmap-table', '--type', 'TEXT', 'image'], True),
    (['header', '--long=TEXT', 'image'], False),
    (['header', '-TEXT', 'image'], False),
]


def check_words(text, shown, _):
    if b'\0' in text:
        return
    # Texts that cannot be mistaken for the end of an option, a number or a
    # name.
    text = b'.' + text
    shown = '.' + shown
    for words, is_repeated in LINES:
        status, output, messages = run(
            *[word.encode().replace(b'TEXT', text) for word in words])
        what = ' '.join(words)
        same(what + ': status', status,
             3 if '--name' in words else 1)
        same(what + ': output', output, b'')
        check_messages(what, messages, 1 if '--name' in words else 2)
        if is_repeated and shown.encode() not in messages:
            complain(what + ' does not show it:', messages)


def main():
    what, step, *rest = sys.argv[1:]
    os.environ['TZ'] = 'UTC0'
    ways = rest[0].split('\n') if rest else []
    checks = {'image': check_image, 'path': check_path, 'words': check_words}
    with open('image', 'wb') as file:
        file.write(make_image(b'name')[0])
    step = int(step)
    for index, (name, data, shown) in enumerate(TEXTS[step // 2::step]):
        try:
            checks[what](bytes.fromhex(data), shown,
                         ways[index % TURNS::TURNS])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            complain('exception:', error)
        print('%s: %s' % (what, name), '; '.join(wrong[:5]), sep='\t')
        wrong.clear()


if __name__ == '__main__':
    main()
