// SPDX-License-Identifier: GPL-2.0-or-later
// The command 'why' of the control socket. Control thread only.
#pragma once

#include "cmd.h"

// As cmd_request().
struct sock_reply *cmd_why(const struct cmd_ctx *ctx, const json_t *request, const char **error,
	const char **expected);
