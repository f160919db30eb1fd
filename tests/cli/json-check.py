#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of cli-json.sh and cli-dump-header.sh.

  lines SCHEMA KIND               each line of standard input is one answer,
                                  strict JSON that matches KIND in SCHEMA
  answers SCHEMA                  each line of standard input is a name, a KIND
                                  and a file with one such document; prints
                                  lines for results () of lib.sh
  rules SCHEMA                    standard input is a list of rules
  schema SCHEMA                   the schema is one
  info SCHEMA                     each line of standard input is one from info
  corpus SCHEMA STEP SEED COMMANDS IMAGE...
                                  --output=json, --output=jsonl, the text, the
                                  exit status and the bytes of an image agree;
                                  each of the lines COMMANDS is tried with one
                                  in STEP of the images, from number SEED plus
                                  that of the line on; prints lines for
                                  results ()
  stream IMAGE...                 the answer about an image is printed before
                                  the name of the next is sent
  memory IMAGE FEW MANY           MANY images take no more memory than FEW
  qemu-dump IMAGE...              the output of dump-header and
                                  dump-header-exts matches the documented
                                  layout wherever it is complete, and is valid
                                  everywhere else; one of them is tried with
                                  an image as text, the other one as JSON

The program is $QCOW2TOOL.  Prints the differences, which make the status 1.
"""

import importlib
import json
import os
import re
import resource
import select
import shlex
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(sys.path[0]), 'interop'))

# Its name is no identifier.
interop = importlib.import_module('interop-compare')

TOOL = shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))
# Whether a wrapper or a sanitizer makes times and sizes meaningless.
SLOW = bool(os.environ.get('QCOW2TOOL_SLOW'))

# A longer answer is not rendered as text.
LONG = 1 << 20

STATUS_OF_ERROR = {'open': 1, 'not-qcow2': 1, 'unsupported': 1,
                   'truncated': 1, 'read': 1, 'corrupt': 2, 'ambiguous': 2,
                   'not-found': 3, 'changed': 1}

LAST_KEYS = ['writer', 'error', 'problems']

# The counters of check, and their names in text.
STATES = ('enabled', 'disabled', 'in_use', 'stale', 'damaged')
VERDICTS = {
    'opens': 'QEMU opens it',
    'read-only': 'QEMU opens it only for reading',
    'refuses': 'QEMU refuses to open it',
    None: '(whether QEMU opens it is not known'
          '|QEMU opens it for reading, and for writing if it can repair it)',
}
# The parts of the schema that are not about the answer of an image.
MAPS = ('map', 'disk-map', 'disk-extent', 'disk-totals')
NOT_EXAMINED = {
    'guest-clusters': "the guest's clusters",
    'backing-file': 'the backing file',
    'data-file': 'the data file',
}

n_differences = 0
# The differences, if they belong to a result and are not printed at once.
collected = None


def differ(what, *values):
    global n_differences
    n_differences += 1
    text = '%s: %s' % (what, ' / '.join(repr(value)[:300]
                                        for value in values))
    if collected is not None:
        collected.append(text)
    elif n_differences <= 20:
        print(text)


def same(what, ours, expected):
    if ours == expected:
        return
    if isinstance(ours, str) and isinstance(expected, str):
        # The path to the difference, and the difference.
        at = max(len(os.path.commonprefix([ours, expected])) - 60, 0)
        ours, expected = ours[at:at + 160], expected[at:at + 160]
    differ(what, ours, expected)


def run(*arguments):
    done = subprocess.run(TOOL + list(arguments), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    return done.returncode, done.stdout, done.stderr


# Strict parsing.


def unique_pairs(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError('a key twice: %s' % [key for key, _ in pairs])
    return dict(pairs)


def no_constant(name):
    raise ValueError('%s is not JSON' % name)


def no_float(text):
    raise ValueError('%s is no whole number' % text)


DECODER = json.JSONDecoder(object_pairs_hook=unique_pairs,
                           parse_constant=no_constant, parse_float=no_float)


def check_characters(what, text):
    for character in set(text) - {'\n'}:
        if not interop.is_printable(character):
            differ(what + ': not escaped', character)


def parse(what, data):
    """Returns the only document in DATA, all of whose characters are
    harmless."""
    text = data.decode('utf-8')
    check_characters(what, text)
    if not text.endswith('\n') or text.endswith('\n\n'):
        differ(what + ': does not end with one newline', text[-20:])
    return DECODER.decode(text)


def check_strings(what, value):
    """A string agrees with the bytes in the member next to it."""
    if isinstance(value, list):
        for item in value:
            check_strings(what, item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        check_strings(what, item)
        if key.endswith('_hex') and key != 'data_hex':
            data = bytes.fromhex(item)
            try:
                data.decode('utf-8')
                differ(what + ': UTF-8 as hex', key, item)
            except UnicodeDecodeError:
                pass
            good = [part for part in value[key[:-4]].split('\ufffd') if part]
            if '\ufffd' not in value[key[:-4]] \
                    or any(part.encode() not in data for part in good):
                differ(what + ': other bytes', value[key[:-4]], item)


def thin(value):
    """Returns VALUE without the middle of long arrays."""
    if isinstance(value, dict):
        return {key: thin(item) for key, item in value.items()}
    if isinstance(value, list):
        return [thin(item) for item in
                (value if len(value) <= 12 else value[:6] + value[-6:])]
    return value


def inline(schema, definitions):
    """Returns SCHEMA with the definitions in place of references to them,
    which would take half of the time."""
    if isinstance(schema, list):
        return [inline(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    rest = {key: inline(value, definitions) for key, value in schema.items()
            if key != '$ref'}
    if '$ref' not in schema:
        return rest
    target = inline(definitions[schema['$ref'].rpartition('/')[2]],
                    definitions)
    if not rest:
        return target
    return {**rest, 'allOf': rest.get('allOf', []) + [target]}


class Schema:
    def __init__(self, path, kind):
        import jsonschema

        with open(path, encoding='utf-8') as file:
            schema = json.load(file)
        if kind != 'any':
            del schema['anyOf']
            is_answer = kind + '-answer' in schema['$defs']
            schema['$ref'] = '#/$defs/' + kind + '-answer' * is_answer
        self.validator = jsonschema.Draft202012Validator(
            inline(schema, schema.pop('$defs')))
        self.valid = set()

    def validate(self, what, value):
        for error in self.validator.iter_errors(value):
            differ('%s: schema: %s' % (what, '/'.join(map(str, error.path))),
                   error.message)

    def check(self, what, answer):
        # Answers about several images may differ only in the name.
        text = json.dumps({**thin(answer), 'filename': isinstance(
            answer.get('filename'), str)}, sort_keys=True)
        if text not in self.valid:
            before = n_differences
            self.validate(what, thin(answer))
            if n_differences == before:
                self.valid.add(text)
        same(what + ': first key', next(iter(answer)), 'filename')
        same(what + ': last keys', list(answer)[-3:], LAST_KEYS)
        check_strings(what, answer)


# The text for an answer.


def bytes_of(value, key):
    if key + '_hex' in value:
        return bytes.fromhex(value[key + '_hex'])
    return value[key].encode('utf-8')


def own_names(answer):
    """Returns the image's names of features, the first one of each."""
    names = [{}, {}, {}]
    for extension in (answer or {}).get('extensions') or []:
        for feature in extension.get('features') or []:
            if feature['type'] in interop.FEATURE_KINDS and feature['name']:
                kind = interop.FEATURE_KINDS.index(feature['type'])
                names[kind].setdefault(feature['bit'],
                                       bytes_of(feature, 'name'))
    return names


