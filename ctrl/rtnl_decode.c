// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_bonding.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "nl.h"
#include "rtnl.h"

enum {
	NUD_VALID_STATES =
		NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY,
	// Of newer kernels: rules that look at the DSCP or the flow label.
	RULE_DSCP = 25,
	RULE_FLOWLABEL = 26,
	RULE_MAX = RULE_FLOWLABEL,
};

static size_t addr_bytes(uint8_t family)
{
	return family == NFO_IPV4 ? 4 : 16;
}

static bool get_addr(const struct nlattr *attr, uint8_t family, union nfo_addr *addr)
{
	return nl_get(attr, addr->bytes, addr_bytes(family));
}

static bool is_ip(uint8_t family)
{
	return family == NFO_IPV4 || family == NFO_IPV6;
}

static bool get_mac(const struct nlattr *attr, uint8_t mac[NFO_ETH_ALEN])
{
	if (!attr || mnl_attr_get_payload_len(attr) != NFO_ETH_ALEN)
		return false;
	return nl_get(attr, mac, NFO_ETH_ALEN);
}

static void decode_vlan(const struct nlattr *data, struct rtnl_link *link)
{
	const struct nlattr *tb[IFLA_VLAN_MAX + 1];

	nl_parse_nested(data, tb, IFLA_VLAN_MAX);
	nl_get(tb[IFLA_VLAN_ID], &link->vlan.vid, sizeof(link->vlan.vid));
	nl_get(tb[IFLA_VLAN_PROTOCOL], &link->vlan.tpid_be, sizeof(link->vlan.tpid_be));
	link->vlan_qos = tb[IFLA_VLAN_EGRESS_QOS]
			 && mnl_attr_get_payload_len(tb[IFLA_VLAN_EGRESS_QOS]) > 0;
}

static void decode_bond(const struct nlattr *data, struct rtnl_link *link)
{
	const struct nlattr *tb[IFLA_BOND_MAX + 1];

	nl_parse_nested(data, tb, IFLA_BOND_MAX);
	nl_get(tb[IFLA_BOND_MODE], &link->bond_mode, sizeof(link->bond_mode));
	nl_get(tb[IFLA_BOND_ACTIVE_SLAVE], &link->bond_active, sizeof(link->bond_active));
}

static void decode_slave(const struct nlattr *data, struct rtnl_link *link)
{
	const struct nlattr *tb[IFLA_BOND_SLAVE_MAX + 1];
	uint8_t state = BOND_STATE_BACKUP;

	nl_parse_nested(data, tb, IFLA_BOND_SLAVE_MAX);
	nl_get(tb[IFLA_BOND_SLAVE_STATE], &state, sizeof(state));
	link->slave_active = state == BOND_STATE_ACTIVE;
}

static void decode_info(const struct nlattr *linkinfo, struct rtnl_link *link)
{
	const struct nlattr *tb[IFLA_INFO_MAX + 1];
	char slave_kind[16] = "";

	nl_parse_nested(linkinfo, tb, IFLA_INFO_MAX);
	nl_get_name(tb[IFLA_INFO_KIND], link->kind, sizeof(link->kind));
	nl_get_name(tb[IFLA_INFO_SLAVE_KIND], slave_kind, sizeof(slave_kind));
	if (!strcmp(link->kind, "vlan"))
		decode_vlan(tb[IFLA_INFO_DATA], link);
	else if (!strcmp(link->kind, "bond"))
		decode_bond(tb[IFLA_INFO_DATA], link);
	if (!strcmp(slave_kind, "bond"))
		decode_slave(tb[IFLA_INFO_SLAVE_DATA], link);
}

// net/ipv6/addrconf.c, ipv6_store_devconf(): an array of int.
static void decode_mtu6(const struct nlattr *af_spec, struct rtnl_link *link)
{
	const struct nlattr *family[AF_INET6 + 1], *tb[IFLA_INET6_MAX + 1];
	uint32_t conf[DEVCONF_MTU6 + 1];

	nl_parse_nested(af_spec, family, AF_INET6);
	nl_parse_nested(family[AF_INET6], tb, IFLA_INET6_MAX);
	if (nl_get(tb[IFLA_INET6_CONF], conf, sizeof(conf)))
		link->mtu6 = conf[DEVCONF_MTU6];
}

