// SPDX-License-Identifier: GPL-2.0-or-later
// libmnl rather than libnftnl reads what the kernel sends: nftnl_flowtable_nlmsg_parse() ends the
// process on an attribute it finds malformed, and refuses NFTA_DEVICE_PREFIX.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>

#include "nft.h"
#include "nl.h"

enum {
	DEVICE_NAME = NFTA_DEVICE_NAME,
	DEVICE_PREFIX = 2,     // NFTA_DEVICE_PREFIX, Linux 6.19
	NFT_MAX_DEVICES = 256, // NFT_NETDEVICE_MAX
};

bool nft_decode_device(const struct nlattr *attr, char name[NFO_NAME_LEN])
{
	uint16_t type = mnl_attr_get_type(attr);

	if (type == DEVICE_NAME)
		return nl_get_name(attr, name, NFO_NAME_LEN);
	if (type == DEVICE_PREFIX && nl_get_name(attr, name, NFO_NAME_LEN - 1)) {
		strcat(name, "*");
		return true;
	}
	return false;
}

static unsigned int count_attrs(const struct nlattr *nest)
{
	const struct nlattr *attr;
	unsigned int n = 0;

	mnl_attr_for_each_nested(attr, nest) n++;
	return n < NFT_MAX_DEVICES ? n : NFT_MAX_DEVICES;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

// The kernel's order of devices says nothing; sorted ones make equal lists equal.
static int decode_devices(const struct nlattr *nest, struct nft_flowtable *ft)
{
	const struct nlattr *attr;
	unsigned int max;

	if (!nest || (max = count_attrs(nest)) == 0)
		return 0;
	ft->devices = calloc(max, sizeof(*ft->devices));
	if (!ft->devices)
		return -ENOMEM;
	mnl_attr_for_each_nested(attr,
		nest) if (ft->n_devices < max && nft_decode_device(attr, ft->devices[ft->n_devices]))
		ft->n_devices++;
	qsort(ft->devices, ft->n_devices, sizeof(*ft->devices), compare_names);
	return 0;
}

static int decode_hook(const struct nlattr *nest, struct nft_flowtable *ft)
{
	const struct nlattr *tb[NFTA_FLOWTABLE_HOOK_MAX + 1];
	uint32_t priority;

	nl_parse_nested(nest, tb, NFTA_FLOWTABLE_HOOK_MAX);
	nl_get_be32(tb[NFTA_FLOWTABLE_HOOK_NUM], &ft->hook);
	if (nl_get_be32(tb[NFTA_FLOWTABLE_HOOK_PRIORITY], &priority))
		ft->priority = (int32_t)priority;
	return decode_devices(tb[NFTA_FLOWTABLE_HOOK_DEVS], ft);
}

static uint64_t get_handle(const struct nlattr *attr)
{
	uint64_t be;

	return nl_get(attr, &be, sizeof(be)) ? be64toh(be) : 0;
}

int nft_decode_flowtable(const struct nlmsghdr *nlh, struct nft_flowtable *ft)
{
	const struct nlattr *tb[NFTA_FLOWTABLE_MAX + 1];
	struct nft_flowtable out = {0};
	const struct nfgenmsg *nfg;
	int err;

	if (!nl_has_header(nlh, sizeof(*nfg)))
		return -EBADMSG;
	nfg = mnl_nlmsg_get_payload(nlh);
	nl_parse(nlh, sizeof(*nfg), tb, NFTA_FLOWTABLE_MAX);
	if (!nl_get_name(tb[NFTA_FLOWTABLE_TABLE], out.table, sizeof(out.table))
		|| !nl_get_name(tb[NFTA_FLOWTABLE_NAME], out.name, sizeof(out.name)))
		return -EBADMSG;
	out.family = nfg->nfgen_family;
	nl_get_be32(tb[NFTA_FLOWTABLE_USE], &out.use);
	nl_get_be32(tb[NFTA_FLOWTABLE_FLAGS], &out.flags);
	out.handle = get_handle(tb[NFTA_FLOWTABLE_HANDLE]);
	err = decode_hook(tb[NFTA_FLOWTABLE_HOOK], &out);
	if (err)
		return err;
	*ft = out;
	return 0;
}

static bool is_key(const struct nlattr *attr, uint32_t key)
{
	uint32_t value;

	return nl_get_be32(attr, &value) && value == key;
}

static bool loads_ct_mark(const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_CT_MAX + 1];

	nl_parse_nested(data, tb, NFTA_CT_MAX);
	return tb[NFTA_CT_DREG] && is_key(tb[NFTA_CT_KEY], NFT_CT_MARK);
}

static bool sets_meta_mark(const struct nlattr *data)
{
	const struct nlattr *tb[NFTA_META_MAX + 1];

	nl_parse_nested(data, tb, NFTA_META_MAX);
	return tb[NFTA_META_SREG] && is_key(tb[NFTA_META_KEY], NFT_META_MARK);
}

// struct xt_connmark_tginfo1 (linux/netfilter/xt_connmark.h): three words and the mode.
static bool restores_connmark(const struct nlattr *data)
{
	enum { MODE = 12, RESTORE = 2 };
	const struct nlattr *tb[NFTA_TARGET_MAX + 1];
	uint8_t info[MODE + 1];
	char name[32];

	nl_parse_nested(data, tb, NFTA_TARGET_MAX);
	return nl_get_name(tb[NFTA_TARGET_NAME], name, sizeof(name)) && !strcmp(name, "CONNMARK")
	       && nl_get(tb[NFTA_TARGET_INFO], info, sizeof(info)) && info[MODE] == RESTORE;
}

bool nft_decode_restores_mark(const struct nlmsghdr *nlh)
{
	const struct nlattr *rule[NFTA_RULE_MAX + 1], *tb[NFTA_EXPR_MAX + 1], *elem;
	bool loaded = false;
	char name[32];

	if (!nl_has_header(nlh, sizeof(struct nfgenmsg)))
		return false;
	nl_parse(nlh, sizeof(struct nfgenmsg), rule, NFTA_RULE_MAX);
	if (!rule[NFTA_RULE_EXPRESSIONS])
		return false;
	mnl_attr_for_each_nested(elem, rule[NFTA_RULE_EXPRESSIONS])
	{
		nl_parse_nested(elem, tb, NFTA_EXPR_MAX);
		if (!nl_get_name(tb[NFTA_EXPR_NAME], name, sizeof(name)))
			continue;
		if (loaded && !strcmp(name, "meta") && sets_meta_mark(tb[NFTA_EXPR_DATA]))
			return true;
		if (!strcmp(name, "target") && restores_connmark(tb[NFTA_EXPR_DATA]))
			return true;
		// a mask may come in between; whatever else does has looked at the mark only
		if (strcmp(name, "bitwise") != 0)
			loaded = !strcmp(name, "ct") && loads_ct_mark(tb[NFTA_EXPR_DATA]);
	}
	return false;
}

void nft_flowtable_fini(struct nft_flowtable *ft)
{
	free(ft->devices);
	ft->devices = NULL;
	ft->n_devices = 0;
}
