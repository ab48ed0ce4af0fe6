// SPDX-License-Identifier: GPL-2.0-or-later
// The wires of both routers: a raw socket at the far end of each. Frames are kept as they were on
// the wire, with the tag that the kernel takes off on its own.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_PORTS_MAX = 8, WIRE_FRAMES_MAX = 2048, ROUTER_K = 0, ROUTER_G = 1, ROUTERS = 2 };

struct frame {
	uint8_t port;
	bool plain; // of frames to send: any fast path has to forward it
	uint16_t len;
	const char *what; // likewise: what is special about it
	uint8_t b[];
};

struct frames {
	size_t n;
	struct frame *f[WIRE_FRAMES_MAX];
};

struct wire {
	char name[16];
	uint8_t mac[6]; // of the router's device
	uint16_t mtu;   // of the router's device
	int fd[ROUTERS];
};

struct wires {
	unsigned int n;
	struct wire w[WIRE_PORTS_MAX];
	uint64_t unsendable;       // frames longer than a wire takes
	uint64_t ignored[ROUTERS]; // ARP, ND, MLD, fragments that stayed alone: the machines' own
};

// TEXT: NAME=NAMESPACE/DEVICE,NAMESPACE/DEVICE,MAC,MTU, the first of the kernel's router, the
// second of the gateway's. On failure prints why and returns false.
bool wire_add(struct wires *wires, const char *text);

// Index of a name, -1 without.
int wire_find(const struct wires *wires, const char *name);

void frames_add(struct frames *frames, uint8_t port, const uint8_t *bytes, size_t len);
void frames_clear(struct frames *frames);

// To both routers, or to neither if one wire does not take it.
bool wire_send(struct wires *wires, const struct frame *frame);

// Waits at most ms for frames of either router and adds all that are there. True if some came.
bool wire_receive(struct wires *wires, struct frames out[ROUTERS], int ms);

uint64_t wire_now_ms(void);
