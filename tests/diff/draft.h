// SPDX-License-Identifier: GPL-2.0-or-later
// Random packets of established flows: two thirds that any fast path forwards, the rest with
// something about them.
#pragma once

#include "flow.h"

// A packet being made: first the description, then the bytes.
struct draft {
	struct rng *rng;
	const struct wires *wires;
	bool no_tags; // leave out quirks of VLAN tags
	const char *without; // and the one of this name; may be NULL
	const struct flow *flow;
	unsigned int dir;
	const char *what; // NULL: plain
	struct side side;
	struct spec spec;
	struct packet packet;
};

// One thing that may be special about a packet.
struct quirk {
	const char *what;
	unsigned int weight;
	unsigned int families;                            // QUIRK_V4, QUIRK_V6 or both
	void (*describe)(struct draft *d);                // changes side and spec; may be NULL
	void (*bend)(struct draft *d);                    // changes the bytes; may be NULL
	void (*emit)(struct draft *d, struct frames *to); // instead of one frame; may be NULL
	bool tags;                                        // it changes VLAN tags
};

enum { QUIRK_V4 = 1, QUIRK_V6 = 2, QUIRK_ANY = 3 };

extern const struct quirk quirks[];
extern const size_t n_quirks;

// A random plain description of a packet of a live flow.
void draft_plain(struct draft *d, const struct flow *flow, unsigned int dir);

// Longest IP packet that may enter, and that leaves in one piece.
unsigned int draft_in_mtu(const struct draft *d);
unsigned int draft_path_mtu(const struct draft *d);

void draft_emit(const struct draft *d, struct frames *to, const uint8_t *bytes, size_t len);

// Fills a batch with about n frames of the live flows; 'plain' for such alone.
void draft_batch(
	struct draft *d, const struct flows *flows, struct frames *to, unsigned int n, bool plain);