def header_lines(header, own):
    text = ''
    for name, _, is_hex in interop.HEADER:
        text += interop.line(name,
                             ('0x%x' if is_hex else '%d') % header[name])
    for kind, name in enumerate(interop.FEATURE_KINDS):
        key = name + '_features'
        text += interop.line(key, interop.mask(
            header[key], interop.FEATURES[kind], 64, own[kind]))
        plain = interop.mask(header[key], interop.FEATURES[kind], 64)
        same(key, header[key + '_names'], interop.names_in(plain))
    for name in ('refcount_order', 'header_length'):
        text += interop.line(name, header[name])
    name = header['compression_type_name']
    text += interop.line('compression_type', '%d (%s)'
                         % (header['compression_type'],
                            name if name is not None else '<unknown>'))
    for name in ('backing_file', 'backing_format', 'external_data_file'):
        if header[name] is not None:
            text += interop.line(name,
                                 interop.escape(bytes_of(header, name)))
    return text


def extension_lines(extension):
    text = 'Header extension:\n'
    text += interop.line('magic', '0x%x (%s)' % (extension['magic'],
                                                 extension['name']))
    text += interop.line('file_offset', '0x%x' % extension['file_offset'])
    text += interop.line('length', extension['length'])
    for feature in extension.get('features') or []:
        text += interop.line('feature', "%s %d '%s'" % (
            feature['type'], feature['bit'],
            interop.escape(bytes_of(feature, 'name'))))
    if extension.get('data') is not None:
        text += interop.line('data', "'%s'" % interop.escape(
            extension['data'].encode()))
    elif extension.get('data_hex') is not None:
        text += interop.line('data', extension['data_hex'])
    for key, is_hex in (('crypto_header_offset', True),
                        ('crypto_header_length', False),
                        ('nb_bitmaps', False), ('reserved32', False),
                        ('bitmap_directory_size', True),
                        ('bitmap_directory_offset', True)):
        if extension.get(key) is not None:
            text += interop.line(key, ('0x%x' if is_hex else '%d')
                                 % extension[key])
    return text


def name_line(bitmap):
    name = '<unreadable>'
    if bitmap['name'] is not None:
        name = interop.escape(bytes_of(bitmap, 'name'))
    return interop.line('Bitmap name', name)


def table_lines(rows, columns=('index', 'type', 'offset', 'size')):
    text = ''
    for row in rows or []:
        text += '%-14s %-15s %-24s %s\n' % tuple(row[key] for key in columns)
    return text


def shown_table(bitmap):
    owner = bitmap.get('bitmap_table_of')
    text = ''
    if owner is not None:
        text = interop.line('bitmap_table_of', owner)
    return text + table_lines(bitmap.get('bitmap_table'))


