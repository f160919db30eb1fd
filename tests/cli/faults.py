#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle of cli-faults.sh: makes reads fail inside the program.

  faults.py SHIM STEP LINES IMAGE...

SHIM is fault-shim.c as a shared object.  LINES are command lines.  All of them
read the first image, and a few of them read the others.  Each read in turn is
interrupted or returns less, and fails, until the command line has no such
read; if there are many reads, only the first ones fail.  Only every STEP-th
read is tried.  One of the four kinds of failure is tried with a read of the
first image, and with every second read of the others, in a rotation that
brings all kinds to each read of a few command lines.  If STEP is not 1, all
kinds are tried.  The replay of fuzz-faults tries all of them with all images,
in process.
The program is $QCOW2TOOL, and files are made in the current folder.  Prints a
line for each command line: its name and, after a tab, the errors.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

TOOL = shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))

IMAGE = 'image.qcow2'
OTHER = 'other.qcow2'
LOG = 'log'

# The largest number of reads that are tried one by one.
MANY = 40

# Messages about a read that failed, and about a file that ended early.
IO_ERROR = 'cannot read: %s [FILE-04]' % os.strerror(5)
SHRANK = 'the file shrank from %d bytes while it was read [FILE-05]'
MESSAGE = re.compile(r'qcow2tool: (\S+): 0x([0-9a-f]+): ([A-Za-z0-9 \']+): (.*)')

# The most messages about reads: those after which it goes on, and the
# one that ends it.
MOST_TOLD = 10 + 1

# The command lines for all images but the first.
FEW = ['header --output=json', 'extensions', 'extensions --output=json',
       'bitmaps --list --long', 'bitmap-table --output=jsonl', 'dump',
       'dump --output=json', 'dump-header -j']

wrong = []


def complain(what, *values):
    wrong.append(what + ' ' + ', '.join(repr(value)[:300]
                                        for value in values))


class Run:
    """Runs the program with PRELOAD in its environment."""

    def __init__(self, way, shim=None, **settings):
        environment = dict(os.environ)
        if shim is not None:
            environment['LD_PRELOAD'] = shim
        for name, value in settings.items():
            environment['FAULT_' + name.upper()] = str(value)
        if os.path.exists(LOG):
            os.unlink(LOG)
        done = subprocess.run(TOOL + way.split() + [IMAGE],
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment, check=False)
        self.status = done.returncode
        self.output = done.stdout.decode()
        self.messages = done.stderr.decode()
        self.answer = None
        # (offset, size) of each read with a fault
        self.met = []
        if os.path.exists(LOG):
            with open(LOG, encoding='ascii') as file:
                self.met = [tuple(map(int, line.split())) for line in file]

    def equals(self, other):
        return (self.status, self.output, self.messages) == (
            other.status, other.output, other.messages)


