#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How fast the program is beside others that do the same, on this machine.

bench.py TOOL NULL PEAK MKIMAGE [TASK...]

Each task is run in turn by us and by a peer, a few times; what counts is the
median of the ratios of such pairs, and the most memory that a process of either
took, which PEAK finds.  NULL is a program that links GLib, parses options and
does nothing.  All TASKs, or
those whose names contain one of the words, are measured.  A peer that is
missing is said, and the task left out.  Nothing fails because it is slow.
"""

import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PAIRS = 5


class Skip(Exception):
    """There is no peer."""


def want(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip('%s is not installed' % program)


class Bench:
    def __init__(self, tool, null, peak, mkimage):
        self.tool, self.null = shlex.quote(tool), shlex.quote(null)
        self.peak, self.mkimage = peak, mkimage

    # ---- Images ----

    def generate(self, kind, number):
        path = '%s-%d' % (kind, number)
        if not os.path.exists(path):
            subprocess.run([sys.executable, HERE + '/images.py', kind,
                            str(number), path], check=True)
        with open(path, 'rb') as file:  # into the page cache
            while file.read(1 << 20):
                pass
        return path

    def build(self, name):
        if not os.path.exists(name):
            subprocess.run([self.mkimage, name, name], check=True)
        return name

    # ---- Measuring ----

    def run(self, command):
        """(seconds, most memory of one process in bytes) of a shell command.
        """
        begin = time.monotonic()
        status = subprocess.call([self.peak, 'peak', command])
        taken = time.monotonic() - begin
        if status != 0:
            sys.exit('bench: this ended with %d: %s' % (status, command))
        with open('peak') as file:
            return taken, int(file.read()) * 1024

    def compare(self, task, target, ours, peer, unit=1.0):
        """Runs OURS and PEER in turn.  UNIT is how often PEER would have to be
        run to do as much."""
        pairs = [(self.run(ours), self.run(peer)) for _ in range(PAIRS)]
        ratio = statistics.median(
            theirs[0] * unit / mine[0] for mine, theirs in pairs)
        self.add(task, statistics.median(mine[0] for mine, _ in pairs),
                 statistics.median(theirs[0] * unit for _, theirs in pairs),
                 ratio, max(mine[1] for mine, _ in pairs),
                 max(theirs[1] for _, theirs in pairs), target)

    def grow(self, task, target, once, more):
        pairs = [(self.run(once), self.run(more)) for _ in range(3)]
        self.add(task, statistics.median(more[0] for _, more in pairs),
                 statistics.median(once[0] for once, _ in pairs),
                 statistics.median(once[0] / more[0] for once, more in pairs),
                 max(more[1] for _, more in pairs),
                 max(once[1] for once, _ in pairs), target)

    def add(self, task, ours, peer, ratio, memory, peer_memory, target):
        shown = ('%.1fx faster' % ratio if ratio >= 1
                 else '%.2fx the time' % (1 / ratio))
        print('%-34s %8.3f s %9.3f s  %-15s %5.1f %6.1f  %s'
              % (task, ours, peer, shown, memory / 1e6, peer_memory / 1e6,
                 target), flush=True)

    # ---- Tasks ----

    def task_start(self):
        want('qemu-img')
        image = self.build('A')
        loop = 'for i in {1..50}; do %s > /dev/null; done'
        ours = loop % (self.tool + ' bitmaps ' + image)
        self.compare('bitmaps, 50 times, to qemu-img', '>= 3x faster', ours,
                     loop % ('qemu-img info ' + image))
        self.compare('... to a program that does nothing', '<= 1.5x', ours,
                     loop % (self.null + ' ' + image))

    def task_table(self):
        image = self.generate('table', 1 << 24)
        table = '%s bitmap-table --name b %s' % (self.tool, image)
        subprocess.run(table + ' > text', shell=True, check=True)
        self.compare('table, 2^24 entries, to cat', '<= 1.1x',
                     table + ' | cat > /dev/null',
                     'cat text | cat > /dev/null')
        os.unlink('text')
        for output in 'json', 'jsonl':
            form = table + ' --output=' + output
            n = [int(subprocess.check_output(what + ' | wc -c', shell=True))
                 for what in (table, form)]
            self.compare('%s, to text of as many bytes' % output, '<= 3x',
                         form + ' | cat > /dev/null',
                         table + ' | cat > /dev/null', n[1] / n[0])

    def task_table_growth(self):
        small, large = (self.generate('table', 1 << n) for n in (24, 27))
        table = self.tool + ' bitmap-table --name b %s | cat > /dev/null'
        self.grow('table, 2^27 entries, to 2^24', '<= 8.5x', table % small,
                  table % large)
        os.unlink(large)

    def task_map(self):
        want('qemu-nbd', 'nbdinfo')
        image = self.generate('granules', 1 << 22)
        peer = ('rm -f nbd pid; qemu-nbd -r -t -f qcow2 -B b -k $PWD/nbd '
                '--pid-file=$PWD/pid %s & '
                'until [ -s pid ]; do sleep 0.01; done; '
                "nbdinfo --map=qemu:dirty-bitmap:b 'nbd+unix:///?socket=nbd' "
                '%s; kill $(cat pid); wait')
        ours = '%s bitmap-map --name b %s ' % (self.tool, image)
        self.compare('map, 2^22 extents, to nbdinfo', '>= 5x faster',
                     ours + '| cat > /dev/null',
                     peer % (image, '| cat > /dev/null'))
        self.compare('... to /dev/null', '>= 10x faster', ours + '> /dev/null',
                     peer % (image, '> /dev/null'))

    def task_totals(self):
        for kind in 'random', 'ones':
            image = self.generate(kind, 512 << 20)
            self.compare('totals, 512 MiB %s, to cat' % kind, '<= 1.5x',
                         '%s bitmap-map --totals --name b %s > /dev/null'
                         % (self.tool, image), 'cat %s > /dev/null' % image)
            os.unlink(image)

    def task_fleet(self):
        want('qemu-img')
        image = self.build('A')
        with open('fleet', 'w') as file:
            file.write(10000 * (image + '\n'))
        self.compare('10,000 images, to qemu-img', '>= 50x faster',
                     self.tool + ' bitmaps --output=jsonl --files-from=fleet '
                     '> /dev/null',
                     'for i in {1..100}; do '
                     'qemu-img info --output=json %s > /dev/null; done'
                     % image, 100)

    def task_check(self):
        for kind, number in ('table', 1 << 24), ('granules', 1 << 22):
            image = self.generate(kind, number)
            self.compare('check, %s %d, to cat' % (kind, number), '<= 2x',
                         '%s check %s > /dev/null; [ $? = 2 ]'
                         % (self.tool, image), 'cat %s > /dev/null' % image)

    def run_all(self, words):
        print('%-34s %10s %11s  %-15s %5s %6s  %s'
              % ('task', 'ours', 'peer', 'ratio', 'MB', 'peer', 'wanted'))
        for name in dir(self):
            if name.startswith('task_') and (
                    not words or any(word in name for word in words)):
                try:
                    getattr(self, name)()
                except Skip as reason:
                    print('%-34s left out: %s' % (name[5:], reason))


def main():
    if len(sys.argv) < 5 or sys.argv[1] == '--help':
        sys.exit(__doc__)
    bench = Bench(*map(os.path.abspath, sys.argv[1:5]))
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        os.chdir(folder)
        bench.run_all(sys.argv[5:])
        os.chdir('/')


main()
