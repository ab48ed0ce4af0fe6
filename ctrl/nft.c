// SPDX-License-Identifier: GPL-2.0-or-later
#include "nft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <libnftnl/common.h>
#include <libnftnl/flowtable.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "log.h"
#include "loop.h"
#include "nl.h"

enum {
	SETTLE_NS = 5000000, // events this close together lead to one dump
	RETRY_NS = 1000000000,
	TRIES = 5, // of a dump that the kernel's generation overtakes
	EVENTS_A_TURN = 64,
	EVENT_BUF_BYTES = 1 << 20,
};

struct nft {
	struct loop *loop;
	struct nl query;
	struct nl events;
	struct loop_fd *watch;
	struct loop_timer *settle; // a dump is due
	struct nft_flowtables tables;
	uint32_t generation;
	uint32_t epoch;
	bool restores_marks, marks_known; // as of 'marks_generation'
	uint32_t marks_generation;
	char unsupported[128]; // "": supported
	bool announce;         // the caller does not know the list yet
	nft_changed_fn changed;
	void *arg;
};

// A list while it is read.
struct reading {
	struct nft_flowtables tables;
	int err;
};

static void tables_fini(struct nft_flowtables *t)
{
	for (unsigned int i = 0; i < t->n; i++)
		nft_flowtable_fini(&t->list[i]);
	free(t->list);
	*t = (struct nft_flowtables){0};
}

static int compare_tables(const void *pa, const void *pb)
{
	const struct nft_flowtable *a = pa, *b = pb;
	int diff = (int)a->family - (int)b->family;

	if (!diff)
		diff = strcmp(a->table, b->table);
	return diff ? diff : strcmp(a->name, b->name);
}

static bool equal_table(const struct nft_flowtable *a, const struct nft_flowtable *b)
{
	return !compare_tables(a, b) && a->priority == b->priority && a->hook == b->hook
	       && a->flags == b->flags && a->use == b->use && a->handle == b->handle
	       && a->n_devices == b->n_devices
	       && (!a->n_devices
		       || !memcmp(a->devices, b->devices, a->n_devices * sizeof(*a->devices)));
}

static bool equal_lists(const struct nft_flowtables *a, const struct nft_flowtables *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned int i = 0; i < a->n; i++)
		if (!equal_table(&a->list[i], &b->list[i]))
			return false;
	return true;
}

static void read_generation(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *tb[NFTA_GEN_MAX + 1];

	nl_parse(nlh, sizeof(struct nfgenmsg), tb, NFTA_GEN_MAX);
	nl_get_be32(tb[NFTA_GEN_ID], arg);
}

static int get_generation(struct nft *nft, uint32_t *generation)
{
	char buf[64] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETGEN, NFPROTO_UNSPEC, 0, 0);

	return nl_request(&nft->query, nlh, read_generation, generation);
}

static int append(struct nft_flowtables *tables, struct nft_flowtable *ft)
{
	struct nft_flowtable *list = reallocarray(tables->list, tables->n + 1, sizeof(*list));

	if (!list) {
		nft_flowtable_fini(ft);
		return -ENOMEM;
	}
	tables->list = list;
	list[tables->n++] = *ft;
	return 0;
}

static void read_flowtable(void *arg, const struct nlmsghdr *nlh)
{
	struct reading *r = arg;
	struct nft_flowtable ft;

	if (r->err)
		return;
	r->err = nft_decode_flowtable(nlh, &ft);
	if (r->err == -EBADMSG)
		r->err = 0; // not a flowtable
	else if (!r->err)
		r->err = append(&r->tables, &ft);
}

static int get_flowtables(struct nft *nft, struct nft_flowtables *tables)
{
	char buf[64] __attribute__((aligned(4)));
	struct nlmsghdr *nlh;
	struct reading r = {0};
	int err;

	nlh = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETFLOWTABLE, NFPROTO_UNSPEC, NLM_F_DUMP, 0);
	err = nl_request(&nft->query, nlh, read_flowtable, &r);
	if (!err)
		err = r.err;
	if (err) {
		tables_fini(&r.tables);
		return err;
	}
	if (r.tables.n)
		qsort(r.tables.list, r.tables.n, sizeof(*r.tables.list), compare_tables);
	*tables = r.tables;
	return 0;
}

