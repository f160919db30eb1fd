#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Replaces QEMU's qcow2.py, as a program and as a module.

  qcow2.py [-j] IMAGE dump-header
  qcow2.py [-j] IMAGE dump-header-exts
  qcow2.py IMAGE set-header FIELD VALUE
  qcow2.py IMAGE add-header-ext MAGIC DATA
  qcow2.py IMAGE add-header-ext-stdio MAGIC
  qcow2.py IMAGE del-header-ext MAGIC
  qcow2.py IMAGE set-feature-bit GROUP BIT

-j may be anywhere.  Runs $QCOW2TOOL, or the qcow2tool in PATH, with --force:
images for tests are broken on purpose.  After an edit that was interrupted,
there may be a file IMAGE.*.plan, which "qcow2tool apply" completes or undoes.

The module has the class QcowHeader, which reads the header of an image that is
open, and writes it with update ().
"""

import os
import shlex
import struct
import subprocess
import sys

# The fields of the header, and their formats in struct.
V2_FIELDS = (('magic', 'I'), ('version', 'I'), ('backing_file_offset', 'Q'),
             ('backing_file_size', 'I'), ('cluster_bits', 'I'), ('size', 'Q'),
             ('crypt_method', 'I'), ('l1_size', 'I'), ('l1_table_offset', 'Q'),
             ('refcount_table_offset', 'Q'), ('refcount_table_clusters', 'I'),
             ('nb_snapshots', 'I'), ('snapshot_offset', 'Q'))
V3_FIELDS = (('incompatible_features', 'Q'), ('compatible_features', 'Q'),
             ('autoclear_features', 'Q'), ('refcount_order', 'I'),
             ('header_length', 'I'))
FIELDS = V2_FIELDS + V3_FIELDS
V2_SIZE = 72
V3_SIZE = 104

# Exit statuses of an edit.
REFUSED = 2
NOT_FOUND = 3

# The terminator of the extensions: magic and length are 0.
TERMINATOR = bytes(8)


def pad(data):
    return data + bytes(-len(data) % 8)


class QcowHeaderExtension:
    """A header extension: its magic, its length and its data."""

    def __init__(self, magic, length, data):
        self.magic = magic
        self.length = length
        self.data = data

    def stored(self):
        """Returns the bytes of the extension on disk, padding included."""
        return (struct.pack('>II', self.magic, self.length)
                + pad(self.data[:self.length]))


class QcowHeader:
    """The header of the image that is open as FD, a binary file.

    Each field is an attribute; so are cluster_size, backing_file, which is
    bytes or None, and extensions, a list."""

    def __init__(self, fd):
        fd.seek(0)
        head = fd.read(V3_SIZE)
        if len(head) < V2_SIZE:
            raise ValueError('the header is truncated')
        self.incompatible_features = 0
        self.compatible_features = 0
        self.autoclear_features = 0
        self.refcount_order = 4
        self.header_length = V2_SIZE
        self._decode(V2_FIELDS, head)
        if self.version >= 3:
            self._decode(V3_FIELDS, head[V2_SIZE:])
        self.cluster_size = 1 << self.cluster_bits
        self.backing_file = None
        if self.backing_file_offset != 0:
            fd.seek(self.backing_file_offset)
            self.backing_file = fd.read(self.backing_file_size)
        # The bytes on disk, so that only changed ones are written.
        self._start = self.header_length
        self._end = self._start
        self._name = (self.backing_file_offset, self.backing_file or b'')
        self.extensions = self._read_extensions(fd)
        self._stored = self._encode_extensions()

    def _decode(self, fields, data):
        layout = '>' + ''.join(kind for _, kind in fields)
        values = struct.unpack_from(layout, data)
        for (name, _), value in zip(fields, values):
            setattr(self, name, value)

    def _encode(self):
        fields = V2_FIELDS if self.version == 2 else FIELDS
        return struct.pack('>' + ''.join(kind for _, kind in fields),
                           *(getattr(self, name) for name, _ in fields))

    def _read_extensions(self, fd):
        end = self.cluster_size
        if self._start <= self.backing_file_offset < end:
            end = self.backing_file_offset
        found = []
        while self._end + 8 <= end:
            fd.seek(self._end)
            magic, length = struct.unpack('>II', fd.read(8).ljust(8, b'\0'))
            if magic == 0:
                self._end += 8
                break
            if length > end - self._end - 8:
                break
            found.append(QcowHeaderExtension(magic, length, fd.read(length)))
            self._end = min(end, self._end + 8 + length + -length % 8)
        return found

    def _encode_extensions(self):
        return b''.join(e.stored() for e in self.extensions)

    def update(self, fd):
        """Writes the header to FD and, if they have changed, the extensions
        and the backing file name.  Raises an exception, and writes nothing, if
        they do not fit into the first cluster."""
        stored = self._encode_extensions()
        name = self.backing_file
        if stored != self._stored or (name or b'') != self._name[1]:
            area = stored + TERMINATOR + (name or b'')
            if self._start + len(area) > self.cluster_size:
                raise ValueError('the extensions do not fit')
            self.backing_file_offset = 0
            if name is not None:
                self.backing_file_offset = (self._start + len(stored)
                                            + len(TERMINATOR))
            old_end = max(self._end, self._name[0] + len(self._name[1]))
            fd.seek(self._start)
            fd.write(area.ljust(old_end - self._start, b'\0'))
            self._end = self._start + len(stored) + len(TERMINATOR)
            self._name = (self.backing_file_offset, name or b'')
            self._stored = stored
        header = self._encode()
        fd.seek(0)
        fd.write(header)
        fd.flush()


def fail(message):
    sys.exit('qcow2.py: ' + message)


def number(text, limit):
    """Returns the number TEXT, as Python writes numbers, below LIMIT."""
    try:
        value = int(text, 0)
    except ValueError:
        fail("'%s' is not a number" % ascii(text)[1:-1])
    if not 0 <= value < limit:
        fail('%s is out of range' % text)
    return '%d' % value


def check_ascii(text):
    try:
        return text.encode('ascii')
    except UnicodeError:
        fail('the data are not ASCII')


def get_tool():
    return shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))


def run(command, options, operands, data):
    try:
        return subprocess.run(
            get_tool() + [command, '--force', *options, '--', *operands],
            input=data, stderr=subprocess.PIPE, check=False)
    except OSError as error:
        fail('%s: %s' % (get_tool()[0], error.strerror))


def edit(command, image, *operands, data=None):
    """Runs an edit, and returns its status, after its messages if it failed.

    An edit that a power failure could leave half done needs a saved plan.
    The plan is deleted when the edit is done."""
    result = run(command, [], [image, *operands], data)
    if result.returncode == REFUSED:
        plan = '%s.%d.plan' % (image, os.getpid())
        result = run(command, ['--save-plan=' + plan], [image, *operands],
                     data)
        if result.returncode == 0:
            os.unlink(plan)
    if (result.returncode != 0
            and (command, result.returncode) != ('del-header-ext', NOT_FOUND)):
        sys.stderr.buffer.write(result.stderr)
    return result.returncode


def dump(command, image, as_json):
    tool = get_tool()
    options = ['-j'] if as_json else []
    try:
        os.execvp(tool[0], tool + [command] + options + ['--', image])
    except OSError as error:
        fail('%s: %s' % (tool[0], error.strerror))


def set_header(image, name, value):
    if name not in (field for field, _ in FIELDS):
        fail("'%s' is not a known header field" % ascii(name)[1:-1])
    sizes = {'I': 1 << 32, 'Q': 1 << 64}
    value = number(value, sizes[dict(FIELDS)[name]])
    return edit('set-header', image, name, value)


def add_header_ext(image, magic, data):
    check_ascii(data)
    return edit('add-header-ext', image, number(magic, 1 << 32), data)


def add_header_ext_stdio(image, magic):
    magic = number(magic, 1 << 32)
    return edit('add-header-ext-stdio', image, magic,
                data=check_ascii(sys.stdin.read()))


def del_header_ext(image, magic):
    status = edit('del-header-ext', image, number(magic, 1 << 32))
    if status == NOT_FOUND:
        print('No such header extension')
        return 0
    return status


def set_feature_bit(image, group, bit):
    if group not in ('incompatible', 'compatible', 'autoclear'):
        fail("'%s' is not one of incompatible, compatible and autoclear"
             % ascii(group)[1:-1])
    return edit('set-feature-bit', image, group, number(bit, 64))


EDITS = {'set-header': (set_header, 2), 'add-header-ext': (add_header_ext, 2),
         'add-header-ext-stdio': (add_header_ext_stdio, 1),
         'del-header-ext': (del_header_ext, 1),
         'set-feature-bit': (set_feature_bit, 2)}


def main(words):
    as_json = '-j' in words
    if as_json:
        words.remove('-j')
    if len(words) < 2:
        sys.exit(__doc__.strip())
    image, command, *operands = words
    if command in ('dump-header', 'dump-header-exts') and not operands:
        dump(command, image, as_json)
    if command in EDITS and len(operands) == EDITS[command][1]:
        if EDITS[command][0](image, *operands) != 0:
            sys.exit(1)
        return
    if command in EDITS or command.startswith('dump-header'):
        sys.exit(__doc__.strip())
    print("Unknown command '%s'" % ascii(command)[1:-1])


if __name__ == '__main__':
    main(sys.argv[1:])
