#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts two programs that write to the same image at random moments.

  edit-race.py [--seed N] [--rounds N]

In each round, an editing command waits at a random system call, for which
strace is used if it works.  Meanwhile another editing command, or a program of
QEMU, starts.  Prints a line for each round: its name and, after a tab, the
reason if it is wrong.

* Of two edits, each is done, or refused because of the other.  The image is as
  if they had been done one after the other.
* A program of QEMU and an edit are each done or refused.  qemu-img check finds
  no error, what was written is there, and each bitmap that is valid has it."""

import argparse
import collections
import itertools
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(sys.path[0]), 'cli'))

import edit_model as model # noqa: E402

TOOL = shlex.split(os.environ['QCOW2TOOL'])
TIMEOUT = 60
MAGIC = 0x12345678

# The commands of qemu-storage-daemon: it adds a bitmap, which it writes to the
# image when it ends.
DAEMON_COMMANDS = b'''{"execute": "qmp_capabilities"}
{"execute": "block-dirty-bitmap-add",
 "arguments": {"node": "disk", "name": "%s", "persistent": true}}
{"execute": "quit"}
'''

# The calls at which an edit waits, and the range of their numbers.
CALLS = {'openat': 20, 'fcntl': 12, 'pread64': 60, 'pwrite64': 4,
         'fdatasync': 3, 'close': 12}


class Wrong(Exception):
    pass


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def run(*words):
    return subprocess.run(words, capture_output=True, check=False,
                          timeout=TIMEOUT)


def make_image(path):
    run('qemu-img', 'create', '-q', '-f', 'qcow2', path, '64M')
    for i in range(3):
        run('qemu-img', 'bitmap', '--add', path, 'bitmap-%d' % i)
    return read(path)


def strace_works():
    try:
        return run('strace', '-o', '/dev/null', 'true').returncode == 0
    except FileNotFoundError:
        return False


def choose_edit(rng):
    return rng.choice([
        ['set-feature-bit', 'compatible', str(rng.randrange(8, 64))],
        ['set-header', 'compatible_features', hex(rng.randrange(1 << 63))],
        ['add-header-ext', hex(MAGIC), 'x' * rng.randrange(600)],
        ['del-header-ext', '0x6803f857'],
        ['remove-bitmap', '--index=%d' % rng.randrange(2)]])


def line_of(words, path, plan):
    """Returns a command line.  Without a saved plan, an edit for which there is
    no safe order would be refused."""
    return [*TOOL, words[0], '--force', '--save-plan=' + plan, path,
            *words[1:]]


class Round:
    def __init__(self, rng, folder, before, slows):
        self.rng = rng
        self.path = os.path.join(folder, 'image')
        self.before = before
        self.edit = choose_edit(rng)
        self.slows = slows
        self.others = ['qemu-io', 'qemu-io', 'qemu-img']
        if shutil.which('qemu-storage-daemon'):
            self.others.append('qemu-storage-daemon')
        self.plans = [self.path + '.plan-%d' % i for i in range(2)]
        for plan in self.plans:
            if os.path.exists(plan):
                os.remove(plan)
        with open(self.path, 'wb') as file:
            file.write(before)

    def start(self, line, text=b''):
        """Starts LINE with TEXT on standard input."""
        process = subprocess.Popen(line, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        try:
            process.stdin.write(text)
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.stdin = None
        return process

    def race(self, other, text=b''):
        """Runs the edit and, at some moment, the line OTHER with TEXT on
        standard input.  Returns the statuses and messages of both."""
        prefix = []
        if self.slows:
            call = self.rng.choice(sorted(CALLS))
            prefix = ['strace', '-f', '-qq', '-o', '/dev/null', '-e',
                      'trace=' + call, '-e',
                      'inject=%s:delay_enter=%d:when=%d'
                      % (call, self.rng.randrange(150000),
                         self.rng.randrange(1, CALLS[call]))]
        first = self.start(prefix + line_of(self.edit, self.path,
                                            self.plans[0]))
        time.sleep(self.rng.random() * 0.15)
        second = self.start(other, text)
        results = []
        for process in (first, second):
            text = process.communicate(timeout=TIMEOUT)[0]
            results.append((process.returncode, text))
        return results

    def two_edits(self):
        edits = [self.edit, choose_edit(self.rng)]
        results = self.race(line_of(edits[1], self.path, self.plans[1]))
        for status, text in results:
            if status not in (0, 1, 3) or (status == 1
                                           and b'another program' not in text):
                raise Wrong('status %d: %r' % (status, text))
        after = read(self.path)
        for order in itertools.permutations(zip(edits, results)):
            if self.in_order(order) == after:
                return '%d, %d' % (results[0][0], results[1][0])
        raise Wrong('%s: %r: the image is not as after these'
                    % (edits, [status for status, _ in results]))

    def in_order(self, order):
        """Returns the bytes after the edits in ORDER, or None if one that was
        done could not be, or the other way round."""
        data = self.before
        for words, (status, _) in order:
            try:
                new = model.run(data, words)
            except model.NotFound:
                if status == 0:
                    return None
                continue
            if status == 3:
                return None
            if status == 0:
                data = new
        return data

    def edit_and_qemu(self):
        at = self.rng.randrange(1023) * 65536
        name = 'new-bitmap'
        kind = self.rng.choice(self.others)
        writes = kind == 'qemu-io'
        commands = b''
        if writes:
            other = ['qemu-io', '-f', 'qcow2', '-c', 'write -P 7 %d 64k' % at,
                     self.path]
        elif kind == 'qemu-img':
            other = ['qemu-img', 'bitmap', '--add', '-f', 'qcow2', self.path,
                     name]
        else:
            other = [kind, '--blockdev', 'driver=file,node-name=file,filename='
                     + self.path, '--blockdev',
                     'driver=qcow2,node-name=disk,file=file',
                     '--chardev', 'stdio,id=stdio', '--monitor', 'stdio']
            commands = DAEMON_COMMANDS % name.encode()
        (edited, text), (wrote, qemu_text) = self.race(other, commands)
        if edited not in (0, 1) or (edited == 1
                                    and b'another program' not in text):
            raise Wrong('status %d: %r' % (edited, text))
        if wrote != 0 and b'lock' not in qemu_text:
            raise Wrong('QEMU: status %d: %r' % (wrote, qemu_text))
        data = read(self.path)
        if edited == 0 and not self.is_done(data):
            raise Wrong('%s: status 0, but it is not done' % self.edit)
        if wrote != 0 and data != (model.run(self.before, self.edit)
                                   if edited == 0 else self.before):
            raise Wrong('QEMU is refused, and something else has changed')
        check = run('qemu-img', 'check', self.path)
        if check.returncode not in (0, 3):
            raise Wrong('qemu-img check: %r' % check.stdout)
        if wrote == 0 and writes:
            self.check_written(at)
        elif wrote == 0 and name.encode() not in data:
            raise Wrong('the bitmap that QEMU added is gone')
        return '%d, %s %d' % (edited, kind, wrote)

    def is_done(self, data):
        """Returns whether the edit can be seen in DATA."""
        command, *rest = self.edit
        magics = [e[1] for e in model.extensions(data)[0]]
        features = model.field(data, 'compatible_features')
        if command == 'set-feature-bit':
            return features >> int(rest[1]) & 1 == 1
        if command == 'set-header':
            return features == int(rest[1], 0)
        if command == 'add-header-ext':
            return MAGIC in magics
        if command == 'del-header-ext':
            # QEMU writes the feature table again.
            return True
        return b'bitmap-' + rest[0][-1:].encode() not in [
            e[2] for e in model.directory(data)]

    def check_written(self, at):
        result = run('qemu-io', '-r', '-f', 'qcow2', '-c',
                     'read -P 7 %d 64k' % at, self.path)
        if (result.returncode != 0 or b'failed' in result.stdout
                or b'failed' in result.stderr):
            raise Wrong('what QEMU wrote is not there: %r' % result.stdout)
        for i in range(3):
            status = run(*TOOL, 'bitmap-map', '--name=bitmap-%d' % i,
                         '--contains=%d' % at, self.path).returncode
            gone = self.edit == ['remove-bitmap', '--index=%d' % i]
            if status != 0 and not (status == 3 and gone):
                raise Wrong('bitmap-%d does not have what was written: '
                            'status %d' % (i, status))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seed', default=str(random.randrange(1 << 32)))
    parser.add_argument('--rounds', type=int, default=10)
    arguments = parser.parse_args()
    print('# seed ' + arguments.seed)
    memory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    counts = collections.Counter()
    slows = strace_works()
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        before = make_image(os.path.join(folder, 'base'))
        for i in range(arguments.rounds):
            name = ('two edits', 'an edit and QEMU')[i % 2]
            rng = random.Random('%s-%d' % (arguments.seed, i))
            this = Round(rng, folder, before, slows)
            wrong = ''
            try:
                result = this.edit_and_qemu() if i % 2 else this.two_edits()
                counts[name + ': status ' + result] += 1
            except Wrong as error:
                wrong = '\t' + re.sub(r'\s+', ' ', '%s: %s'
                                      % (this.edit, error))
            print('round %d: %s%s' % (i, name, wrong))
            sys.stdout.flush()
    for result, count in sorted(counts.items()):
        print('# %s: %d' % (result, count))


main()
