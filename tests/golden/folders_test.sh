#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 400
# All golden folders through the daemon; before it, that the folders of the table are what the model of
# the kernel makes of it, so that nobody has only written down what the daemon did.
cd "$(dirname "$0")" || exit
python=$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)
code=0
if why=$("$python" make.py --check 2>&1); then
	echo "ok model"
else
	echo "not ok model # $(tail -n 1 <<<"$why")"
	code=1
fi
"$python" run || code=$?
exit "$code"
