# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `qcow2tool check` finds in images of the builder, and results in TAP.

The programs are $QCOW2TOOL and $MKIMAGE; images are made in $IMAGES, a folder
that the caller removes.
"""

import json
import os
import re
import shlex
import subprocess

TOOL = shlex.split(os.environ.get('QCOW2TOOL', 'qcow2tool'))
MKIMAGE = os.environ.get('MKIMAGE', 'mkimage')
IMAGES = os.environ.get('IMAGES', '.')


class Tap:
    """Results, printed as they come."""

    def __init__(self):
        self.n = 0
        self.n_failed = 0

    def ok(self, name, reasons=()):
        """One result: REASONS, a list of lines, are what is wrong."""
        self.n += 1
        self.n_failed += bool(reasons)
        print('%sok %d - %s' % ('not ' if reasons else '', self.n, name))
        for reason in reasons:
            self.note(reason)

    def note(self, text):
        print('# ' + text.replace('\n', '\n# '), flush=True)

    def finish(self):
        """Prints the plan and returns the exit status."""
        print('1..%d' % self.n)
        return 1 if self.n_failed else 0


class Answer:
    """The answer to one image.  Problems are as the program gives them but
    for those that only say how many more there are."""

    def __init__(self, path):
        done = subprocess.run(TOOL + ['check', '--output=json', '--', path],
                              capture_output=True, check=False)
        document = json.loads(done.stdout)
        self.status = done.returncode
        self.messages = done.stderr.decode('utf-8', 'replace')
        self.error = document['error']
        self.problems = [problem for problem in document['problems']
                         if problem.get('suppressed') is None]

    def findings(self):
        """The problems as "E HDR-04@0x14", the error that ended it too."""
        found = ['%s %s@%#x' % (problem['severity'][0].upper(),
                                problem['rule'], problem['offset'])
                 for problem in self.problems]
        if self.error is not None:
            message = self.error['message']
            offset = re.match('0x[0-9a-f]+', message)
            rule = re.search(r'\[([A-Z]+-[0-9]+)\]$', message)
            found.append('E %s@%s' % (rule and rule.group(1),
                                      offset and offset.group()))
        return found


def all_rules():
    """All ways to break a rule, in the program's own order."""
    done = subprocess.run(TOOL + ['check', '--rules', '--output=json'],
                          capture_output=True, check=True)
    return json.loads(done.stdout)


def names():
    """The names of the builder's images."""
    done = subprocess.run([MKIMAGE, '--list'], capture_output=True, check=True)
    return [line.split('\t')[0] for line in done.stdout.decode().splitlines()]


def make_image(name):
    """Makes an image of the builder; the path belongs to the caller."""
    path = os.path.join(IMAGES, name + '.qcow2')
    subprocess.run([MKIMAGE, name, path], check=True)
    return path


def check_image(name):
    """What is found in an image of the builder, which is not kept."""
    path = make_image(name)
    try:
        return Answer(path)
    finally:
        os.unlink(path)


def rows(path):
    """The rows of a table, without comments; a line that begins with a blank
    goes on with the row before it."""
    found = []
    with open(path, encoding='utf-8') as file:
        for line in file:
            text = line.split('#')[0].rstrip()
            if text and text[0].isspace():
                found[-1] += text
            elif text:
                found.append(text)
    return found
