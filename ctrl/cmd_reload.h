// SPDX-License-Identifier: GPL-2.0-or-later
// The command 'reload' of the control socket. Control thread only.
#pragma once

#include "cmd.h"

// As cmd_request(). What is wrong with the configuration is the error.
struct sock_reply *cmd_reload(const struct cmd_ctx *ctx, const json_t *request, const char **error,
	const char **expected);
