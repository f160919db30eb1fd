#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the speed of the program with that of others that do the same work.

bench.py TOOL NULL PEAK MKIMAGE TABLES [TASK...]

Each task is run alternately by TOOL and by a peer, a few times.  The results
are the median of the ratios of these pairs, and the peak memory of a process
of each, which PEAK measures.  If a task can have any size, it is also run with
a sixteenth of the work: the last columns show how much longer the whole work
takes, and the memory for it.  NULL is a program that links GLib, parses
options and does nothing, and TABLES one that only reads the tables of an
image.  The default is all tasks; TASKs are words, and tasks whose names
contain one of them are measured.  If a peer is missing, the output says so and
the task is left out.  No result is a failure because it is slow.
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

TO_PIPE = ' | cat > /dev/null'
TO_NULL = ' > /dev/null'


class Skip(Exception):
    """The peer is missing."""


def want(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip('%s is not installed' % program)


def warm_up(path):
    """Brings the file into the page cache, without its holes."""
    with open(path, 'rb') as file:
        end = 0
        while end < os.path.getsize(path):
            try:
                start = file.seek(end, os.SEEK_DATA)
            except OSError:
                break # a hole at the end
            end = file.seek(start, os.SEEK_HOLE)
            for at in range(start, end, 1 << 20):
                os.pread(file.fileno(), min(1 << 20, end - at), at)


class Bench:
    def __init__(self, tool, null, peak, mkimage, tables):
        self.tool, self.null = shlex.quote(tool), shlex.quote(null)
        self.tables = shlex.quote(tables)
        self.peak, self.mkimage = peak, mkimage

    # ---- Images ----

    def generate(self, kind, number):
        path = '%s-%d' % (kind, number)
        if not os.path.exists(path):
            subprocess.run([sys.executable, HERE + '/images.py', kind,
                            str(number), path], check=True)
        warm_up(path)
        return path

    def build(self, name):
        if not os.path.exists(name):
            subprocess.run([self.mkimage, name, name], check=True)
        return name

    # ---- Measuring ----

    def run(self, command):
        """Runs a shell command; returns its time in seconds and the peak
        memory of one process in bytes."""
        begin = time.monotonic()
        status = subprocess.call([self.peak, 'peak', command])
        taken = time.monotonic() - begin
        if status != 0:
            sys.exit('bench: exit status %d: %s' % (status, command))
        with open('peak') as file:
            return taken, int(file.read()) * 1024

    def compare(self, task, target, ours, peer, small=None, unit=1.0):
        """Runs OURS and PEER alternately, and SMALL, which is a sixteenth of
        OURS.  UNIT is how many times PEER would have to run to do as much
        work."""
        pairs = [(self.run(ours), self.run(peer)) for _ in range(PAIRS)]
        some = [self.run(small) for _ in range(PAIRS)] if small else []
        mine = statistics.median(mine[0] for mine, _ in pairs)
        ratio = statistics.median(
            theirs[0] * unit / mine[0] for mine, theirs in pairs)
        growth = '%6.1fx %5.1f' % (
            mine / statistics.median(run[0] for run in some),
            max(run[1] for run in some) / 1e6) if some else ''
        print('%-34s %8.3f s %8.3f s  %-15s %5.1f %6.1f  %-13s  %s' % (
            task, mine,
            statistics.median(theirs[0] * unit for _, theirs in pairs),
            '%.1fx faster' % ratio if ratio >= 1
            else '%.2fx the time' % (1 / ratio),
            max(mine[1] for mine, _ in pairs) / 1e6,
            max(theirs[1] for _, theirs in pairs) / 1e6, growth, target),
              flush=True)

    # ---- Tasks ----

    def task_start(self):
        want('qemu-img')
        image = self.build('two-bitmaps')
        loop = 'for i in {1..50}; do %s > /dev/null; done'
        ours = loop % (self.tool + ' bitmaps ' + image)
        self.compare('bitmaps, 50 times, to qemu-img', '>= 3x faster', ours,
                     loop % ('qemu-img info ' + image))
        self.compare('... to a program that does nothing', '<= 1.5x', ours,
                     loop % (self.null + ' ' + image))

    def task_table(self):
        image = self.generate('table', 1 << 24)
        small = self.generate('table', 1 << 20)
        table = self.tool + ' bitmap-table --name b %s'
        subprocess.run(table % image + ' > text', shell=True, check=True)
        self.compare('table, 2^24 entries, to cat', '<= 1.1x',
                     table % image + TO_PIPE, 'cat text' + TO_PIPE,
                     table % small + TO_PIPE)
        os.unlink('text')
        for output in 'json', 'jsonl':
            form = table + ' --output=' + output
            n = [int(subprocess.check_output(what % image + ' | wc -c',
                                             shell=True))
                 for what in (table, form)]
            self.compare('%s, to text of as many bytes' % output, '<= 3x',
                         form % image + TO_PIPE, table % image + TO_PIPE,
                         form % small + TO_PIPE, n[1] / n[0])

    def task_table_growth(self):
        small, large = (self.generate('table', 1 << n) for n in (24, 27))
        table = self.tool + ' bitmap-table --name b %s' + TO_PIPE
        self.compare('table, 2^27 entries, to 8 times 2^24', '<= 1.06x',
                     table % large, table % small, unit=8)
        os.unlink(large)

    def task_map(self):
        want('qemu-nbd', 'nbdinfo')
        image = self.generate('granules', 1 << 22)
        small = self.generate('granules', 1 << 18)
        peer = ('rm -f nbd pid; qemu-nbd -r -t -f qcow2 -B b -k $PWD/nbd '
                '--pid-file=$PWD/pid %s & '
                'until [ -s pid ]; do sleep 0.01; done; '
                "nbdinfo --map=qemu:dirty-bitmap:b 'nbd+unix:///?socket=nbd' "
                '%s; kill $(cat pid); wait')
        ours = self.tool + ' bitmap-map --name b '
        for task, target, to in (
                ('map, 2^22 extents, to nbdinfo', '>= 5x faster', TO_PIPE),
                ('... to /dev/null', '>= 10x faster', TO_NULL)):
            self.compare(task, target, ours + image + to, peer % (image, to),
                         ours + small + to)

    def task_totals(self):
        totals = self.tool + ' bitmap-map --totals --name b '
        for kind in 'random', 'ones':
            image, small = (self.generate(kind, n << 20) for n in (512, 32))
            self.compare('totals, 512 MiB %s, to cat' % kind, '<= 1.5x',
                         totals + image + TO_NULL, 'cat ' + image + TO_NULL,
                         totals + small + TO_NULL)
            os.unlink(image)

    def task_names(self):
        image, small = (self.generate('names', n) for n in (65535, 4095))
        names = self.tool + ' bitmaps --names '
        last = self.tool + ' bitmap-table --name %s '
        ends = [subprocess.check_output(
            names + path + ' | tail -n 1', shell=True, encoding='ascii')
            for path in (image, small)]
        peer = 'cat ' + image + TO_PIPE
        self.compare('65,535 long names, to cat', '<= 2x',
                     names + image + TO_PIPE, peer, names + small + TO_PIPE)
        self.compare('table of the last of them, to cat', '<= 2x',
                     last % ends[0].strip() + image + TO_PIPE, peer,
                     last % ends[1].strip() + small + TO_PIPE)

    def task_fleet(self):
        want('qemu-img')
        image = self.build('two-bitmaps')
        for name, n in ('fleet', 10000), ('few', 625):
            with open(name, 'w') as file:
                file.write(n * (image + '\n'))
        ours = self.tool + ' bitmaps --output=jsonl --files-from='
        self.compare('10,000 images, to qemu-img', '>= 50x faster',
                     ours + 'fleet' + TO_PIPE,
                     'for i in {1..100}; do '
                     'qemu-img info --output=json %s; done' % image + TO_PIPE,
                     ours + 'few' + TO_PIPE, 100)

    def task_check(self):
        """The image has no correct refcounts, so the status is 2."""
        check = '(%s check %%s; [ $? = 2 ])' % self.tool + TO_PIPE
        for kind, large, small in (('table', 1 << 24, 1 << 20),
                                   ('granules', 1 << 22, 1 << 18),
                                   ('random', 512 << 20, 32 << 20),
                                   ('names', 65535, 4095)):
            images = [self.generate(kind, n) for n in (large, small)]
            self.compare('check, %s %d, to cat' % (kind, large), '<= 2x',
                         check % images[0], 'cat %s' % images[0] + TO_PIPE,
                         check % images[1])

    def task_disk(self):
        want('qemu-img')
        image, small = (self.generate('disk', 1 << n) for n in (24, 20))
        check = self.tool + ' check '
        self.compare('check, disk of 1 TiB, to qemu-img',
                     '>= 3x faster, <= 67 MB', check + image + TO_NULL,
                     'qemu-img check -q ' + image, check + small + TO_NULL)
        self.compare('... to a read of its tables', '<= 2x',
                     check + image + TO_NULL, self.tables + ' ' + image)

    def run_all(self, words):
        print('%-34s %10s %10s  %-15s %5s %6s  %-13s  %s'
              % ('task', 'ours', 'peer', 'ratio', 'MB', 'peer', '16x work, MB',
                 'wanted'))
        for name in dir(self):
            if name.startswith('task_') and (
                    not words or any(word in name for word in words)):
                try:
                    getattr(self, name)()
                except Skip as reason:
                    print('%-34s left out: %s' % (name[5:], reason))


def main():
    if len(sys.argv) < 6 or sys.argv[1] == '--help':
        sys.exit(__doc__)
    bench = Bench(*map(os.path.abspath, sys.argv[1:6]))
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        os.chdir(folder)
        bench.run_all(sys.argv[6:])
        os.chdir('/')


main()
