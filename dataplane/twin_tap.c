// SPDX-License-Identifier: BSD-3-Clause
// Twins that are read and written a frame at a time.
#include <sys/uio.h>
#include <unistd.h>

#include "twin_kind.h"

enum { MAX_SEGMENTS = 16 };

// NULL when there is none, or no memory for it: then it waits in the kernel.
static struct rte_mbuf *read_frame(struct twin *t, unsigned int queue)
{
	struct rte_mbuf *m = t->spare[queue];
	ssize_t n;

	if (m == NULL)
		m = t->spare[queue] = rte_pktmbuf_alloc(t->pool);
	if (m == NULL)
		return NULL;
	n = read(t->fd[queue], rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
	if (n <= 0)
		return NULL;
	m->data_len = (uint16_t)n;
	m->pkt_len = (uint32_t)n;
	t->spare[queue] = NULL;
	return m;
}

unsigned int twin_tap_rx(
	struct twin *t, unsigned int queue, struct rte_mbuf **frames, unsigned int n)
{
	unsigned int got = 0;

	while (got < n && (frames[got] = read_frame(t, queue)) != NULL)
		got++;
	return got;
}

static bool write_frame(int fd, const struct rte_mbuf *m)
{
	struct iovec iov[MAX_SEGMENTS];
	int n = 0;

	for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
		if (n == MAX_SEGMENTS)
			return false;
		iov[n++] = (struct iovec){rte_pktmbuf_mtod(s, void *), s->data_len};
	}
	return writev(fd, iov, n) == (ssize_t)m->pkt_len;
}

unsigned int twin_tap_tx(
	struct twin *t, unsigned int queue, struct rte_mbuf **frames, unsigned int n)
{
	unsigned int taken = 0;

	for (unsigned int i = 0; i < n; i++)
		taken += write_frame(t->fd[queue], frames[i]);
	rte_pktmbuf_free_bulk(frames, n);
	return taken;
}
