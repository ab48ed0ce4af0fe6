// SPDX-License-Identifier: GPL-2.0-or-later
// The request {"cmd": "why", "proto": "tcp", "src": "10.0.1.2", "sport": 40000, "dst": "10.0.2.2",
// "dport": 80, "zone": 0}: members as in a record of 'show flows', all but 'proto' and 'src' optional.
// Pure.
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "ct_find.h"

// False with '*error' and '*expected' (static text) for one that is not valid.
bool why_request(
	const json_t *request, struct ct_match *match, const char **error, const char **expected);