// Messages of other families (a bridge tells of its ports so) and partial ones (of wireless events)
// are no links: -EBADMSG.
int rtnl_decode_link(const struct nlmsghdr *nlh, struct rtnl_link *link)
{
	const struct nlattr *tb[IFLA_MAX + 1];
	const struct ifinfomsg *ifi;
	struct rtnl_link out = {0};
	uint8_t carrier;

	if (!nl_has_header(nlh, sizeof(*ifi)))
		return -EBADMSG;
	ifi = mnl_nlmsg_get_payload(nlh);
	nl_parse(nlh, sizeof(*ifi), tb, IFLA_MAX);
	if (ifi->ifi_family != AF_UNSPEC || ifi->ifi_index <= 0
		|| !nl_get_name(tb[IFLA_IFNAME], out.name, sizeof(out.name))
		|| !nl_get(tb[IFLA_MTU], &out.mtu, sizeof(out.mtu)))
		return -EBADMSG;
	out.ifindex = ifi->ifi_index;
	nl_get(tb[IFLA_MASTER], &out.master, sizeof(out.master));
	get_mac(tb[IFLA_ADDRESS], out.mac);
	out.up = ifi->ifi_flags & IFF_UP;
	if (nl_get(tb[IFLA_CARRIER], &carrier, sizeof(carrier)))
		out.carrier = carrier;
	else
		out.carrier = ifi->ifi_flags & IFF_LOWER_UP;
	decode_info(tb[IFLA_LINKINFO], &out);
	if (out.vlan.vid != 0) // of veth and others it is something else
		nl_get(tb[IFLA_LINK], &out.lower, sizeof(out.lower));
	decode_mtu6(tb[IFLA_AF_SPEC], &out);
	*link = out;
	return 0;
}

// Entries of a bridge's FDB come in the same messages, and proxy entries: -EBADMSG.
int rtnl_decode_neigh(const struct nlmsghdr *nlh, struct rtnl_neigh *neigh)
{
	const struct nlattr *tb[NDA_MAX + 1];
	const struct ndmsg *ndm;
	struct rtnl_neigh out = {0};

	if (!nl_has_header(nlh, sizeof(*ndm)))
		return -EBADMSG;
	ndm = mnl_nlmsg_get_payload(nlh);
	nl_parse(nlh, sizeof(*ndm), tb, NDA_MAX);
	if (!is_ip(ndm->ndm_family) || ndm->ndm_ifindex <= 0 || (ndm->ndm_flags & NTF_PROXY)
		|| !get_addr(tb[NDA_DST], ndm->ndm_family, &out.addr))
		return -EBADMSG;
	out.ifindex = ndm->ndm_ifindex;
	out.family = ndm->ndm_family;
	out.valid = get_mac(tb[NDA_LLADDR], out.mac) && (ndm->ndm_state & NUD_VALID_STATES);
	if (!out.valid)
		memset(out.mac, 0, sizeof(out.mac));
	*neigh = out;
	return 0;
}

static bool get_via(const struct nlattr *attr, struct rtnl_route *route)
{
	uint8_t raw[sizeof(uint16_t) + sizeof(union nfo_addr)] = {0};
	uint16_t family;
	size_t bytes;

	if (!nl_get(attr, &family, sizeof(family)) || !is_ip((uint8_t)family))
		return false;
	bytes = sizeof(family) + addr_bytes((uint8_t)family);
	if (!nl_get(attr, raw, bytes))
		return false;
	route->gateway_family = (uint8_t)family;
	memcpy(&route->gateway, raw + sizeof(family), sizeof(route->gateway));
	return true;
}

static void decode_mtu(const struct nlattr *metrics, struct rtnl_route *route)
{
	const struct nlattr *tb[RTAX_MAX + 1];

	nl_parse_nested(metrics, tb, RTAX_MAX);
	nl_get(tb[RTAX_MTU], &route->mtu, sizeof(route->mtu));
}

