// SPDX-License-Identifier: GPL-2.0-or-later
#include "problems.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "mirror.h"
#include "problems_log.h"
#include "rtnl.h"
#include "sysctl.h"

#define MS_NS 1000000ull

enum { PPPOE_MAX = 16 }; // devices with sessions that are known

struct problems {
	const struct loop *loop;
	const struct rtnl *rtnl;
	const struct mirror *mirror;
	struct loop_timer *timer;
	struct problems_log log;
};

struct address {
	int ifindex;
	unsigned int kind; // DIAG_IPV4...
};

// What is read for one search.
struct reading {
	const struct problems *problems;
	struct address *addresses; // sorted by ifindex
	size_t n_addresses;
	bool no_addresses; // they cannot be read
	char pppoe[PPPOE_MAX][NFO_NAME_LEN];
	unsigned int n_pppoe;
};

// --- what diag.c asks ---

static const struct rtnl_link *view_link(void *arg, int ifindex)
{
	return rtnl_link_by_index(((struct reading *)arg)->problems->rtnl, ifindex);
}

static const struct rtnl_link *view_next_link(void *arg, int after)
{
	return rtnl_link_next(((struct reading *)arg)->problems->rtnl, after);
}

static const char *view_twin(void *arg, unsigned int port)
{
	return mirror_twin(((struct reading *)arg)->problems->mirror, port);
}

static int compare_addresses(const void *a, const void *b)
{
	return ((const struct address *)a)->ifindex - ((const struct address *)b)->ifindex;
}

// Those of an interface stand side by side.
static unsigned int view_addresses(void *arg, int ifindex)
{
	const struct reading *r = arg;
	size_t low = 0, high = r->n_addresses;
	unsigned int set = 0;

	if (r->no_addresses)
		return DIAG_LINK_LOCAL; // of which nothing follows
	while (low < high) {
		const size_t middle = (low + high) / 2;

		if (r->addresses[middle].ifindex < ifindex)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < r->n_addresses && r->addresses[low].ifindex == ifindex; low++)
		set |= r->addresses[low].kind;
	return set;
}

static bool view_pppoe(void *arg, const char *ifname)
{
	const struct reading *r = arg;

	for (unsigned int i = 0; i < r->n_pppoe; i++)
		if (strcmp(r->pppoe[i], ifname) == 0)
			return true;
	return false;
}

static unsigned int view_flowtables(void *arg)
{
	return mirror_flowtables(((struct reading *)arg)->problems->mirror);
}

static const struct nft_flowtable *view_flowtable(void *arg, unsigned int i)
{
	return mirror_flowtable(((struct reading *)arg)->problems->mirror, i);
}

static bool view_lists(void *arg, const struct nft_flowtable *ft, int ifindex)
{
	return mirror_lists(((struct reading *)arg)->problems->mirror, ft, ifindex);
}

static uint32_t view_sysctl(void *arg, const char *name, uint32_t otherwise)
{
	(void)arg;
	return sysctl_net(name, otherwise);
}

// --- what is read ---

static unsigned int address_kind(const struct sockaddr *addr)
{
	const struct sockaddr_in6 *sin6 = (const void *)addr;

	if (addr == NULL)
		return 0;
	if (addr->sa_family == AF_INET)
		return DIAG_IPV4;
	if (addr->sa_family != AF_INET6)
		return 0;
	return IN6_IS_ADDR_LINKLOCAL(&sin6->sin6_addr) ? DIAG_LINK_LOCAL : DIAG_IPV6;
}

// The name of an IPv4 address may have a label behind a colon.
static const struct rtnl_link *link_of(const struct reading *r, const struct ifaddrs *a)
{
	char name[NFO_NAME_LEN];

	snprintf(name, sizeof(name), "%s", a->ifa_name);
	name[strcspn(name, ":")] = '\0';
	return rtnl_link_by_name(r->problems->rtnl, name);
}

static void read_addresses(struct reading *r)
{
	struct ifaddrs *list = NULL, *a;
	size_t n = 1;

	r->no_addresses = getifaddrs(&list) < 0;
	for (a = list; a != NULL; a = a->ifa_next)
		n += address_kind(a->ifa_addr) != 0;
	r->addresses = calloc(n, sizeof(*r->addresses));
	r->no_addresses |= r->addresses == NULL;
	for (a = list; a != NULL && !r->no_addresses; a = a->ifa_next) {
		const unsigned int kind = address_kind(a->ifa_addr);
		const struct rtnl_link *link = kind != 0 ? link_of(r, a) : NULL;

		if (link != NULL)
			r->addresses[r->n_addresses++] = (struct address){link->ifindex, kind};
	}
	if (list != NULL)
		freeifaddrs(list);
	if (r->n_addresses != 0)
		qsort(r->addresses, r->n_addresses, sizeof(*r->addresses), compare_addresses);
}

// Lines "ID ADDRESS DEVICE" behind a title.
static void read_pppoe(struct reading *r)
{
	FILE *f = fopen("/proc/net/pppoe", "re");
	char line[128];

	if (f == NULL)
		return; // no module, no session
	while (r->n_pppoe < PPPOE_MAX && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%*x %*17[0-9a-fA-F:] %15s", r->pppoe[r->n_pppoe]) == 1)
			r->n_pppoe++;
	fclose(f);
}

void problems_find(const struct problems *p, struct diag *diag)
{
	struct reading r = {.problems = p};
	struct diag_view view = {
		.link = view_link,
		.next_link = view_next_link,
		.twin = view_twin,
		.addresses = view_addresses,
		.pppoe = view_pppoe,
		.flowtables = view_flowtables,
		.flowtable = view_flowtable,
		.lists = view_lists,
		.sysctl = view_sysctl,
		.arg = &r,
	};
	struct mirror_stats stats;
	struct ct_stats ct;

	diag->n = 0;
	if (p == NULL)
		return;
	read_addresses(&r);
	read_pppoe(&r);
	mirror_stats(p->mirror, &stats);
	view.unsupported = mirror_nft_unsupported(p->mirror);
	view.conntrack = mirror_ct_stats(p->mirror, &ct);
	view.ipsec = mirror_ipsec(p->mirror);
	view.asymmetric = stats.by_reason[NFO_R_ASYMMETRIC];
	view.table_full = stats.by_reason[NFO_R_TABLE_FULL];
	diag_find(&view, diag);
	free(r.addresses);
}

static void look(void *arg)
{
	struct problems *p = arg;
	struct diag found;

	problems_find(p, &found);
	problems_log_update(&p->log, &found, loop_now_ns(p->loop), PROBLEMS_SETTLE_MS * MS_NS);
}

struct problems *problems_create(
	struct loop *loop, const struct rtnl *rtnl, const struct mirror *mirror)
{
	struct problems *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->loop = loop;
	p->rtnl = rtnl;
	p->mirror = mirror;
	p->timer = loop_timer_add(loop, PROBLEMS_PERIOD_MS * MS_NS, look, p);
	if (p->timer == NULL) {
		free(p);
		errno = ENOMEM;
		return NULL;
	}
	look(p);
	return p;
}

void problems_destroy(struct problems *p)
{
	if (p == NULL)
		return;
	loop_timer_del(p->timer);
	free(p);
}
