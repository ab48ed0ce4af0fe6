// SPDX-License-Identifier: GPL-2.0-or-later
// The flows of a run. Client and server of each are this program: it learns what the other side of
// a router sees from what comes out there.
#pragma once

#include "exchange.h"
#include "packet.h"

enum { FLOWS_MAX = 64, FLOW_PORT_FIRST = 20000, FLOW_PORT_LAST = 49999, ORIGINAL = 0, REPLY = 1 };

struct flow {
	struct side client; // as configured; ports of 0 are chosen afresh each time
	bool no_checksum;   // UDP with a checksum of 0
	bool live;          // established, and nothing was sent since that ends it
	struct side in[2];  // how packets enter the routers, by direction
	uint32_t seq[2];    // next sequence number of each end
	char text[96];      // of the configuration
};

struct flows {
	unsigned int n;
	uint16_t used_ports;
	struct flow f[FLOWS_MAX];
};

// TEXT: PROTO,from=PORT,src=ADDRESS,dst=ADDRESS[,dport=N][,tag=TPID.VID]..., PROTO being tcp, udp,
// udp0 or gre, TPID hexadecimal, tags from outside to inside. On failure prints why.
bool flow_add(struct flows *flows, const struct wires *wires, const char *text);

// Opens it with fresh ports and lets both sides talk; false, with a line printed, if it did not
// come through.
bool flow_establish(struct run *run, struct flows *flows, struct flow *flow);

// What a packet of a flow starts from, with the right sequence numbers.
void flow_spec(const struct flow *flow, unsigned int dir, struct spec *spec);
