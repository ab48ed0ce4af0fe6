// SPDX-License-Identifier: GPL-2.0-or-later
// The keys of config.ini as tables: name, default, type, range, and where the value goes. Private
// to conf.c and its test, which holds config/config.ini against the tables.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "ini.h"

enum conf_type {
	CONF_U16,
	CONF_U32,
	CONF_BOOL,
	CONF_WORD,    // an enum, by 'words'
	CONF_TEXT,    // at most 'max' bytes
	CONF_PATH,    // the same, absolute
	CONF_DEVICES, // the object is a struct conf_flowtable
	CONF_MARK,    // likewise
};

// What a reload does with a change. Each key has to say it.
enum conf_reload {
	CONF_LIVE = 1, // applies it
	CONF_RESTART,  // refuses it, since it takes a restart
};

struct conf_key {
	const char *name;
	const char *preset;       // the default; NULL: the key is required
	const char *expected;     // in messages, for what is neither a number nor a word
	const char *const *words; // NULL at the end
	enum conf_type type;
	uint32_t min, max;
	bool zero; // 0 is valid beside 'min' to 'max'
	enum conf_reload reload;
	size_t offset;
};

struct conf_section {
	const char *name;
	bool named; // [name NAME]
	unsigned int n_keys;
	struct conf_key keys[CONF_MAX_KEYS];
};

enum { CONF_GLOBAL, CONF_PORT, CONF_FLOWTABLE, CONF_N_SECTIONS };

extern const struct conf_section conf_sections[CONF_N_SECTIONS];

// NULL when there is none of that name.
const struct conf_key *conf_key_find(const struct conf_section *section, const char *name);
// The key that 'name' probably means, or NULL.
const struct conf_key *conf_key_nearest(const struct conf_section *section, const char *name);

// Parses 'value' into 'object': struct conf, struct dp_port_conf or struct conf_flowtable. Returns
// 0, or -1 with the message written.
int conf_key_set(
	const struct ini *ini, const struct conf_key *key, const char *value, void *object);