def bitmap_lines(bitmap):
    text = name_line(bitmap)
    text += interop.line('bitmap_table_offset',
                         '0x%x' % bitmap['bitmap_table_offset'])
    text += interop.line('bitmap_table_size', bitmap['bitmap_table_size'])
    plain = interop.mask(bitmap['flags'], interop.BITMAP_FLAGS, 32)
    same('flags', bitmap['flags_names'], interop.names_in(plain))
    text += interop.line('flags', plain)
    for key in ('type', 'granularity_bits', 'name_size', 'extra_data_size',
                'state'):
        text += interop.line(key, bitmap[key])
    text += interop.line('file_offset', '0x%x' % bitmap['file_offset'])
    return text + shown_table(bitmap)


def table_row(row):
    """Returns the words of a row of any table but the snapshot table."""
    hexadecimal = ('offset', 'value', 'guest_offset', 'host_offset',
                   'subclusters_allocated', 'subclusters_zeroes')
    words = []
    for key, value in row.items():
        if key == 'reserved' or key.startswith('subclusters') \
                and value is None:
            continue
        if key == 'flags':
            words.append(','.join(value) or '-')
        elif value is None:
            words.append('-')
        else:
            words.append('0x%x' % value if key in hexadecimal else str(value))
    return ' '.join(words)


def snapshot_lines(snapshot):
    text = ''
    for key, value in snapshot.items():
        if key.endswith('_hex') \
                or value is None and key not in ('id', 'name'):
            continue
        if value is None:
            value = '<unreadable>'
        elif key in ('id', 'name'):
            value = interop.escape(bytes_of(snapshot, key))
        elif key in ('file_offset', 'l1_table_offset'):
            value = '0x%x' % value
        text += interop.line(key, value)
    return text


def compare_table_text(what, answer, text):
    """Compares the text of table with ANSWER."""
    table = answer['table']
    if table is None:
        same(what + ': text', text, '')
    elif table['kind'] == 'snapshots':
        same(what + ': text', text,
             '\n'.join(map(snapshot_lines, table['entries'])))
    else:
        lines = [' '.join(line.split()) for line in text.splitlines()]
        same(what + ': heading', lines[:1] != [], table['entries'] != [])
        same(what + ': rows', lines[1:], list(map(table_row,
                                                  table['entries'])))


# The members that text_of () knows.
IN_TEXT = {'header', 'extensions', 'bitmaps', 'bitmap_tables', 'snapshots'}


def text_of(answer, own):
    """Returns the text for ANSWER, without the headings of tables."""
    blocks = []
    if answer.get('header') is not None:
        blocks.append(('Header:\n' if 'bitmaps' in answer else '')
                      + header_lines(answer['header'], own))
    blocks += [extension_lines(extension)
               for extension in answer.get('extensions') or []]
    blocks += [bitmap_lines(bitmap) for bitmap in answer.get('bitmaps') or []]
    blocks += [name_line(bitmap) + shown_table(bitmap)
               for bitmap in answer.get('bitmap_tables') or []]
    blocks += map(snapshot_lines, answer.get('snapshots') or [])
    return '\n'.join(blocks)


def finding_pattern(problem):
    """Returns a pattern for the line of PROBLEM.  The name of the structure is
    not in the answer."""
    structure = '[a-zA-Z0-9 ]+'
    if problem['bitmap'] is not None:
        structure = "bitmap %d( '.*')?" % problem['bitmap']
    elif problem['extension'] is not None:
        structure = '(header extension|LUKS header) %d' % problem['extension']
    return '%s %s 0x%x %s: %s$' % (problem['severity'], problem['rule'],
                                   problem['offset'], structure,
                                   re.escape(problem['message']))


def check_lines_of(answer):
    """Returns patterns for the lines that check prints for ANSWER, except for
    the last line."""
    rest = {(problem['rule'], problem['severity']): problem['suppressed']
            for problem in answer['problems'] if 'suppressed' in problem}
    said = set()
    shown = [problem for problem in answer['problems']
             if 'suppressed' not in problem]
    last = {(problem['rule'], problem['severity']): i
            for i, problem in enumerate(shown)}
    for i, problem in enumerate(shown):
        yield finding_pattern(problem)
        for comment in (problem['consequence'], problem['remedy']):
            for line in comment.split('\n') if comment is not None else ():
                if line not in said:
                    said.add(line)
                    yield '    ' + re.escape(line) + '$'
        kind = problem['rule'], problem['severity']
        n = rest.get(kind, 0)
        if n and last[kind] == i:
            yield '    and %d more of %s that are not shown$' % (
                n, problem['rule'])


def plural(n, noun):
    return '%d %s%s' % (n, noun, '' if n == 1 else 's')


