#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the numbers in the summary of `qcow2tool check` with those of
`qemu-img check`, for images with one to three random changes.

A batch is a base, which QEMU's programs make, and images that differ from it.
The first image of a batch is the base itself.  Where qemu-img check counts
everything, all numbers must be equal.  Where it refuses the image, gives up or
cannot check all of it, qcow2tool must report a problem, or no numbers.  Each
disagreement is printed with the arguments of --replay that make the image
again.
"""

import argparse
import collections
import json
import multiprocessing
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.append(os.path.dirname(sys.path[0]))

import findings # noqa: E402
import census_bases # noqa: E402
import census_changes # noqa: E402
from census_changes import verdict # noqa: E402

KEYS = ('image-end-offset', 'total-clusters', 'allocated-clusters',
        'fragmented-clusters', 'compressed-clusters', 'corruptions', 'leaks',
        'check-errors')

# Images that take qemu-img longer, or more memory, are not compared.
TIMEOUT = 20
MEMORY = 3 << 30

# The classes of QEMU's answers.  One image in a hundred or less is of a rare
# class.
CLASSES = ('clean', 'leaks', 'corruptions', 'check errors', 'gives up',
           'refuses')
RARE = ('check errors', 'gives up')

# The rules about what qemu-img check examines.
OUR_RULES = re.compile('(L1|L2|RC|SNAP)-')


# QEMU's answer.


class Unjudged(Exception):
    """The reason why an image cannot be judged."""


class Qemu:
    """The class of QEMU's answer, its numbers and its messages."""

    def __init__(self, path, *flags):
        filename = verdict.qemu_filename(path)
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
        try:
            done = subprocess.run(
                ['qemu-img', 'check', '--output=json', *flags,
                 *census_bases.SECRET, filename], stdin=subprocess.DEVNULL,
                capture_output=True, check=False, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Unjudged('qemu-img takes longer than %d s'
                           % TIMEOUT) from None
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        self.stderr = done.stderr.decode('utf-8', 'replace').replace(
            filename, 'IMAGE')
        if 'annot allocate memory' in self.stderr \
                or 'failed to allocate' in self.stderr:
            raise Unjudged('qemu-img needs more than %d MiB' % (MEMORY >> 20))
        # The file may end in the key.
        if 'Invalid password' in self.stderr:
            raise Unjudged('the secret does not fit the image any more')
        self.numbers = None
        if done.stdout:
            answer = json.loads(done.stdout)
            self.numbers = {key: answer.get(key, 0) for key in KEYS}
        self.kind = self.classify(done.returncode)

    def classify(self, status):
        if status < 0:
            return 'crashes'
        if self.numbers is None:
            return 'gives up' if 'Check failed' in self.stderr else 'refuses'
        if self.numbers['check-errors'] > 0:
            return 'check errors'
        if self.numbers['corruptions'] > 0:
            return 'corruptions'
        return 'leaks' if self.numbers['leaks'] > 0 else 'clean'

    def counts_all(self):
        return self.numbers is not None and self.numbers['check-errors'] == 0

    def complains(self):
        return self.kind != 'clean'

    def messages(self):
        """Returns the kinds of messages, without numbers."""
        return {self.kind + ': ' + re.sub(
            r"0x[0-9a-f]+|\b\d+\b|(?<==)[0-9a-f]+|(?<=: )[0-9a-f]+$|'[^']*'",
            'N', line)
                for line in self.stderr.splitlines()}


# The program's answer.


def severe(ours, severities=('error', 'warning')):
    return [problem for problem in ours.get('problems') or ()
            if problem['severity'] in severities]


def numbers_of(ours):
    """Returns our numbers, or None if one of them is null or missing."""
    summary = ours.get('summary') or {}
    if any(summary.get(key) is None for key in KEYS):
        return None
    return {key: summary[key] for key in KEYS}


def is_uncounted(problem):
    """Returns whether the specification forbids what qemu-img check does not
    look at: the zero flag where it is reserved, offsets in a raw data file
    that are not those of the disk, and what ends at most a cluster after the
    end of the file."""
    return (problem['rule'] in ('L1-03', 'L2-03', 'L2-10', 'L2-12')
            or problem['rule'] == 'L2-01' and 'zero flag' in problem['message'])


def judge(qemu, ours):
    """Returns the errors in our answer."""
    wrong = []
    numbers = numbers_of(ours)
    # Files that are too large for 16 rounds are not counted.
    if qemu.counts_all() and 'RES-08' not in (
            problem['rule'] for problem in ours.get('problems') or ()):
        if numbers is None:
            missing = [key for key in KEYS
                       if (ours.get('summary') or {}).get(key) is None]
            wrong.append('no number: ' + ', '.join(missing))
        else:
            wrong += ['%s: %d, QEMU: %d' % (key, numbers[key],
                                            qemu.numbers[key])
                      for key in KEYS if numbers[key] != qemu.numbers[key]]
    elif numbers is not None and not severe(ours) and not ours.get('error'):
        wrong.append('QEMU %s, and nothing is found' % qemu.kind)

    if qemu.numbers is not None and qemu.complains() and not severe(ours) \
            and not ours.get('error'):
        wrong.append('QEMU counts %s, and nothing is found' % qemu.kind)
    if qemu.kind == 'clean':
        wrong += ['an error that QEMU does not see: %s at %s: %s' % (
            problem['rule'], problem['offset'], problem['message'])
                  for problem in severe(ours, ('error',))
                  if OUR_RULES.match(problem['rule'] or '')
                  and not is_uncounted(problem)]
    return wrong


def describe(mutant, n, qemu, ours, wrong):
    """Returns the lines that describe a disagreement."""
    found = ['%s %s@%s' % (problem['severity'][0].upper(), problem['rule'],
                           problem['offset'])
             for problem in ours.get('problems') or ()]
    stderr = qemu.stderr.splitlines()
    return ['image %d: --replay %s' % (n, shlex.quote(mutant.words())),
            *('  ' + line for line in list(mutant.base.made.lines())[:1]),
            *('  ' + line for line in mutant.lines()),
            *('  * ' + line for line in wrong),
            '  QEMU: %s %s' % (qemu.kind, qemu.numbers),
            *('    ' + line[:160] for line in stderr[:6]),
            *(['    ... %d lines' % len(stderr)] if len(stderr) > 6 else []),
            '  ours: %s; error: %s' % (
                numbers_of(ours), (ours.get('error') or {}).get('message')),
            '  found: %s' % ', '.join(found[:12])]


# Batches: the work of one process at a time.


class Result:
    """The result of one batch."""

    def __init__(self):
        self.wrong = []
        self.unjudged = collections.Counter()
        self.kinds = collections.Counter() # of QEMU's answers
        self.messages = collections.Counter()
        self.changes = collections.Counter() # by kind of change and answer
        self.bases = collections.Counter() # by kind of base
        self.keys = collections.Counter() # that differ
        self.nulls = collections.Counter() # by kind of QEMU's answer

    def add(self, other):
        for name, value in vars(other).items():
            if isinstance(value, collections.Counter):
                getattr(self, name).update(value)


STATE = {}


def set_up(folder, arguments):
    """Runs in each process of the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    STATE['folder'] = folder
    STATE['arguments'] = arguments


def make_mutants(batch, folder):
    """Yields the number, the image and the kinds of changes for each image of
    BATCH."""
    arguments = STATE['arguments']
    words = '%s:%d' % (arguments.seed, batch)
    made = census_bases.make_base(folder, words)
    base = census_changes.Base(words, made)
    first = batch * arguments.batch
    yield first, verdict.Mutant(base), ['none']
    last = min(first + arguments.batch, arguments.images)
    for n in range(first + 1, last):
        yield n, *census_changes.make_mutant(base, arguments.seed, n)


def ask_qemu(batch, folder, result):
    """Returns the images that can be judged, with QEMU's answer."""
    images = {}
    for n, mutant, changes in make_mutants(batch, folder):
        path = os.path.join(folder, '%d.qcow2' % n)
        mutant.write(path)
        try:
            qemu = Qemu(path)
        except Unjudged as reason:
            result.unjudged[str(reason)] += 1
            os.unlink(path)
            continue
        result.kinds[qemu.kind] += 1
        result.bases[type(mutant.base.made).__name__, qemu.kind] += 1
        for change in changes:
            result.changes[change, qemu.kind] += 1
        result.messages.update(qemu.messages())
        images[path] = (n, mutant, qemu)
    return images


def run_batch(batch):
    result = Result()
    with tempfile.TemporaryDirectory(dir=STATE['folder']) as folder:
        try:
            images = ask_qemu(batch, folder, result)
        except census_bases.Failure as reason:
            result.wrong.append('no base: %s' % reason)
            return batch, result
        if STATE['arguments'].qemu_only:
            return batch, result
        answers, how = verdict.answers('check', images)
        for path, (n, mutant, qemu) in images.items():
            ours = answers.get(path, {'summary': {}, 'error': None})
            wrong = judge(qemu, ours)
            if path not in answers:
                wrong = ['no answer: ' + how]
            if wrong:
                result.wrong += describe(mutant, n, qemu, ours, wrong)
                result.keys.update(line.split(':')[0] for line in wrong)
            if numbers_of(ours) is None:
                result.nulls[qemu.kind] += 1
    return batch, result


def table(tap, title, counter):
    """Prints COUNTER, whose keys are pairs, with a column for each class."""
    columns = CLASSES + ('crashes',)
    tap.note('%-18s' % title + ''.join('%13s' % name for name in columns))
    for row in sorted({row for row, _ in counter}):
        tap.note('%-18s' % row + ''.join(
            '%13d' % counter[row, column] for column in columns))


def print_summary(tap, total, arguments):
    tap.note('QEMU: ' + ', '.join('%d %s' % (count, kind) for kind, count
                                  in total.kinds.most_common()))
    for reason, count in sorted(total.unjudged.items()):
        tap.note('%d images not judged: %s' % (count, reason))
    table(tap, 'change', total.changes)
    table(tap, 'base', total.bases)
    if arguments.qemu_only:
        for message, count in total.messages.most_common():
            tap.note('%6d  %s' % (count, message[:150]))
        return
    tap.note('no numbers: ' + (', '.join(
        '%d where QEMU %s' % (count, kind)
        for kind, count in total.nulls.most_common()) or 'none'))
    for key, count in total.keys.most_common():
        tap.note('%6d disagreements: %s' % (count, key))


def main_run(arguments, folder):
    tap = findings.Tap()
    tap.note('seed %s, %d images' % (arguments.seed, arguments.images))
    batches = range(-(-arguments.images // arguments.batch))
    total = Result()
    with multiprocessing.Pool(arguments.jobs, set_up,
                              (folder, arguments)) as pool:
        for batch, result in pool.imap(run_batch, batches):
            total.add(result)
            if arguments.qemu_only and not result.wrong:
                continue
            first = batch * arguments.batch
            tap.ok('images %d to %d' % (first, min(
                first + arguments.batch, arguments.images) - 1), result.wrong)
    print_summary(tap, total, arguments)
    # A run without one of the classes proves less than it says.
    if arguments.images >= 400:
        tap.ok('QEMU gives answers of all kinds', [
            'no image: ' + kind for kind in CLASSES if total.kinds[kind] == 0
            and (arguments.images >= 4000 or kind not in RARE)])
    return tap.finish()


def main_replay(arguments, folder):
    """Makes one image, and prints both answers."""
    set_up(folder, arguments)
    if arguments.replay is not None:
        words, *changes = arguments.replay.split(';')
        made = census_bases.make_base(folder, words)
        mutant = census_changes.replay(census_changes.Base(words, made),
                                       changes)
        n = 0
    else:
        n = arguments.image
        arguments.images = n + 1
        *_, (n, mutant, _) = make_mutants(n // arguments.batch, folder)
    path = os.path.join(folder, 'image.qcow2')
    mutant.write(path)
    if arguments.keep:
        shutil.copyfile(path, arguments.keep)
    print('\n'.join(mutant.base.made.lines()))
    try:
        qemu = Qemu(path)
    except Unjudged as reason:
        print('not judged: %s' % reason)
        return 1
    answers, how = verdict.answers('check', [path])
    ours = answers.get(path, {'error': {'message': how}})
    wrong = judge(qemu, ours)
    print('\n'.join(describe(mutant, n, qemu, ours, wrong)))
    return 1 if wrong else 0


def parse():
    environ = os.environ
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, metavar='N',
                        default=int(environ.get('CENSUS_IMAGES') or 500))
    parser.add_argument('--seed', default=environ.get('CENSUS_SEED')
                        or str(random.randrange(1 << 32)))
    parser.add_argument('--batch', type=int, metavar='N', default=50,
                        help='images with the same base')
    parser.add_argument('--jobs', type=int, metavar='N',
                        default=len(os.sched_getaffinity(0)))
    parser.add_argument('--qemu-only', action='store_true',
                        help="only count QEMU's answers")
    parser.add_argument('--image', type=int, metavar='N',
                        help='only image N of --seed, with details')
    parser.add_argument('--replay', metavar='WORDS',
                        help='only the image that WORDS describe: '
                        'SEED:INDEX;OFFSET=HEX;size=BYTES')
    parser.add_argument('--keep', metavar='FILE',
                        help='with --image or --replay, keep the image')
    return parser.parse_args()


def folder_for_images():
    """Returns a folder in memory, if there is one."""
    where = os.environ.get('CENSUS_DIR')
    if where is None and os.access('/dev/shm', os.W_OK):
        where = '/dev/shm'
    return where


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory(dir=folder_for_images()) as folder:
        if arguments.image is None and arguments.replay is None:
            return main_run(arguments, folder)
        return main_replay(arguments, folder)


if __name__ == '__main__':
    sys.exit(main())
