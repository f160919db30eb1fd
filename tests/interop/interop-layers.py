#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of interop-layers.sh: prints a line per result.

  naive SEED N   compares the union of random bitmaps in N chains of layers,
                 which are written byte by byte, with one that is computed
                 granule by granule
  qemu SEED N    compares it with the bitmap that qemu-storage-daemon, or else
                 qemu-img, merges, in N chains made by QEMU's programs
  names SEED N   compares info --backing-chain with qemu-img for N chains, of up
                 to 50 layers, whose names have every form that leads to a file

The layers and command lines depend only on SEED.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time

from qemu_version import get_version

TOOL = os.environ.get('QCOW2TOOL', '').split()
TIMEOUT = 300
NAME = 'b0'
CLUSTER_BITS = 9
MAX_GRANULARITY_BITS = 20
CLUSTER = 1 << CLUSTER_BITS


def tool(*words):
    done = subprocess.run(TOOL + list(words), capture_output=True, check=False,
                          timeout=TIMEOUT)
    return done.returncode, done.stdout, done.stderr.decode()


def demand(*command):
    done = subprocess.run(command, capture_output=True, check=False,
                          timeout=TIMEOUT)
    if done.returncode != 0:
        sys.exit('%s: %s' % (' '.join(command), done.stderr.decode()))
    return done.stdout


def report(name, differs):
    print('%s\t%s' % (name, differs) if differs else name, flush=True)


# ---- Layers that are written byte by byte ----

