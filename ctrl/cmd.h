// SPDX-License-Identifier: GPL-2.0-or-later
// The commands of the control socket. docs/socket.md documents their records. Control thread only.
#pragma once

#include "sock.h"

struct ctrl;
struct loop;
struct mirror;
struct problems;

// Outlives the socket.
struct cmd_ctx {
	const struct mirror *mirror;
	struct ctrl *ctrl; // for reload
	const struct problems *problems; // NULL: none are looked for
	const struct loop *loop; // the mirror's: its clock is that of the counters
	const char *version;
};

// A sock_request_fn; 'arg' is a struct cmd_ctx. The request is {"cmd": "show flows"}; members that the
// command does not have are ignored.
struct sock_reply *cmd_request(
	void *arg, const json_t *request, const char **error, const char **expected);
