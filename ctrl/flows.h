// SPDX-License-Identifier: GPL-2.0-or-later
// Flows from a file (--flows) instead of the kernel's, for tests, replay and benchmarks. Control
// thread only.
//
// A line is one direction of a connection: words KEY=VALUE in any order, with white space between
// them. '#' at the start of a line or after white space begins a comment.
//
//	in=PORT out=PORT           [port NAME]s of config.ini; required
//	proto=tcp|udp|gre          required
//	from=END to=END            as its packets come in; required
//	new-from=END new-to=END    as they leave; as they came in where it is not said
//	vlan-in=TAGS vlan-out=TAGS VLAN tags, outermost first; untagged where it is not said
//	eth-src=MAC eth-dst=MAC    of the frames that leave; required
//	mtu=BYTES                  longest IP packet that is forwarded, 1500 where it is not said
//	reply                      the other direction of the line before: the two close together
//
// END is 10.0.0.1:80 or [fd00::1]:80, for gre 10.0.0.1 or [fd00::1]. TAGS is one VLAN id or two
// with a comma between them, each 100 (802.1Q) or ad:100 (802.1ad).
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "dp_api.h"

enum { FLOWS_LINE_MAX = 1000 };

struct flows_line {
	struct nfo_flow flow;
	unsigned int number; // in the file, for messages
	bool reply;
};

struct flows {
	char *file; // owned
	size_t n, room;
	struct flows_line *lines; // owned
};

// Reads 'path'; ports are those of 'conf'. On an error returns -1 with one line "FILE:LINE: what is
// wrong, expected ..." in 'err' (always terminated) and leaves 'flows' empty; the file itself not
// being readable is an error too.
int flows_load(const char *path, const struct dp_conf *conf, struct flows *flows, char *err,
	size_t err_size);
// The same from memory; 'name' stands for the file in messages. For tests and the fuzz target.
int flows_parse(const char *name, const char *text, size_t len, const struct dp_conf *conf,
	struct flows *flows, char *err, size_t err_size);
// Adds all of them to the dataplane, which has the ports of 'conf'; there they stay. An event's
// cookie is the number of the connection, from 0. Returns 0, or -1 with a line as above.
int flows_install(const struct flows *flows, char *err, size_t err_size);
void flows_fini(struct flows *flows);