// Reads the list as of one generation. -EINTR: it changed under way.
static int read_once(struct nft *nft, struct nft_flowtables *tables, uint32_t *generation)
{
	uint32_t after = 0;
	int err = get_generation(nft, generation);

	if (!err)
		err = get_flowtables(nft, tables);
	if (err)
		return err;
	err = get_generation(nft, &after);
	if (!err && after != *generation)
		err = -EINTR;
	if (err)
		tables_fini(tables);
	return err;
}

static int read_consistent(struct nft *nft, struct nft_flowtables *tables, uint32_t *generation)
{
	int err = -EINTR;

	for (int i = 0; err == -EINTR && i < TRIES; i++)
		err = read_once(nft, tables, generation);
	return err;
}

// True when the kernel creates flowtables. Asked as 'nft -c' would: a batch without its end is
// checked and undone, no generation passes, and modules are loaded that a flowtable needs.
static int probe_flowtable(struct nft *nft)
{
	char buf[512] __attribute__((aligned(4)));
	struct nftnl_table *table = nftnl_table_alloc();
	struct nftnl_flowtable *ft = nftnl_flowtable_alloc();
	const uint16_t create = NLM_F_CREATE;
	struct nlmsghdr *nlh = nftnl_batch_begin(buf, 0);
	char *end = buf + nlh->nlmsg_len;
	int err = -ENOMEM;

	if (!table || !ft)
		goto out;
	nftnl_table_set_str(table, NFTNL_TABLE_NAME, "nftoffload-probe");
	nlh = nftnl_nlmsg_build_hdr(end, NFT_MSG_NEWTABLE, NFPROTO_INET, create, 0);
	nftnl_table_nlmsg_build_payload(nlh, table);
	end += nlh->nlmsg_len;
	nftnl_flowtable_set_str(ft, NFTNL_FLOWTABLE_TABLE, "nftoffload-probe");
	nftnl_flowtable_set_str(ft, NFTNL_FLOWTABLE_NAME, "probe");
	nftnl_flowtable_set_u32(ft, NFTNL_FLOWTABLE_HOOKNUM, 0);
	nftnl_flowtable_set_u32(ft, NFTNL_FLOWTABLE_PRIO, 0);
	nlh = nftnl_nlmsg_build_hdr(end, NFT_MSG_NEWFLOWTABLE, NFPROTO_INET, create | NLM_F_ACK, 0);
	nftnl_flowtable_nlmsg_build_payload(nlh, ft);
	end += nlh->nlmsg_len;
	err = nl_request_batch(&nft->query, buf, (size_t)(end - buf), NULL, NULL);
out:
	if (table)
		nftnl_table_free(table);
	if (ft)
		nftnl_flowtable_free(ft);
	return err;
}

static void explain(struct nft *nft, int err)
{
	const char *text = "the kernel has no nf_tables";

	if (err == -EPERM)
		text = "reading nf_tables needs CAP_NET_ADMIN";
	else if (err != -EINVAL && err != -EOPNOTSUPP)
		text = strerror(-err);
	snprintf(nft->unsupported, sizeof(nft->unsupported), "%s", text);
}

static void check_support(struct nft *nft)
{
	int err = probe_flowtable(nft);

	if (err == -ENOENT || err == -EOPNOTSUPP || err == -EINVAL)
		snprintf(nft->unsupported, sizeof(nft->unsupported),
			"the kernel has nf_tables without flowtables (CONFIG_NF_FLOW_TABLE)");
}

static void schedule(struct nft *nft, uint64_t delay_ns);

// Replaces the list by what the kernel has.
static int update(struct nft *nft)
{
	struct nft_flowtables tables = {0};
	uint32_t generation = 0;
	int err = read_consistent(nft, &tables, &generation);

	if (err)
		return err;
	nft->generation = generation;
	if (tables.n)
		nft->unsupported[0] = '\0';
	if (equal_lists(&tables, &nft->tables)) {
		tables_fini(&tables);
		return 0;
	}
	tables_fini(&nft->tables);
	nft->tables = tables;
	nft->announce = true;
	return 0;
}

static void settled(void *arg)
{
	struct nft *nft = arg;
	int err;

	loop_timer_del(nft->settle);
	nft->settle = NULL;
	err = update(nft);
	if (err) {
		log_warning("nft", "cannot read the flowtables: %s; trying again", strerror(-err));
		schedule(nft, RETRY_NS);
	}
	if (nft->announce) {
		nft->announce = false;
		nft->changed(nft->arg);
	}
}

