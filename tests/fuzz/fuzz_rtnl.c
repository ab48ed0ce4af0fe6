// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/rtnl_decode.c ctrl/rtnl_table.c ctrl/nl.c
// What is decoded goes through the tables as well.
#include <linux/rtnetlink.h>

#include "fuzz_nl.h"
#include "rtnl_table.h"

static struct link_table links;
static struct neigh_table neighs;

static void one_link(const struct nlmsghdr *nlh)
{
	struct rtnl_link link, was;

	if (rtnl_decode_link(nlh, &link))
		return;
	if (nlh->nlmsg_type == RTM_DELLINK)
		link_table_take(&links, link.ifindex, &was);
	else if (link_table_put(&links, &link) < 0 || !link_table_find(&links, link.ifindex))
		abort();
}

static void one_neigh(const struct nlmsghdr *nlh)
{
	struct rtnl_neigh n, was;
	bool was_valid;

	if (rtnl_decode_neigh(nlh, &n))
		return;
	if (nlh->nlmsg_type == RTM_DELNEIGH)
		neigh_table_take(&neighs, &n, &was);
	else if (neigh_table_put(&neighs, &n, &was_valid) < 0
		 || !neigh_table_find(&neighs, n.ifindex, n.family, &n.addr))
		abort();
}

static void one(void *arg, const struct nlmsghdr *nlh)
{
	struct rtnl_route route;
	struct rtnl_rule rule;
	struct rtnl_prefix prefix;
	struct rtnl_facts facts = {.src = false};

	(void)arg;
	one_link(nlh);
	one_neigh(nlh);
	rtnl_decode_route(nlh, &route);
	if (!rtnl_decode_prefix(nlh, &prefix, &facts)
		&& prefix.bits > (prefix.family == NFO_IPV4 ? 32 : 128))
		abort();
	rtnl_decode_rule(nlh, &rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_messages(data, size, one);
	link_table_fini(&links);
	neigh_table_fini(&neighs);
	return 0;
}
