// SPDX-License-Identifier: BSD-3-Clause
// Twins whose frames a thread of the kernel's vhost-net carries between the tap and rings that it
// shares with us: the split virtqueues of the virtio specification (2.7) with mergeable receive
// buffers, where we are the driver and the kernel is the device.
//
// Order: what a ring's entry says is written before its index (release), and read after it
// (acquire). Whether the kernel wants to be woken is read behind a full fence after the index: it
// first says so and then looks at the index again, so that one of the two sees the other.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <rte_malloc.h>
#include <rte_memory.h>

#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "gso.h"
#include "twin_kind.h"

enum {
	HEADER = sizeof(struct virtio_net_hdr_mrg_rxbuf),
	ALIGN = 4096,
	MAX_REGIONS = 64, // vhost's default
	MAX_BUFFERS = 64, // of a frame from the kernel: 64 KiB in buffers of 2 KiB, and some more
	FROM_KERNEL = 0,  // vhost-net's numbers of its rings
	TO_KERNEL = 1,
};

static const char vhost_path[] = "/dev/vhost-net";

_Static_assert((TWIN_RING & (TWIN_RING - 1)) == 0, "a ring's size is a power of two");
_Static_assert(RTE_PKTMBUF_HEADROOM >= HEADER, "the header lies before the frame");

struct ring {
	struct vring v;
	int kick;
	uint16_t posted;                  // entries given to the kernel
	uint16_t seen;                    // and those taken back
	struct rte_mbuf *mbuf[TWIN_RING]; // by descriptor
};

struct twin_ring {
	int vhost;
	struct ring from; // each descriptor is a buffer by itself
	struct ring to;   // each frame is a chain: header, then its segments
	uint16_t free;    // of 'to': chained by 'next'
	uint16_t n_free;
	struct gso gso; // from the kernel, not yet given out as a whole
	struct virtio_net_hdr_mrg_rxbuf
		header[TWIN_RING]; // of 'to', by the chain's first descriptor
};

static void wake(const struct ring *r)
{
	const uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&r->v.used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY))
		(void)!write(r->kick, &one, sizeof(one));
}

// Puts a descriptor, or the first of a chain, into the next entry; the kernel does not see it yet.
static void post(struct ring *r, uint16_t id)
{
	r->v.avail->ring[r->posted++ % TWIN_RING] = id;
}

static void publish(struct ring *r)
{
	if (r->v.avail->idx == r->posted)
		return;
	__atomic_store_n(&r->v.avail->idx, r->posted, __ATOMIC_RELEASE);
	wake(r);
}

static uint16_t ready(const struct ring *r)
{
	return (uint16_t)(__atomic_load_n(&r->v.used->idx, __ATOMIC_ACQUIRE) - r->seen);
}

// --- set up ---

static int add_region(const struct rte_memseg_list *list, void *arg)
{
	struct vhost_memory *memory = arg;

	if (list->external)
		return 0;
	if (memory->nregions == MAX_REGIONS)
		return -1;
	// addresses in rings are ours; memory that is mapped later lies within the same reservation
	memory->regions[memory->nregions++] = (struct vhost_memory_region){
		.guest_phys_addr = (uintptr_t)list->base_va,
		.userspace_addr = (uintptr_t)list->base_va,
		.memory_size = list->page_sz * list->memseg_arr.len,
	};
	return 0;
}

static int set_memory(int vhost)
{
	struct vhost_memory *memory =
		calloc(1, sizeof(*memory) + MAX_REGIONS * sizeof(memory->regions[0]));
	int ret;

	if (memory == NULL)
		return -1;
	ret = rte_memseg_list_walk(add_region, memory);
	if (ret < 0)
		errno = E2BIG;
	else
		ret = ioctl(vhost, VHOST_SET_MEM_TABLE, memory);
	free(memory);
	return ret;
}

