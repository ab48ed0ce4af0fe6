// SPDX-License-Identifier: BSD-3-Clause
// What a kernel leaves to a network device that offers it: checksums that are summed up to the
// pseudo-header only, and TCP packets longer than the MTU. Here both are made what the kernel would
// have made of them itself (skb_checksum_help(), tcp_gso_segment(), inet_gso_segment()).
//
// Copies, so that a segment is one plain packet buffer, which every driver takes. Pure but for the
// buffers; one thread for each struct gso.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include <linux/virtio_net.h>

// A long packet on its way to be cut. Zeroed: none.
struct gso {
	struct rte_mbuf *packet;   // NULL: none, or all of it has been taken
	const struct rte_mbuf *at; // where the payload goes on
	uint32_t at_offset;
	uint32_t left;    // bytes of payload that are not taken yet
	uint32_t taken;   // and those that are
	uint32_t size;    // bytes of payload in each segment but the last
	uint32_t headers; // bytes up to the payload
	uint32_t segments;
	uint16_t l3, l4; // offsets
	bool ipv6;
};

// Completes the checksum whose field lies 'offset' bytes behind 'start', where its data begin, as
// struct virtio_net_hdr has them. False: the field is not within the first segment.
bool gso_checksum(struct rte_mbuf *m, uint16_t start, uint16_t offset);

// Takes 'm' to be cut as 'hdr' says into buffers of 'room' bytes. False: it is no such packet or no
// segment would fit; 'm' stays the caller's.
bool gso_begin(
	struct gso *gso, struct rte_mbuf *m, const struct virtio_net_hdr *hdr, uint32_t room);

// The next segment, complete with checksums. NULL: no more, or no buffer; then 'packet' is not NULL
// and it may be tried again.
struct rte_mbuf *gso_next(struct gso *gso, struct rte_mempool *pool);

static inline void gso_end(struct gso *gso)
{
	rte_pktmbuf_free(gso->packet);
	gso->packet = NULL;
}
