// SPDX-License-Identifier: GPL-2.0-or-later
// Which connections conntrack offers: those with IPS_OFFLOAD (the kernel put them into a flowtable)
// and those that the mark of a stand-in selects. Events tell most of it at once; the rest (a flow
// that enters a flowtable late sends no event) is found by rounds of filtered dumps.
#include <errno.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>

#include "log.h"
#include "mirror_priv.h"

// How much later than its leaving the dataplane a connection must have been offered: the kernel's
// flowtable lets go of such a flow in its next round, a second later, and offers are on their way.
#define HOLD_NS 2000000000ull
#define MS_NS 1000000ull

enum { DUMP_PAUSES = 5 }; // a round of dumps by the timer comes so many times its length after the last

const struct nft_flowtable *offer_stand_in(const struct mirror *m, const struct ct_conn *conn)
{
	for (unsigned int i = 0; i < m->conf.n_stand_in; i++)
		if (nft_flowtable_fits(&m->conf.stand_in[i], conn->orig.family, conn->mark))
			return &m->conf.stand_in[i];
	return NULL;
}

// A stand-in takes what a flowtable would: TCP that is established and assured, UDP that was
// answered.
static bool stand_in_accepts(const struct mirror *m, const struct ct_conn *conn)
{
	const uint32_t need = conn->orig.proto == NFO_TCP ? IPS_CONFIRMED | IPS_ASSURED
							  : IPS_CONFIRMED | IPS_SEEN_REPLY;

	if ((conn->status & need) != need || (conn->status & IPS_DYING))
		return false;
	// an event without the state may belong to a closing connection: a dump will tell
	if (conn->orig.proto == NFO_TCP && conn->tcp_state != TCP_CONNTRACK_ESTABLISHED)
		return false;
	return offer_stand_in(m, conn) != NULL;
}

static bool offered(const struct mirror *m, const struct ct_conn *conn)
{
	return (conn->status & IPS_OFFLOAD) || stand_in_accepts(m, conn);
}

// An event may be older than the connection's end, of which a connection that is older than the first
// listener tells nothing: so it is asked for once more. What a dump tells is of this moment.
static void resolve_offered(struct mirror *m, uint32_t slot, enum ct_event event)
{
	mirror_resolve(m, slot);
	if (event != CT_EVENT_DUMP && m->conns.slot[slot].reason == NFO_R_OFFLOADED)
		refresh_check(m, &m->conns.slot[slot]);
}

static void take_up(struct mirror *m, enum ct_event event, const struct ct_conn *conn)
{
	const uint32_t slot = conns_add(&m->conns, conn);

	if (slot == CONN_NONE) {
		m->stats.refused++;
		return;
	}
	m->stats.offered++;
	m->stats.connections++;
	m->stats.by_reason[NFO_R_NEW]++;
	m->conns.slot[slot].round = m->round;
	m->conns.slot[slot].since_ns = loop_now_ns(m->loop);
	if (event == CT_EVENT_DUMP)
		m->conns.slot[slot].listed_ns = loop_now_ns(m->loop);
	resolve_offered(m, slot, event);
}

// What failed its audit again and again is tried ever more seldom: a stand-in's mark offers it all the time.
static uint64_t pause_ns(const struct conn *c)
{
	return c->reason == NFO_R_AUDIT ? HOLD_NS << (c->doubts - 1) : HOLD_NS;
}

// May a connection that is not in the dataplane be tried (again), now that 'conn' is offered?
static bool may_return(const struct mirror *m, const struct conn *c, enum ct_event event,
	const struct ct_conn *conn)
{
	const uint64_t offered_ns =
		event == CT_EVENT_DUMP ? m->round_start_ns : loop_now_ns(m->loop);

	if (c->hold_ns != 0 && offered_ns < c->hold_ns + pause_ns(c))
		return false;
	// the mark of a stand-in never goes: has conntrack seen a packet?
	return c->reason != NFO_R_IDLE || (conn->status & IPS_OFFLOAD)
	       || conn->timeout_s > c->ct.timeout_s;
}

static bool tcp_ended(const struct ct_conn *conn)
{
	return conn->orig.proto == NFO_TCP && conn->tcp_state != CT_TCP_STATE_ABSENT
	       && conn->tcp_state > TCP_CONNTRACK_ESTABLISHED;
}

// What these lack comes with a change of links, neighbours or flowtables, which leads to another
// try by itself; the others are tried again whenever they are offered.
static bool waits_for_change(enum nfo_reason reason)
{
	switch (reason) {
	case NFO_R_NOT_PORT:
	case NFO_R_NO_NEIGHBOUR:
	case NFO_R_LINK_DOWN:
	case NFO_R_ENSLAVED:
	case NFO_R_BRIDGE:
	case NFO_R_PPPOE:
	case NFO_R_BOND_MODE:
	case NFO_R_VLAN_DEPTH:
	case NFO_R_VLAN_QOS:
	case NFO_R_NETDEV_HOOK:
	case NFO_R_NO_FLOWTABLE:
	case NFO_R_POLICY_RULE:
	case NFO_R_ROUTE_ENCAP:
	case NFO_R_IPSEC:
		return true;
	default:
		return false;
	}
}