class Way:
    """A command line, and its result without faults."""

    def __init__(self, way, shim, turn, turns):
        self.way = way
        self.turn = turn
        self.turns = turns
        self.shim = shim
        self.size = os.path.getsize(IMAGE)
        self.whole = self.run('none', 0, 0)
        self.is_json = '--output=json' in way
        self.is_line = '--output=jsonl' in way
        # Its object is that of qemu-img, which says nothing about errors.
        self.is_info = way.startswith('info ')

    def run(self, kind, first, last, size=0):
        return Run(self.way, self.shim, file=IMAGE, kind=kind, first=first,
                   last=last, size=size, other=OTHER, log=LOG)

    def check_json(self, what, run):
        """The output is one valid document with the required keys."""
        if self.is_info and not self.is_line and run.output == '':
            return
        try:
            answer = json.loads(run.output)
        except ValueError as error:
            complain(what + ': not JSON:', error, run.output)
            return
        keys = list(answer)
        if self.is_info:
            keys = [key for key in keys if key != 'qemu-refuses']
        if keys != list(json.loads(self.whole.output)) and not (
                self.is_line and self.is_info
                and keys == ['filename', 'error']):
            complain(what + ': keys', list(answer))
        if self.is_line != (run.output.count('\n') == 1):
            complain(what + ': lines', run.output)
        run.answer = answer

    def check_documents(self, what, run):
        """dump-header -j prints two documents, dump-header-exts -j one."""
        n = 1 if 'exts' in self.way else 2
        text = run.output
        try:
            for _ in range(n if text else 0):
                _, end = json.JSONDecoder().raw_decode(text)
                text = text[end:].lstrip()
            if text:
                complain(what + ': after the JSON:', text)
        except ValueError as error:
            complain(what + ': not JSON:', error, run.output)

    def check_order(self, what, run):
        """Status, messages and syntax are valid, whatever their contents."""
        if run.status not in (0, 1, 2, 3):
            complain(what + ': status', run.status)
        # The findings of check are its output, so there are no messages.
        if (run.status == 0) != (run.messages == '') and (
                run.status != 2 or not self.way.startswith('check')):
            complain(what + ': status and messages', run.status, run.messages)
        for line in run.messages.splitlines(True):
            if not line.startswith('qcow2tool: ') or not line.endswith('\n'):
                complain(what + ': a stray message', line)
        if self.is_json:
            self.check_json(what, run)
        elif self.way.endswith('-j'):
            self.check_documents(what, run)

    def check_told(self, what, run, reason):
        """If a read failed, a message says so and has the reason."""
        met = {offset for offset, _ in run.met}
        told = 0
        for line in run.messages.splitlines():
            match = MESSAGE.fullmatch(line)
            if match is None or match.group(4) != reason:
                continue
            told += 1
            if match.group(1) != IMAGE:
                complain(what + ': not about the image:', line)
            if reason == IO_ERROR and int(match.group(2), 16) not in met:
                complain(what + ': no read failed there:', line, sorted(met))
        if told == 0 or told > MOST_TOLD:
            complain(what + ': not reported', reason, run.messages)

    def check_text(self, what, run):
        """The output before and after the failed read is unchanged."""
        # The last object of an array has no comma, wherever the array ends.
        lines = [line.rstrip(',') for line in self.whole.output.splitlines()]
        for line in run.output.splitlines():
            if line.rstrip(',') in lines or line == '%-25s damaged' % 'state':
                continue
            # In a list, the widths of columns may differ, and values that
            # could not be read are unknown.
            words = [word for word in line.split()
                     if word not in ('-', 'damaged')]
            if '--list' in self.way and any(
                    set(words) <= set(row.split()) for row in lines):
                continue
            complain(what + ': a line without counterpart:', line)

    @staticmethod
    def read_map(text):
        """Yields (first byte, end, type) of each extent."""
        for line in text.splitlines():
            offset, length, kind, _ = line.split()
            yield int(offset), int(offset) + int(length), kind

    def check_forced(self, what, run, reason):
        """Extents that cannot be read are unknown, and the others are
        unchanged."""
        if run.status not in (1, 2):
            complain(what + ': status', run.status, run.messages)
        self.check_told(what, run, reason)
        if run.status == 1 or {'--totals', '--output', '--plot'} & set(
                self.way.split()):
            return
        whole = list(self.read_map(self.whole.output))
        for start, end, kind in self.read_map(run.output):
            if kind != '3' and not any(
                    first <= start and end <= last and kind == there
                    for first, last, there in whole):
                complain(what + ': wrong extent:', start, end, kind)
        last = [end for _, end, _ in self.read_map(run.output)][-1:]
        if last != [whole[-1][1]]:
            complain(what + ': ends at', last)

    def check_failed(self, what, run, reason):
        """The run reports that it failed."""
        if '--force' in self.way:
            self.check_forced(what, run, reason)
            return
        if run.status != 1:
            complain(what + ': status', run.status, run.messages)
        self.check_told(what, run, reason)
        if self.is_json and (not self.is_info
                             or 'error' in (run.answer or {})):
            error = (run.answer or {}).get('error') or {}
            if error.get('code') != 'read' \
                    or not error['message'].endswith(reason):
                complain(what + ': error', error)
        elif not self.way.endswith('-j') and not self.way.startswith('check'):
            self.check_text(what, run)

    def check_same(self, what, run):
        if not run.equals(self.whole):
            complain(what + ': another answer', run.status, run.messages,
                     run.output)

    def check_harmless(self, n):
        """Interrupted and short reads happen to every program at times."""
        kinds = ('eintr', 'short')
        if self.turns > 1:
            kinds = kinds[(n + self.turn) % 2:][:1]
        for kind in kinds:
            run = self.run(kind, n, n)
            self.check_same('%s of read %d' % (kind, n), run)
        return bool(run.met)

    def check_fault(self, kind, n, reason):
        """First only the N-th read fails, and the program may recover.  Then
        all reads from the N-th on fail, and the program cannot recover."""
        for last in n, 1 << 30:
            run = self.run(kind, n, last)
            what = '%s of read %d%s' % (kind, n, '+' if last > n else '')
            self.check_order(what, run)
            if last > n or not run.equals(self.whole):
                self.check_failed(what, run, reason)

    def check_shrink(self, n):
        """The file ends earlier than the read expects, and remains short."""
        for size in '=0', '=105', '0', '7':
            run = self.run('shrink', n, n, size)
            shutil.copyfile('sound', IMAGE)
            what = 'shrink to %s at read %d' % (size, n)
            self.check_order(what, run)
            if not run.equals(self.whole):
                self.check_failed(what, run, SHRANK % self.size)
            elif size == '0' and run.met[0][1] > 0:
                complain(what + ': nothing was missing')

    def check_change(self, n):
        """The image is replaced by another one, so any result is possible."""
        run = self.run('change', n, n)
        shutil.copyfile('sound', IMAGE)
        self.check_order('change at read %d' % n, run)

    def check(self, step):
        run = self.run('rough', 1, 1 << 30)
        self.check_same('rough reads', run)
        if len(run.met) < 6:
            complain('the shim was not loaded')
            return
        n = 1
        while n <= MANY and self.check_harmless(n):
            checks = (lambda: self.check_fault('eio', n, IO_ERROR),
                      lambda: self.check_shrink(n),
                      lambda: self.check_fault('eof', n, SHRANK % self.size),
                      lambda: self.check_change(n))
            for check in checks[(n + self.turn) % self.turns::self.turns]:
                check()
            n += step
        if n == 1:
            complain('no read')


def check_image(path, ways, shim, step, other, turns):
    name = os.path.basename(path).replace('.qcow2', '')
    if name.startswith('many'):
        ways, step = ['bitmaps --output=json', 'dump'], MANY - 1
    # A copy without holes.
    shutil.copyfile(path, 'sound')
    shutil.copyfile(path, IMAGE)
    shutil.copyfile(other, OTHER)
    for turn, way in enumerate(ways):
        try:
            Way(way, shim, turn, turns).check(step)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            complain('exception:', error)
        print('%s: %s' % (name, way), '; '.join(wrong[:5]), sep='\t')
        wrong.clear()


def main():
    shim, step, lines, *paths = sys.argv[1:]
    ways = lines.split('\n')
    for index, path in enumerate(paths):
        turns = 1 if int(step) > 1 else 4 if index == 0 else 8
        check_image(path, FEW if index > 0 else ways, shim, int(step),
                    paths[index - 1], turns)


if __name__ == '__main__':
    main()
