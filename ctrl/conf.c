// SPDX-License-Identifier: GPL-2.0-or-later
// Sections and what concerns more than one line; ini.c has the lines, conf_key.c the values.
#include "conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_key.h"
#include "ini.h"

enum { FILE_MAX_BYTES = 1 << 20 };

static const char known_sections[] = "[global], [port NAME] or [flowtable NAME]";

struct parse {
	struct ini ini;
	struct conf *conf;
	const struct conf_section *section; // that the lines belong to; NULL: none yet
	void *object;                       // where its values go
	const char *name;                   // "" for [global]
	unsigned int section_line;
	unsigned int global_line;
	unsigned int key_line[CONF_MAX_KEYS]; // of the section; 0: not given
	unsigned int devices_line[CONF_MAX_FLOWTABLES];
};

static int set_presets(struct parse *p, const struct conf_section *section, void *object)
{
	for (unsigned int i = 0; i < section->n_keys; i++) {
		const struct conf_key *key = &section->keys[i];

		if (key->preset && conf_key_set(&p->ini, key, key->preset, object) < 0)
			return -1;
	}
	return 0;
}

static unsigned int line_of(const struct parse *p, const char *name)
{
	return p->key_line[conf_key_find(p->section, name) - p->section->keys];
}

static void keep_lines(struct parse *p)
{
	struct conf_lines *lines = NULL;

	if (p->section == &conf_sections[CONF_GLOBAL])
		lines = &p->conf->global_lines;
	else if (p->section == &conf_sections[CONF_PORT])
		lines = &p->conf->port_lines[p->conf->dp.n_ports - 1];
	for (unsigned int i = 0; lines != NULL && i < p->section->n_keys; i++)
		lines->key[i] = p->key_line[i] != 0 ? p->key_line[i] : p->section_line;
}

// The end of a section: all that is required must be there.
static int end_section(struct parse *p)
{
	if (!p->section)
		return 0;
	for (unsigned int i = 0; i < p->section->n_keys; i++) {
		const struct conf_key *key = &p->section->keys[i];

		if (!key->preset && p->key_line[i] == 0)
			return ini_error_at(&p->ini, p->section_line,
				"[%s %s] without '%s', expected '%s = %s'", p->section->name,
				p->name, key->name, key->name, key->expected);
	}
	keep_lines(p);
	if (p->section == &conf_sections[CONF_PORT]) {
		((struct dp_port_conf *)p->object)->device_line = line_of(p, "device");
		((struct dp_port_conf *)p->object)->twin_line = line_of(p, "twin");
	}
	if (p->section == &conf_sections[CONF_FLOWTABLE])
		p->devices_line[p->conf->n_flowtables - 1] = line_of(p, "devices");
	return 0;
}

static int again(struct parse *p, unsigned int first)
{
	return ini_error_at(&p->ini, p->ini.line, "[%s%s%s] again after line %u, expected it once",
		p->ini.section, *p->ini.name ? " " : "", p->ini.name, first);
}

static int open_global(struct parse *p)
{
	if (p->global_line != 0)
		return again(p, p->global_line);
	p->global_line = p->ini.line;
	p->object = p->conf;
	p->name = "";
	return 0;
}

