// SPDX-License-Identifier: GPL-2.0-or-later
// Four sockets: NEW and UPDATE events, DESTROY events, dumps, updates. Each is read from the loop,
// a bounded number of datagrams a turn.
//
// Order: a DESTROY must not be told before an earlier UPDATE of the same connection, which waits on
// another socket. So each datagram of ends is received first, then the changes that are queued are
// told, then the ends: whatever was sent before an end is told before it. A new connection that
// reuses the tuple may be told before the old one's end; the id tells them apart.
#include "ct.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "ct_msg.h"
#include "loop.h"
#include "nl.h"

enum {
	EVENTS_A_TURN = 256,
	DUMP_BUFFERS_A_TURN = 4, // of NL_BUF_BYTES: some hundred entries
	BATCH_BYTES = 16384,
	ENDED_SLOTS = 4096, // power of two; far above the ends of the turns between two reads
};

struct ct {
	struct loop *loop;
	struct nl changes, ends, dumps, updates;
	struct loop_fd *watch[4];
	ct_event_fn fn;
	void *arg;
	ct_gone_fn gone;
	void *gone_arg;
	struct ct_stats stats;

	struct ct_filter filter; // of the dump under way
	bool dumping;
	bool dump_again;       // it was interrupted
	bool dump_is_second;   // it was asked again once
	bool no_kernel_filter; // the kernel refused to filter

	// Ids that ended since the dump was last read, a hash set. The kernel fills its next answer
	// while one is read, so it may hold an entry whose end was told since: that is dropped.
	uint32_t ended[ENDED_SLOTS];
	unsigned int n_ended;

	size_t batch_bytes;
	char batch[BATCH_BYTES] __attribute__((aligned(4)));
};

static void lost(struct ct *ct)
{
	ct->stats.overruns++;
	ct->fn(ct->arg, CT_EVENT_LOST, NULL);
}

static enum ct_event event_of(const struct nlmsghdr *nlh)
{
	if (NFNL_MSG_TYPE(nlh->nlmsg_type) == IPCTNL_MSG_CT_DELETE)
		return CT_EVENT_DESTROY;
	return nlh->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL) ? CT_EVENT_NEW : CT_EVENT_UPDATE;
}

static bool is_conntrack(const struct nlmsghdr *nlh)
{
	const unsigned int type = NFNL_MSG_TYPE(nlh->nlmsg_type);

	return NFNL_SUBSYS_ID(nlh->nlmsg_type) == NFNL_SUBSYS_CTNETLINK
	       && (type == IPCTNL_MSG_CT_NEW || type == IPCTNL_MSG_CT_DELETE);
}

// False for what is not told: other protocols, and what cannot be read.
static bool decode(struct ct *ct, const struct nlmsghdr *nlh, struct ct_conn *conn)
{
	int err = ct_decode(nlh, conn);

	if (err == -EBADMSG)
		ct->stats.undecodable++;
	return !err;
}

static uint32_t *ended_slot(struct ct *ct, uint32_t id)
{
	uint32_t i = id;

	while (ct->ended[i & (ENDED_SLOTS - 1)] && ct->ended[i & (ENDED_SLOTS - 1)] != id)
		i++;
	return &ct->ended[i & (ENDED_SLOTS - 1)];
}

static void note_ended(struct ct *ct, uint32_t id)
{
	uint32_t *slot;

	if (!ct->dumping || !id || ct->n_ended == ENDED_SLOTS / 2)
		return;
	slot = ended_slot(ct, id);
	ct->n_ended += !*slot;
	*slot = id;
}

static void forget_ended(struct ct *ct)
{
	if (ct->n_ended)
		memset(ct->ended, 0, sizeof(ct->ended));
	ct->n_ended = 0;
}

static void on_event(void *arg, const struct nlmsghdr *nlh)
{
	struct ct *ct = arg;
	struct ct_conn conn;

	if (!is_conntrack(nlh) || nlh->nlmsg_pid == ct->updates.portid)
		return; // our own updates come back to us
	ct->stats.events++;
	if (!decode(ct, nlh, &conn))
		return;
	if (event_of(nlh) == CT_EVENT_DESTROY)
		note_ended(ct, conn.id);
	ct->fn(ct->arg, event_of(nlh), &conn);
}

static void drain_changes(struct ct *ct)
{
	if (nl_drain(&ct->changes, EVENTS_A_TURN, on_event, ct) < 0)
		lost(ct);
}

static void changes_readable(void *arg, uint32_t epoll_events)
{
	(void)epoll_events;
	drain_changes(arg);
}