def compare_check_text(what, answer, text):
    """Compares the text of check with ANSWER."""
    lines = text.splitlines()
    patterns = list(check_lines_of(answer))
    summary = answer['summary']
    if summary is not None:
        states = ['unknown'] if summary['bitmaps'] is None else [
            '%d %s' % (summary['bitmaps'][key], key.replace('_', ' '))
            for key in STATES]
        left = ', '.join(NOT_EXAMINED[word]
                         for word in summary['not_examined'])
        patterns.append('%s; %s; %s$' % (
            re.escape('%s: %s, %s' % (
                interop.escape(bytes_of(answer, 'filename')),
                plural(summary['errors'], 'error'),
                plural(summary['warnings'], 'warning'))),
            VERDICTS[answer['qemu']],
            re.escape('bitmaps: %s%s' % (
                ', '.join(states), left and '; not looked at: ' + left))))
    same(what + ': how many lines', len(lines), len(patterns))
    for line, pattern in zip(lines, patterns):
        if not re.match(pattern, line):
            differ(what + ': line', line, pattern)


def compare_summary(what, answer, bitmaps):
    """Compares the summary with the findings and BITMAPS, an answer."""
    summary = answer['summary']
    if summary is None:
        return
    count = {'error': 0, 'warning': 0, 'note': 0}
    for problem in answer['problems']:
        count[problem['severity']] += problem.get('suppressed', 1)
    same(what + ': counts', [summary['errors'], summary['warnings'],
                             summary['notes']], list(count.values()))

    if summary['bitmaps'] is None and answer['error'] is not None:
        return
    bitmaps = bitmaps['bitmaps']
    if bitmaps is None or summary['bitmaps'] is None:
        same(what + ': known bitmaps', summary['bitmaps'], bitmaps)
        return
    states = [bitmap['state'] for bitmap in bitmaps]
    same(what + ': states', summary['bitmaps'],
         {state: states.count(state.replace('_', '-')) for state in STATES})


def without_headings(text):
    return ''.join(line for line in text.splitlines(True)
                   if not line.startswith('Bitmap table '))


# The values, read from the bytes of the image.


class Lenient(interop.Image):
    """Reads the structures before the damage in a damaged image."""

    def __init__(self, path):
        self.open(path)
        self.header = self.read_header()
        self.sound = True
        self.extensions = []
        bits = self.header['cluster_bits']
        backing = self.header['backing_file_offset']
        if 9 <= bits <= 30:
            self.cluster = 1 << bits
            if backing != 0:
                self.sound = (self.header['header_length'] <= backing
                              <= self.cluster)
            try:
                for extension in self.read_extensions():
                    self.extensions.append(extension)
            except interop.Damage:
                self.sound = False

    def close(self):
        self.file.close()


def compare_header(what, header, image):
    for key, value in image.header.items():
        same('%s: %s' % (what, key), header[key], value)
    bits = image.header['cluster_bits']
    if 9 <= bits <= 30:
        same(what + ': cluster_size', header['cluster_size'], 1 << bits)
    if image.header['refcount_order'] <= 6:
        same(what + ': refcount_bits', header['refcount_bits'],
             1 << image.header['refcount_order'])
    else:
        same(what + ': refcount_bits', header['refcount_bits'], None)
    for key, labels in (('crypt_method', interop.CRYPT),
                        ('compression_type', interop.COMPRESSION)):
        value = image.header[key]
        same('%s: %s_name' % (what, key), header[key + '_name'],
             labels[value] if value < len(labels) else None)


