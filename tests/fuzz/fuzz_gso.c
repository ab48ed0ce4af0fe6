// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: dataplane/gso.c
// A frame of two buffers and what the kernel says of it, 10 bytes of struct virtio_net_hdr and one
// for the length of the first buffer, through gso_checksum() or gso_begin() and gso_next().
// Segments carry the payload once and in order, and their lengths are what the headers say.
#include <stdlib.h>
#include <string.h>

#include "../unit/eal.h"
#include "gso.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 2048 };

static struct rte_mempool *pool;

static void check(bool good)
{
	if (!good)
		abort();
}

static struct rte_mbuf *buffer(const uint8_t *data, size_t size)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	check(m != NULL);
	memcpy(rte_pktmbuf_append(m, (uint16_t)size), data, size);
	return m;
}

static void cut(struct gso *gso, const uint8_t *frame, size_t size)
{
	const uint32_t headers = gso->headers, l3 = gso->l3, most = gso->size;
	const bool v6 = gso->ipv6;
	size_t at = headers;

	for (struct rte_mbuf *m; (m = gso_next(gso, pool)) != NULL; rte_pktmbuf_free(m)) {
		const uint8_t *out = rte_pktmbuf_mtod(m, const uint8_t *);
		const uint32_t n = m->data_len - headers;
		const uint8_t *length = out + l3 + (v6 ? 4 : 2);

		check(m->nb_segs == 1 && m->pkt_len == m->data_len && n > 0 && n <= most);
		check(at + n <= size && memcmp(out + headers, frame + at, n) == 0);
		check(memcmp(out, frame, l3) == 0);
		check((uint16_t)(length[0] << 8 | length[1])
			== (uint16_t)(m->data_len - l3 - (v6 ? 40 : 0)));
		at += n;
	}
	check(gso->packet == NULL && at == size);
}

static void start(void)
{
	check(eal_for_test("32") >= 0);
	pool = rte_pktmbuf_pool_create("fuzz", 63, 0, 0, RTE_PKTMBUF_HEADROOM + ROOM, 0);
	check(pool != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_net_hdr hdr;
	struct gso gso = {0};
	struct rte_mbuf *m;
	size_t first;

	if (pool == NULL)
		start();
	if (size < sizeof(hdr) + 1 + 14 || size > ROOM)
		return 0;
	memcpy(&hdr, data, sizeof(hdr));
	first = 14 + data[sizeof(hdr)] * 4u;
	data += sizeof(hdr) + 1;
	size -= sizeof(hdr) + 1;
	first = RTE_MIN(first, size);
	m = buffer(data, first);
	if (first < size)
		rte_pktmbuf_chain(m, buffer(data + first, size - first));
	if (hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		gso_checksum(m, hdr.csum_start, hdr.csum_offset);
	else if (gso_begin(&gso, m, &hdr, ROOM)) {
		cut(&gso, data, size);
		m = NULL;
	}
	rte_pktmbuf_free(m);
	check(rte_mempool_in_use_count(pool) == 0);
	return 0;
}
