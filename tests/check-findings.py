#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The findings of `qcow2tool check`, held against tables.

  corpus TABLE            TABLE says what is wrong with each image
"""

import sys

sys.dont_write_bytecode = True

import findings # noqa: E402


def compare(answer, verdict, wanted, has_others):
    """What differs between ANSWER and a row of the corpus."""
    found = set(answer.findings())
    errors = {finding for finding in found if finding[0] == 'E'}
    warnings = {finding for finding in found if finding[0] == 'W'}
    ours = 'E' if errors else 'W' if warnings else 'OK'
    status = 1 if answer.error else 2 if verdict == 'E' else 0

    differences = []
    if wanted - found:
        differences.append('not found: ' + '; '.join(sorted(wanted - found)))
    if found - wanted and not has_others:
        differences.append('found: ' + '; '.join(sorted(found - wanted)))
    if ours != verdict:
        differences.append('it is %s, not %s' % (ours, verdict))
    if answer.status != status:
        differences.append('status %d, not %d' % (answer.status, status))
    if bool(answer.messages) != bool(answer.error):
        differences.append('messages: ' + answer.messages)
    return differences


def corpus(table):
    tap = findings.Tap()
    for row in findings.rows(table):
        name, verdict, *rest = row.split(None, 2)
        wanted = {word.strip() for word in ''.join(rest).split(';')} - {''}
        has_others = '+' in wanted
        tap.ok(name, compare(findings.check_image(name), verdict,
                             wanted - {'+'}, has_others))
    return tap.finish()


COMMANDS = {'corpus': corpus}

if __name__ == '__main__':
    sys.exit(COMMANDS[sys.argv[1]](*sys.argv[2:]))