static int vhost_open(void)
{
	const int vhost = open(vhost_path, O_RDWR | O_CLOEXEC);
	// and no VHOST_NET_F_VIRTIO_NET_HDR, which has the number of VIRTIO_F_ANY_LAYOUT: the
	// header is the tap's
	const uint64_t wanted = 1ull << VIRTIO_NET_F_MRG_RXBUF;
	uint64_t features = 0;
	int error;

	if (vhost < 0)
		return -1;
	if (ioctl(vhost, VHOST_SET_OWNER) == 0
		&& ioctl(vhost, VHOST_GET_FEATURES, &features) == 0) {
		features &= wanted;
		errno = EOPNOTSUPP;
		if (features == wanted && ioctl(vhost, VHOST_SET_FEATURES, &features) == 0)
			return vhost;
	}
	error = errno;
	close(vhost);
	errno = error;
	return -1;
}

bool twin_virtio_possible(void)
{
	const int vhost = vhost_open();

	if (vhost < 0)
		return false;
	close(vhost);
	return true;
}

static int ring_init(struct ring *r)
{
	void *memory = rte_zmalloc("twin ring", vring_size(TWIN_RING, ALIGN), ALIGN);

	r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (memory == NULL || r->kick < 0) {
		rte_free(memory);
		errno = ENOMEM;
		return -1;
	}
	vring_init(&r->v, TWIN_RING, memory, ALIGN);
	r->v.avail->flags = VRING_AVAIL_F_NO_INTERRUPT; // we poll
	return 0;
}

static void ring_fini(struct ring *r)
{
	for (unsigned int i = 0; i < TWIN_RING; i++)
		rte_pktmbuf_free(r->mbuf[i]);
	rte_free(r->v.desc); // the first of the three parts
	if (r->kick >= 0)
		close(r->kick);
}

static int ring_attach(const struct twin_ring *tr, unsigned int index, const struct ring *r)
{
	struct vhost_vring_state num = {.index = index, .num = TWIN_RING};
	struct vhost_vring_state base = {.index = index};
	struct vhost_vring_addr addr = {
		.index = index,
		.desc_user_addr = (uintptr_t)r->v.desc,
		.used_user_addr = (uintptr_t)r->v.used,
		.avail_user_addr = (uintptr_t)r->v.avail,
	};
	struct vhost_vring_file kick = {.index = index, .fd = r->kick};

	return ioctl(tr->vhost, VHOST_SET_VRING_NUM, &num) < 0
			       || ioctl(tr->vhost, VHOST_SET_VRING_BASE, &base) < 0
			       || ioctl(tr->vhost, VHOST_SET_VRING_ADDR, &addr) < 0
			       || ioctl(tr->vhost, VHOST_SET_VRING_KICK, &kick) < 0
		       ? -1
		       : 0;
}

static void post_buffer(struct ring *r, uint16_t id, struct rte_mbuf *m)
{
	r->mbuf[id] = m;
	r->v.desc[id] = (struct vring_desc){
		.addr = rte_pktmbuf_mtod(m, uintptr_t) - HEADER,
		.len = rte_pktmbuf_tailroom(m) + (uint32_t)HEADER,
		.flags = VRING_DESC_F_WRITE,
	};
	post(r, id);
}

static int fill(struct twin_ring *tr, struct rte_mempool *pool)
{
	struct rte_mbuf *fresh[TWIN_RING];

	if (rte_pktmbuf_alloc_bulk(pool, fresh, TWIN_RING) != 0) {
		errno = ENOMEM;
		return -1;
	}
	for (uint16_t i = 0; i < TWIN_RING; i++) {
		post_buffer(&tr->from, i, fresh[i]);
		tr->to.v.desc[i].next = (uint16_t)(i + 1);
	}
	tr->n_free = TWIN_RING;
	return 0;
}

