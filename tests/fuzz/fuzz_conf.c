// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/conf.c ctrl/conf_key.c ctrl/ini.c
// What is refused leaves nothing behind and has a message of one line with a line number.
#include <stdlib.h>
#include <string.h>

#include "conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf conf;
	char err[512];

	if (conf_parse("f", (const char *)data, size, &conf, err, sizeof(err)) == 0) {
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
