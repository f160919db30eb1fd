#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of interop-map.sh.

  random SEED                makes images with QEMU's programs and compares the
                             output of bitmap-map for each bitmap with that of
                             nbdinfo for an export of qemu-nbd; prints a line
                             per result
  export IMAGE NAME FILE     writes the output of nbdinfo --map for a bitmap
  edit WHAT IMAGE NAME       changes bytes that no tool of QEMU changes
  unknown MAP IMAGE [ENTRY]  prints MAP, an output of nbdinfo, with unknown
                             instead of clean, and instead of the extent that
                             ENTRY of the bitmap's table maps

The images and command lines depend only on SEED.
"""

import contextlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

# The file name is not a valid identifier.
compare = importlib.import_module('interop-compare')

TOOL = os.environ.get('QCOW2TOOL', '').split()
SLOW = bool(os.environ.get('QCOW2TOOL_SLOW'))

CLUSTER_BITS = range(9, 22)
GRANULARITY_BITS = range(9, 32)
# From this granularity on, only large disks have more than one granule.
LARGE_GRANULARITY_BITS = 25

# Names that may confuse a shell, a terminal or an NBD server.
NAMES = ['$(touch x)', 'with space', 'r\u00e4tsel', '--all', 'a:b,c=d', '%s']

# A limit far above the time that a program needs on any machine.  If it takes
# even longer, there is no result.
TIMEOUT = 300


class TooSlow(Exception):
    """A program took longer than TIMEOUT."""


class Failure(Exception):
    """A program of QEMU failed."""


def run(*command):
    try:
        return subprocess.run(command, capture_output=True, check=False,
                              timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise TooSlow(command[0]) from None


def demand(*command):
    """Runs COMMAND, which must succeed, and returns its output."""
    done = run(*command)
    if done.returncode != 0:
        raise Failure('%s: status %d: %s' % (
            ' '.join(command), done.returncode,
            done.stderr.decode('utf-8', 'replace').strip()))
    return done.stdout


def align_down(number, unit):
    return number - number % unit


def describe(size):
    """Returns SIZE, a power of two, with a unit."""
    for unit in ('bytes', 'KiB', 'MiB'):
        if size < 1024:
            return '%d %s' % (size, unit)
        size //= 1024
    return '%d GiB' % size


# ---- The output of QEMU ----


class Export:
    """The output of nbdinfo about the image at PATH while qemu-nbd exports
    NAMES."""

    def __init__(self, path, names):
        self.socket = os.path.abspath('nbd.sock')
        # The server listens before it opens the image, and writes this file
        # last.
        self.pid_file = os.path.abspath('nbd.pid')
        self.command = ['qemu-nbd', '--read-only', '--persistent',
                        '--format=qcow2', '--socket=' + self.socket,
                        '--pid-file=' + self.pid_file]
        self.command += ['--bitmap=' + name for name in names]
        self.command += ['--', path]
        self.server = None

    def __enter__(self):
        for left_over in (self.socket, self.pid_file):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(left_over)
        # If this program is killed, the server ends, too.
        self.server = subprocess.Popen(
            ['timeout', str(2 * TIMEOUT)] + self.command,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_ready(self):
        patience = time.monotonic() + TIMEOUT
        while not os.path.exists(self.pid_file):
            if self.server.poll() is not None:
                raise Failure(self.server.stderr.read().decode(
                    'utf-8', 'replace').strip())
            if time.monotonic() > patience:
                raise TooSlow('qemu-nbd')
            time.sleep(0.005)

    def __exit__(self, *_):
        self.server.terminate()
        self.server.wait()
        self.server.stderr.close()

    def ask(self, name, *options):
        return demand('nbdinfo', *options, '--map=qemu:dirty-bitmap:' + name,
                      'nbd+unix:///?socket=' + self.socket)


# ---- Images ----


class RandomImage:
    """An image with bitmaps of GRANULARITIES, which are all different."""

    def __init__(self, rng, path, cluster_bits, is_large, granularities):
        self.rng = rng
        self.path = path
        self.cluster = 1 << cluster_bits
        self.is_large = is_large
        self.size = self.random_size()
        self.names = {}
        self.log = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.img('create', '-q', '-f', 'qcow2', '-o',
                 'cluster_size=%d' % self.cluster, path, str(self.size))
        self.build(granularities)

    def random_size(self):
        if self.is_large:
            # qemu-img takes long for large disks with small clusters.
            most = min(12 << 30, (2 << 30) + (self.cluster << 20))
            return self.rng.randrange(2 << 30, most, 512)
        return self.rng.randrange(512, 1 << self.rng.randint(13, 27), 512)

    def img(self, *arguments):
        self.log.append(' '.join(('qemu-img',) + arguments))
        demand('qemu-img', *arguments)

    def bitmap(self, name, *actions):
        self.img('bitmap', *actions, '--', self.path, name)

    def build(self, granularities):
        """Adds the bitmaps at different times, with writes to the disk between
        them."""
        odd_name = self.rng.choice(granularities)
        for i, bits in enumerate(granularities):
            name = 'b%d' % bits
            if bits == odd_name:
                name = self.rng.choice(NAMES)
            disable = ['--disable'] if self.rng.random() < 0.1 else []
            self.bitmap(name, '--add', '-g', str(1 << bits), *disable)
            self.names[bits] = name
            if i % 4 == 3:
                self.use()
                self.change_a_bitmap()
            if i % 5 == 4:
                self.resize()
        self.use()
        self.edit()

    def change_a_bitmap(self):
        action = self.rng.choice(['--disable', '--enable', '--clear', '-'])
        if action != '-':
            self.bitmap(self.rng.choice(list(self.names.values())), action)

    def resize(self):
        most = min(1 << (28 if self.is_large else 22), self.cluster << 13)
        step = self.rng.randrange(512, most, 512)
        shrinks = self.rng.random() < 0.5 and step < self.size
        self.size += -step if shrinks else step
        self.img('resize', '-q', *(['--shrink'] if shrinks else []),
                 '-f', 'qcow2', self.path, str(self.size))

    def use(self):
        commands = []
        for _ in range(self.rng.randint(4, 12)):
            commands += ['-c', self.random_command()]
        self.log.append('qemu-io -f qcow2 %s %s'
                        % (' '.join("'%s'" % word if ' ' in word else word
                                    for word in commands), self.path))
        done = run('qemu-io', '-t', 'unsafe', '-f', 'qcow2', *commands,
                   self.path)
        if done.returncode != 0:
            raise Failure(self.log[-1] + ': '
                          + done.stdout.decode('utf-8', 'replace')
                          + done.stderr.decode('utf-8', 'replace'))

    def random_command(self):
        verb = self.rng.choice(['write -q', 'write -q', 'write -q -z',
                                'write -q -z -u', 'discard -q'])
        # Zeroes and unallocated parts take no space, except for entries of
        # their clusters.
        most = min(1024 * self.cluster if verb != 'write -q' else 1 << 18,
                   align_down(self.size // 8, 512))
        offset = self.random_offset()
        length = min(self.random_length(most), self.size - offset)
        return '%s %d %d' % (verb, offset, length)

    def random_granularity(self):
        return 1 << self.rng.choice(list(self.names))

    def random_offset(self):
        """Returns an offset in sectors, often near an end of the disk or of a
        granule."""
        last = self.size - 512
        kind = self.rng.randrange(4)
        if kind == 0:
            return self.rng.randrange(0, self.size, 512)
        if kind == 1:
            return self.rng.choice([0, last])
        granularity = self.random_granularity()
        at = self.rng.randrange(0, self.size, granularity)
        at += 512 * self.rng.randint(-1, 1)
        return min(max(at, 0), last)

    def random_length(self, most):
        kind = self.rng.randrange(3)
        if kind == 0:
            return 512
        length = self.random_granularity()
        if kind == 1:
            length = self.rng.randrange(512, 1 << self.rng.randint(10, 31),
                                        512)
        return max(min(length, most), 512)

    def edit(self):
        """Changes entries and data directly, because QEMU reads all-ones
        entries but does not write them, and writes that cause many extents
        would take long."""
        with open(self.path, 'r+b') as file:
            image = compare.Image(self.path)
            for bitmap in image.bitmaps():
                self.edit_table(file, bitmap)
                data = [(index, offset) for index, (kind, offset, _)
                        in enumerate(image.table(bitmap))
                        if kind == 'serialized']
                if data and self.rng.random() < 0.6:
                    self.edit_data(file, bitmap, *self.rng.choice(data))

    def write(self, file, bitmap, what, offset, data):
        self.log.append('%s of %s, at %d: %s' % (
            what, bitmap['name'].decode(), offset, data.hex()))
        file.seek(offset)
        file.write(data)
        file.flush()

    def edit_table(self, file, bitmap):
        last = bitmap['bitmap_table_size'] - 1
        # A small bitmap has only its last entry.
        count = self.rng.choice([0, 0, 1, 2, 5] if last > 0
                                else [0, 0, 0, 0, 1])
        for i in range(count):
            index = self.rng.randint(0, last) if i > 0 else last
            self.write(file, bitmap, 'entry %d' % index,
                       bitmap['bitmap_table_offset'] + 8 * index,
                       bytes(7) + bytes([self.rng.randint(0, 1)]))

    def edit_data(self, file, bitmap, index, offset):
        """Writes random bits and runs of them, but no bit after the last used
        one."""
        n_bytes = (self.size >> bitmap['granularity_bits']) // 8
        in_entry = min(n_bytes - index * self.cluster, self.cluster)
        if in_entry <= 0:
            return
        start = self.rng.randrange(in_entry)
        data = b''
        for _ in range(self.rng.randint(1, 20)):
            data += self.rng.choice([b'\0', b'\xff',
                                     bytes([self.rng.randrange(256)])]
                                    ) * self.rng.randint(1, 12)
        self.write(file, bitmap, 'data', offset + start,
                   data[:in_entry - start])


# ---- Comparison ----


def text_of(extents):
    return ''.join('%10u  %10u  %3u  %s\n' % (
        extent['offset'], extent['length'], extent['type'],
        extent['description']) for extent in extents)


def map_file_of(extents):
    """Returns the blocks of a map file of GNU ddrescue."""
    return ''.join('0x%08X  0x%08X  %s\n' % (
        extent['offset'], extent['length'], '?' if extent['type'] else '+')
        for extent in extents)


def clip(extents, start, end):
    for extent in extents:
        first = max(extent['offset'], start)
        last = min(extent['offset'] + extent['length'], end)
        if first < last:
            yield dict(extent, offset=first, length=last - first)


def split(extents, piece):
    for extent in extents:
        end = extent['offset'] + extent['length']
        for at in range(extent['offset'], end, piece):
            yield dict(extent, offset=at, length=min(piece, end - at))


def dirty_of(extents):
    return [extent for extent in extents if extent['type'] == 1]


def shorten(data):
    """Returns DATA shortened to one line of a result."""
    text = data.decode('utf-8', 'replace') if isinstance(data, bytes) else data
    text = ' | '.join(text.splitlines())
    return text if len(text) < 300 else text[:300] + '...'


class Comparison:
    """The differences between the output about the bitmap NAME and that of
    QEMU."""

    def __init__(self, path, name):
        self.path = path
        self.name = name
        self.differences = []

    def tool(self, *options, status=0):
        done = run(*TOOL, 'bitmap-map', *options, '--name=' + self.name,
                   self.path)
        if done.returncode != status or done.stderr:
            self.differences.append('%s: status %d, not %d: %s' % (
                ' '.join(options), done.returncode, status,
                shorten(done.stderr)))
        return done.stdout

    def equal(self, what, got, want):
        if got == want:
            return
        shown = [shorten(value if isinstance(value, (bytes, str))
                         else json.dumps(value)) for value in (got, want)]
        self.differences.append('%s: printed %s; but QEMU: %s'
                                % (what, *shown))

    def equal_json(self, what, got, want):
        try:
            self.equal(what, json.loads(got), want)
        except ValueError as error:
            self.differences.append('%s: %s' % (what, error))

    def with_export(self, export):
        """Returns the extents of nbdinfo."""
        self.equal('text', self.tool(), export.ask(self.name))
        self.equal('--totals', self.tool('--totals'),
                   export.ask(self.name, '--totals'))
        self.equal_json('JSON totals', self.tool('--totals', '--output=json'),
                        json.loads(export.ask(self.name, '--totals',
                                              '--json')))
        extents = json.loads(export.ask(self.name, '--json'))
        self.equal_json('JSON', self.tool('--output=json'), extents)
        return extents

    def with_extents(self, rng, extents, size):
        """The output that nbdinfo does not have is derived from its
        extents."""
        lines = self.tool('--output=jsonl').decode().splitlines()
        self.equal_json('JSON lines', '[%s]' % ','.join(lines), extents)
        lines = self.tool('--output=ddrescue').decode().splitlines(True)
        self.equal('map file', ''.join(
            [line for line in lines if not line.startswith('#')][1:]),
            map_file_of(extents))

        start = rng.randrange(size)
        length = rng.randint(1, rng.choice([1 << 16, 2 * size]))
        part = list(clip(extents, start, start + length))
        piece = rng.randint(max(1, length // 50), 2 * length)
        self.equal('part of the disk', self.tool(
            '--dirty', '--start-offset=%d' % start, '--max-length=%d' % length,
            '--split=%d' % piece), text_of(
                split(dirty_of(part), piece)).encode())

        length = min(length, size - start)
        self.equal('--contains', self.tool(
            '--contains=%d+%d' % (start, length),
            status=0 if dirty_of(part) else 2), b'')


def list_dirty(path):
    """Returns a dictionary with the dirty sizes that bitmaps --list and
    bitmaps --stats print, by name."""
    rows = demand(*TOOL, 'bitmaps', '--list', path).decode().splitlines()[1:]
    percents = [row.split(None, 6)[4] for row in rows]
    bitmaps = json.loads(demand(*TOOL, 'bitmaps', '--output=json', '--stats',
                                path))['bitmaps']
    return {bitmap['name']: (percent, bitmap['dirty_bytes'])
            for bitmap, percent in zip(bitmaps, percents)}


def show_percent(part, whole):
    """Returns PART as a percentage of WHOLE, as bitmaps --list prints it."""
    percent = '%.1f%%' % (100 * part / whole)
    if part > 0 and percent == '0.0%':
        return '<0.1%'
    if part < whole and percent == '100.0%':
        return '>99.9%'
    return percent


def judge(rng, image, prefix):
    dirty = list_dirty(image.path)
    with Export(image.path, image.names.values()) as export:
        for bits, name in image.names.items():
            comparison = Comparison(image.path, name)
            extents = comparison.with_export(export)
            comparison.with_extents(rng, extents, image.size)
            total = sum(extent['length'] for extent in dirty_of(extents))
            comparison.equal('bitmaps --list and --stats', str(dirty[name]),
                             str((show_percent(total, image.size), total)))
            print('%sgranularity %s\t%s' % (
                prefix, describe(1 << bits),
                '; '.join(comparison.differences)))
            if comparison.differences:
                tell_history(image)


def tell_history(image):
    for line in image.log:
        print('# ' + line)
    image.log.clear()


def plan(rng):
    """Yields two images of each cluster size, with half of the granularities
    between them: the seed selects which."""
    for cluster_bits in CLUSTER_BITS:
        small = [bits for bits in GRANULARITY_BITS
                 if bits < LARGE_GRANULARITY_BITS]
        large = [bits for bits in GRANULARITY_BITS
                 if bits >= LARGE_GRANULARITY_BITS]
        rng.shuffle(small)
        middle = len(small) // 2
        large += small[:middle]
        small = small[middle:] + [large[0]]
        for is_large, granularities in ((False, small), (True, large)):
            rng.shuffle(granularities)
            yield cluster_bits, is_large, granularities[::2]


def make_and_judge(seed):
    cases = list(plan(random.Random(seed)))
    if SLOW:
        cases = [case[:2] + (case[2][:3],) for case in cases[1:26:8]]

    for cluster_bits, is_large, granularities in cases:
        size = 'large' if is_large else 'small'
        prefix = '%s clusters, %s disk, ' % (describe(1 << cluster_bits), size)
        rng = random.Random('%s %s' % (seed, prefix))
        image = None
        try:
            image = RandomImage(rng, 'random.qcow2', cluster_bits, is_large,
                                granularities)
            judge(rng, image, prefix)
        except TooSlow as program:
            print('# %s%s takes too long' % (prefix, program))
        except Failure as failure:
            print('%sfrom QEMU\t%s' % (prefix, shorten(str(failure))))
        sys.stdout.flush()


# ---- Commands for other tests ----


def write_map(path, name, to):
    with Export(path, [name]) as export, open(to, 'wb') as file:
        file.write(export.ask(name))


def find_bitmap(image, name):
    """Returns the bitmap NAME and the offset of its directory entry."""
    data = image.extension_data(compare.BITMAPS)
    at = int.from_bytes(data[16:24], 'big')
    for bitmap in image.bitmaps():
        if bitmap['name'] == name.encode():
            return bitmap, at
        at += compare.align(24 + bitmap['extra_data_size']
                            + bitmap['name_size'], 8)
    raise compare.Damage('no such bitmap')


def edit(what, path, name):
    image = compare.Image(path)
    bitmap, at = find_bitmap(image, name)
    table = bitmap['bitmap_table_offset']
    second = int.from_bytes(image.read(table + 8, 8), 'big')
    far = compare.align(image.size, image.cluster) + image.cluster
    edits = {
        'in-use': (at + 12, bitmap['flags'] | 1, 4),
        'stale': (88, 0, 8),
        'table-unaligned': (at, table + 8, 8),
        'table-too-short': (at + 8, bitmap['bitmap_table_size'] - 1, 4),
        'type': (at + 16, 2, 1),
        'entry-reserved': (table + 8, second | 1 << 60, 8),
        'entry-one-with-offset': (table + 8, second | 1, 8),
        'entry-after-the-end': (table + 8, far, 8),
    }
    offset, value, size = edits[what]
    with open(path, 'r+b') as file:
        file.seek(offset)
        file.write(value.to_bytes(size, 'big'))


def make_unknown(offset, length):
    return {'offset': offset, 'length': length, 'type': 3,
            'description': 'unknown'}


def merge(extents):
    merged = []
    for extent in extents:
        if merged and merged[-1]['type'] == extent['type']:
            merged[-1]['length'] += extent['length']
        else:
            merged.append(dict(extent))
    return merged


def print_with_unknown(map_file, path, index=None):
    image = compare.Image(path)
    size = image.header['size']
    with open(map_file, encoding='utf-8') as file:
        rows = [line.split() for line in file]
    extents = [{'offset': int(row[0]), 'length': int(row[1]),
                'type': int(row[2]), 'description': row[3]} for row in rows]
    if index is not None:
        length = image.cluster * 8 << image.bitmaps()[0]['granularity_bits']
        start = length * int(index)
        end = min(start + length, size)
        extents = [*clip(extents, 0, start), make_unknown(start, end - start),
                   *clip(extents, end, size)]
    sys.stdout.write(text_of(merge(
        extent if extent['type'] else make_unknown(extent['offset'],
                                                   extent['length'])
        for extent in extents)))


COMMANDS = {
    'random': make_and_judge,
    'export': write_map,
    'edit': edit,
    'unknown': print_with_unknown,
}


def main():
    # This also ends a server that was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    COMMANDS[sys.argv[1]](*sys.argv[2:])


if __name__ == '__main__':
    try:
        main()
    except (Failure, TooSlow, compare.Damage) as problem:
        sys.exit(str(problem))