static int tap_offloads(int tap)
{
	const unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	const int header = HEADER;

	return ioctl(tap, TUNSETVNETHDRSZ, &header) < 0 ? -1 : ioctl(tap, TUNSETOFFLOAD, offloads);
}

static int backend(const struct twin_ring *tr, int tap)
{
	struct vhost_vring_file file = {.index = FROM_KERNEL, .fd = tap};

	if (ioctl(tr->vhost, VHOST_NET_SET_BACKEND, &file) < 0)
		return -1;
	file.index = TO_KERNEL;
	return ioctl(tr->vhost, VHOST_NET_SET_BACKEND, &file);
}

static int rings_start(struct twin_ring *tr, int tap, struct rte_mempool *pool)
{
	if (ring_init(&tr->from) < 0 || ring_init(&tr->to) < 0 || fill(tr, pool) < 0
		|| tap_offloads(tap) < 0)
		return -1;
	tr->vhost = vhost_open();
	if (tr->vhost < 0 || set_memory(tr->vhost) < 0
		|| ring_attach(tr, FROM_KERNEL, &tr->from) < 0
		|| ring_attach(tr, TO_KERNEL, &tr->to) < 0 || backend(tr, tap) < 0)
		return -1;
	publish(&tr->from);
	return 0;
}

int twin_virtio_open(struct twin *t, unsigned int queue)
{
	struct twin_ring *tr = rte_zmalloc("twin rings", sizeof(*tr), RTE_CACHE_LINE_SIZE);
	int error;

	if (tr == NULL) {
		errno = ENOMEM;
		return -1;
	}
	tr->vhost = tr->from.kick = tr->to.kick = -1;
	t->ring[queue] = tr;
	if (rings_start(tr, t->fd[queue], t->pool) == 0)
		return 0;
	error = errno;
	twin_virtio_close(t, queue);
	errno = error;
	return -1;
}

void twin_virtio_close(struct twin *t, unsigned int queue)
{
	struct twin_ring *tr = t->ring[queue];

	if (tr == NULL)
		return;
	if (tr->vhost >= 0) {
		backend(tr, VHOST_FILE_UNBIND); // returns once the kernel no longer uses the rings
		close(tr->vhost);
	}
	ring_fini(&tr->from);
	ring_fini(&tr->to);
	gso_end(&tr->gso);
	rte_free(tr);
	t->ring[queue] = NULL;
}

// --- from the kernel ---

// The next buffer, replaced by 'fresh', with 'skip' bytes before its data.
static struct rte_mbuf *take_buffer(struct ring *r, struct rte_mbuf *fresh, uint32_t skip)
{
	const struct vring_used_elem *used = &r->v.used->ring[r->seen++ % TWIN_RING];
	const uint16_t id = (uint16_t)(used->id % TWIN_RING);
	struct rte_mbuf *m = r->mbuf[id];

	m->data_off = (uint16_t)(m->data_off - HEADER + skip);
	m->data_len = (uint16_t)(used->len - skip);
	m->pkt_len = m->data_len;
	post_buffer(r, id, fresh);
	return m;
}

// NULL when there is none, or no buffers to replace those it is in: then it waits.
static struct rte_mbuf *take_frame(
	struct ring *r, struct rte_mempool *pool, struct virtio_net_hdr_mrg_rxbuf *header)
{
	const uint16_t n_ready = ready(r);
	struct rte_mbuf *fresh[MAX_BUFFERS], *frame, *last;
	const struct rte_mbuf *first;

	if (n_ready == 0)
		return NULL;
	first = r->mbuf[r->v.used->ring[r->seen % TWIN_RING].id % TWIN_RING];
	memcpy(header, rte_pktmbuf_mtod(first, const uint8_t *) - HEADER, HEADER);
	if (header->num_buffers == 0 || header->num_buffers > RTE_MIN(n_ready, MAX_BUFFERS)
		|| rte_pktmbuf_alloc_bulk(pool, fresh, header->num_buffers) != 0)
		return NULL;
	frame = last = take_buffer(r, fresh[0], HEADER);
	for (uint16_t i = 1; i < header->num_buffers; i++) {
		last->next = take_buffer(r, fresh[i], 0);
		last = last->next;
		frame->pkt_len += last->data_len;
		frame->nb_segs++;
	}
	return frame;
}