static void still_offered(
	struct mirror *m, uint32_t slot, enum ct_event event, const struct ct_conn *conn)
{
	struct conn *c = &m->conns.slot[slot];
	const bool back = may_return(m, c, event, conn);

	c->round = m->round;
	c->ct = *conn;
	if (event == CT_EVENT_DUMP)
		c->listed_ns = loop_now_ns(m->loop);
	if (!back || c->reason == NFO_R_OFFLOADED)
		return;
	if (c->generation != m->generation || !waits_for_change(c->reason))
		resolve_offered(m, slot, event);
}

static void known(struct mirror *m, uint32_t slot, enum ct_event event, const struct ct_conn *conn)
{
	struct conn *c = &m->conns.slot[slot];

	if (conn->id != 0 && c->ct.id != 0 && conn->id != c->ct.id) {
		mirror_forget(m, slot); // the tuple is used again
		m->stats.ended++;
		if (offered(m, conn))
			take_up(m, event, conn);
		return;
	}
	if (tcp_ended(conn) && c->reason == NFO_R_OFFLOADED) {
		mirror_withdraw(m, slot, NFO_R_CLOSING);
		m->stats.closed++;
	} else if (offered(m, conn)) {
		still_offered(m, slot, event, conn);
	}
	// not offered any more: by itself no reason to stop. The bit clears when the kernel's own
	// entry starves; conntrack's entry is what must live.
}

static void ended(struct mirror *m, const struct ct_conn *conn)
{
	const uint32_t slot = conns_find(&m->conns, &conn->orig, conn->zone);

	if (slot == CONN_NONE
		|| (conn->id != 0 && m->conns.slot[slot].ct.id != 0
			&& conn->id != m->conns.slot[slot].ct.id))
		return;
	mirror_forget(m, slot);
	m->stats.ended++;
}

void offer_gone(void *arg, const struct nfo_tuple *orig, uint16_t zone)
{
	struct mirror *m = arg;
	const uint32_t slot = conns_find(&m->conns, orig, zone);

	if (slot == CONN_NONE)
		return;
	mirror_forget(m, slot);
	m->stats.ended++;
}

static void next_dump(struct mirror *m)
{
	while (m->next_filter < m->n_filters) {
		const int ret = ct_dump(m->ct, &m->filter[m->next_filter]);

		if (ret == -EBUSY)
			return; // the end of the one under way leads here again
		m->next_filter++;
		if (ret == 0)
			return;
	}
	m->n_filters = 0;
	m->round_end_ns = loop_now_ns(m->loop);
	if (m->dump_again)
		return;
	if (m->round++ == FIRST_ROUND)
		log_notice("mirror", "%u connections were there: %u are forwarded, after %llu ms",
			m->stats.connections, m->stats.by_reason[NFO_R_OFFLOADED],
			(unsigned long long)((m->round_end_ns - m->round_start_ns) / MS_NS));
}

void offer_dump(void *arg)
{
	struct mirror *m = arg;

	if (m->ct == NULL || m->n_filters != 0)
		return;
	m->dump_again = false;
	m->next_filter = 0;
	m->round_start_ns = loop_now_ns(m->loop);
	if (m->nft != NULL && nft_list(m->nft)->n > 0)
		m->filter[m->n_filters++] = (struct ct_filter){
			.status_value = IPS_OFFLOAD,
			.status_mask = IPS_OFFLOAD,
		};
	for (unsigned int i = 0; i < m->conf.n_stand_in && m->n_filters < MIRROR_FILTERS; i++)
		m->filter[m->n_filters++] = (struct ct_filter){
			.mark_value = m->conf.stand_in[i].mark_value,
			.mark_mask = m->conf.stand_in[i].mark_mask,
		};
	next_dump(m);
}

void offer_dump_timed(void *arg)
{
	const struct mirror *m = arg;
	const uint64_t took_ns = m->round_end_ns - m->round_start_ns;

	if (m->n_filters == 0 && loop_now_ns(m->loop) >= m->round_end_ns + took_ns * DUMP_PAUSES)
		offer_dump(arg);
}

static void lost(struct mirror *m)
{
	log_warning_rarely("mirror", "conntrack messages were lost; reading it again");
	m->dump_again = true;
	m->lost_ns = loop_now_ns(m->loop);
	// it may have been a dump that failed: then no end of it comes
	if (m->n_filters != 0)
		next_dump(m);
}

void offer_event(void *arg, enum ct_event event, const struct ct_conn *conn)
{
	struct mirror *m = arg;
	uint32_t slot;

	switch (event) {
	case CT_EVENT_DUMP_END:
		next_dump(m);
		return;
	case CT_EVENT_LOST:
		lost(m);
		return;
	case CT_EVENT_DESTROY:
		ended(m, conn);
		return;
	default:
		break;
	}
	slot = conns_find(&m->conns, &conn->orig, conn->zone);
	if (slot != CONN_NONE)
		known(m, slot, event, conn);
	else if (offered(m, conn))
		take_up(m, event, conn);
}
