// SPDX-License-Identifier: GPL-2.0-or-later
// What the gateway's daemon says on its control socket.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct daemon;

// NULL with errno.
struct daemon *daemon_connect(const char *path);
void daemon_close(struct daemon *d);

// How many of the source ports belong to a connection that the workers forward; port 0 is any GRE
// flow's. -1 when the daemon does not answer.
int daemon_offloaded(struct daemon *d, const uint16_t *ports, unsigned int n);

// Packets forwarded by the workers since the daemon's start, -1 likewise.
int64_t daemon_packets(struct daemon *d);

// Prints why connections are with the kernel.
void daemon_explain(struct daemon *d);