def compare_extension(what, extension, offset, magic, data):
    same(what + ': magic', extension['magic'], magic)
    same(what + ': file_offset', extension['file_offset'], offset)
    same(what + ': length', extension['length'], len(data))
    same(what + ': name', extension['name'],
         interop.EXTENSIONS.get(magic, '<unknown>'))
    if 'data' in extension:
        shown = interop.quote(data)
        if shown.startswith("'"):
            same(what + ': data', extension['data'], data.decode())
        else:
            same(what + ': data_hex', extension['data_hex'], shown)
    elif magic == interop.FEATURE_TABLE:
        rows = [(data[i], data[i + 1],
                 data[i + 2:i + 48].split(b'\0')[0].hex())
                for i in range(0, len(data) // 48 * 48, 48)]
        kinds = dict(enumerate(interop.FEATURE_KINDS))
        same(what + ': features',
             [(row['type'], row['bit'], bytes_of(row, 'name').hex())
              for row in extension['features']],
             [(kinds.get(kind, kind), bit, name) for kind, bit, name in rows])
    elif magic == interop.CRYPTO_HEADER and len(data) == 16:
        same(what, (extension['crypto_header_offset'],
                    extension['crypto_header_length']),
             struct.unpack('>QQ', data))
    elif magic == interop.BITMAPS and len(data) == 24:
        same(what, tuple(extension[key] for key in
                         ('nb_bitmaps', 'reserved32', 'bitmap_directory_size',
                          'bitmap_directory_offset')),
             struct.unpack('>IIQQ', data))


def compare_bitmap(what, ours, image, bitmap):
    for key, value in bitmap.items():
        if key == 'name':
            same(what + ': name', bytes_of(ours, 'name'), value)
        elif key in ours:
            same('%s: %s' % (what, key), ours[key], value)
    rows = list(image.table(bitmap))
    kinds = [kind for kind, _, _ in rows]
    # A table that was shown for another bitmap is not repeated.
    if 'bitmap_table' in ours and ours['bitmap_table_of'] is None:
        same(what + ': table', [(row['type'], row['offset'], row['size'],
                                 row['reserved'])
                                for row in ours['bitmap_table'] or []],
             [row + (0,) for row in rows])
    if 'granularity' not in ours:
        return
    same(what + ': granularity', ours['granularity'],
         1 << bitmap['granularity_bits'])
    same(what + ': table_entries', ours['table_entries'],
         {'serialized': kinds.count('serialized'),
          'all_ones': kinds.count('all-ones'),
          'all_zeroes': kinds.count('all-zeroes'), 'reserved': 0})
    same(what + ': disk_bytes', ours['disk_bytes'],
         image.cluster * (interop.ceil_div(8 * len(rows), image.cluster)
                          + kinds.count('serialized')))
    same(what + ': dirty_bytes', ours['dirty_bytes'], None)
    same(what + ': file_offset', ours['file_offset'], bitmap['file_offset'])


def compare_values(what, answer, path):
    try:
        image = Lenient(path)
    except interop.Damage:
        return
    if answer.get('header') is not None:
        compare_header(what, answer['header'], image)
    if answer.get('extensions') is not None:
        for ours, its in zip(answer['extensions'], image.extensions):
            compare_extension(what, ours, *its)
        if image.sound:
            same(what + ': how many extensions', len(answer['extensions']),
                 len(image.extensions))
    bitmaps = answer.get('bitmaps', answer.get('bitmap_tables'))
    is_clean = not any(problem['severity'] == 'error'
                       for problem in answer['problems'])
    # Damaged images are compared only with their text.
    if bitmaps is not None and is_clean and image.sound:
        try:
            its = image.bitmaps()
        except interop.Damage:
            return
        same(what + ': how many bitmaps', len(bitmaps), len(its))
        for index, (ours, bitmap) in enumerate(zip(bitmaps, its)):
            same(what + ': index', ours['index'], index)
            compare_bitmap('%s: bitmap %d' % (what, index), ours, image,
                           bitmap)
            if 'state' in ours:
                same(what + ': state', ours['state'], image.state(bitmap))
    image.close()


# Answers, and the output that belongs to them.


def expected_status(answer):
    errors = [problem for problem in answer['problems']
              if problem['severity'] == 'error']
    found = {2} if errors else set()
    if answer['error'] is not None:
        found.add(STATUS_OF_ERROR[answer['error']['code']])
    return next((status for status in (1, 2, 3) if status in found), 0)


def check_problems(what, answer):
    count = {}
    rest = set()
    for problem in answer['problems']:
        kind = problem['rule'], problem['severity']
        if 'suppressed' in problem:
            if kind in rest or count.get(kind) != 100:
                differ(what + ': suppressed', problem, count.get(kind))
            rest.add(kind)
            continue
        count[kind] = count.get(kind, 0) + 1
        if kind in rest or count[kind] > 100:
            differ(what + ': more than 100 of', kind)


def check_null(what, answer, size):
    """null stands for unknown values, and for nothing else."""
    known = answer['error'] is None and expected_status(answer) == 0
    for key in ('header', 'extensions', 'bitmaps', 'bitmap_tables', 'table',
                'snapshots', 'summary'):
        if known and key in answer and answer[key] is None:
            differ(what + ': null without a reason', key)
    for bitmap in answer.get('bitmaps') or answer.get('bitmap_tables') or []:
        if bitmap.get('bitmap_table') == [] and bitmap['bitmap_table_size'] \
                and answer['error'] is None \
                and bitmap['bitmap_table_offset'] + 8 > size:
            differ(what + ': [] for a table that is not in the file', bitmap)


def is_compact(line):
    """Returns whether there is no space between strings."""
    outside = ''.join(part for i, part in enumerate(
        line.replace('\\\\', '').replace('\\"', '').split('"'))
        if i % 2 == 0)
    return ' ' not in outside


def run_text(words, paths):
    """Runs a command with text output for several images.  Returns the status,
    and the texts and the messages by path."""
    status, text, messages = run(*words, *paths)
    parts = re.split(rb'\n?^image: (.+)\n', text, flags=re.MULTILINE)
    same('text before the first image', parts[0], b'')
    by_path = {}
    for line in messages.splitlines(True):
        path = line.split(b': ')[1].decode()
        by_path[path] = by_path.get(path, b'') + line
    same('unknown images', (by_path.keys() | set(map(bytes.decode,
                                                     parts[1::2])))
         - set(paths), set())
    return status, {path.decode(): part for path, part in
                    zip(parts[1::2], parts[2::2])}, by_path


def answers_of(command, paths):
    """Returns the answers of COMMAND about several images, or None for each if
    there is no command."""
    if command is None:
        return [None] * len(paths)
    _, lines, _ = run(command, '--output=jsonl', *paths)
    return [DECODER.decode(line.decode()) for line in lines.splitlines()]


def check_command(schema, command, paths):
    words = command.split()
    kind = words[0]

    _, lines, _ = run(*words, '--output=jsonl', *paths)
    lines = lines.split(b'\n')
    same('how many lines', len(lines), len(paths) + 1)
    status, texts, messages_of = run_text(words, paths)
    # Other answers about each image.
    others = answers_of({'header': 'extensions', 'check': 'bitmaps'}.get(kind),
                        paths)
    statuses = set()
    n_loose = 0 # one example is enough
    for i, (path, data) in enumerate(zip(paths, lines)):
        what = '%s %s' % (command, os.path.basename(path))
        answer = parse(what, data + b'\n')
        same(what + ': filename', answer['filename'], path)
        schema.check(what, answer)
        check_problems(what, answer)
        check_null(what, answer, os.path.getsize(path))
        if n_loose == 0 and not is_compact(data[:LONG].decode('utf-8',
                                                              'replace')):
            n_loose += 1
            differ(what + ': spaces in a line', data[:300])

        expected = expected_status(answer)
        statuses.add(expected)
        text, messages = texts.get(path, b''), messages_of.get(path, b'')
        # Findings are the output of check, not messages.
        same(what + ': messages', messages != b'',
             answer['error'] is not None if kind == 'check' else expected != 0)
        if len(data) > LONG:
            continue

        # A document has a different layout from a line, but the same contents.
        if i % 4 == 0:
            json_status, document, json_messages = run(
                *words, '--output=json', path)
            same(what + ': json', parse(what, document), answer)
            same(what + ': json status', json_status, expected)
            same(what + ': json messages', json_messages, messages)
        compare_values(what, answer, path)
        if kind == 'check':
            compare_check_text(what, answer, text.decode())
            compare_summary(what, answer, others[i])
        elif kind == 'table':
            compare_table_text(what, answer, text.decode())
        elif '--long' not in words and answer.keys() & IN_TEXT:
            same(what + ': text', without_headings(text.decode()),
                 text_of(answer, own_names(others[i] or answer)))
    same('status', status, next((worst for worst in (1, 2, 3)
                                 if worst in statuses), 0))


def check_corpus(schema_path, step, seed, commands, *paths):
    global collected
    schemas = {}
    step, seed = int(step), int(seed)
    for turn, command in enumerate(commands.splitlines()):
        kind = command.split()[0]
        if kind not in schemas:
            schemas[kind] = Schema(schema_path, kind)
        collected = []
        check_command(schemas[kind], command, paths[(seed + turn) % step::step])
        report('every image: ' + command)
    # They are in the results.
    sys.exit(0)


def check_lines(schema_path, kind):
    schema = Schema(schema_path, kind)
    data = sys.stdin.buffer.read()
    if data and not data.endswith(b'\n'):
        differ('the last line has no newline', data[-40:])
    for i, line in enumerate(data.split(b'\n')[:-1]):
        answer = parse('line %d' % i, line + b'\n')
        schema.check('line %d' % i, answer)
        check_problems('line %d' % i, answer)


def report(name):
    """Prints the result NAME, with what was collected."""
    print(name, '; '.join(collected[:5]).replace('\n', ' '), sep='\t')


def check_answers(schema_path):
    global collected
    schemas = {}
    for line in sys.stdin:
        name, kind, path = line.rstrip('\n').split('\t')
        collected = []
        if kind not in schemas:
            schemas[kind] = Schema(schema_path, kind)
        try:
            with open(path, 'rb') as file:
                answer = parse('document', file.read())
            if kind in MAPS or isinstance(answer, list):
                schemas[kind].validate('document', answer)
            else:
                schemas[kind].check('document', answer)
                check_problems('document', answer)
        except ValueError as error:
            differ('not JSON', error)
        report(name)
    # They are in the results.
    sys.exit(0)


def check_refusals(schema_path):
    """Each line of standard input is a name, a tab and a document that the
    schema must reject.  Prints a line for each, for results () of lib.sh."""
    schema = Schema(schema_path, 'any')
    for line in sys.stdin:
        name, text = line.rstrip('\n').split('\t')
        document = json.loads(text)
        is_valid = schema.validator.is_valid(document)
        print(name + ('\tit is taken' if is_valid else ''))


def check_rules(schema_path):
    rules = parse('rules', sys.stdin.buffer.read())
    Schema(schema_path, 'rules').validate('rules', rules)


def check_schema(schema_path):
    import jsonschema

    with open(schema_path, encoding='utf-8') as file:
        jsonschema.Draft202012Validator.check_schema(json.load(file))


def check_info(schema_path):
    schemas = {kind: Schema(schema_path, kind)
               for kind in ('info', 'unread-info')}
    for line in sys.stdin.buffer:
        answer = parse('info', line)
        kind = 'unread-info' if 'error' in answer else 'info'
        schemas[kind].validate(answer['filename'], thin(answer))


def check_stream(*paths):
    patience = 60 if SLOW else 10
    with subprocess.Popen(TOOL + ['header', '--output=jsonl',
                                  '--files-from=-'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        for i, path in enumerate(paths):
            process.stdin.write(os.fsencode(path) + b'\n')
            process.stdin.flush()
            if not select.select([process.stdout], [], [], patience)[0]:
                differ('no answer yet about image', i)
                break
            data = os.read(process.stdout.fileno(), 1 << 16)
            answer = parse('answer %d' % i, data)
            same('answer', answer['filename'], path)
        process.stdin.close()
        process.stdout.read()


def peak(arguments, names):
    """Returns the peak memory of TOOL in KiB, measured in a separate
    process."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        subprocess.run(TOOL + arguments, input=names, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        os.write(writer, b'%d' % usage.ru_maxrss)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, 'rb') as file:
        return int(file.read())


def check_memory(image, few, many):
    arguments = ['dump', '--output=jsonl', '--files-from=-']
    name = os.fsencode(image) + b'\n'
    least = peak(arguments, name * int(few))
    most = peak(arguments, name * int(many))
    # This allows for pages that happen to be used, but not for a list.
    if most > least + 512:
        differ('KiB for %s and %s images' % (few, many), least, most)


# QEMU's layouts, by their description alone.

HEX_FIELDS = ['magic', 'backing_file_offset', 'backing_file_size',
              'l1_table_offset', 'refcount_table_offset', 'snapshot_offset']
MASK_FIELDS = ['incompatible_features', 'compatible_features',
               'autoclear_features']
HEADER_NAMES = [
    'magic', 'version', 'backing_file_offset', 'backing_file_size',
    'cluster_bits', 'size', 'crypt_method', 'l1_size', 'l1_table_offset',
    'refcount_table_offset', 'refcount_table_clusters', 'nb_snapshots',
    'snapshot_offset'] + MASK_FIELDS + ['refcount_order', 'header_length']
BITMAP_NAMES = ['bitmap_table_offset', 'bitmap_table_size', 'flags', 'type',
                'granularity_bits', 'name_size', 'extra_data_size']
PRINTABLE = frozenset(range(0x20, 0x7F)) | frozenset(b'\t\n\r\v\f')

# Longer output is left to the other tests.
MOST_ENTRIES = 1 << 17
MOST_BITMAPS = 2000


class Incomplete(Exception):
    """There is no complete dump, or no documented one."""


class Model:
    def __init__(self, path):
        self.path = path
        with open(path, 'rb') as file:
            self.file = file
            self.size = os.fstat(file.fileno()).st_size
            self.read_header()
            self.extensions = list(self.read_extensions())

    def read(self, offset, length):
        if offset + length > self.size:
            raise Incomplete
        return os.pread(self.file.fileno(), length, offset)

    def read_header(self):
        values = struct.unpack('>IIQIIQIIQQIIQ', self.read(0, 72))
        version = values[1]
        if values[0] != 0x514649FB or version not in (2, 3):
            raise Incomplete
        more = (0, 0, 0, 4, 72)
        if version == 3:
            more = struct.unpack('>QQQII', self.read(72, 32))
        self.header = dict(zip(HEADER_NAMES, values + more))
        if not 9 <= self.header['cluster_bits'] <= 21 \
                or self.header['header_length'] < 72:
            raise Incomplete
        self.cluster = 1 << self.header['cluster_bits']

    def read_extensions(self):
        offset = self.header['header_length']
        end = self.header['backing_file_offset'] or self.cluster
        if offset % 8 != 0 or offset > end or end > self.cluster \
                or self.header['version'] == 3 and offset < 104:
            raise Incomplete
        while offset < end:
            if end - offset < 8:
                raise Incomplete
            magic, length = struct.unpack('>II', self.read(offset, 8))
            if magic == 0:
                if length > end - offset - 8:
                    raise Incomplete
                return
            if length > end - offset - 8:
                raise Incomplete
            data = self.read(offset + 8, length)
            if magic == 0x23852875 and length != 24:
                raise Incomplete
            yield magic, data
            offset += 8 + (length + 7) // 8 * 8

    def bitmaps(self, data):
        count, _, _, offset = struct.unpack('>IIQQ', data)
        if count > MOST_BITMAPS:
            raise Incomplete
        for _ in range(count):
            values = struct.unpack('>QIIBBHI', self.read(offset, 24))
            bitmap = dict(zip(BITMAP_NAMES, values))
            start = offset + 24 + bitmap['extra_data_size']
            name = self.read(start, bitmap['name_size'])
            # Characters that would forge lines or move the cursor are not
            # printed.
            if any(not 0x20 <= byte <= 0x7E for byte in name):
                raise Incomplete
            yield name.decode('ascii'), bitmap, list(self.rows(bitmap))
            offset = start + bitmap['name_size']
            offset += -offset % 8

    def rows(self, bitmap):
        count = bitmap['bitmap_table_size']
        if count > MOST_ENTRIES:
            raise Incomplete
        data = self.read(bitmap['bitmap_table_offset'], 8 * count)
        for entry, in struct.iter_unpack('>Q', data):
            offset = entry & 0x00FFFFFFFFFFFE00
            kind = ['all-zeroes', 'all-ones'][entry & 1]
            if offset != 0:
                kind = ['serialized', 'invalid'][entry & 1]
            yield kind, offset, entry & 0xFF000000000001FE


def model_name(magic):
    return {0xE2792ACA: 'Backing format', 0x6803F857: 'Feature table',
            0x0537BE77: 'Crypto header', 0x23852875: 'Bitmaps',
            0x44415441: 'Data file'}.get(magic, '<unknown>')


def model_data(data):
    if all(byte in PRINTABLE for byte in data):
        return "'%s'" % data.decode('ascii')
    return '<binary>'


def bits(value):
    return [bit for bit in range(64) if value >> bit & 1]


def model_header_text(model):
    text = ''
    for name in HEADER_NAMES:
        value = model.header[name]
        if name in HEX_FIELDS:
            value = '0x%x' % value
        elif name in MASK_FIELDS:
            value = bits(value)
        text += '%-25s %s\n' % (name, value)
    return text + '\n'


def model_bitmap_text(model, name, bitmap, rows):
    text = '\n%-25s %s\n' % ('Bitmap name', name)
    for key in BITMAP_NAMES:
        value = bitmap[key]
        if key == 'bitmap_table_offset':
            value = '0x%x' % value
        elif key == 'flags':
            value = '0x%x (%s)' % (value, [
                {0: 'in-use', 1: 'auto'}.get(bit, 'bit-%d' % bit)
                for bit in bits(value)])
        text += '%-25s %s\n' % (key, value)
    text += '%-14s %-15s %-12s %s\n' % ('Bitmap table', 'type', 'size',
                                        'offset')
    for i, (kind, offset, _) in enumerate(rows):
        size = model.cluster if kind == 'serialized' else 0
        text += '%-14s %-15s %-12s %s\n' % (i, kind, size, offset)
    return text


def model_extensions_text(model):
    text = ''
    for magic, data in model.extensions:
        text += 'Header extension:\n'
        text += '%-25s 0x%x (%s)\n' % ('magic', magic, model_name(magic))
        text += '%-25s %d\n' % ('length', len(data))
        if magic != 0x23852875:
            text += '%-25s %s\n' % ('data', model_data(data))
        else:
            count, reserved, size, offset = struct.unpack('>IIQQ', data)
            text += '%-25s %d\n' % ('nb_bitmaps', count)
            text += '%-25s %d\n' % ('reserved32', reserved)
            text += '%-25s 0x%x\n' % ('bitmap_directory_size', size)
            text += '%-25s 0x%x\n' % ('bitmap_directory_offset', offset)
            for bitmap in model.bitmaps(data):
                text += model_bitmap_text(model, *bitmap)
        text += '\n'
    return text


def model_extensions_json(model):
    values = []
    for magic, data in model.extensions:
        value = {'name': model_name(magic), 'magic': magic,
                 'length': len(data)}
        if magic != 0x23852875:
            value['data_str'] = model_data(data)
        else:
            fields = zip(['nb_bitmaps', 'reserved32', 'bitmap_directory_size',
                          'bitmap_directory_offset'],
                         struct.unpack('>IIQQ', data))
            value['data'] = dict(fields)
            value['data']['bitmap_directory'] = [
                {'name': name, **bitmap, 'bitmap_table': [
                    {'type': kind, 'offset': offset, 'reserved': reserved}
                    for kind, offset, reserved in rows]}
                for name, bitmap, rows in model.bitmaps(data)]
        values.append(value)
    return json.dumps(values, indent=4) + '\n'


def model_outputs(path):
    model = Model(path)
    with open(path, 'rb') as model.file:
        text = model_extensions_text(model)
        values = model_extensions_json(model)
    return {
        'dump-header': model_header_text(model) + text,
        'dump-header-exts': text,
        'dump-header -j': json.dumps(model.header, indent=4) + '\n\n' + values,
        'dump-header-exts -j': values,
    }


def check_documents(what, command, text):
    """TEXT is complete JSON even if the image is not complete."""
    n_documents = {'dump-header -j': 2, 'dump-header-exts -j': 1}[command]
    try:
        text.encode('ascii')
        for _ in range(n_documents):
            text = text.lstrip()
            _, end = DECODER.raw_decode(text)
            text = text[end:]
        same(what + ': the rest', text, '\n')
    except ValueError as error:
        differ(what + ': not JSON', error, text[:200])


def check_qemu_dump(*paths):
    n_complete = 0
    for index, path in enumerate(paths):
        try:
            expected = model_outputs(path)
            n_complete += 1
        except Incomplete:
            expected = {}
        for command in (('dump-header', 'dump-header-exts -j'),
                        ('dump-header-exts', 'dump-header -j'))[index % 2]:
            what = '%s %s' % (command, os.path.basename(path))
            status, output, messages = run(*command.split(), path)
            text = output.decode('utf-8')
            if command in expected:
                same(what, text, expected[command])
                same(what + ': status and messages', (status, messages),
                     (0, b''))
            elif status not in (0, 1, 2) or (messages != b'') != (status != 0):
                differ(what + ': status and messages', status, messages)
            # Without a header there is no output.
            if status == 1:
                same(what + ': output', text, '')
            elif command.endswith('-j'):
                check_documents(what, command, text)
    print('%d of %d images can be dumped' % (n_complete, len(paths)))
    if n_complete == 0:
        differ('no image can be dumped', len(paths))


COMMANDS = {'lines': check_lines, 'answers': check_answers,
            'refusals': check_refusals, 'rules': check_rules,
            'schema': check_schema, 'info': check_info, 'corpus': check_corpus,
            'stream': check_stream, 'memory': check_memory,
            'qemu-dump': check_qemu_dump}

if __name__ == '__main__':
    COMMANDS[sys.argv[1]](*sys.argv[2:])
    if n_differences > 20:
        print('... and %d more' % (n_differences - 20))
    sys.exit(n_differences > 0)
