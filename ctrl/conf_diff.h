// SPDX-License-Identifier: GPL-2.0-or-later
// What differs between the configuration that runs and the one that shall. Ports and flowtables are told
// apart by name, wherever they stand. Pure.
#pragma once

#include "conf.h"

enum { CONF_VALUE_MAX = 80 }; // longer ones are cut

struct conf_change {
	int kind;                         // CONF_GLOBAL...
	char section[CONF_NAME_LEN + 16]; // "global", "port wan", "flowtable f"
	const char *key;                  // NULL: the section as a whole, "" is where there is none
	char from[CONF_VALUE_MAX], to[CONF_VALUE_MAX];
	unsigned int line; // in the new file; 0: nowhere
	bool live;         // may be applied without a restart
};

typedef void (*conf_change_fn)(void *arg, const struct conf_change *change);

// Tells each difference. Returns how many are not live.
unsigned int conf_diff(
	const struct conf *now, const struct conf *next, conf_change_fn tell, void *arg);
// Makes 'now' be 'next' in all that is live; the others are the same already.
void conf_take(struct conf *now, const struct conf *next);
