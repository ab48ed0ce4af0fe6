#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make.py [--check]: makes the golden folders of the tables in rules_*.py.

What is sent comes from packets.py, what is expected from the model of the kernel (model.py): the
daemon has no part in it. --check says which folders are not as they would be made, and makes
none."""
import filecmp
import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
import golden  # noqa: E402
import model  # noqa: E402
import rules_l2  # noqa: E402,F401
import rules_v4  # noqa: E402,F401
import rules_v6  # noqa: E402,F401
from table import TABLE  # noqa: E402


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def make(path, rule):
    """One folder; raises AssertionError where the model does not do what the table says of it."""
    os.makedirs(path)
    write(os.path.join(path, "about"), "\n".join(rule.about) + "\n")
    write(os.path.join(path, "flows"), "".join(line + "\n" for line in rule.flows))
    if rule.config:
        write(os.path.join(path, "config.ini"), rule.config)
    for port, queues in rule.send.items():
        for q, frames in enumerate(queues):
            name = golden.pcap_name("send", "lan", port) if q == 0 else f"send-{port}.{q}.pcap"
            golden.write_pcap(os.path.join(path, name), frames)
    outcome = model.run(golden.Folder(path))
    forwarded = sum(map(len, outcome.wire.values()))
    assert (forwarded, outcome.punts) == (rule.forwarded, rule.punts), (
        f"{rule.name}: the table says {rule.forwarded} forwarded and punts {rule.punts}, the model "
        f"{forwarded} and {outcome.punts}")
    golden.write_outcome(path, outcome)


def same(a, b):
    names = sorted(os.listdir(a))
    if not os.path.isdir(b) or names != sorted(os.listdir(b)):
        return False
    return not any(filecmp.cmpfiles(a, b, names, shallow=False)[1:])


def main():
    check, stale = sys.argv[1:] == ["--check"], 0
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    assert len({rule.name[:3] for rule in TABLE}) == len(TABLE), "two rules have one number"
    for rule in sorted(TABLE, key=lambda rule: rule.name):
        name = rule.name
        path = os.path.join(golden.HERE, name)
        with tempfile.TemporaryDirectory() as work:
            fresh = os.path.join(work, name)
            make(fresh, rule)
            if same(fresh, path):
                continue
            stale += 1
            print(f"{name} is not as make.py makes it" if check else f"made {name}")
            if not check:
                shutil.rmtree(path, ignore_errors=True)
                shutil.copytree(fresh, path)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
