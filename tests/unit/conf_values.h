// SPDX-License-Identifier: GPL-2.0-or-later
// Values of configuration keys, for tests that go through all of them.
#pragma once

#include <stdio.h>
#include <string.h>

#include "conf_key.h"

// A value that is not the default, for any key.
static inline const char *other_value(const struct conf_key *key, char *text, size_t size)
{
	switch (key->type) {
	case CONF_U16:
	case CONF_U32:
		snprintf(text, size, "%u", key->max);
		return text;
	case CONF_BOOL:
	case CONF_WORD:
		return strcmp(key->words[0], key->preset) != 0 ? key->words[0] : key->words[1];
	case CONF_PATH:
		return "/other";
	case CONF_TEXT:
		return "net_tap7";
	case CONF_DEVICES:
		return "wan";
	case CONF_MARK:
		return "2/2";
	}
	return NULL;
}
