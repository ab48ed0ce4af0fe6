// SPDX-License-Identifier: GPL-2.0-or-later
// config.ini: read, checked, and turned into one value. Nothing is applied here. config/config.ini
// documents every key.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dp_api.h"
#include "log.h"

enum {
	CONF_MAX_FLOWTABLES = 16,
	CONF_MAX_DEVICES = NFO_MAX_PORTS,
	CONF_NAME_LEN = 64,
	CONF_MAX_KEYS = 16, // of one section
};

// Where the keys of a section stand, in the order of conf_key.c; the section's line for those that are
// not given.
struct conf_lines {
	unsigned int key[CONF_MAX_KEYS];
};

// A [flowtable NAME]: stands in for a flowtable where the kernel has none.
struct conf_flowtable {
	char name[CONF_NAME_LEN];
	unsigned int n_devices;
	char device[CONF_MAX_DEVICES][NFO_NAME_LEN];
	uint32_t mark_value, mark_mask;
	unsigned int line;
};

struct conf {
	char *file; // owned
	struct dp_conf dp;
	char socket[108]; // sun_path
	enum log_level log_level;
	uint32_t dump_interval_ms;       // between the filtered conntrack dumps
	uint32_t netlink_buffer_kb;      // of sockets for events; 0: presets
	uint32_t tcp_idle_s, udp_idle_s; // 0: the kernel's nf_flowtable_*_timeout
	unsigned int n_flowtables;
	struct conf_flowtable flowtable[CONF_MAX_FLOWTABLES];
	struct conf_lines global_lines, port_lines[NFO_MAX_PORTS];
};

// Reads 'path'. On an error returns -1 with one line "FILE:LINE: what is wrong, what was expected"
// in 'err' (always terminated); the file itself not being readable is an error too.
int conf_load(const char *path, struct conf *conf, char *err, size_t err_size);
// The same from memory; 'name' stands for the file in messages. For tests and the fuzz target.
int conf_parse(const char *name, const char *text, size_t len, struct conf *conf, char *err,
	size_t err_size);
void conf_fini(struct conf *conf);
