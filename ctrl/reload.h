// SPDX-License-Identifier: GPL-2.0-or-later
// A changed configuration, applied while the daemon runs: all that is different in it, or nothing.
// Control thread only.
#pragma once

#include "conf_diff.h"

struct rtnl;

enum { RELOAD_ERR_BYTES = 4096 }; // room for what is usually wrong

struct reload {
	struct conf *conf;    // that runs; becomes the new one
	struct rtnl *rtnl;    // knows the twins
	bool log_level_fixed; // by the command line: the file's is not looked at
	// Makes the mirror follow 'conf', which has just changed.
	void (*follow)(void *arg, bool other_flowtables);
	void *arg;
};

// Reads the file of 'conf' again and applies what is different; 'tell' hears of each change. Returns 0,
// or -1 if the file is not valid, anything in it needs a restart, or a port refuses it. Then all is as
// it was, and 'err' names each place, as far as there is room; the log has a line for each.
int reload_file(struct reload *reload, conf_change_fn tell, void *arg, char *err, size_t err_size);
