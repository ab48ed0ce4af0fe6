// SPDX-License-Identifier: GPL-2.0-or-later
#include "ct_find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/nfnetlink_conntrack.h>

#include "ct_msg.h"
#include "nl.h"

// Entries that one datagram of a dump may hold; one takes more than 100 bytes.
enum { FOUND_MAX = NL_BUF_BYTES / 100 };

struct ct_find {
	struct ct_match match;
	struct nl nl;
	bool dumping;
	int end; // what ct_find_next() says when 'found' is used up; 0: there is more
	unsigned int n, next;
	struct ct_conn found[FOUND_MAX];
};

static bool same_end(const union nfo_addr *a, const union nfo_addr *b, bool has_port,
	uint16_t aport_be, uint16_t bport_be)
{
	return memcmp(a, b, sizeof(*a)) == 0 && (!has_port || aport_be == bport_be);
}

static bool same_ends(const struct ct_match *m, const struct nfo_tuple *t)
{
	const struct nfo_tuple *w = &m->tuple;

	return same_end(&w->src, &t->src, m->has_sport, w->sport_be, t->sport_be)
	       && (!m->has_dst || same_end(&w->dst, &t->dst, m->has_dport, w->dport_be, t->dport_be));
}

// As a packet of the tuple looks, or one of the other direction behind NAT.
static bool match_tuple(const struct ct_match *m, const struct nfo_tuple *t)
{
	const struct nfo_tuple swapped = nfo_tuple_swapped(t);

	return same_ends(m, t) || same_ends(m, &swapped);
}

bool ct_match(const struct ct_match *m, const struct ct_conn *conn)
{
	return conn->orig.family == m->tuple.family && conn->orig.proto == m->tuple.proto
	       && conn->zone == m->zone
	       && (match_tuple(m, &conn->orig) || match_tuple(m, &conn->reply));
}

static void on_entry(void *arg, const struct nlmsghdr *nlh)
{
	struct ct_find *f = arg;
	struct ct_conn conn;
	int32_t err = 0;

	if (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR) {
		if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(err))
			memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
		f->end = err != 0 ? err : -ENOENT;
		return;
	}
	if (f->n < FOUND_MAX && ct_decode(nlh, &conn) == 0 && ct_match(&f->match, &conn))
		f->found[f->n++] = conn;
}

// The kernel finds an entry by the tuple of either direction.
static int get(struct ct_find *f, const struct nfo_tuple *tuple)
{
	const struct ct_conn conn = {.orig = *tuple, .zone = f->match.zone};
	char buf[CT_MSG_MAX] __attribute__((aligned(4)));
	const int err = nl_request(&f->nl, ct_put_get(buf, &conn), on_entry, f);

	return err == -ENOENT ? 0 : err;
}

static int get_both(struct ct_find *f)
{
	const struct nfo_tuple swapped = nfo_tuple_swapped(&f->match.tuple);
	int err = get(f, &f->match.tuple);

	if (err == 0 && f->n == 0)
		err = get(f, &swapped);
	f->end = -ENOENT;
	return err;
}

static int start_dump(struct ct_find *f)
{
	char buf[CT_MSG_MAX] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = ct_put_dump(buf, NULL);

	f->dumping = true;
	return nl_send(&f->nl, nlh, nlh->nlmsg_len);
}

static bool is_whole(const struct ct_match *m)
{
	return m->has_dst && (m->tuple.proto == NFO_GRE || (m->has_sport && m->has_dport));
}

struct ct_find *ct_find_create(const struct ct_match *match)
{
	struct ct_find *f = calloc(1, sizeof(*f));
	int err;

	if (f == NULL)
		return NULL;
	f->match = *match;
	err = nl_open(&f->nl, NETLINK_NETFILTER, 0);
	if (err == 0)
		err = is_whole(match) ? get_both(f) : start_dump(f);
	if (err == 0)
		return f;
	ct_find_destroy(f);
	errno = err == -EINVAL || err == -EOPNOTSUPP ? EPROTONOSUPPORT : -err;
	return NULL;
}

void ct_find_destroy(struct ct_find *f)
{
	if (f == NULL)
		return;
	nl_close(&f->nl);
	free(f);
}

// The kernel writes the next part of a dump as the one before is read: none has to be waited for.
static void read_part(struct ct_find *f)
{
	union nl_buf buf;
	const int n = nl_recv(&f->nl, &buf);

	f->n = f->next = 0;
	if (n >= 0)
		nl_walk(&buf, (size_t)n, on_entry, f);
	else
		f->end = n;
}

int ct_find_next(struct ct_find *f, struct ct_conn *conn)
{
	if (f->next == f->n && f->end == 0)
		read_part(f);
	if (f->next == f->n)
		return f->end;
	*conn = f->found[f->next++];
	return 1;
}