// What the kernel accepts as an interface name, less what has a meaning in lists, DPDK's device
// arguments and name patterns.
static bool port_name_valid(const char *name)
{
	if (strlen(name) >= NFO_NAME_LEN || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	return strpbrk(name, " \t/:%,") == NULL;
}

static int open_port(struct parse *p)
{
	struct dp_conf *dp = &p->conf->dp;
	const char *name = p->ini.name;
	struct dp_port_conf *port;

	if (!port_name_valid(name))
		return ini_error_at(&p->ini, p->ini.line,
			"port name '%.80s', expected an interface name: 1 to 15 characters without "
			"'/', ':', ',', '%%' and white space, not '.' or '..'",
			name);
	for (unsigned int i = 0; i < dp->n_ports; i++) {
		if (strcmp(dp->port[i].name, name) == 0)
			return again(p, dp->port[i].line);
	}
	if (dp->n_ports == NFO_MAX_PORTS)
		return ini_error_at(&p->ini, p->ini.line, "too many [port]s, expected at most %d",
			NFO_MAX_PORTS);
	port = &dp->port[dp->n_ports++];
	strcpy(port->name, name);
	port->line = p->ini.line;
	p->object = port;
	p->name = port->name;
	return set_presets(p, &conf_sections[CONF_PORT], port);
}

static int open_flowtable(struct parse *p)
{
	struct conf *conf = p->conf;
	const char *name = p->ini.name;
	struct conf_flowtable *ft;

	if (strlen(name) >= CONF_NAME_LEN || strpbrk(name, " \t"))
		return ini_error_at(&p->ini, p->ini.line,
			"flowtable name '%.80s', expected 1 to %d characters without white space",
			name, CONF_NAME_LEN - 1);
	for (unsigned int i = 0; i < conf->n_flowtables; i++) {
		if (strcmp(conf->flowtable[i].name, name) == 0)
			return again(p, conf->flowtable[i].line);
	}
	if (conf->n_flowtables == CONF_MAX_FLOWTABLES)
		return ini_error_at(&p->ini, p->ini.line,
			"too many [flowtable]s, expected at most %d", CONF_MAX_FLOWTABLES);
	ft = &conf->flowtable[conf->n_flowtables++];
	strcpy(ft->name, name);
	ft->line = p->ini.line;
	p->object = ft;
	p->name = ft->name;
	return 0;
}

static const struct conf_section *find_section(const char *name)
{
	for (int i = 0; i < CONF_N_SECTIONS; i++) {
		if (strcmp(conf_sections[i].name, name) == 0)
			return &conf_sections[i];
	}
	return NULL;
}

static int open_section(struct parse *p)
{
	static int (*const open[CONF_N_SECTIONS])(struct parse *) = {
		[CONF_GLOBAL] = open_global,
		[CONF_PORT] = open_port,
		[CONF_FLOWTABLE] = open_flowtable,
	};
	const struct conf_section *section = find_section(p->ini.section);
	const char *name = p->ini.name;

	if (end_section(p) < 0)
		return -1;
	if (!section)
		return ini_error_at(&p->ini, p->ini.line, "unknown section [%.80s], expected %s",
			p->ini.section, known_sections);
	if (section->named && *name == '\0')
		return ini_error_at(&p->ini, p->ini.line, "[%s] without a name, expected [%s NAME]",
			section->name, section->name);
	if (!section->named && *name != '\0')
		return ini_error_at(&p->ini, p->ini.line,
			"[%s %.80s], expected [%s] without a name", section->name, name,
			section->name);
	p->section = section;
	p->section_line = p->ini.line;
	memset(p->key_line, 0, sizeof(p->key_line));
	return open[section - conf_sections](p);
}

static int unknown_key(struct parse *p)
{
	const struct conf_key *nearest = conf_key_nearest(p->section, p->ini.key);
	char keys[256] = "";

	if (nearest)
		return ini_error_at(&p->ini, p->ini.line,
			"unknown key '%.80s' in [%s], expected '%s'?", p->ini.key, p->section->name,
			nearest->name);
	for (unsigned int i = 0; i < p->section->n_keys; i++) {
		size_t len = strlen(keys);

		snprintf(keys + len, sizeof(keys) - len, "%s%s", i ? ", " : "",
			p->section->keys[i].name);
	}
	return ini_error_at(&p->ini, p->ini.line, "unknown key '%.80s' in [%s], expected one of %s",
		p->ini.key, p->section->name, keys);
}

static int add_key(struct parse *p)
{
	const struct conf_key *key;
	unsigned int *line;

	if (!p->section)
		return ini_error_at(&p->ini, p->ini.line,
			"key '%.80s' outside of a section, expected %s before it", p->ini.key,
			known_sections);
	key = conf_key_find(p->section, p->ini.key);
	if (!key)
		return unknown_key(p);
	line = &p->key_line[key - p->section->keys];
	if (*line != 0)
		return ini_error_at(&p->ini, p->ini.line,
			"'%s' again after line %u, expected it once in a section", key->name,
			*line);
	*line = p->ini.line;
	return conf_key_set(&p->ini, key, p->ini.value, p->object);
}

// The device without its arguments, PCI domain 0 left out as DPDK permits. Representors share a
// device and differ by their arguments.
static size_t device_id(const char *device, const char **id)
{
	*id = strncmp(device, "0000:", 5) == 0 ? device + 5 : device;
	return strstr(device, "representor=") ? strlen(*id) : strcspn(*id, ",");
}

static bool same_device(const char *a, const char *b)
{
	const char *id_a, *id_b;
	size_t len_a = device_id(a, &id_a);
	size_t len_b = device_id(b, &id_b);

	return len_a == len_b && strncasecmp(id_a, id_b, len_a) == 0;
}

static int check_ports(struct parse *p)
{
	const struct dp_conf *dp = &p->conf->dp;

	if (dp->n_ports == 0)
		return ini_error_at(&p->ini, p->ini.line,
			"the file ends without a [port NAME], expected at least one");
	for (unsigned int i = 1; i < dp->n_ports; i++) {
		for (unsigned int j = 0; j < i; j++) {
			if (same_device(dp->port[i].device, dp->port[j].device))
				return ini_error_at(&p->ini, dp->port[i].device_line,
					"device '%.80s' is that of [port %s] on line %u, "
					"expected another",
					dp->port[i].device, dp->port[j].name,
					dp->port[j].device_line);
		}
	}
	return 0;
}

static bool has_port(const struct dp_conf *dp, const char *name)
{
	for (unsigned int i = 0; i < dp->n_ports; i++) {
		if (strcmp(dp->port[i].name, name) == 0)
			return true;
	}
	return false;
}

static int check_flowtables(struct parse *p)
{
	const struct conf *conf = p->conf;

	for (unsigned int i = 0; i < conf->n_flowtables; i++) {
		const struct conf_flowtable *ft = &conf->flowtable[i];

		for (unsigned int j = 0; j < ft->n_devices; j++) {
			if (!has_port(&conf->dp, ft->device[j]))
				return ini_error_at(&p->ini, p->devices_line[i],
					"unknown device '%s', expected the name of a [port]",
					ft->device[j]);
		}
	}
	return 0;
}

static int parse_lines(struct parse *p)
{
	for (;;) {
		switch (ini_next(&p->ini)) {
		case INI_SECTION:
			if (open_section(p) < 0)
				return -1;
			break;
		case INI_KEY:
			if (add_key(p) < 0)
				return -1;
			break;
		case INI_ERROR:
			return -1;
		case INI_END:
			return end_section(p);
		}
	}
}

int conf_parse(const char *name, const char *text, size_t len, struct conf *conf, char *err,
	size_t err_size)
{
	struct parse p = {.conf = conf};

	memset(conf, 0, sizeof(*conf));
	conf->file = strdup(name);
	conf->dp.file = conf->file;
	ini_init(&p.ini, name, text, len, err, err_size);
	if (!conf->file) {
		snprintf(err, err_size, "%s: %s", name, strerror(ENOMEM));
		return -1;
	}
	if (set_presets(&p, &conf_sections[CONF_GLOBAL], conf) < 0 || parse_lines(&p) < 0
		|| check_ports(&p) < 0 || check_flowtables(&p) < 0) {
		conf_fini(conf);
		return -1;
	}
	return 0;
}

int conf_load(const char *path, struct conf *conf, char *err, size_t err_size)
{
	char *text = malloc(FILE_MAX_BYTES + 1);
	FILE *file = text ? fopen(path, "re") : NULL;
	size_t len = 0;
	int ret = -1;

	memset(conf, 0, sizeof(*conf));
	errno = text ? errno : ENOMEM;
	if (file)
		len = fread(text, 1, FILE_MAX_BYTES + 1, file);
	if (!file || ferror(file))
		snprintf(err, err_size, "%s: %s", path, strerror(errno));
	else if (len > FILE_MAX_BYTES)
		snprintf(err, err_size, "%s: too long, expected at most 1 MiB", path);
	else
		ret = conf_parse(path, text, len, conf, err, err_size);
	if (file)
		fclose(file);
	free(text);
	return ret;
}

void conf_fini(struct conf *conf)
{
	free(conf->file);
	memset(conf, 0, sizeof(*conf));
}
