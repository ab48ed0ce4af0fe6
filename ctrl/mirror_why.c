// SPDX-License-Identifier: GPL-2.0-or-later
// The mirror as explanations see it: what why.h asks.
#include <linux/netfilter/nf_conntrack_common.h>

#include "mirror_priv.h"
#include "why.h"

static unsigned int view_flowtables(void *arg)
{
	return mirror_flowtables(arg);
}

static const struct nft_flowtable *view_flowtable(void *arg, unsigned int i)
{
	return mirror_flowtable(arg, i);
}

static bool view_lists(void *arg, const struct nft_flowtable *ft, int ifindex)
{
	return mirror_lists(arg, ft, ifindex);
}

static const char *view_unsupported(void *arg)
{
	return mirror_nft_unsupported(arg);
}

static const char *view_hook(void *arg, const char *ifname)
{
	const struct mirror *m = arg;

	return m->hooks != NULL ? hooks_text(m->hooks, ifname) : NULL;
}

bool mirror_why(const struct mirror *m, const struct ct_conn *conn, struct mirror_flow *flow,
	struct why *why)
{
	const uint32_t slot = conns_find(&m->conns, &conn->orig, conn->zone);
	const bool known = slot != CONN_NONE && mirror_get(m, slot, flow);
	const bool full = m->conns.n == m->conns.max && (conn->status & IPS_OFFLOAD);
	const struct why_view view = {
		.resolve = &m->view,
		.flowtables = view_flowtables,
		.flowtable = view_flowtable,
		.lists = view_lists,
		.unsupported = view_unsupported,
		.hook = view_hook,
		.arg = m->view.arg,
	};

	if (!known)
		*flow = (struct mirror_flow){
			.conn = *conn, .reason = full ? NFO_R_TABLE_FULL : NFO_R_NOT_OFFERED};
	why_explain(&view, conn, flow->reason, why);
	flow->reason = why->reason;
	return known;
}

const char *mirror_twin(const struct mirror *m, unsigned int port)
{
	return port < m->conf.n_ports ? m->conf.port[port] : NULL;
}

bool mirror_ipsec(const struct mirror *m)
{
	return m->view.ipsec(m->view.arg);
}
