#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of interop-info.sh.

  interop-info.py SEED N    makes N images with qemu-img, changes some of them
                            by hand, and compares the output of info with that
                            of qemu-img info; prints a line per kind of image

JSON must be equal, and from QEMU 7.2, whose layout it has, byte for byte.
Text must be that of QEMU 7.2, except for escapes.  Additions of later versions
about the file is compared with info --children.  If qemu-img refuses an image,
its message must be that of info.  The images depend only on SEED.
"""

import json
import os
import random
import re
import struct
import subprocess
import sys

from qemu_version import get_version

TOOL = os.environ.get('QCOW2TOOL', '').split()

SECRET = ('--object', 'secret,id=s,data=open')
PATH = 'random.qcow2'

# Kinds of images, and the options of qemu-img create.
KINDS = [
    ('plain', ''),
    ('version 2', 'compat=0.10'),
    ('lazy refcounts', 'lazy_refcounts=on'),
    ('extended L2', 'extended_l2=on'),
    ('zstd', 'compression_type=zstd'),
    ('metadata', 'preallocation=metadata'),
    ('falloc', 'preallocation=falloc'),
    ('data file', 'data_file=data.raw'),
    ('raw data file', 'data_file=data.raw,data_file_raw=on'),
    ('AES', 'encrypt.format=aes,encrypt.key-secret=s'),
    ('LUKS', 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10'),
    ('bitmaps', ''),
    ('snapshots', ''),
    ('version 2, snapshots', 'compat=0.10'),
    ('backing file', ''),
    ('backing file without format', ''),
    ('version 2, backing file', 'compat=0.10'),
    ('damaged', ''),
    ('damaged bitmaps', ''),
    ('damaged LUKS',
     'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10'),
]

# Kinds with random damage.
DAMAGED = ('damaged bitmaps', 'damaged LUKS')

CIPHERS = ['aes-128', 'aes-256', 'serpent-256', 'twofish-128']
MODES = ['xts:plain64', 'cbc:plain', 'cbc:essiv:sha256', 'ctr:plain64']
HASHES = ['sha1', 'sha256', 'sha512']

# Names in an image, without a NUL.
NAMES = [b'a', b'b0', b'a name with spaces', b'n' * 40, b'\xc3\xa4\xe4\xb8\xad',
         b'\x1b[31mred', b'a\nb', b'tab\there', b'\x7f\x08', b'back\\slash',
         b'"quotes\'', b'\xff\xfe', b'\xc0\x80', b'\xe2\x80\xae',
         b'\xf0\x9f\x98\x80', b'\xf0\x9f\x98', b'\xed\xa0\x80', b'\xef\xbf\xbf',
         b'\xf8\x88\x80\x80\x80', b'\xc2\x9b', b'/', b'a: b', b'\xc3(',
         b'\xef\xb7\x90', b'\xe2\x82|', b'\xfc\x84\x80\x80\x80\x80', b'$(id)']

BACKING = ['base.qcow2', './base', '../x/base.raw', 'folder/base', '/abs/base',
           'nbd:localhost:10809', 'nbd://host/export', 'file:base.qcow2',
           'json:{"driver":"null-co","size":512}', 'a/b:c', 'a b', 'x' * 500]

FOLDERS = ['', './', 'folder/', 'folder/../', './/folder//', '@/']

ZONES = ['UTC', 'Asia/Kolkata', 'America/New_York', 'Pacific/Chatham',
         'XYZ-3:30']

# Characters that may affect a terminal.
BAD = re.compile('[\0-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e'
                 '\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]')

# Lines that QEMU 7.2 does not print.
LATER = re.compile(rb'^ *detached header: false\n'
                   rb'|^    Format specific information:\n'
                   rb' *extent size hint: \d+\n', re.MULTILINE)


class Failure(Exception):
    pass


def run(*command, **settings):
    return subprocess.run(command, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, env=dict(os.environ, **settings))


def demand(*command):
    done = run(*command)
    if done.returncode != 0:
        raise Failure('%r: %r' % (command, done.stderr))


def escape(name):
    """Returns NAME, bytes, as the program shows it."""
    shown = ''
    for part in re.split(r'([\udc80-\udcff])',
                         name.decode('utf-8', 'surrogateescape')):
        for char in part:
            if char == '\\':
                shown += '\\\\'
            elif char in '\n\t':
                shown += '\\n' if char == '\n' else '\\t'
            elif BAD.match(char) or '\udc80' <= char <= '\udcff':
                shown += ''.join('\\x%02x' % byte for byte in char.encode(
                    'utf-8', 'surrogateescape'))
            else:
                shown += char
    return shown.encode()


class Image:
    """A random image of a KIND."""

    def __init__(self, rng, kind):
        self.rng = rng
        self.name, options = kind
        self.names = []  # with bytes that are escaped
        self.folder = rng.choice(FOLDERS)
        self.path = self.folder.replace('@', os.getcwd()) + PATH
        self.create(options)
        if 'bitmaps' in self.name or (self.is_plain() and rng.random() < 0.2):
            self.add_bitmaps()
        if 'snapshots' in self.name or rng.random() < 0.1:
            self.add_snapshots()
        if 'without format' in self.name:
            self.hide_backing_format()
        if 'version 2' not in self.name and rng.random() < 0.2:
            self.set_bits(79, rng.randrange(4))
        if rng.random() < 0.1:
            self.change_size()
        if self.name == 'damaged':
            self.damage()
        if self.name == 'damaged bitmaps':
            self.damage_directory()
        if self.name == 'damaged LUKS':
            self.damage_luks()

    def is_plain(self):
        return self.name in ('plain', 'lazy refcounts', 'extended L2', 'zstd')

    def create(self, options):
        rng = self.rng
        words = [options] if options else []
        extended = 'extended L2' in self.name
        bits = rng.randint(14 if extended else 9, 21)
        if 'LUKS' in self.name:
            bits = rng.randint(12, 21)
            mode = rng.choice(MODES).split(':')
            words += ['encrypt.cipher-alg=' + rng.choice(CIPHERS),
                      'encrypt.cipher-mode=' + mode[0],
                      'encrypt.ivgen-alg=' + mode[1],
                      'encrypt.hash-alg=' + rng.choice(HASHES)]
            if len(mode) > 2:
                words += ['encrypt.ivgen-hash-alg=' + mode[2],
                          'encrypt.cipher-alg=aes-256']
        words.append('cluster_size=%d' % (1 << bits))
        if 'version 2' not in self.name:
            words.append('refcount_bits=%d' % (1 << rng.randrange(7)))
        backing = ()
        if 'backing' in self.name:
            name = rng.choice([name for name in BACKING
                               if len(name) < (1 << bits) - 200])
            # A comma ends the value of an option, so this is not in WORDS.
            backing = ('-u', '-b', name,
                       '-F', rng.choice(['raw', 'qcow2', 'vmdk']))
        size = rng.choice([0, 512, 1 << 20, 999 << 20, 1000 << 20,
                           rng.randrange(0, 1 << 27, 512)])
        if 'falloc' in self.name or 'metadata' in self.name:
            size %= 1 << 22
        elif bits > 14 and rng.random() < 0.2:
            size = rng.randrange(0, 1 << 44, 512)
        if os.path.exists(PATH):
            os.unlink(PATH)
        os.makedirs('folder', exist_ok=True)
        demand('qemu-img', 'create', '-q', '-f', 'qcow2', *SECRET, *backing,
               '-o', ','.join(words), PATH, str(size))
        self.cluster = 1 << bits
        if os.path.lexists('folder/' + PATH):
            os.unlink('folder/' + PATH)
        os.link(PATH, 'folder/' + PATH)

    def write(self, offset, data):
        with open(PATH, 'r+b') as file:
            file.seek(offset)
            file.write(data)

    def read(self, offset, length):
        with open(PATH, 'rb') as file:
            file.seek(offset)
            return file.read(length)

    def set_bits(self, offset, bits):
        self.write(offset, bytes([self.read(offset, 1)[0] | bits]))

    def random_name(self, most):
        rng = self.rng
        name = b''.join(rng.choice(NAMES) for _ in range(rng.randint(1, 3)))
        if rng.random() < 0.1:
            name *= 30
        name = name[:most]
        if escape(name) != name:
            # The marks make each name unique in the output.
            mark = b'<%d' % len(self.names)
            name = mark + name[:most - len(mark) - 1] + b'>'
            self.names.append(name)
        return name

    def add_bitmaps(self):
        rng = self.rng
        n = rng.randint(1, 4)
        names = []
        for _ in range(n):
            name = (b'b' * rng.randint(1, 20) if 'damaged' in self.name
                    else self.random_name(200))
            if name in names:
                continue
            names.append(name)
            words = rng.choice([(), ('--disable',),
                                ('-g', str(1 << rng.randint(9, 30)))])
            done = run('qemu-img', 'bitmap', '--add', *words, PATH, name)
            if done.returncode != 0:
                names.remove(name)
        if names and 'damaged' not in self.name and rng.random() < 0.3:
            self.change_bitmaps()

    def change_bitmaps(self):
        """Marks the first bitmap as in use, or all as stale."""
        if self.rng.random() < 0.3:
            self.write(95, bytes([self.read(95, 1)[0] & ~1]))
            return
        head = self.read(0, self.cluster)
        at = head.find(struct.pack('>II', 0x23852875, 24)) + 8
        if at < 8:
            return # QEMU stores no bitmap of a disk without bytes
        directory = struct.unpack('>Q', head[at + 16:at + 24])[0]
        self.set_bits(directory + 15, 1)

    def add_snapshots(self):
        """Writes a snapshot table of its own, in the last cluster."""
        rng = self.rng
        table = b''
        n = rng.randint(1, 3)
        for i in range(n):
            extra = b''.join(
                struct.pack('>Q', rng.choice([0, 1, 999, 1 << 40, 1 << 63,
                                              (1 << 64) - 1,
                                              rng.randrange(1 << 64)]))
                for _ in range(rng.choice([0, 1, 2, 3, 3, 3, 5])))
            # QEMU cuts names after 255 bytes, and ids after 127.
            name = (b'n' * rng.randint(250, 290) if rng.random() < 0.3
                    else self.random_name(300))
            number = rng.choice([b'%d' % (i + 1), b'0123456789', b'x' * 150])
            table += struct.pack(
                '>QIHHIIQII', 0, 0, len(number), len(name),
                rng.randrange(1 << 32), rng.randrange(1 << 32),
                rng.choice([0, 1, rng.randrange(1 << 64),
                            rng.randrange(1 << 45)]),
                rng.randrange(1 << 32), len(extra)) + extra + number + name
            table += bytes(-len(table) % 8)
        end = os.path.getsize(PATH)
        end += -end % self.cluster
        self.write(end, table.ljust(self.cluster, b'\0'))
        self.write(60, struct.pack('>IQ', n, end))

    def hide_backing_format(self):
        """Makes the backing format an extension that QEMU does not know."""
        head = self.read(0, 512)
        at = head.index(b'\xe2\x79\x2a\xca')
        self.write(at, b'\x12\x34\x56\x78')

    def change_size(self):
        size = struct.unpack('>Q', self.read(24, 8))[0]
        if size > 512:
            self.write(24, struct.pack('>Q', size - self.rng.randrange(512)))

    def damage(self):
        """Makes QEMU refuse the image, for one or two reasons."""
        rng = self.rng
        for offset, data in rng.sample([
                (20, struct.pack('>I', rng.choice([0, 8, 22, 63]))),
                (40, b'\xff'), (47, b'\1'), (55, b'\1'),
                (32, b'\0\0\0\3'), (100, b'\0\0\0\x50'),
                (100, b'\0\x80\0\1'), (96, b'\0\0\0\7'),
                (72, b'\x80' + bytes(7)), (74, b'\xff\xff'), (104, b'\2'),
                (56, bytes(4)), (60, b'\xff\0\0\0'), (8, b'\0\0\1'),
                (36, bytes(4))], rng.randint(1, 2)):
            self.write(offset, data)

    def find_extension(self, magic, length):
        """Returns the offset of the data, or 0 if there is none."""
        head = self.read(0, self.cluster)
        at = head.find(struct.pack('>II', magic, length))
        return at + 8 if at >= 0 else 0

    def damage_directory(self):
        """Changes the extension and the entries, where the file has them."""
        rng = self.rng
        at = self.find_extension(0x23852875, 24)
        if at == 0:
            return # QEMU stores no bitmap of a disk without bytes
        size, start = struct.unpack('>QQ', self.read(at + 8, 16))
        entries = []
        offset = start
        while offset < start + size:
            entries.append(offset)
            name_size, = struct.unpack('>H', self.read(offset + 18, 2))
            offset += 24 + name_size + -name_size % 8
        for _ in range(rng.randint(1, 3)):
            offset, data = rng.choice([
                (at + 3, b'\1'), (at + 3, b'\5'), (at + 14, b'\x10'),
                (at + 7, b'\1'), (at + 8, b'\1'), (at + 22, b'\2'),
                (rng.choice(entries) + 24,
                 self.read(rng.choice(entries) + 24, 1)),
                (at + 15, bytes([rng.randrange(256)])),
                (rng.choice(entries) + rng.choice([7, 14, 16, 17, 18, 19, 23]),
                 bytes([rng.randrange(256)])),
                (rng.choice(entries) + 20, b'\x80')])
            self.write(offset, data)

    def damage_luks(self):
        """Changes what QEMU checks without the secret."""
        rng = self.rng
        at = self.find_extension(0x0537be77, 16)
        start, = struct.unpack('>Q', self.read(at, 8))
        for _ in range(rng.randint(1, 3)):
            slot = 208 + 48 * rng.randrange(8)
            offset, number = rng.choice([
                (8, 0x58), (40, 0x78740000), (72, 0x58), (104, 7),
                (108, 0), (108, 17), (108, 0x140),
                (164, 0), (slot, 7), (slot + 4, 0), (slot + 40, 1),
                (slot + 40, 600), (slot + 40, 0x250000), (slot + 44, 4001),
                (slot + 44, 0xffffffff)])
            self.write(start + offset, struct.pack('>I', number))

    def expect_text(self, text):
        """Returns TEXT, that of qemu-img, with escapes in it."""
        for name in self.names:
            for width in (16, 0):
                # QEMU cuts the name of a snapshot here.
                for whole in (name, name[:255]):
                    text = text.replace(whole.ljust(width),
                                        escape(whole).ljust(width))
        return text


def reduce_json(info, with_children):
    """Removes what depends on the file system, and what later versions add."""
    info.pop('limits', None)
    data = info.get('format-specific', {}).get('data', {})
    data.get('encrypt', {}).pop('detached-header', None)
    if not with_children:
        info.pop('children', None)
    for child in info.get('children', []):
        child['info'].get('format-specific', {}).get('data', {}).pop(
            'extent-size-hint', None)
    return info


def compare_json(image, version, theirs, *options):
    ours = run(*TOOL, 'info', '--output=json', *options, image.path)
    if theirs.returncode != 0:
        return compare_refusal(image, version, theirs, ours)
    if image.name in DAMAGED:
        # QEMU may open an image that is damaged.
        return str(json.loads(ours.stdout).get('qemu-refuses', ''))
    if (ours.returncode, ours.stderr) != (0, b''):
        return 'status %d, %r' % (ours.returncode, ours.stderr)
    expected = reduce_json(json.loads(theirs.stdout), bool(options))
    found = json.loads(ours.stdout)
    if expected != found:
        return 'JSON: %r' % [(key, expected.get(key), found.get(key))
                             for key in sorted(expected.keys() | found.keys())
                             if expected.get(key) != found.get(key)]
    if version < (8,) and ours.stdout != theirs.stdout:
        return 'JSON has another layout: %r' % ours.stdout
    return ''


def compare_refusal(image, version, theirs, ours):
    if ours.returncode != 2:
        return 'status %d, not 2' % ours.returncode
    if version >= (8,) and image.name in DAMAGED:
        return '' # later versions have other words
    begin = "qemu-img: Could not open '%s': " % image.path
    message = theirs.stderr.decode('utf-8', 'replace')
    found = json.loads(ours.stdout).get('qemu-refuses')
    if sys.maxsize < 1 << 32 and found == 'Bitmap extra data is not supported':
        return '' # the sums of a QEMU of 32 bits wrap elsewhere
    if image.name in DAMAGED and str(found).endswith(' [BEXT-06]'):
        return '' # of a name that the file cuts off, the words are not known
    # More lines are hints.
    if message.split('\n')[0] != begin + str(found):
        return 'QEMU says %r, not %r' % (message, found)
    text = run(*TOOL, 'info', image.path).stdout.decode()
    if text.split('\n')[-2] != 'qemu refuses: ' + found:
        return 'the last line is %r' % text.split('\n')[-2]
    return ''


def compare_text(image, theirs, zone, *options):
    ours = run(*TOOL, 'info', *options, image.path, TZ=zone)
    expected = image.expect_text(LATER.sub(b'', theirs.stdout))
    # QEMU cuts long names, also within a character.
    expected = expected.decode(errors='backslashreplace').encode()
    if ours.stdout != expected:
        return 'text: %r, not %r' % (ours.stdout, expected)
    return ''


def compare(image, version):
    zone = image.rng.choice(ZONES)
    words = ['info', *image.rng.choice([(), ('-U',)]), '-f', 'qcow2']
    theirs = run('qemu-img', *words, '--output=json', image.path)
    wrong = compare_json(image, version, theirs)
    if version >= (8,) and not wrong:
        wrong = compare_json(image, version, theirs, '--children')
    if wrong or theirs.returncode != 0 or image.name in DAMAGED:
        return wrong
    theirs = run('qemu-img', *words, image.path, TZ=zone)
    if version < (8,):
        return compare_text(image, theirs, zone)
    # Later versions print the list of snapshots in another way.
    if b'\nSnapshot list:\n' in theirs.stdout:
        return ''
    return compare_text(image, theirs, zone, '--children')


def main():
    rng = random.Random(sys.argv[1])
    n = int(sys.argv[2])
    version = get_version()
    wrong = {name: [] for name, _ in KINDS}
    counts = dict.fromkeys(wrong, 0)
    for i in range(n):
        kind = KINDS[i % len(KINDS)]
        seed = rng.randrange(1 << 32)
        try:
            image = Image(random.Random(seed), kind)
        except Failure as failure:
            # The time that a key takes cannot be measured on a busy machine.
            if 'CPU usage' not in str(failure) \
                    and 'not supported' not in str(failure):
                wrong[kind[0]].append(str(failure))
            continue
        counts[kind[0]] += 1
        difference = compare(image, version)
        if difference:
            wrong[kind[0]].append('image %d: %s' % (i, difference))
    for name, differences in wrong.items():
        print('%s (%d)' % (name, counts[name]),
              ascii('; '.join(differences[:3]))[1:-1], sep='\t')


if __name__ == '__main__':
    main()