int rtnl_decode_route(const struct nlmsghdr *nlh, struct rtnl_route *route)
{
	const struct nlattr *tb[RTA_MAX + 1];
	const struct rtmsg *rtm;
	struct rtnl_route out = {0};

	if (!nl_has_header(nlh, sizeof(*rtm)))
		return -EBADMSG;
	rtm = mnl_nlmsg_get_payload(nlh);
	if (!is_ip(rtm->rtm_family))
		return -EBADMSG;
	nl_parse(nlh, sizeof(*rtm), tb, RTA_MAX);
	nl_get(tb[RTA_OIF], &out.oif, sizeof(out.oif));
	out.type = rtm->rtm_type;
	out.encap = tb[RTA_ENCAP_TYPE];
	out.multipath = tb[RTA_MULTIPATH];
	if (get_addr(tb[RTA_GATEWAY], rtm->rtm_family, &out.gateway))
		out.gateway_family = rtm->rtm_family;
	else if (!get_via(tb[RTA_VIA], &out))
		get_addr(tb[RTA_DST], rtm->rtm_family, &out.gateway);
	decode_mtu(tb[RTA_METRICS], &out);
	*route = out;
	return 0;
}

int rtnl_decode_prefix(
	const struct nlmsghdr *nlh, struct rtnl_prefix *prefix, struct rtnl_facts *facts)
{
	const struct nlattr *tb[RTA_MAX + 1];
	const struct rtmsg *rtm;
	struct rtnl_prefix out = {.bits = 0};

	if (!nl_has_header(nlh, sizeof(*rtm)))
		return -EBADMSG;
	rtm = mnl_nlmsg_get_payload(nlh);
	if (!is_ip(rtm->rtm_family) || (rtm->rtm_flags & RTM_F_CLONED)
		|| rtm->rtm_dst_len > 8 * addr_bytes(rtm->rtm_family))
		return -EBADMSG;
	nl_parse(nlh, sizeof(*rtm), tb, RTA_MAX);
	if (rtm->rtm_dst_len > 0 && !get_addr(tb[RTA_DST], rtm->rtm_family, &out.addr))
		return -EBADMSG;
	out.family = rtm->rtm_family;
	out.bits = rtm->rtm_dst_len;
	facts->src |= rtm->rtm_src_len != 0;
	// a next hop object may be told by its number alone (net.ipv4.nexthop_compat_mode)
	facts->multipath |= tb[RTA_MULTIPATH] || (tb[RTA_NH_ID] && !tb[RTA_OIF]);
	*prefix = out;
	return 0;
}

int rtnl_decode_rule(const struct nlmsghdr *nlh, struct rtnl_rule *rule)
{
	const struct nlattr *tb[RULE_MAX + 1];
	const struct fib_rule_hdr *header;
	struct rtnl_rule out = {0};
	uint8_t l3mdev = 0, proto = 0;

	if (!nl_has_header(nlh, sizeof(*header)))
		return -EBADMSG;
	header = mnl_nlmsg_get_payload(nlh);
	if (!is_ip(header->family))
		return -EBADMSG;
	nl_parse(nlh, sizeof(*header), tb, RULE_MAX);
	nl_get(tb[FRA_FWMARK], &out.mark, sizeof(out.mark));
	if (!nl_get(tb[FRA_FWMASK], &out.mask, sizeof(out.mask)) && out.mark)
		out.mask = UINT32_MAX;
	nl_get(tb[FRA_L3MDEV], &l3mdev, sizeof(l3mdev));
	out.family = header->family;
	out.iif = tb[FRA_IIFNAME] || l3mdev;
	nl_get(tb[FRA_IP_PROTO], &proto, sizeof(proto));
	out.src = header->src_len;
	out.l4 = proto || tb[FRA_SPORT_RANGE] || tb[FRA_DPORT_RANGE];
	// a mark of 0, or none of that value: what packets without any mark carry is the point
	out.other = header->tos || tb[RULE_DSCP] || tb[RULE_FLOWLABEL] || proto == NFO_GRE
		    || (out.mask && (!(out.mark & out.mask) || header->flags & FIB_RULE_INVERT));
	*rule = out;
	return 0;
}
