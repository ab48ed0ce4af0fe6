// SPDX-License-Identifier: GPL-2.0-or-later
#include "conf_diff.h"

#include <stdio.h>
#include <string.h>

#include "conf_key.h"

struct diff {
	conf_change_fn tell;
	void *arg;
	unsigned int not_live;
};

static void tell(struct diff *d, const struct conf_change *change)
{
	d->not_live += !change->live;
	d->tell(d->arg, change);
}

static size_t bytes_of(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_U16:
		return sizeof(uint16_t);
	case CONF_U32:
		return sizeof(uint32_t);
	case CONF_BOOL:
		return sizeof(bool);
	case CONF_WORD:
		return sizeof(int);
	case CONF_TEXT:
	case CONF_PATH:
		return key->max + 1;
	case CONF_DEVICES:
	case CONF_MARK:
		break;
	}
	return 0;
}

static void devices_text(const struct conf_flowtable *ft, char *text)
{
	int n = 0;

	text[0] = '\0';
	for (unsigned int i = 0; i < ft->n_devices && n < CONF_VALUE_MAX; i++)
		n += snprintf(text + n, (size_t)(CONF_VALUE_MAX - n), "%s%s", i != 0 ? ", " : "",
			ft->device[i]);
}

static void text_of(const struct conf_key *key, const void *object, char *text)
{
	const void *at = (const char *)object + key->offset;
	const struct conf_flowtable *ft = object;

	switch (key->type) {
	case CONF_U16:
		snprintf(text, CONF_VALUE_MAX, "%u", *(const uint16_t *)at);
		break;
	case CONF_U32:
		snprintf(text, CONF_VALUE_MAX, "%u", *(const uint32_t *)at);
		break;
	case CONF_BOOL:
		snprintf(text, CONF_VALUE_MAX, "%s", key->words[*(const bool *)at]);
		break;
	case CONF_WORD:
		snprintf(text, CONF_VALUE_MAX, "%s", key->words[*(const int *)at]);
		break;
	case CONF_TEXT:
	case CONF_PATH:
		snprintf(text, CONF_VALUE_MAX, "%s", (const char *)at);
		break;
	case CONF_DEVICES:
		devices_text(ft, text);
		break;
	case CONF_MARK:
		snprintf(text, CONF_VALUE_MAX, "0x%x/0x%x", ft->mark_value, ft->mark_mask);
		break;
	}
}

static bool same_devices(const struct conf_flowtable *a, const struct conf_flowtable *b)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < a->n_devices; i++)
		for (unsigned int j = 0; j < b->n_devices; j++)
			found += strcmp(a->device[i], b->device[j]) == 0;
	return a->n_devices == b->n_devices && found == a->n_devices;
}

static bool same_value(const struct conf_key *key, const void *a, const void *b)
{
	const struct conf_flowtable *ft = a, *other = b;
	const char *at = (const char *)a + key->offset, *at_other = (const char *)b + key->offset;

	switch (key->type) {
	case CONF_TEXT:
	case CONF_PATH:
		return strcmp(at, at_other) == 0;
	case CONF_DEVICES:
		return same_devices(ft, other);
	case CONF_MARK:
		return ft->mark_value == other->mark_value && ft->mark_mask == other->mark_mask;
	default:
		return memcmp(at, at_other, bytes_of(key)) == 0;
	}
}

// The keys of one section of both files; 'lines' are the new one's, or 'line' is that of all.
static void diff_keys(struct diff *d, int kind, const char *name, const void *now, const void *next,
	const struct conf_lines *lines, unsigned int line)
{
	const struct conf_section *section = &conf_sections[kind];

	for (unsigned int i = 0; i < section->n_keys; i++) {
		const struct conf_key *key = &section->keys[i];
		struct conf_change change = {.kind = kind,
			.key = key->name,
			.live = key->reload == CONF_LIVE,
			.line = lines != NULL ? lines->key[i] : line};

		if (same_value(key, now, next))
			continue;
		snprintf(change.section, sizeof(change.section), "%s%s%s", section->name,
			*name != '\0' ? " " : "", name);
		text_of(key, now, change.from);
		text_of(key, next, change.to);
		tell(d, &change);
	}
}

