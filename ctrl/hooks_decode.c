// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "hooks.h"
#include "nft.h"
#include "nl.h"

enum { KIND_LEN = 16 }; // IFNAMSIZ, as in the kernel's struct Qdisc_ops

static void tell(const struct nlattr *attr, hooks_device_fn fn, void *arg)
{
	char name[NFO_NAME_LEN];

	if (nft_decode_device(attr, name))
		fn(arg, name);
}

void hooks_decode_chain(const struct nlmsghdr *nlh, hooks_device_fn fn, void *arg)
{
	const struct nlattr *tb[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1], *attr;
	char name[NFO_NAME_LEN];

	if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN)
		|| !nl_has_header(nlh, sizeof(struct nfgenmsg)))
		return;
	nl_parse(nlh, sizeof(struct nfgenmsg), tb, NFTA_CHAIN_MAX);
	nl_parse_nested(tb[NFTA_CHAIN_HOOK], hook, NFTA_HOOK_MAX);
	if (nl_get_name(hook[NFTA_HOOK_DEV], name, sizeof(name)))
		fn(arg, name);
	if (!hook[NFTA_HOOK_DEVS])
		return;
	mnl_attr_for_each_nested(attr, hook[NFTA_HOOK_DEVS]) tell(attr, fn, arg);
}

// Those that hand on every packet unchanged, as soon as the device takes it.
static bool only_queues(const char *kind)
{
	static const char kinds[][KIND_LEN] = {
		"noqueue", "pfifo_fast", "pfifo", "bfifo", "mq", "fq", "fq_codel", "sfq"};

	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kind, kinds[i]) == 0)
			return true;
	return false;
}

unsigned int hooks_decode_qdisc(const struct nlmsghdr *nlh, int *ifindex)
{
	const struct nlattr *tb[TCA_KIND + 1];
	char kind[KIND_LEN];
	struct tcmsg tcm;

	if (nlh->nlmsg_type != RTM_NEWQDISC || !nl_has_header(nlh, sizeof(tcm)))
		return 0;
	memcpy(&tcm, mnl_nlmsg_get_payload(nlh), sizeof(tcm));
	nl_parse(nlh, sizeof(tcm), tb, TCA_KIND);
	if (!nl_get_name(tb[TCA_KIND], kind, sizeof(kind)))
		return 0;
	*ifindex = tcm.tcm_ifindex;
	if (tcm.tcm_parent == TC_H_INGRESS) // TC_H_CLSACT is the same
		return HOOKS_TC;
	return tcm.tcm_handle == 0 || only_queues(kind) ? 0 : HOOKS_QDISC;
}

bool hooks_decode_link(
	const struct nlmsghdr *nlh, int *ifindex, char name[NFO_NAME_LEN], unsigned int *what)
{
	const struct nlattr *tb[IFLA_XDP + 1], *xdp[IFLA_XDP_ATTACHED + 1];
	struct ifinfomsg ifi;
	uint8_t attached = XDP_ATTACHED_NONE;

	if (nlh->nlmsg_type != RTM_NEWLINK || !nl_has_header(nlh, sizeof(ifi)))
		return false;
	memcpy(&ifi, mnl_nlmsg_get_payload(nlh), sizeof(ifi));
	nl_parse(nlh, sizeof(ifi), tb, IFLA_XDP);
	if (ifi.ifi_index <= 0 || !nl_get_name(tb[IFLA_IFNAME], name, NFO_NAME_LEN))
		return false;
	nl_parse_nested(tb[IFLA_XDP], xdp, IFLA_XDP_ATTACHED);
	nl_get(xdp[IFLA_XDP_ATTACHED], &attached, sizeof(attached));
	*ifindex = ifi.ifi_index;
	*what = attached != XDP_ATTACHED_NONE ? HOOKS_XDP : 0;
	return true;
}
