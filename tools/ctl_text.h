// SPDX-License-Identifier: GPL-2.0-or-later
// Text of the daemon's for a terminal.
#pragma once

#include <stdio.h>

// A copy cut to 'size' bytes; names may hold what moves a terminal.
static inline void ctl_text(char *text, size_t size, const char *from)
{
	snprintf(text, size, "%s", from);
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}