static void diff_section(struct diff *d, int kind, const char *name, bool added, unsigned int line)
{
	struct conf_change change = {.kind = kind, .live = kind == CONF_FLOWTABLE, .line = line};

	snprintf(change.section, sizeof(change.section), "%s %s", conf_sections[kind].name, name);
	snprintf(added ? change.to : change.from, CONF_VALUE_MAX, "there");
	tell(d, &change);
}

static int find_port(const struct conf *conf, const char *name)
{
	for (unsigned int i = 0; i < conf->dp.n_ports; i++)
		if (strcmp(conf->dp.port[i].name, name) == 0)
			return (int)i;
	return -1;
}

static int find_flowtable(const struct conf *conf, const char *name)
{
	for (unsigned int i = 0; i < conf->n_flowtables; i++)
		if (strcmp(conf->flowtable[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void diff_ports(struct diff *d, const struct conf *now, const struct conf *next)
{
	for (unsigned int i = 0; i < next->dp.n_ports; i++) {
		const struct dp_port_conf *port = &next->dp.port[i];
		const int old = find_port(now, port->name);

		if (old < 0)
			diff_section(d, CONF_PORT, port->name, true, port->line);
		else
			diff_keys(d, CONF_PORT, port->name, &now->dp.port[old], port,
				&next->port_lines[i], 0);
	}
	for (unsigned int i = 0; i < now->dp.n_ports; i++)
		if (find_port(next, now->dp.port[i].name) < 0)
			diff_section(d, CONF_PORT, now->dp.port[i].name, false, 0);
}

static void diff_flowtables(struct diff *d, const struct conf *now, const struct conf *next)
{
	for (unsigned int i = 0; i < next->n_flowtables; i++) {
		const struct conf_flowtable *ft = &next->flowtable[i];
		const int old = find_flowtable(now, ft->name);

		if (old < 0)
			diff_section(d, CONF_FLOWTABLE, ft->name, true, ft->line);
		else
			diff_keys(d, CONF_FLOWTABLE, ft->name, &now->flowtable[old], ft, NULL,
				ft->line);
	}
	for (unsigned int i = 0; i < now->n_flowtables; i++)
		if (find_flowtable(next, now->flowtable[i].name) < 0)
			diff_section(d, CONF_FLOWTABLE, now->flowtable[i].name, false, 0);
}

unsigned int conf_diff(
	const struct conf *now, const struct conf *next, conf_change_fn fn, void *arg)
{
	struct diff d = {.tell = fn, .arg = arg};

	diff_keys(&d, CONF_GLOBAL, "", now, next, &next->global_lines, 0);
	diff_ports(&d, now, next);
	diff_flowtables(&d, now, next);
	return d.not_live;
}

static void take_keys(int kind, void *now, const void *next)
{
	for (unsigned int i = 0; i < conf_sections[kind].n_keys; i++) {
		const struct conf_key *key = &conf_sections[kind].keys[i];

		if (key->reload == CONF_LIVE)
			memcpy((char *)now + key->offset, (const char *)next + key->offset,
				bytes_of(key));
	}
}

void conf_take(struct conf *now, const struct conf *next)
{
	take_keys(CONF_GLOBAL, now, next);
	now->global_lines = next->global_lines;
	for (unsigned int i = 0; i < next->dp.n_ports; i++) {
		const int old = find_port(now, next->dp.port[i].name);

		if (old < 0)
			continue;
		take_keys(CONF_PORT, &now->dp.port[old], &next->dp.port[i]);
		now->port_lines[old] = next->port_lines[i];
	}
	now->n_flowtables = next->n_flowtables;
	memcpy(now->flowtable, next->flowtable, sizeof(now->flowtable));
}
