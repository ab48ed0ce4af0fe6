// SPDX-License-Identifier: GPL-2.0-or-later
// Control as main() sees it. It runs on the EAL main lcore; ctrl_stop() alone may be called from a
// signal handler.
#pragma once

#include "conf.h"
#include "conf_diff.h"

struct ctrl;

// NULL with errno set.
struct ctrl *ctrl_create(const char *version);
void ctrl_destroy(struct ctrl *ctrl);

// Static flows: reads them from 'path'; from then on the kernel is asked for none. 'conf' tells the
// ports. Returns 0, or -1 with one line "FILE:LINE: what is wrong, expected ..." in 'err'.
int ctrl_load_flows(
	struct ctrl *ctrl, const char *path, const struct conf *conf, char *err, size_t err_size);
// Gives them, if there are any, to the dataplane, which has been started. Returns as above.
int ctrl_install_flows(const struct ctrl *ctrl, char *err, size_t err_size);
// Follows the kernel and listens on the socket; the dataplane has been started. 'conf' is the caller's,
// and is kept up to date by reloads; SIGHUP, which has to be blocked, asks for one. Returns 0, or a
// negative errno after one log line.
int ctrl_start(struct ctrl *ctrl, struct conf *conf);
// Takes the kernel's flows out of the dataplane, closes the socket.
void ctrl_end(struct ctrl *ctrl);

// reload_file() with the configuration that runs.
int ctrl_reload(struct ctrl *ctrl, conf_change_fn tell, void *arg, char *err, size_t err_size);
// From now on the log's level is the command line's, whatever the file says.
void ctrl_fix_log_level(struct ctrl *ctrl);

// Until ctrl_stop(). 'poll' (or NULL) is called between turns of the loop: control shares its lcore
// with a worker. Returns 0, or a negative errno after one log line.
int ctrl_run(struct ctrl *ctrl, int (*poll)(void));
void ctrl_stop(struct ctrl *ctrl);
