#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Changes one or two bytes of a LUKS header.  QEMU, with the right secret,
must refuse exactly those images for which check says so.

Where only the secret decides (salt, digest, iterations other than 0, the
location of the key), QEMU may also say that no slot opens.  Such images are
not compared.
"""

import os
import random
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(os.path.dirname(sys.path[0]))

import findings # noqa: E402

CASES = int(os.environ.get('QCOW2TOOL_LUKS_CASES',
                           40 if findings.SLOW else 300))
SEED = int(os.environ.get('QCOW2TOOL_LUKS_SEED', random.randrange(2 ** 32)))

REFUSES = 'QEMU refuses to open this image'
NO_SLOT = 'Invalid password, cannot unlock any keyslot'
SECRET = ('--object', 'secret,id=s,data=right')

SLOTS = range(208, 592, 48)
# A large value of these would keep QEMU busy for hours.
ITERATIONS = [164] + [slot + 4 for slot in SLOTS]
SLOW_BYTES = {at + byte for at in ITERATIONS for byte in (0, 1)}

# The bytes that check examines.
JUDGED = [at for at in range(592) if at not in SLOW_BYTES
          and not 112 <= at < 164 and not 168 <= at < 208
          and not any(slot + 8 <= at < slot + 40 for slot in SLOTS)]
# Values that only just break names, numbers and offsets.
VALUES = (0, 1, 7, 8, 15, 16, 31, 32, 0x2d, 0x3a, 0x61, 0x7f, 0x80, 0xff)

BASES = (
    '',
    ',encrypt.cipher-alg=aes-256,encrypt.cipher-mode=cbc,'
    'encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256',
    ',encrypt.cipher-alg=cast5-128,encrypt.cipher-mode=cbc',
    ',encrypt.cipher-alg=twofish-128,encrypt.cipher-mode=ctr,'
    'encrypt.hash-alg=sha1',
)


def run(*command):
    return subprocess.run(command, capture_output=True, check=False,
                          timeout=300)


def qemu(path):
    """Returns whether QEMU opens the image, and its message."""
    done = run('qemu-io', '-r', *SECRET, '-c', 'quit', '--image-opts',
               'driver=qcow2,file.filename=%s,encrypt.key-secret=s' % path)
    text = (done.stdout + done.stderr).decode('utf-8', 'replace')
    return done.returncode == 0, text


def header_place(path):
    done = run(*findings.TOOL, 'extensions', '--magic=Crypto header',
               '--field=crypto_header_offset', path)
    return int(done.stdout)


def change(random_, header):
    """Returns one or two changes, as (offset, byte) in the header."""
    changes = []
    for _ in range(random_.choice((1, 1, 2))):
        at = random_.choice(JUDGED if random_.random() < 0.9 else
                            [at for at in range(592)
                             if at not in SLOW_BYTES])
        if random_.random() < 0.5:
            byte = header[at] ^ 1 << random_.randrange(8)
        else:
            byte = random_.choice(VALUES)
        changes.append((at, byte))
    return changes


def judge(path, changed):
    """Returns the errors in the output of check, and whether QEMU opens the
    image, or None if only the secret decides."""
    answer = findings.Answer(path)
    said = [problem for problem in answer.problems
            if (problem['consequence'] or '').startswith(REFUSES)]
    unsure = [problem['rule'] for problem in answer.problems
              if (problem['consequence'] or '').startswith(
                  ('unless the secret', 'QEMU 7.2'))]
    opens, text = qemu(path)
    told = ' '.join('%d:%02x' % pair for pair in changed)
    if answer.error is not None or answer.status not in (0, 2):
        return ['%s: check fails: %s' % (told, answer.messages)], None
    if said and opens:
        return ['%s: QEMU opens it, not so: %s'
                % (told, problem['consequence']) for problem in said], True
    if said or opens:
        quoted = [match.group(1) for match in
                  (re.search('"(.*)"$', problem['consequence'])
                   for problem in said) if match]
        if quoted and len(quoted) == len(said) and 'Assertion' not in text \
                and not any(words in text for words in quoted):
            return ['%s: QEMU says: %s' % (told, text)], False
        return [], opens
    if NO_SLOT in text or unsure:
        return [], None
    return ['%s: QEMU refuses: %s' % (told, text),
            'found: ' + '; '.join(answer.findings())], False


def main():
    tap = findings.Tap()
    answers = {True: 0, False: 0, None: 0}
    tap.note('QCOW2TOOL_LUKS_SEED=%d QCOW2TOOL_LUKS_CASES=%d' % (SEED, CASES))
    random_ = random.Random(SEED)
    for number, options in enumerate(BASES):
        base = os.path.join(findings.IMAGES, 'base')
        path = os.path.join(findings.IMAGES, 'changed')
        findings.make_encrypted(base, '1M', 'data=right',
                                ',cluster_size=4096' + options)
        at = header_place(base)
        with open(base, 'rb') as file:
            file.seek(at)
            header = file.read(592)
        differences, opens = judge(base, [])
        tap.ok('base %d opens' % number,
               differences or ([] if opens else ['it does not']))

        wrong = []
        counts = {True: 0, False: 0, None: 0}
        shutil.copy(base, path)
        for _ in range(CASES // len(BASES)):
            changes = change(random_, header)
            changed = bytearray(header)
            for where, byte in changes:
                changed[where] = byte
            with open(path, 'r+b') as file:
                file.seek(at)
                file.write(changed)
            differences, opens = judge(path, changes)
            wrong += differences
            counts[opens] += 1
        tap.note('opened %d, refused %d, not compared %d'
                 % (counts[True], counts[False], counts[None]))
        tap.ok('base %d: QEMU agrees' % number, wrong)
        for answer, n in counts.items():
            answers[answer] += n
        os.unlink(base)
        os.unlink(path)
    # A few changes to one base may all have the same result.
    tap.ok('QEMU opens some images and refuses others',
           [] if answers[True] and answers[False] else [str(answers)])
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
