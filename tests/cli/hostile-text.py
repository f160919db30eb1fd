#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of cli-hostile-text.sh: wherever a text appears, it cannot
control a terminal, forge a line or break JSON.

  image STEP TURNS LINES  in an image: names of bitmaps, snapshots and
                          features, the backing file, its format, the data
                          file, extension data
  path STEP TURNS LINES   in the name of an image or a list, and in lists
  words STEP TURNS        on the command line

Every STEP-th text is tried.  LINES are command lines, one per line, whose
output must only be harmless.  A command line that takes several images is run
once, for all texts.  Of the others, every TURNS-th is tried with a text, with
a different first one for each text.  The program is $QCOW2TOOL, and files are
made in the current folder.  Prints a line for each text: its description and,
after a tab, the errors.
"""

import json
import os
import re
import shlex
import struct
import subprocess
import sys

TOOL = shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))

# The command lines that take one image.
ONE_IMAGE = re.compile('bitmap-map|map|dump-header'
                       '|(bitmaps|snapshots) --names|info --output=json$')

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


class Text:
    """A text that is tried.  WRONG contains the errors."""

    def __init__(self, index, name, data, shown):
        self.index = index
        self.name = name
        self.bytes = bytes.fromhex(data)
        self.shown = shown
        self.wrong = []


# The text whose output is examined.
current = None


def complain(what, value, rest='', other=''):
    current.wrong.append(' '.join(filter(None, (
        what, repr(value)[:300], rest, other and repr(other)[:300]))))


def each(texts):
    """Yields each of TEXTS, to which the errors then belong."""
    global current
    for current in texts:
        yield current


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
V3_HEADER = '>4sIQIIQIIQQIIQQQQIIB7x'
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
        V3_HEADER, b'QFI\xfb', 3, 112 + len(area), len(text),
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


def bitmaps_extension_lines(data):
    size, = struct.unpack('>Q', data[8:16])
    return (line('nb_bitmaps', 2) + line('reserved32', 0)
            + line('bitmap_directory_size', '0x%x' % size)
            + line('bitmap_directory_offset', '0x60000'))


def extension_text(extension, shown, shown_features):
    magic, offset, data = extension
    result = 'Header extension:\n'
    result += line('magic', '0x%x (%s)' % (magic, KNOWN[magic]))
    result += line('file_offset', '0x%x' % offset)
    result += line('length', len(data))
    if magic == 0x23852875:
        return result + bitmaps_extension_lines(data)
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
            result += bitmaps_extension_lines(data)
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
    """Returns the expected output of each command line that takes several
    images, and of each of the others."""
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
        'bitmap-table': '\n'.join(line('Bitmap name', name) + table_text()
                                  for name in (shown, 'other')),
        'dump': '\n'.join(['Header:\n' + header] + blocks
                          + [block + table_text() for block in bitmaps]),
    }, {
        'bitmaps --list': columns % (0, shown, 1, 'other'),
        'bitmaps --names': shown + '\nother\n',
        'header --field backing_file --field backing_format '
        '--field external_data_file': (shown + '\n') * 3,
        'bitmaps --index 0 --field name': shown + '\n',
        'dump-header': header_text(text, shown, '', extensions, True) + '\n'
                       + dumped,
        'dump-header-exts': dumped,
    }


def decode(output):
    return output.decode('utf-8', 'surrogateescape')


def parts_of(what, output, names, texts):
    """Returns the parts of OUTPUT after the headings for the images NAMES, one
    for each of TEXTS."""
    parts = []
    heading = 'image: %s\n' % names[0]
    same(what + ': start', output[:len(heading)], heading)
    at = len(heading)
    for index, _ in enumerate(each(texts)):
        end = len(output)
        after = end
        if index + 1 < len(names):
            heading = '\nimage: %s\n' % names[index + 1]
            end = output.find(heading, at)
            if end < 0:
                complain(what + ' has no', heading)
                end = at
            after = end + len(heading)
        parts.append(output[at:end])
        at = after
    return parts


def check_texts(names, texts, expected):
    """Compares the output for the images NAMES, in one run of each command
    line.  EXPECTED has the output of the command lines for each text."""
    for way in expected[0]:
        status, output, messages = run(*way.split(), *names)
        parts = parts_of(way, decode(output), names, texts)
        for part, outputs, _ in zip(parts, expected, each(texts)):
            same(way, part, outputs[way])
        same(way + ': status and messages', (status, messages), (0, b''))
    same('dump in the C locale', run('dump', *names, locale='C'),
         run('dump', *names))


def check_list(names, texts):
    """Compares the output of bitmaps --list for the images NAMES."""
    status, output, messages = run('bitmaps', '--list', *names)
    rows = decode(output).split('\n')
    heading = 'INDEX STATE   GRANULARITY DIRTY DIRTY% DISK NAME'
    same('--list: heading', ' '.join(rows[0].split()),
         ' '.join(('IMAGE ' + heading).split()))
    same('--list: rows', len(rows), 2 * len(names) + 2)
    for name, text, *two in zip(names, each(texts), rows[1::2], rows[2::2]):
        same('--list', two, [
            '%-5s %5d enabled          64K      0   0.0%%    64K %s' % row
            for row in ((name, 0, text.shown), (name, 1, 'other'))])
    same('--list: status and messages', (status, messages), (0, b''))


def check_one(way, path, text, expected):
    status, output, messages = run(*way.split(), path)
    same(way, decode(output), expected)
    # QEMU's own dumper stops at a name that is not plain ASCII.
    stops = way.startswith('dump-header') and not PLAIN.fullmatch(text)
    same(way + ': status', status, 2 if stops else 0)
    check_messages(way, messages, 1 if stops else 0)


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


def answers_of(what, output, texts):
    """Yields the answer for each of TEXTS, from a line of OUTPUT."""
    lines = output.splitlines(True)
    same(what + ': lines', len(lines), len(texts))
    for answer, _ in zip(lines, each(texts)):
        yield parse(what, answer, 1)


def check_answers(names, texts, areas, ways):
    """Compares the answers about the images NAMES, in one run of each of WAYS.
    AREAS has the extensions of each image."""
    for way in ways:
        what = way + ' --output=jsonl'
        status, output, messages = run(*what.split(), *names)
        same(what + ': status and messages', (status, messages), (0, b''))
        for answer, name, area in zip(answers_of(what, output, texts), names,
                                      areas):
            if answer is not None:
                check_answer(what, answer, name, current.bytes, current.shown,
                             area)


def check_document(way, path, text, shown, extensions):
    what = way + ' --output=json'
    status, out, messages = run(*what.split(), path)
    same(what + ': status and messages', (status, messages), (0, b''))
    answer = parse(what, out)
    if answer is not None:
        check_answer(what, answer, path, text, shown, extensions)


def check_dumper_json(way, path, text):
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

# The tables whose entries are damaged, and the bitmaps.
DAMAGE = [(0, 0x40000), (1, 0x50000)]


def damage_in(answer):
    return [(problem['bitmap'], problem['offset'])
            for problem in (answer or {}).get('problems', [])
            if problem['rule'] == 'BTAB-01']


def check_damage(names, texts):
    """Compares the messages about the damaged images NAMES, in one run of each
    command line."""
    for way in ('bitmaps', 'bitmaps --list', 'bitmap-table', 'dump',
                'dump --output=jsonl'):
        status, output, messages = run(*way.split(), *names)
        what = way + ' of damage'
        check_harmless(what, output)
        check_messages(what, messages, 2 * len(names))
        same(what + ': status', status, 2)
        lines = messages.decode('utf-8', 'replace').split('\n')
        for name, first, text in zip(names, lines[::2], each(texts)):
            # The text before the name, and the rule after it.
            begin = 'qcow2tool: %s: 0x40000: bitmap 0 \'%s\': ' % (
                name, text.shown)
            if not first.startswith(begin) or not first.endswith('[BTAB-01]'):
                complain(what + ' is reported as', first, 'and not', begin)
        if 'jsonl' in way:
            for answer in answers_of(what, output, texts):
                same(what + ': JSON', damage_in(answer), DAMAGE)


def check_damage_json(path):
    what = 'bitmaps --output=json'
    status, output, messages = run(*what.split(), path)
    same(what + ': status', status, 2)
    check_messages(what, messages, 2)
    same(what + ': JSON', damage_in(parse(what, output)), DAMAGE)


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


def write_image(name, text, damaged=False):
    """Writes the image NAME, and returns its extensions."""
    image, extensions = make_image(text, damaged)
    with open(name, 'wb') as file:
        file.write(image)
    return extensions


# An image with a bitmap for each text, and a snapshot whose id and name are
# the text.

MANY_TABLES = 0x100000


def write_many(path, texts):
    directory = b''
    shots = b''
    for text in texts:
        directory += pad(struct.pack(
            '>QIIBBHI', MANY_TABLES + text.index * 0x10000, 1, 2, 1, 16,
            len(text.bytes), 0) + text.bytes)
        shots += pad(snapshot_entry(text.bytes)[0])
    with open(path, 'wb') as file:
        file.write(struct.pack(
            V3_HEADER, b'QFI\xfb', 3, 0, 0, 16, 64 << 20, 0, 1, 0x30000,
            0x10000, 1, len(texts), 0x40000, 0, 0, 1, 4, 112, 0)
            + struct.pack('>IIIIQQ', 0x23852875, 24, len(texts), 0,
                          len(directory), DIRECTORY) + bytes(8))
        file.seek(0x40000)
        file.write(shots)
        file.seek(DIRECTORY)
        file.write(directory)
        file.truncate(MANY_TABLES + 0x10000 * (texts[-1].index + 1))


def check_many(texts):
    """Names alone, one per line or raw.  Raw bytes are printed only on
    request, each name followed by a NUL."""
    write_many('many', texts)
    raw = b''.join(text.bytes + b'\0' for text in texts)
    for way in 'bitmaps --names', 'snapshots --names':
        status, output, messages = run(*way.split(), 'many')
        lines = decode(output).split('\n')
        for ours, text in zip(lines, each(texts)):
            same(way + ': many', ours, text.shown)
        same(way + ': many', (status, messages, len(lines)),
             (0, b'', len(texts) + 1))
        same(way + ' -0: many', run(*way.split(), '-0', 'many'), (0, raw, b''))
        same(way + ' in the C locale', run(*way.split(), 'many', locale='C'),
             (status, output, messages))


# An image with a snapshot whose id and name are the text.


def snapshot_entry(text):
    """Returns an entry of the snapshot table, and the lines of the block
    before the strings."""
    entry = (('l1_table_offset', 0x50000), ('l1_size', 1),
             ('id_str_size', len(text)), ('name_size', len(text)),
             ('date_sec', 0), ('date_nsec', 0), ('vm_clock_nsec', 0),
             ('vm_state_size', 0), ('extra_data_size', 24))
    extra = (('vm_state_size_large', 5), ('disk_size', 64 << 20),
             ('icount', 7))
    data = (struct.pack('>QIHHIIQII', *(value for _, value in entry))
            + struct.pack('>QQQ', *(value for _, value in extra))
            + text + text)
    rows = (('index', 0),) + entry + (('file_offset', 0x40000),) + extra
    return data, ''.join(
        line(key, '0x%x' % value if 'offset' in key else value)
        for key, value in rows)


def write_snapshot(path, text):
    """Writes the image PATH, whose snapshot table is at 0x40000, and returns
    the lines of the block before the strings."""
    header = struct.pack(
        V3_HEADER, b'QFI\xfb', 3, 0, 0, 16, 64 << 20, 0, 1, 0x30000, 0x10000,
        1, 1, 0x40000, 0, 0, 0, 4, 112, 0)
    entry, block = snapshot_entry(text)
    with open(path, 'wb') as file:
        file.write(header)
        file.seek(0x40000)
        file.write(entry + FILL)
        file.truncate(0x60000)
    return block


def check_snapshots(names, texts):
    blocks = [write_snapshot(name, text.bytes)
              for name, text in zip(names, texts)]
    for way in 'snapshots', 'snapshots --list':
        status, output, messages = run(*way.split(), *names)
        same(way, (status, messages), (0, b''))
        check_harmless(way, output)
        parts = parts_of(way, output.decode('utf-8', 'replace'), names, texts)
        for part, block, text in zip(parts, blocks, each(texts)):
            shown = text.shown
            if way == 'snapshots':
                expected = block + line('id', shown) + line('name', shown)
            else:
                # For QEMU, whose list this is, a string ends at a NUL.
                row = shown.split(r'\x00')[0] if b'\0' in text.bytes else shown
                expected = (
                    'Snapshot list:\n%-10s%-17s%8s%20s%13s%11s\n' % (
                        'ID', 'TAG', 'VM SIZE', 'DATE', 'VM CLOCK', 'ICOUNT')
                    + (row.encode().ljust(9) + b' '
                       + row.encode().ljust(16)).decode()
                    + '      5 B 1970-01-01 00:00:00 00:00:00.000'
                    + '          7\n')
            same(way, part, expected)
    what = 'snapshots --output=jsonl'
    for answer in answers_of(what, run(*what.split(), *names)[1], texts):
        for key in 'id', 'name':
            check_string('snapshots: ' + key, answer['snapshots'][0], key,
                         current.bytes)


def check_snapshot_selection(path, key, text, shown):
    if b'\0' not in text:
        same('--' + key, run('snapshots', '--names', b'--%s=%s' % (
            key.encode(), text), path), (0, shown.encode() + b'\n', b''))
    if shown.encode() != text:
        what = '--%s as it is shown' % key
        status, output, messages = run(
            'snapshots', '--%s=%s' % (key, shown), path)
        same(what, (status, output), (3, b''))
        check_messages(what, messages, 1)
        same(what + ': a hint',
             b'snapshot 0 is shown that way: use --index 0' in messages,
             True)


def check_good_order(way, *paths):
    status, output, messages = run(*way.split(), *paths)
    same(way + ': status is known', status in (0, 1, 2, 3), True)
    check_messages(way, messages)
    # See DUMPED above.
    if not way.startswith('dump-header'):
        check_harmless(way, output)


def checks_of_ways(ways, path):
    """Returns checks of PATH by those of WAYS that take one image."""
    return [(check_good_order, way, path) for way in ways
            if ONE_IMAGE.match(way)]


def check_ways(ways, paths):
    """Checks that the output about several images is harmless."""
    for way in ways:
        if not ONE_IMAGE.match(way):
            check_good_order(way, *paths)


def take_turns(checks, turns):
    """Runs every TURNS-th of CHECKS, which are functions with arguments."""
    for function, *arguments in checks[current.index % turns::turns]:
        function(*arguments)


def checks_of_image(text, extensions, one):
    """Returns the checks of TEXT in images of its own.  ONE has the command
    lines that take one image, with their output."""
    it, shot, bad = ('%s%02d' % (kind, text.index)
                     for kind in ('it', 'shot', 'bad'))
    raw = text.bytes + b'\0'
    checks = [(check_one, way, it, text.bytes, expected)
              for way, expected in one.items()]
    checks += [(check_dumper_json, way, it, text.bytes)
               for way in ('dump-header -j', 'dump-header-exts -j')]
    checks += [(check_document, way, it, text.bytes, text.shown, extensions)
               for way in ('header', 'extensions', 'bitmaps',
                           'bitmaps --tables', 'bitmap-table', 'dump')]
    checks += [(check_raw, way, path, expected) for way, path, expected in (
        ('bitmaps --names -0', it, text.bytes + b'\0other\0'),
        ('bitmaps --index 0 --field name -0', it, raw),
        ('header --field backing_file -0', it, raw),
        ('snapshots --index=0 --field=id', shot, text.shown.encode() + b'\n'),
        ('snapshots --index=0 --field=id -0', shot, raw))]
    return checks + [
        (check_selection, it, text.bytes, text.shown),
        (check_snapshot_selection, shot, 'id', text.bytes, text.shown),
        (check_snapshot_selection, shot, 'name', text.bytes, text.shown),
        (check_damage_json, bad)]


def check_raw(way, path, expected):
    same(way, run(*way.split(), path), (0, expected, b''))


def names_of(kind, texts):
    return ['%s%02d' % (kind, text.index) for text in texts]


def check_images(texts, turns, ways):
    names = names_of('it', texts)
    areas = [write_image(name, text.bytes)
             for name, text in zip(names, texts)]
    several, one = zip(*(expected_texts(text.bytes, text.shown, area)
                         for text, area in zip(texts, areas)))
    check_texts(names, texts, several)
    check_list(names, texts)
    check_answers(names, texts, areas,
                  ('header', 'extensions', 'bitmaps', 'bitmaps --tables',
                   'bitmap-table', 'dump'))
    check_many(texts)
    check_snapshots(names_of('shot', texts), texts)
    for name, text in zip(names_of('bad', texts), texts):
        write_image(name, text.bytes, True)
    check_damage(names_of('bad', texts), texts)
    check_ways(ways, names_of('bad', texts))
    for text, area, expected in zip(each(texts), areas, one):
        take_turns(checks_of_image(text, area, expected), turns)
        take_turns(checks_of_ways(ways, 'bad%02d' % text.index), turns)

    # At first the text was followed by a byte of the image that may complete
    # it.  Now letters surround the text.
    names = names_of('in', texts)
    for text in texts:
        text.bytes, text.shown = b'<' + text.bytes + b'>', '<%s>' % text.shown
    areas = [write_image(name, text.bytes)
             for name, text in zip(names, texts)]
    check_texts(names, texts, [
        {'dump': expected_texts(text.bytes, text.shown, area)[0]['dump']}
        for text, area in zip(texts, areas)])
    check_answers(names, texts, areas, ('dump',))


# Names of files.


def write_list(name, *entries, end=b'\n'):
    with open(name, 'wb') as file:
        file.write(b''.join(entry + end for entry in entries))


def is_path(text):
    """Links a file with the name, if that is possible."""
    # These are neither options nor names with a special meaning.
    text.path = b'./' + text.bytes
    text.escaped = './' + text.shown
    if b'\0' in text.bytes or b'/' in text.bytes:
        return False
    try:
        os.link('image', text.path)
    except OSError:
        return False
    return True


def begins_with(messages, *names):
    """Returns whether each of MESSAGES begins with the name of its image."""
    return [message.startswith(('qcow2tool: %s: ' % name).encode())
            for name, message in zip(names, messages.splitlines())]


def check_lists(texts):
    """Tries paths on the command line and in lists, in one run of each."""
    block = '\n'.join(line('Bitmap name', name) + table_text()
                      for name in ('name', 'other'))
    paths = [path for text in texts for path in (text.path, text.path)]
    names = [name for text in texts for name in (text.escaped, text.escaped)]
    twice = [text for text in texts for _ in range(2)]
    done = run('bitmap-table', *paths)
    for part, _ in zip(parts_of('paths', decode(done[1]), names, twice),
                       each(twice)):
        same('paths', part, block)
    same('paths: status', done[0], 2)
    check_messages('paths', done[2], 2 * len(paths))
    two = [name + ': 0x%x' % table for name in names for table in TABLES]
    for told, _ in zip(begins_with(done[2], *two),
                       each([text for text in twice for _ in range(2)])):
        same('messages begin with the path', told, True)

    write_list('list', *paths, end=b'\0')
    same('--files0-from', run('bitmap-table', '--files0-from=list'), done)
    same('--files0-from=-', run('bitmap-table', '--files0-from=-',
                                stdin=b'\0'.join(paths)), done)
    paths = [path for path in paths if b'\n' not in path]
    done = run('bitmap-table', *paths)
    write_list('list', *paths)
    same('--files-from', run('bitmap-table', '--files-from=list'), done)
    same('--files-from=-', run('bitmap-table', '--files-from=-',
                               stdin=b'\n'.join(paths)), done)


def check_missing_list(option, text):
    what = '--' + option
    status, output, messages = run(
        'header', b'--%s=%s.no' % (option.encode(), text.path))
    same(what + ' that is missing', (status, output), (1, b''))
    check_messages(what + ' that is missing', messages, 1)
    same(what + ' that is missing: the message',
         begins_with(messages, text.escaped + '.no'), [True])


def check_path_json(way, text):
    what = way + ' --output=json'
    _, out, messages = run(*what.split(), text.path)
    check_messages(what, messages)
    check_string(what + ': filename', parse(what, out) or {'filename': ''},
                 'filename', text.path)


def check_missing(text, end):
    name = text.path + end
    status, output, messages = run('header', '--output=json', name)
    same('missing', status, 1)
    check_messages('missing', messages, 1)
    same('missing: the message names it', begins_with(
        messages, text.escaped + end.decode()), [True])
    check_missing_answer(parse('missing', output), name)


def check_missing_answer(answer, name):
    answer = answer or {'filename': '', 'error': {}}
    check_string('missing: filename', answer, 'filename', name)
    same('missing: code', answer['error'].get('code'), 'open')


def check_paths(texts, turns, ways):
    write_image('image', b'name', True)
    texts = [text for text in each(texts) if is_path(text)]
    paths = [text.path for text in texts]
    check_lists(texts)
    for way in 'header', 'bitmaps', 'dump':
        what = way + ' --output=jsonl'
        _, output, messages = run(*what.split(), *paths)
        check_messages(what, messages)
        for answer in answers_of(what, output, texts):
            check_string(what + ': filename', answer or {'filename': ''},
                         'filename', current.path)
    for end in b'.no', b'/':
        status, output, messages = run('header', '--output=jsonl',
                                       *(path + end for path in paths))
        same('missing', status, 1)
        check_messages('missing', messages, len(paths))
        names = [text.escaped + end.decode() for text in texts]
        for told, _ in zip(begins_with(messages, *names), each(texts)):
            same('missing: the message names it', told, True)
        for answer in answers_of('missing', output, texts):
            check_missing_answer(answer, current.path + end)
    check_ways(ways, paths)

    for text in each(texts):
        take_turns([(check_missing_list, 'files0-from', text),
                    (check_missing_list, 'files-from', text),
                    (check_path_json, 'header', text),
                    (check_path_json, 'bitmaps', text),
                    (check_path_json, 'dump', text),
                    (check_missing, text, b'.no'),
                    (check_missing, text, b'/')], turns)
        take_turns(checks_of_ways(ways, text.path), turns)


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


def check_line(words, is_repeated, text, shown):
    status, output, messages = run(
        *[word.encode().replace(b'TEXT', text) for word in words])
    what = ' '.join(words)
    same(what + ': status', status, 3 if '--name' in words else 1)
    same(what + ': output', output, b'')
    check_messages(what, messages, 1 if '--name' in words else 2)
    if is_repeated and shown.encode() not in messages:
        complain(what + ' does not show it:', messages)


def check_words(texts, turns, _):
    write_image('image', b'name')
    for text in each(texts):
        # Texts that cannot be mistaken for the end of an option, a number or a
        # name.
        if b'\0' not in text.bytes:
            take_turns([(check_line, *row, b'.' + text.bytes, '.' + text.shown)
                        for row in LINES], turns)


def main():
    what, step, turns, *rest = sys.argv[1:]
    os.environ['TZ'] = 'UTC0'
    ways = rest[0].split('\n') if rest else []
    checks = {'image': check_images, 'path': check_paths, 'words': check_words}
    step = int(step)
    texts = [Text(index, *row)
             for index, row in enumerate(TEXTS[step // 2::step])]
    # Errors of a run with all texts belong to the last one.
    list(each(texts))
    try:
        checks[what](texts, int(turns), ways)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        complain('exception:', error)
    for text in texts:
        print('%s: %s' % (what, text.name), '; '.join(text.wrong[:5]),
              sep='\t')


if __name__ == '__main__':
    main()