static void ends_readable(void *arg, uint32_t epoll_events)
{
	struct ct *ct = arg;
	union nl_buf buf;
	int n = 1;

	(void)epoll_events;
	for (int i = 0; i < EVENTS_A_TURN; i++) {
		n = nl_recv(&ct->ends, &buf);
		if (n < 0)
			break;
		drain_changes(ct);
		nl_walk(&buf, (size_t)n, on_event, ct);
	}
	if (n < 0 && n != -EAGAIN)
		lost(ct);
}

static int send_dump(struct ct *ct)
{
	char buf[CT_MSG_MAX] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = ct_put_dump(buf, ct->no_kernel_filter ? NULL : &ct->filter);

	return nl_send(&ct->dumps, nlh, nlh->nlmsg_len);
}

static void finish_dump(struct ct *ct, int err)
{
	ct->dumping = false;
	if (err) {
		lost(ct);
		return;
	}
	ct->stats.dumps++;
	ct->fn(ct->arg, CT_EVENT_DUMP_END, NULL);
}

static bool has_filter(const struct ct *ct)
{
	return ct->filter.status_mask || ct->filter.mark_mask;
}

static bool is_refusal(int err)
{
	return err == -EINVAL || err == -EOPNOTSUPP;
}

// 'err' is what the kernel says at the end of a dump, or in its place.
static void dump_ended(struct ct *ct, int err)
{
	if (is_refusal(err) && has_filter(ct) && !ct->no_kernel_filter) {
		ct->no_kernel_filter = true;
		err = send_dump(ct);
		if (!err)
			return;
	}
	if (!err && ct->dump_again && !ct->dump_is_second) {
		ct->dump_again = false;
		ct->dump_is_second = true;
		err = send_dump(ct);
		if (!err)
			return;
	}
	finish_dump(ct, err);
}

static bool selected(const struct ct_filter *f, const struct ct_conn *conn)
{
	return !((conn->status ^ f->status_value) & f->status_mask)
	       && !((conn->mark ^ f->mark_value) & f->mark_mask);
}

static void on_dumped(void *arg, const struct nlmsghdr *nlh)
{
	struct ct *ct = arg;
	struct ct_conn conn;
	int32_t err = 0;

	if (!ct->dumping || nlh->nlmsg_seq != ct->dumps.seq)
		return;
	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		ct->dump_again = true;
	if (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR) {
		if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(err))
			memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
		dump_ended(ct, err);
		return;
	}
	if (!is_conntrack(nlh) || !decode(ct, nlh, &conn) || !selected(&ct->filter, &conn))
		return;
	if (conn.id && *ended_slot(ct, conn.id) == conn.id)
		return;
	ct->stats.dumped++;
	ct->fn(ct->arg, CT_EVENT_DUMP, &conn);
}

static void dumps_readable(void *arg, uint32_t epoll_events)
{
	struct ct *ct = arg;
	union nl_buf buf;
	int n = 0;

	(void)epoll_events;
	for (int i = 0; i < DUMP_BUFFERS_A_TURN; i++) {
		n = nl_recv(&ct->dumps, &buf);
		if (n < 0)
			break;
		nl_walk(&buf, (size_t)n, on_dumped, ct);
		forget_ended(ct);
	}
	if (n < 0 && n != -EAGAIN && ct->dumping)
		finish_dump(ct, n);
}

static void on_answer(void *arg, const struct nlmsghdr *nlh)
{
	struct ct *ct = arg;
	struct ct_conn conn;
	struct nfo_tuple orig;
	uint16_t zone;
	int32_t err;

	if (is_conntrack(nlh)) {
		if (decode(ct, nlh, &conn))
			ct->fn(ct->arg, CT_EVENT_UPDATE, &conn);
		return;
	}
	if (nlh->nlmsg_type != NLMSG_ERROR || !nl_has_header(nlh, sizeof(struct nlmsgerr)))
		return;
	memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
	if (!err)
		return;
	ct->stats.update_errors++;
	if ((err == -ENOENT || err == -ETIME) && ct->gone && !ct_decode_error(nlh, &orig, &zone))
		ct->gone(ct->gone_arg, &orig, zone);
}

static void updates_readable(void *arg, uint32_t epoll_events)
{
	struct ct *ct = arg;

	(void)epoll_events;
	if (nl_drain(&ct->updates, EVENTS_A_TURN, on_answer, ct) < 0)
		lost(ct);
}

static int open_sockets(struct ct *ct, size_t rcvbuf_bytes)
{
	int err = nl_open_events(&ct->changes, NETLINK_NETFILTER, rcvbuf_bytes);

	if (!err)
		err = nl_open_events(&ct->ends, NETLINK_NETFILTER, rcvbuf_bytes);
	if (!err)
		err = nl_open(&ct->dumps, NETLINK_NETFILTER, rcvbuf_bytes);
	if (!err)
		err = nl_open(&ct->updates, NETLINK_NETFILTER, rcvbuf_bytes);
	return err;
}