static void schedule(struct nft *nft, uint64_t delay_ns)
{
	if (!nft->settle)
		nft->settle = loop_timer_add(nft->loop, delay_ns, settled, nft);
}

static void bump_epoch(struct nft *nft)
{
	nft->epoch++;
	nft->announce = true;
	schedule(nft, SETTLE_NS);
}

static void hint(void *arg, const struct nlmsghdr *nlh)
{
	struct nft *nft = arg;

	if (NFNL_SUBSYS_ID(nlh->nlmsg_type) != NFNL_SUBSYS_NFTABLES)
		return;
	switch (NFNL_MSG_TYPE(nlh->nlmsg_type)) {
	case NFT_MSG_DELFLOWTABLE:
		bump_epoch(nft);
		break;
	case NFT_MSG_NEWFLOWTABLE:
	case NFT_MSG_DELTABLE: // with the socket that owned it: no new generation
	case NFT_MSG_NEWGEN:
		schedule(nft, SETTLE_NS);
	}
}

// Of what events told only deletions count, so that lost ones need no more than a new epoch and the
// dump they lead to.
static void readable(void *arg, uint32_t epoll_events)
{
	struct nft *nft = arg;

	(void)epoll_events;
	if (nl_drain(&nft->events, EVENTS_A_TURN, hint, nft) < 0) {
		log_warning_rarely("nft", "events were lost; reading the flowtables again");
		bump_epoch(nft);
	}
}

static int open_sockets(struct nft *nft)
{
	const unsigned int group = NFNLGRP_NFTABLES;
	int err = nl_open(&nft->query, NETLINK_NETFILTER, 0);

	if (!err)
		err = nl_open_events(&nft->events, NETLINK_NETFILTER, EVENT_BUF_BYTES);
	if (!err)
		err = nl_join(&nft->events, &group, 1);
	return err;
}

static void start(struct nft *nft)
{
	int err = update(nft);

	if (nft->announce || err == -EINTR)
		schedule(nft, SETTLE_NS); // the caller has no handle of it before this one returns
	else if (err)
		explain(nft, err);
	else if (!nft->tables.n)
		check_support(nft);
}

struct nft *nft_create(struct loop *loop, nft_changed_fn changed, void *arg)
{
	struct nft *nft = calloc(1, sizeof(*nft));
	int err;

	if (!nft)
		return NULL;
	*nft = (struct nft){.loop = loop, .changed = changed, .arg = arg};
	err = open_sockets(nft);
	if (err)
		goto fail;
	nft->watch = loop_fd_add(loop, nl_fd(&nft->events), EPOLLIN, readable, nft);
	err = nft->watch ? 0 : -ENOMEM;
	if (err)
		goto fail;
	start(nft);
	return nft;
fail:
	nft_destroy(nft);
	errno = -err;
	return NULL;
}

void nft_destroy(struct nft *nft)
{
	if (!nft)
		return;
	loop_timer_del(nft->settle);
	loop_fd_del(nft->watch);
	nl_close(&nft->events);
	nl_close(&nft->query);
	tables_fini(&nft->tables);
	free(nft);
}

const struct nft_flowtables *nft_list(const struct nft *nft)
{
	return &nft->tables;
}

static void read_rule(void *arg, const struct nlmsghdr *nlh)
{
	bool *restores = arg;

	*restores |= nft_decode_restores_mark(nlh);
}

bool nft_restores_marks(struct nft *nft)
{
	char buf[64] __attribute__((aligned(4)));
	struct nlmsghdr *nlh;
	bool restores = false;

	if (nft->marks_known && nft->marks_generation == nft->generation)
		return nft->restores_marks;
	nlh = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETRULE, NFPROTO_UNSPEC, NLM_F_DUMP, 0);
	nft->marks_known = nl_request(&nft->query, nlh, read_rule, &restores) == 0;
	nft->marks_generation = nft->generation;
	nft->restores_marks = nft->marks_known && restores;
	return nft->restores_marks;
}

uint32_t nft_generation(const struct nft *nft)
{
	return nft->generation;
}

uint32_t nft_epoch(const struct nft *nft)
{
	return nft->epoch;
}

uint64_t nft_overruns(const struct nft *nft)
{
	return nft->events.overruns;
}

const char *nft_unsupported(const struct nft *nft)
{
	return nft->unsupported[0] ? nft->unsupported : NULL;
}

void nft_kick(struct nft *nft)
{
	schedule(nft, SETTLE_NS);
}
