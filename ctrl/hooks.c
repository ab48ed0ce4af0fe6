// SPDX-License-Identifier: GPL-2.0-or-later
#include "hooks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include "log.h"
#include "loop.h"
#include "nl.h"

enum {
	SETTLE_NS = 20000000, // events this close together lead to one reading
	RETRY_NS = 1000000000,
	TRIES = 8, // of dumps that a change interrupts
	EVENTS_A_TURN = 256,
	EVENT_BUF_BYTES = 1 << 20,
};

struct hook {
	int ifindex; // 0: known by its name only
	unsigned int what;
	char name[NFO_NAME_LEN]; // may end in '*'
};

// Sorted by name, each name once.
struct hook_list {
	struct hook *list;
	unsigned int n;
};

struct hooks {
	struct loop *loop;
	struct nl nft, nft_events, route, route_events;
	struct loop_fd *nft_watch, *route_watch;
	struct loop_timer *settle; // a reading is due
	struct hook_list list;
	bool unknown; // the last reading failed
	void (*changed)(void *arg);
	void *arg;
};

// A list while it is read: first each link, then what has hooks, by index or by name.
struct reading {
	struct hook_list all;
	int err;
};

static void append(struct reading *r, const struct hook *hook)
{
	struct hook *list;

	if (r->err)
		return;
	list = reallocarray(r->all.list, r->all.n + 1, sizeof(*list));
	if (!list) {
		r->err = -ENOMEM;
		return;
	}
	r->all.list = list;
	list[r->all.n++] = *hook;
}

static void on_link(void *arg, const struct nlmsghdr *nlh)
{
	struct hook hook = {0};

	if (hooks_decode_link(nlh, &hook.ifindex, hook.name, &hook.what))
		append(arg, &hook);
}

static void on_qdisc(void *arg, const struct nlmsghdr *nlh)
{
	struct hook hook = {0};

	hook.what = hooks_decode_qdisc(nlh, &hook.ifindex);
	if (hook.what)
		append(arg, &hook);
}

static void on_device(void *arg, const char *name)
{
	struct hook hook = {.what = HOOKS_CHAIN};

	memcpy(hook.name, name, strnlen(name, sizeof(hook.name) - 1));
	append(arg, &hook);
}

static void on_chain(void *arg, const struct nlmsghdr *nlh)
{
	hooks_decode_chain(nlh, on_device, arg);
}

static int dump(
	struct nl *nl, uint16_t type, const void *header, size_t bytes, nl_fn fn, struct reading *r)
{
	char buf[MNL_NLMSG_HDRLEN + 64] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	int err;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_DUMP;
	memcpy(mnl_nlmsg_put_extra_header(nlh, bytes), header, bytes);
	if (type == RTM_GETLINK)
		mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	err = nl_request(nl, nlh, fn, r);
	return err ? err : r->err;
}

// A kernel that lacks what is asked for has none of it.
static int dump_optional(
	struct nl *nl, uint16_t type, const void *header, size_t bytes, nl_fn fn, struct reading *r)
{
	int err = dump(nl, type, header, bytes, fn, r);

	return err == -EOPNOTSUPP || err == -EINVAL ? 0 : err;
}

static int read_once(struct hooks *h, struct reading *r)
{
	const uint16_t get_chain = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN;
	const struct nfgenmsg nfg = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
	const struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC};
	const struct tcmsg tcm = {.tcm_family = AF_UNSPEC};
	int err = dump(&h->route, RTM_GETLINK, &ifi, sizeof(ifi), on_link, r);

	if (!err)
		err = dump_optional(&h->route, RTM_GETQDISC, &tcm, sizeof(tcm), on_qdisc, r);
	if (!err)
		err = dump_optional(&h->nft, get_chain, &nfg, sizeof(nfg), on_chain, r);
	return err;
}

static int compare_indexes(const void *pa, const void *pb)
{
	const struct hook *a = pa, *b = pb;
	const int diff = (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);

	return diff ? diff : (b->name[0] != '\0') - (a->name[0] != '\0'); // the link first
}

static int compare_names(const void *pa, const void *pb)
{
	const struct hook *a = pa, *b = pb;

	return strcmp(a->name, b->name);
}

// What is known by its index gets the name of its link. A qdisc whose link is gone keeps none.
static void name_indexes(struct hook_list *l)
{
	qsort(l->list, l->n, sizeof(*l->list), compare_indexes);
	for (unsigned int i = 1; i < l->n; i++)
		if (l->list[i].name[0] == '\0' && l->list[i].ifindex == l->list[i - 1].ifindex)
			memcpy(l->list[i].name, l->list[i - 1].name, NFO_NAME_LEN);
}

static void merge_names(struct hook_list *l)
{
	unsigned int n = 0;

	qsort(l->list, l->n, sizeof(*l->list), compare_names);
	for (unsigned int i = 0; i < l->n; i++) {
		struct hook hook = {.what = l->list[i].what};
		memcpy(hook.name, l->list[i].name, NFO_NAME_LEN);
		if (!hook.what || !hook.name[0])
			continue;
		if (n && strcmp(l->list[n - 1].name, hook.name) == 0)
			l->list[n - 1].what |= hook.what;
		else
			l->list[n++] = hook; // n <= i
	}
	l->n = n;
}

static int read_hooks(struct hooks *h, struct hook_list *list)
{
	struct reading r = {0};
	int err = -EINTR;

	for (int i = 0; err == -EINTR && i < TRIES; i++) {
		r.all.n = 0;
		err = read_once(h, &r);
	}
	if (err) {
		free(r.all.list);
		return err;
	}
	if (r.all.n) {
		name_indexes(&r.all);
		merge_names(&r.all);
	}
	*list = r.all;
	return 0;
}

