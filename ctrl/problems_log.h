// SPDX-License-Identifier: GPL-2.0-or-later
// Which problems are new, last, or are gone. Pure memory; the log lines apart.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "diag.h"

struct problems_log {
	unsigned int n;
	struct problems_entry {
		struct diag_problem problem;
		uint64_t since_ns;
		bool told;
	} entry[DIAG_MAX];
};

// 'found' is what there is at 'now_ns': logs what has lasted for 'settle_ns' and was not told yet as
// a warning, what was told and is gone as a notice.
void problems_log_update(struct problems_log *log, const struct diag *found, uint64_t now_ns,
	uint64_t settle_ns);
