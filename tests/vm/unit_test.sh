#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: core
# The unit tests that talk to the running kernel, on kernels with flowtables.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
for name in nft ct_live rtnl_live xfrm_live hooks; do
	check "$name" timeout 100 "$LAB_BUILD/tests/${name}_test"
done
