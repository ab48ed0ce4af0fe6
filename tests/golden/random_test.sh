#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 300
# Random frames through the daemon and through the model of the kernel. The seeds are fixed, so that a
# failure stays one; for others: tests/golden/random --seed N --frames N.
cd "$(dirname "$0")" || exit
python=$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)
code=0
for seed in 1 2 3 4 5 6; do
	if "$python" random --seed $seed --frames 5000; then
		echo "ok seed-$seed"
	else
		echo "not ok seed-$seed # the daemon and the model differ"
		code=1
	fi
done
exit $code