// Any request of ctnetlink tells whether it is there (its module is loaded) and allowed.
static int check_conntrack(struct ct *ct)
{
	char buf[CT_MSG_MAX] __attribute__((aligned(4)));
	int err = nl_request(&ct->dumps, ct_put_request(buf, IPCTNL_MSG_CT_GET_STATS), NULL, NULL);

	return err == -EINVAL || err == -EOPNOTSUPP ? -EPROTONOSUPPORT : err;
}

static int subscribe(struct ct *ct)
{
	const unsigned int changes[] = {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE};
	const unsigned int ends[] = {NFNLGRP_CONNTRACK_DESTROY};
	// An end that does not fit into the buffer is kept by the kernel and sent again.
	int err = nl_option(&ct->ends, NETLINK_BROADCAST_ERROR, 1);

	if (!err) // errors are to carry the whole request
		err = nl_option(&ct->updates, NETLINK_CAP_ACK, 0);
	if (!err)
		err = nl_join(&ct->ends, ends, MNL_ARRAY_SIZE(ends));
	if (!err)
		err = nl_join(&ct->changes, changes, MNL_ARRAY_SIZE(changes));
	return err;
}

static int watch(struct ct *ct)
{
	const struct {
		struct nl *nl;
		loop_fd_fn fn;
	} all[] = {
		{&ct->changes, changes_readable},
		{&ct->ends, ends_readable},
		{&ct->dumps, dumps_readable},
		{&ct->updates, updates_readable},
	};

	for (unsigned int i = 0; i < MNL_ARRAY_SIZE(all); i++) {
		ct->watch[i] = loop_fd_add(ct->loop, nl_fd(all[i].nl), EPOLLIN, all[i].fn, ct);
		if (!ct->watch[i])
			return -errno;
	}
	return 0;
}

struct ct *ct_create(struct loop *loop, size_t rcvbuf_bytes, ct_event_fn fn, void *arg)
{
	struct ct *ct = calloc(1, sizeof(*ct));
	int err;

	if (!ct)
		return NULL;
	ct->loop = loop;
	ct->fn = fn;
	ct->arg = arg;
	err = open_sockets(ct, rcvbuf_bytes);
	if (!err)
		err = check_conntrack(ct);
	if (!err)
		err = subscribe(ct);
	if (!err)
		err = watch(ct);
	if (!err)
		return ct;
	ct_destroy(ct);
	errno = -err;
	return NULL;
}

void ct_destroy(struct ct *ct)
{
	if (!ct)
		return;
	for (unsigned int i = 0; i < MNL_ARRAY_SIZE(ct->watch); i++)
		loop_fd_del(ct->watch[i]);
	nl_close(&ct->changes);
	nl_close(&ct->ends);
	nl_close(&ct->dumps);
	nl_close(&ct->updates);
	free(ct);
}

int ct_dump(struct ct *ct, const struct ct_filter *filter)
{
	int err;

	if (ct->dumping)
		return -EBUSY;
	ct->filter = *filter;
	ct->dump_again = ct->dump_is_second = false;
	forget_ended(ct);
	err = send_dump(ct);
	ct->dumping = !err;
	return err;
}

void ct_on_gone(struct ct *ct, ct_gone_fn fn, void *arg)
{
	ct->gone = fn;
	ct->gone_arg = arg;
}

// Room for one more message at the batch's end.
static int reserve(struct ct *ct, void **at)
{
	int err = 0;

	if (ct->batch_bytes + CT_MSG_MAX > sizeof(ct->batch))
		err = ct_flush(ct);
	*at = ct->batch + ct->batch_bytes;
	return err;
}

static void queue(struct ct *ct, const struct nlmsghdr *nlh)
{
	ct->batch_bytes += MNL_ALIGN(nlh->nlmsg_len);
	ct->stats.updates++;
}

int ct_check(struct ct *ct, const struct ct_conn *conn)
{
	void *at;
	int err = reserve(ct, &at);

	if (!err)
		queue(ct, ct_put_get(at, conn));
	return err;
}

int ct_set_liberal(struct ct *ct, const struct ct_conn *conn)
{
	void *at;
	int err = conn->orig.proto == NFO_TCP ? reserve(ct, &at) : -EPROTONOSUPPORT;

	if (!err)
		queue(ct, ct_put_liberal(at, conn));
	return err;
}

int ct_flush(struct ct *ct)
{
	size_t bytes = ct->batch_bytes;

	ct->batch_bytes = 0;
	return bytes ? nl_send(&ct->updates, ct->batch, bytes) : 0;
}

void ct_stats(const struct ct *ct, struct ct_stats *stats)
{
	*stats = ct->stats;
}
