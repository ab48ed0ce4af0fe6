// SPDX-License-Identifier: GPL-2.0-or-later
#include "twins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dp_api.h"
#include "log.h"
#include "loop.h"

// How often ports are asked for their link: drivers without link interrupts are polled anyway.
#define POLL_NS 200000000ull

struct twins {
	struct rtnl *rtnl;
	struct loop_timer *poll;
	bool told[NFO_MAX_PORTS]; // the link state has been set once
	bool up[NFO_MAX_PORTS];
};

static void sync_carrier(struct twins *t, unsigned int port, const struct dp_port_info *info)
{
	const struct rtnl_link *link = rtnl_link_by_name(t->rtnl, info->name);
	int ret;

	if (link == NULL || link->carrier == info->link_up)
		return;
	ret = rtnl_link_set_carrier(t->rtnl, link->ifindex, info->link_up);
	if (t->told[port] && t->up[port] == info->link_up)
		return; // tried again, silently
	if (ret < 0)
		log_warning("twins", "%s: cannot set the carrier %s: %s", info->name,
			info->link_up ? "on" : "off", strerror(-ret));
	else
		log_notice("twins", "%s: link %s", info->name, info->link_up ? "up" : "down");
	t->told[port] = true;
	t->up[port] = info->link_up;
}

static void poll_links(void *arg)
{
	struct twins *t = arg;
	struct dp_port_info info;

	for (unsigned int i = 0; i < dp_ports(); i++)
		if (dp_port_info(i, &info) == 0)
			sync_carrier(t, i, &info);
}

static void sync_mtu(struct twins *t, unsigned int port, const struct dp_port_info *info,
	const struct rtnl_link *link)
{
	int ret;

	if (link->mtu == info->mtu)
		return;
	ret = link->mtu <= UINT16_MAX ? dp_port_set_mtu(port, (uint16_t)link->mtu) : -EMSGSIZE;
	if (ret == 0) {
		log_notice("twins", "%s: MTU %u", info->name, link->mtu);
		return;
	}
	log_error("twins",
		"%s: the port refuses MTU %u (%s), so it stays %u; expected at most what 'mtu' of "
		"its [port] section was at start",
		info->name, link->mtu, strerror(-ret), info->mtu);
	rtnl_link_set_mtu(t->rtnl, link->ifindex, info->mtu);
}

static void sync_mac(struct twins *t, unsigned int port, const struct dp_port_info *info,
	const struct rtnl_link *link)
{
	int ret;

	if (memcmp(link->mac, info->mac, NFO_ETH_ALEN) == 0)
		return;
	ret = dp_port_set_mac(port, link->mac);
	if (ret == 0) {
		log_notice("twins", "%s: MAC address follows the twin", info->name);
		return;
	}
	log_error("twins", "%s: the port refuses the twin's MAC address (%s), so it stays",
		info->name, strerror(-ret));
	rtnl_link_set_mac(t->rtnl, link->ifindex, info->mac);
}

void twins_link_changed(struct twins *t, const struct rtnl_link *link)
{
	struct dp_port_info info;

	for (unsigned int i = 0; i < dp_ports(); i++) {
		if (dp_port_info(i, &info) != 0 || strcmp(info.name, link->name) != 0)
			continue;
		sync_mtu(t, i, &info, link);
		sync_mac(t, i, &info, link);
	}
}

struct twins *twins_create(struct loop *loop, struct rtnl *rtnl)
{
	struct twins *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->rtnl = rtnl;
	t->poll = loop_timer_add(loop, POLL_NS, poll_links, t);
	if (t->poll == NULL) {
		free(t);
		return NULL;
	}
	poll_links(t);
	return t;
}

void twins_destroy(struct twins *t)
{
	if (t == NULL)
		return;
	loop_timer_del(t->poll);
	free(t);
}
