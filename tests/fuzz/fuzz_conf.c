// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/conf.c ctrl/conf_diff.c ctrl/conf_key.c ctrl/ini.c
// What is refused leaves nothing behind and has a message of one line with a line number. What is valid
// differs from itself in nothing; and what a reload takes of another one is no difference any more.
#include <stdlib.h>
#include <string.h>

#include "conf_diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Counts those that are applied, in 'arg'.
static void tell(void *arg, const struct conf_change *change)
{
	unsigned int *n_live = arg;

	if (strlen(change->section) == 0 || strlen(change->from) + strlen(change->to) == 0)
		abort();
	*n_live += change->live;
}

static void compare(const struct conf *next, const uint8_t *data, size_t size)
{
	static const char simple[] = "[port lan]\ndevice = net_tap0\n[port wan]\ndevice = net_tap1\n";
	struct conf now;
	char err[512];
	unsigned int n_live = 0, not_live;

	if (conf_parse("f", (const char *)data, size, &now, err, sizeof(err)) != 0
		|| conf_diff(&now, next, tell, &n_live) != 0 || n_live != 0)
		abort();
	conf_fini(&now);
	if (conf_parse("f", simple, sizeof(simple) - 1, &now, err, sizeof(err)) != 0)
		abort();
	not_live = conf_diff(&now, next, tell, &n_live);
	conf_take(&now, next);
	n_live = 0;
	if (conf_diff(&now, next, tell, &n_live) != not_live || n_live != 0)
		abort();
	conf_fini(&now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf conf;
	char err[512];

	if (conf_parse("f", (const char *)data, size, &conf, err, sizeof(err)) == 0) {
		compare(&conf, data, size);
		if (conf.dp.n_ports == 0 || conf.dp.n_ports > NFO_MAX_PORTS
			|| conf.socket[0] != '/')
			abort();
		conf_fini(&conf);
	} else if (conf.file || strncmp(err, "f:", 2) != 0 || !strstr(err, "expected")
		   || strchr(err, '\n')) {
		abort();
	}
	return 0;
}
