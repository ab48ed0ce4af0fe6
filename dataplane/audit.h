// SPDX-License-Identifier: BSD-3-Clause
// What the kernel sends for flows of ours, compared with what we would have sent. Samples (and whatever
// else of a flow took the kernel's way) come out of the twin of the port that they leave by: the Ethernet
// header, tags and port have to be those of the flow's next hop. The flow is found by its other direction,
// whose packets enter where these leave: addresses and ports are therefore right if it is found at all. A
// packet that the kernel sends by another interface is not found; its sample stays unseen.
//
// Threads: of a worker, between two of its quiescent states. It reads what the table's readers do, and
// 'sibling' (table.h), whose entry stays as long as that of the flow found. By
// compare-and-swap of 'state' FLOW_SAMPLED becomes FLOW_FORWARD, and what differs FLOW_HELD until control has
// looked into it. What cannot be told to control becomes FLOW_CLOSING, which is final.
#pragma once

#include "worker.h"

// At most WORKER_BURST frames that the kernel sends by 'port', complete as they go to the wire.
void audit_frames(struct worker *w, unsigned int port, struct rte_mbuf *const *frames, unsigned int n);

// The key by which the other direction's packets are looked up. 'iface' is that of untagged frames. False
// for what is no flow's: neither TCP nor UDP nor GRE, options, later fragments, unknown tags. '*l3' is the
// offset of the IP header.
bool audit_key(const struct rte_mbuf *m, const struct ifaces *ifaces, uint16_t iface,
	struct table_key *key, uint16_t *l3);