static bool equal_lists(const struct hook_list *a, const struct hook_list *b)
{
	return a->n == b->n && (!a->n || memcmp(a->list, b->list, a->n * sizeof(*a->list)) == 0);
}

static void schedule(struct hooks *h, uint64_t delay_ns);

// Replaces the list by what the kernel has. True if it differs.
static bool update(struct hooks *h)
{
	const bool was_unknown = h->unknown;
	struct hook_list list = {0};
	int err = read_hooks(h, &list);
	bool differs;

	h->unknown = err != 0;
	if (err) {
		log_warning("hooks", "cannot read what hooks into devices: %s; taken to be there",
			strerror(-err));
		schedule(h, RETRY_NS);
		return !was_unknown;
	}
	differs = was_unknown || !equal_lists(&list, &h->list);
	free(h->list.list);
	h->list = list;
	return differs;
}

static void settled(void *arg)
{
	struct hooks *h = arg;

	loop_timer_del(h->settle);
	h->settle = NULL;
	if (update(h))
		h->changed(h->arg);
}

static void schedule(struct hooks *h, uint64_t delay_ns)
{
	if (!h->settle)
		h->settle = loop_timer_add(h->loop, delay_ns, settled, h);
}

static void hint(struct hooks *h)
{
	schedule(h, SETTLE_NS);
}

// Whatever they told leads to the same.
static void lost(struct hooks *h)
{
	log_warning_rarely("hooks", "events were lost; reading what hooks into devices again");
	hint(h);
}

static void nft_hint(void *arg, const struct nlmsghdr *nlh)
{
	switch (nlh->nlmsg_type) {
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN:
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELCHAIN:
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE: // with the socket that owned it
		hint(arg);
	}
}

static void route_hint(void *arg, const struct nlmsghdr *nlh)
{
	switch (nlh->nlmsg_type) {
	case RTM_NEWQDISC:
	case RTM_DELQDISC:
	case RTM_NEWLINK: // renamed, or XDP
	case RTM_DELLINK: // its chains go without an event
		hint(arg);
	}
}

static void nft_readable(void *arg, uint32_t epoll_events)
{
	struct hooks *h = arg;

	(void)epoll_events;
	if (nl_drain(&h->nft_events, EVENTS_A_TURN, nft_hint, h) < 0)
		lost(h);
}

static void route_readable(void *arg, uint32_t epoll_events)
{
	struct hooks *h = arg;

	(void)epoll_events;
	if (nl_drain(&h->route_events, EVENTS_A_TURN, route_hint, h) < 0)
		lost(h);
}

static int open_pair(
	struct nl *query, struct nl *events, int bus, const unsigned int *groups, unsigned int n)
{
	int err = nl_open(query, bus, 0);

	if (!err)
		err = nl_open_events(events, bus, EVENT_BUF_BYTES);
	return err ? err : nl_join(events, groups, n);
}

static int start(struct hooks *h)
{
	static const unsigned int route_groups[] = {RTNLGRP_LINK, RTNLGRP_TC},
				  nft_groups[] = {NFNLGRP_NFTABLES};
	int err = open_pair(&h->route, &h->route_events, NETLINK_ROUTE, route_groups, 2);

	if (!err)
		err = open_pair(&h->nft, &h->nft_events, NETLINK_NETFILTER, nft_groups, 1);
	if (err)
		return err;
	h->route_watch = loop_fd_add(h->loop, nl_fd(&h->route_events), EPOLLIN, route_readable, h);
	h->nft_watch = loop_fd_add(h->loop, nl_fd(&h->nft_events), EPOLLIN, nft_readable, h);
	if (!h->route_watch || !h->nft_watch)
		return -ENOMEM;
	update(h); // the caller has no handle of it before this returns: nothing is told
	return 0;
}

struct hooks *hooks_create(struct loop *loop, void (*changed)(void *arg), void *arg)
{
	struct hooks *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return NULL;
	*h = (struct hooks){.loop = loop, .changed = changed, .arg = arg};
	err = start(h);
	if (!err)
		return h;
	hooks_destroy(h);
	errno = -err;
	return NULL;
}

void hooks_destroy(struct hooks *h)
{
	if (!h)
		return;
	loop_timer_del(h->settle);
	loop_fd_del(h->route_watch);
	loop_fd_del(h->nft_watch);
	nl_close(&h->nft);
	nl_close(&h->nft_events);
	nl_close(&h->route);
	nl_close(&h->route_events);
	free(h->list.list);
	free(h);
}

static bool fits(const char *pattern, const char *ifname)
{
	const size_t len = strlen(pattern);

	if (len && pattern[len - 1] == '*')
		return strncmp(pattern, ifname, len - 1) == 0;
	return strcmp(pattern, ifname) == 0;
}

static unsigned int what_on(const struct hooks *h, const char *ifname)
{
	unsigned int what = 0;

	for (unsigned int i = 0; i < h->list.n; i++)
		if (fits(h->list.list[i].name, ifname))
			what |= h->list.list[i].what;
	return what;
}

uint64_t hooks_overruns(const struct hooks *h)
{
	return h->nft_events.overruns + h->route_events.overruns;
}

bool hooks_on(const struct hooks *h, const char *ifname)
{
	return h->unknown || what_on(h, ifname) != 0;
}

const char *hooks_text(const struct hooks *h, const char *ifname)
{
	const unsigned int what = what_on(h, ifname);

	if (h->unknown)
		return "unknown";
	if (what & HOOKS_CHAIN)
		return "nftables chain";
	if (what & HOOKS_TC)
		return "tc";
	if (what & HOOKS_XDP)
		return "XDP program";
	return what ? "qdisc" : NULL;
}