static struct rte_mbuf *next_frame(struct twin_ring *tr, struct rte_mempool *pool)
{
	struct virtio_net_hdr_mrg_rxbuf header;
	const struct virtio_net_hdr *hdr = &header.hdr;
	const uint32_t room = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;

	while (tr->gso.packet == NULL) {
		struct rte_mbuf *m = take_frame(&tr->from, pool, &header);

		if (m == NULL)
			return NULL;
		if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
			if (!gso_begin(&tr->gso, m, hdr, room))
				rte_pktmbuf_free(m); // not what we have asked for
			continue;
		}
		// in several buffers: longer than the port's MTU, while the twin's is above it
		if (m->nb_segs == 1
			&& (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
				|| gso_checksum(m, hdr->csum_start, hdr->csum_offset)))
			return m;
		rte_pktmbuf_free(m);
	}
	return gso_next(&tr->gso, pool);
}

unsigned int twin_virtio_rx(
	struct twin *t, unsigned int queue, struct rte_mbuf **frames, unsigned int n)
{
	struct twin_ring *tr = t->ring[queue];
	unsigned int got = 0;

	while (got < n && (frames[got] = next_frame(tr, t->pool)) != NULL)
		got++;
	publish(&tr->from);
	return got;
}

// --- to the kernel ---

// Takes back what the kernel has read.
static void reap(struct twin_ring *tr)
{
	struct ring *r = &tr->to;

	for (uint16_t n = ready(r); n > 0; n--) {
		const uint16_t first =
			(uint16_t)(r->v.used->ring[r->seen++ % TWIN_RING].id % TWIN_RING);
		uint16_t last = first;

		rte_pktmbuf_free(r->mbuf[first]);
		r->mbuf[first] = NULL;
		for (tr->n_free++; r->v.desc[last].flags & VRING_DESC_F_NEXT; tr->n_free++)
			last = r->v.desc[last].next;
		r->v.desc[last].next = tr->free;
		tr->free = first;
	}
}

static bool put_frame(struct twin_ring *tr, struct rte_mbuf *m)
{
	struct vring_desc *desc = tr->to.v.desc;
	const uint16_t first = tr->free;
	uint16_t last = first;

	if (tr->n_free < 1 + m->nb_segs)
		return false;
	tr->n_free = (uint16_t)(tr->n_free - 1 - m->nb_segs);
	desc[first].addr = (uintptr_t)&tr->header[first]; // zeroed: complete, not to be cut
	desc[first].len = HEADER;
	desc[first].flags = VRING_DESC_F_NEXT;
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
		last = desc[last].next;
		desc[last].addr = rte_pktmbuf_mtod(s, uintptr_t);
		desc[last].len = s->data_len;
		desc[last].flags = s->next != NULL ? VRING_DESC_F_NEXT : 0;
	}
	tr->free = desc[last].next;
	tr->to.mbuf[first] = m;
	post(&tr->to, first);
	return true;
}

unsigned int twin_virtio_room(struct twin *t, unsigned int queue)
{
	reap(t->ring[queue]);
	return t->ring[queue]->n_free / 2u;
}

unsigned int twin_virtio_tx(
	struct twin *t, unsigned int queue, struct rte_mbuf **frames, unsigned int n)
{
	struct twin_ring *tr = t->ring[queue];
	unsigned int taken = 0;

	reap(tr);
	for (unsigned int i = 0; i < n; i++) {
		if (put_frame(tr, frames[i]))
			taken++;
		else
			rte_pktmbuf_free(frames[i]);
	}
	publish(&tr->to);
	return taken;
}