def write_layer(path, size, granularity_bits, bits, backing):
    """Writes a layer of SIZE bytes.  BITS is a list of booleans, one for each
    granule, for the bitmap NAME."""
    n_bytes = (len(bits) + 7) // 8
    n_entries = max(1, -(-n_bytes // CLUSTER))
    packed = bytearray(n_entries * CLUSTER)
    for i, bit in enumerate(bits):
        packed[i // 8] |= bit << (i % 8)

    clusters = [bytes(CLUSTER)] * 4
    table = []
    data_start = 4 + -(-n_entries * 8 // CLUSTER)
    data = []
    for i in range(n_entries):
        cluster = bytes(packed[i * CLUSTER:(i + 1) * CLUSTER])
        covered = min(len(bits) - i * CLUSTER * 8, CLUSTER * 8)
        if not any(cluster) and random.random() < 0.7:
            table.append(0)
        elif all(bits[i * CLUSTER * 8:i * CLUSTER * 8 + covered]) \
                and random.random() < 0.7:
            table.append(1)
        else:
            table.append((data_start + len(data)) * CLUSTER)
            data.append(cluster)
    table_offset = 4 * CLUSTER
    table_bytes = struct.pack('>%dQ' % n_entries, *table)
    table_bytes += bytes(-len(table_bytes) % CLUSTER)
    directory_offset = (data_start + len(data)) * CLUSTER
    entry = struct.pack('>QIIBBHI', table_offset, n_entries, 2, 1,
                        granularity_bits, len(NAME), 0) + NAME.encode()
    entry += bytes(-len(entry) % 8)

    extensions = struct.pack('>IIIIQQ', 0x23852875, 24, 1, 0, len(entry),
                             directory_offset)
    if backing:
        extensions = struct.pack('>II8s', 0xe2792aca, 5, b'qcow2') + extensions
    extensions += bytes(8)
    name = backing.encode()
    l1_size = -(-size // (CLUSTER * CLUSTER // 8))
    head = struct.pack('>4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3,
                       104 + len(extensions) if backing else 0, len(name),
                       CLUSTER_BITS, size, 0, l1_size, directory_offset
                       + CLUSTER, CLUSTER, 1, 0, 0, 0, 0, 1, 4, 104)
    head += extensions + name
    n_clusters = directory_offset // CLUSTER + 1 + -(-l1_size * 8 // CLUSTER)
    # Refcounts: a table of one cluster, whose blocks come last.
    n_blocks = 1
    while n_blocks * CLUSTER // 2 < n_clusters + n_blocks:
        n_blocks += 1
    refcounts = [1] * (n_clusters + n_blocks)
    refcounts[2] = refcounts[3] = 0
    blocks = struct.pack('>%dH' % len(refcounts), *refcounts)
    blocks += bytes(n_blocks * CLUSTER - len(blocks))
    clusters[0] = head + bytes(CLUSTER - len(head))
    clusters[1] = struct.pack('>%dQ' % n_blocks, *(
        (n_clusters + i) * CLUSTER for i in range(n_blocks)))
    clusters[1] += bytes(CLUSTER - len(clusters[1]))
    with open(path, 'wb') as file:
        file.write(b''.join(clusters) + table_bytes + b''.join(data))
        file.write(entry + bytes(CLUSTER - len(entry)))
        file.write(bytes(-(-l1_size * 8 // CLUSTER) * CLUSTER))
        file.write(blocks)


def random_bits(n):
    kind = random.randrange(5)
    if kind == 0:
        return [False] * n
    if kind == 1:
        return [True] * n
    bits = []
    density = random.choice((0.5, 0.05, 0.001))
    while len(bits) < n:
        run = 1 if kind == 2 else random.randint(1, 3000)
        bits += [random.random() < density] * run
    return bits[:n]


def unite(layers, start, length):
    """Returns the extents of the union of LAYERS, each (size, granularity,
    bits), in a part of the disk of the first one: (offset, length, dirty)."""
    size, unit, _ = layers[0]
    end = min(start + length, size)
    n = -(-size // unit)
    marked = [False] * n

    def mark(first, last):
        for i in range(first // unit, min(n, -(-last // unit))):
            marked[i] = True

    for i, (own, granularity, bits) in enumerate(layers):
        for k, bit in enumerate(bits):
            if bit:
                mark(k * granularity, min((k + 1) * granularity, own))
        below = max(other for other, _, _ in layers[i:])
        if below > own:
            mark(own, below)

    extents = []
    at = start
    while at < end:
        dirty = marked[at // unit]
        stop = at
        while stop < end and marked[stop // unit] == dirty:
            stop = min((stop // unit + 1) * unit, end)
        extents.append((at, stop - at, dirty))
        at = stop
    return extents


def parse(output):
    return [(item['offset'], item['length'], item['type'] == 1)
            for item in json.loads(output)]


def naive(n):
    for number in range(n):
        n_layers = random.randint(1, 6)
        base = random.choice((1, 3, 17, 200)) * random.choice((512, 65536))
        layers = []
        for _ in range(n_layers):
            size = base
            if random.random() < 0.4:
                size = max(512, base + 512 * random.randint(-300, 300))
            bits = random.randint(9, 18)
            while size >> bits > 20000:
                bits += 1
            layers.append((size, 1 << bits,
                           random_bits(-(-size // (1 << bits)))))
        for i in reversed(range(n_layers)):
            write_layer('l%d.qcow2' % i, layers[i][0],
                        layers[i][1].bit_length() - 1, layers[i][2],
                        'l%d.qcow2' % (i + 1) if i + 1 < n_layers else '')
        start, length = 0, 1 << 62
        words = []
        if random.random() < 0.5:
            start = random.randrange(layers[0][0])
            length = random.randint(1, layers[0][0])
            words = ['--start-offset=%d' % start, '--max-length=%d' % length]
        status, output, messages = tool(
            'bitmap-map', '--backing-chain', '--name', NAME, '--output=json',
            *words, 'l0.qcow2')
        wanted = unite(layers, start, length)
        differs = ''
        if status != 0:
            differs = 'status %d: %s' % (status, messages.strip())
        elif parse(output) != wanted:
            differs = '%r, not %r; sizes %r' % (
                parse(output)[:6], wanted[:6], [(s, g) for s, g, _ in layers])
        report('naive %d' % number, differs)
        if differs:
            return


# ---- Layers that QEMU's programs make ----

class Daemon:
    """A qemu-storage-daemon with a chain of layers, which is ended by its own
    process."""

    def __init__(self, n_layers):
        # It reads the layers of the chain that it is told, not their names.
        words = ['qemu-storage-daemon', '--chardev', 'stdio,id=c', '--monitor',
                 'c']
        for i in reversed(range(n_layers)):
            node = {'driver': 'qcow2', 'node-name': 'n%d' % i,
                    'read-only': True,
                    'file': {'driver': 'file', 'filename': 'l%d.qcow2' % i},
                    'backing': 'n%d' % (i + 1) if i + 1 < n_layers else None}
            words += ['--blockdev', json.dumps(node)]
        words += ['--nbd-server', 'addr.type=unix,addr.path=nbd.sock']
        self.process = subprocess.Popen(['timeout', str(TIMEOUT)] + words,
                                        stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.command('qmp_capabilities')

    def command(self, verb, **arguments):
        self.process.stdin.write(json.dumps(
            {'execute': verb, 'arguments': arguments}) + '\n')
        self.process.stdin.flush()
        while True:
            answer = json.loads(self.process.stdout.readline())
            if 'error' in answer:
                raise RuntimeError('%s: %s' % (verb, answer['error']['desc']))
            if 'return' in answer:
                return

    def close(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()


def merge_in_daemon(n_layers, granularity):
    daemon = Daemon(n_layers)
    try:
        daemon.command('block-dirty-bitmap-add', node='n0', name='union',
                       granularity=granularity, disabled=True)
        daemon.command('block-dirty-bitmap-merge', node='n0', target='union',
                       bitmaps=[{'node': 'n%d' % i, 'name': NAME}
                                for i in range(n_layers)])
        daemon.command('block-export-add', id='e', type='nbd',
                       **{'node-name': 'n0', 'name': '',
                          'bitmaps': ['union']})
        return demand('nbdinfo', '--map=qemu:dirty-bitmap:union', '--json',
                      'nbd+unix:///?socket=nbd.sock')
    finally:
        daemon.close()


def merge_in_image(n_layers, granularity):
    """Merges the bitmaps into a new one of the first layer."""
    demand('qemu-img', 'bitmap', '--add', '--disable', '-g', str(granularity),
           'l0.qcow2', 'union')
    for i in range(n_layers):
        source = ['-b', 'l%d.qcow2' % i, '-F', 'qcow2'] if i > 0 else []
        demand('qemu-img', 'bitmap', '--merge', NAME, *source, 'l0.qcow2',
               'union')
    return demand('nbdinfo', '--map=qemu:dirty-bitmap:union', '--json', '--',
                  '[', 'qemu-nbd', '-r', '-f', 'qcow2', '-B', 'union',
                  'l0.qcow2', ']')


def merge(n_layers, granularity):
    """Returns the extents of the bitmap that QEMU merges."""
    in_daemon = shutil.which('qemu-storage-daemon') is not None
    return json.loads((merge_in_daemon if in_daemon else merge_in_image)(
        n_layers, granularity))


def make_chain(n_layers, sizes):
    granularities = []
    for i in reversed(range(n_layers)):
        path = 'l%d.qcow2' % i
        below = ['-b', 'l%d.qcow2' % (i + 1), '-F', 'qcow2'] \
            if i + 1 < n_layers else []
        demand('qemu-img', 'create', '-q', '-f', 'qcow2', '-o',
               'cluster_size=%d' % random.choice((512, 4096, 65536)), *below,
               path, str(sizes[i]))
        granularity = 1 << random.randint(9, MAX_GRANULARITY_BITS)
        granularities.insert(0, granularity)
        demand('qemu-img', 'bitmap', '--add', '-g', str(granularity), path,
               NAME)
        writes = []
        for _ in range(random.randint(0, 12)):
            offset = random.randrange(sizes[i] // 512) * 512
            length = min(random.choice((512, 4096, 70000 // 512 * 512, 1 << 20)),
                         sizes[i] - offset)
            writes += ['-c', 'write -q %d %d' % (offset, length)]
        if writes:
            demand('qemu-io', '-f', 'qcow2', *writes, path)
    return granularities


def qemu(n):
    for number in range(n):
        n_layers = random.randint(1, 5)
        size = random.randint(1, 64) * 131072 + random.choice((0, 512, 4096))
        equal = random.random() < 0.6
        # A layer is as large as the one below it, or larger.  Where it is, the
        # lower one ends with a granule: once it is resized, the last granule
        # covers more.
        sizes = [size] * n_layers
        if not equal:
            sizes = sorted((random.randint(1, 9) << MAX_GRANULARITY_BITS
                            for _ in range(n_layers)), reverse=True)
        granularities = make_chain(n_layers, sizes)
        status, output, messages = tool(
            'bitmap-map', '--backing-chain', '--name', NAME, '--output=json',
            'l0.qcow2')
        # QEMU merges only bitmaps of the same size: a part of a layer that is
        # longer than the one below has been written only through the upper.
        for path, own in zip(('l%d.qcow2' % i for i in range(n_layers)),
                             sizes):
            if own != sizes[0]:
                demand('qemu-img', 'resize', '-q', '-f', 'qcow2', path,
                       str(sizes[0]))
        extents = merge(n_layers, granularities[0])
        wanted = [(item['offset'], item['length'], item['type'] == 1)
                  for item in extents]
        differs = ''
        if status != 0:
            differs = 'status %d: %s' % (status, messages.strip())
        elif parse(output) != wanted:
            differs = '%r, not %r; sizes %r' % (parse(output)[:6], wanted[:6],
                                                sizes)
        report('qemu %d: %d layers, %s sizes' % (
            number, n_layers, 'equal' if equal else 'different'), differs)
        if differs:
            return


# ---- Names of backing files ----

def dump(options):
    """Returns OPTIONS as JSON without a backslash, which text output would
    escape."""
    return json.dumps(options, ensure_ascii=False)


def name_of(path, overlay):
    """Returns a name, in a random form, that leads from OVERLAY to PATH, both
    relative to the current directory."""
    relative = os.path.relpath(path, os.path.dirname(overlay) or '.')
    kind = random.randrange(12)
    if kind < 4:
        # A colon before any slash would make it a protocol.
        colon = ':' in relative.split('/')[0]
        return './' + relative if kind == 3 or colon else relative
    if kind == 4:
        return os.path.join(os.getcwd(), path)
    if kind == 5:
        return 'file:' + path
    if kind == 6 and '/' not in relative:
        # A link, whose folder is that of the names in the file it leads to.
        link = 'link-%d' % random.getrandbits(40)
        os.symlink(relative, os.path.join(os.path.dirname(overlay), link))
        return link
    protocol = {'driver': 'file', 'filename': path}
    # The format that the overlay states counts.
    driver = random.choice(('qcow2', 'raw'))
    if kind == 7:
        return 'json:' + dump({'driver': driver, 'file': protocol})
    if kind == 8:
        return 'json:' + dump({'file.driver': 'file', 'driver': driver,
                                     'file.filename': path})
    if kind == 9:
        # The nested options count, whatever the order.
        items = [('file', protocol), ('file.filename', 'no such file'),
                 ('file.driver', 'nbd'), ('driver', 'qcow2')]
        random.shuffle(items)
        return 'json:' + dump(dict(items))
    if kind == 10:
        return "json:{'driver':'qcow2','file.filename':'%s'}" % path
    return 'json:' + dump({'file': {'filename': path}})


def reduce_layers(text):
    """Returns JSON of info without what later versions of QEMU add."""
    layers = json.loads(text)
    for layer in layers:
        layer.pop('children', None)
        layer.pop('limits', None)
    return layers


def names(n):
    # Later versions print children in the text, too.
    forms = (['--output=json'], [])[:2 if get_version() < (8,) else 1]
    folders = ['.', 'a', 'a/b', 'c:d', 'e f']
    for folder in folders[1:]:
        os.makedirs(folder, exist_ok=True)
    for number in range(n):
        n_layers = random.choice((1, 2, 3, 5, 50))
        below = ''
        for i in range(n_layers):
            # Without the dot, a colon would make it a protocol for QEMU.
            path = './' + os.path.join(random.choice(folders), '%d-%d%s.qcow2' % (
                number, i, random.choice(('', ' x', ':y', '\u00e4'))))
            words = []
            if below:
                words = ['-u', '-b', name_of(below, path), '-F', 'qcow2']
            if random.random() < 0.2:
                words += ['-o', 'compat=0.10']
            demand('qemu-img', 'create', '-q', '-f', 'qcow2', *words,
                   os.path.abspath(path), '%dM' % random.randint(1, 9))
            below = path
        differs = ''
        for words in forms:
            wanted = demand('qemu-img', 'info', '--backing-chain', *words,
                            below)
            status, output, messages = tool('info', '--backing-chain', *words,
                                            below)
            if status != 0:
                differs = 'status %d: %s' % (status, messages.strip())
            elif (reduce_layers(output) != reduce_layers(wanted) if words
                  else output != wanted):
                differs = '%s: %s, not %s' % (below, output[:900],
                                              wanted[:900])
        report('names %d: %d layers' % (number, n_layers), differs)
        if differs:
            return


def main():
    what, seed, n = sys.argv[1:]
    random.seed('%s %s' % (what, seed))
    began = time.monotonic()
    {'naive': naive, 'qemu': qemu, 'names': names}[what](int(n))
    print('# %s: %.0f s' % (what, time.monotonic() - began))


main()
