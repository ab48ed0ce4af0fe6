// SPDX-License-Identifier: GPL-2.0-or-later
#include "record.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>

#include "text.h"

enum { NS_PER_S = 1000000000 };

#define PORT_STATS(X)        \
	X(rx_packets)        \
	X(rx_bytes)          \
	X(rx_missed)         \
	X(rx_errors)         \
	X(rx_nombuf)         \
	X(tx_packets)        \
	X(tx_bytes)          \
	X(tx_errors)         \
	X(offloaded_packets) \
	X(offloaded_bytes)   \
	X(punted_packets)    \
	X(injected_packets)  \
	X(tx_dropped)        \
	X(twin_dropped)

// By class of punted packets: the end of the members' names, and the index.
#define PUNT_CLASSES(X)             \
	X(control, DP_PUNT_CONTROL) \
	X(new, DP_PUNT_NEW)         \
	X(rest, DP_PUNT_REST)

#define MIRROR_STATS(X) \
	X(connections)  \
	X(offered)      \
	X(installed)    \
	X(replaced)     \
	X(ended)        \
	X(closed)       \
	X(idled)        \
	X(held)         \
	X(settle_ms)    \
	X(withdrawn)    \
	X(sampled)      \
	X(differed)     \
	X(corrected)    \
	X(unseen)       \
	X(rtnl_overruns) \
	X(nft_overruns) \
	X(xfrm_overruns) \
	X(hooks_overruns) \
	X(refused)

#define CT_STATS(X)      \
	X(events)        \
	X(dumps)         \
	X(dumped)        \
	X(updates)       \
	X(update_errors) \
	X(overruns)      \
	X(undecodable)

#define TABLE_STATS(X) \
	X(capacity)    \
	X(used)        \
	X(retired)     \
	X(overflow_buckets)

static void put(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, json_integer((json_int_t)n));
}

// Names come from outside: bytes that are not UTF-8 become '?'.
static void put_text(json_t *o, const char *key, const char *text)
{
	json_t *value = json_string(text);
	char plain[1024];
	size_t i;

	if (value) {
		json_object_set_new(o, key, value);
		return;
	}
	for (i = 0; text[i] != '\0' && i < sizeof(plain) - 1; i++)
		plain[i] = text[i] & '\x80' ? '?' : text[i];
	plain[i] = '\0';
	json_object_set_new(o, key, json_string(plain));
}

static void put_mac(json_t *o, const char *key, const uint8_t mac[NFO_ETH_ALEN])
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
	json_object_set_new(o, key, json_string(text));
}

static void put_end(json_t *o, const char *addr_key, const char *port_key, uint8_t family,
	const union nfo_addr *addr, uint16_t port_be)
{
	char text[TEXT_ADDR_MAX];

	json_object_set_new(o, addr_key, json_string(text_addr(family, addr, text)));
	put(o, port_key, ntohs(port_be));
}

static bool same_end(
	const union nfo_addr *a, uint16_t aport_be, const union nfo_addr *b, uint16_t bport_be)
{
	return memcmp(a, b, sizeof(*a)) == 0 && aport_be == bport_be;
}

// The reply's tuple, turned round, is what packets of the original direction look like behind the
// kernel.
static void put_nat(json_t *o, const struct ct_conn *conn)
{
	const struct nfo_tuple *orig = &conn->orig, *reply = &conn->reply;
	bool snat = !same_end(&orig->src, orig->sport_be, &reply->dst, reply->dport_be);
	bool dnat = !same_end(&orig->dst, orig->dport_be, &reply->src, reply->sport_be);
	const char *word = snat ? dnat ? "snat+dnat" : "snat" : dnat ? "dnat" : "none";

	put_text(o, "nat", word);
	if (snat)
		put_end(o, "nat_src", "nat_sport", reply->family, &reply->dst, reply->dport_be);
	if (dnat)
		put_end(o, "nat_dst", "nat_dport", reply->family, &reply->src, reply->sport_be);
}

static void put_tuples(json_t *o, const struct ct_conn *conn)
{
	const struct nfo_tuple *orig = &conn->orig, *reply = &conn->reply;

	put_text(o, "proto", nfo_proto_word(orig->proto));
	put_text(o, "family", orig->family == NFO_IPV6 ? "ipv6" : "ipv4");
	put_end(o, "src", "sport", orig->family, &orig->src, orig->sport_be);
	put_end(o, "dst", "dport", orig->family, &orig->dst, orig->dport_be);
	put_end(o, "reply_src", "reply_sport", reply->family, &reply->src, reply->sport_be);
	put_end(o, "reply_dst", "reply_dport", reply->family, &reply->dst, reply->dport_be);
	put_nat(o, conn);
}

static void put_flowtable(json_t *o, const struct nft_flowtable *ft)
{
	char text[TEXT_FLOWTABLE_MAX];

	if (ft != NULL)
		put_text(o, "flowtable", text_flowtable(ft, text));
}

static void put_direction(
	json_t *o, const char *key, const struct mirror_flow *flow, int d, uint64_t now_ns)
{
	const struct nfo_counters *counters = &flow->counters[d];
	json_t *dir = json_object();

	put(dir, "packets", counters->packets);
	put(dir, "bytes", counters->bytes);
	if (counters->used_ns != 0)
		put(dir, "idle_s",
			now_ns > counters->used_ns ? (now_ns - counters->used_ns) / NS_PER_S : 0);
	if (flow->has_path) {
		put_mac(dir, "eth_src", flow->dir[d].eth_src);
		put_mac(dir, "eth_dst", flow->dir[d].eth_dst);
		put(dir, "mtu_bytes", flow->dir[d].mtu);
	}
	json_object_set_new(o, key, dir);
}

json_t *record_flow(const struct mirror_flow *flow, uint64_t now_ns)
{
	json_t *o = json_object();

	put_tuples(o, &flow->conn);
	if (flow->has_path) {
		put_text(o, "in", flow->in);
		put_text(o, "out", flow->out);
	}
	put_text(o, "state", flow->reason == NFO_R_OFFLOADED ? "offloaded" : "kernel");
	put_text(o, "reason", nfo_reason_word(flow->reason));
	put_text(o, "reason_text", nfo_reason_text(flow->reason));
	put_flowtable(o, flow->flowtable);
	put(o, "mark", flow->conn.mark);
	put(o, "zone", flow->conn.zone);
	put(o, "age_s", flow->age_ns / NS_PER_S);
	put(o, "idle_s", flow->idle_ns / NS_PER_S);
	put_direction(o, "original", flow, 0, now_ns);
	put_direction(o, "reply", flow, 1, now_ns);
	return o;
}

static void put_why(json_t *o, const struct why *why)
{
	json_t *steps = json_array(), *step;

	for (unsigned int i = 0; i < why->n; i++) {
		step = json_object();
		put_text(step, "step", why->step[i].name);
		put_text(step, "answer", why_answer_word(why->step[i].answer));
		put_text(step, "text", why->step[i].text);
		json_array_append_new(steps, step);
	}
	json_object_set_new(o, "steps", steps);
	put_text(o, "verdict", why->verdict);
}

// Who forwards packets that are no exceptions.
static const char *where(const struct mirror_flow *flow)
{
	if (flow->reason == NFO_R_OFFLOADED)
		return "dpdk";
	return flow->conn.status & IPS_OFFLOAD ? "kernel-flowtable" : "kernel";
}

json_t *record_why(
	const struct mirror_flow *flow, bool known, const struct why *why, uint64_t now_ns)
{
	static const char *const of_the_mirror[] = {"age_s", "idle_s", "original", "reply"};
	json_t *o = record_flow(flow, now_ns);

	for (size_t i = 0; !known && i < sizeof(of_the_mirror) / sizeof(of_the_mirror[0]); i++)
		json_object_del(o, of_the_mirror[i]);
	put_text(o, "where", where(flow));
	put_why(o, why);
	return o;
}

json_t *record_untracked(const struct ct_match *match, const struct why *why)
{
	const struct nfo_tuple *t = &match->tuple;
	json_t *o = json_object();

	put_text(o, "proto", nfo_proto_word(t->proto));
	put_text(o, "family", t->family == NFO_IPV6 ? "ipv6" : "ipv4");
	put_end(o, "src", "sport", t->family, &t->src, t->sport_be);
	if (match->has_dst)
		put_end(o, "dst", "dport", t->family, &t->dst, t->dport_be);
	put(o, "zone", match->zone);
	put_text(o, "reason", nfo_reason_word(why->reason));
	put_text(o, "reason_text", nfo_reason_text(why->reason));
	put_text(o, "where", "kernel");
	put_why(o, why);
	return o;
}

json_t *record_reason(enum nfo_reason reason, uint32_t connections)
{
	json_t *o = json_object();

	put(o, "connections", connections);
	put_text(o, "reason", nfo_reason_word(reason));
	put_text(o, "reason_text", nfo_reason_text(reason));
	return o;
}

json_t *record_problem(const struct diag_problem *problem)
{
	json_t *o = json_object();

	put_text(o, "problem", problem->word);
	put_text(o, "subject", problem->subject);
	put_text(o, "text", problem->text);
	return o;
}

static json_t *devices(const struct nft_flowtable *ft)
{
	json_t *list = json_array(), *o = json_object();

	for (unsigned int i = 0; i < ft->n_devices; i++) {
		put_text(o, "name", ft->devices[i]);
		json_array_append(list, json_object_get(o, "name"));
	}
	json_decref(o);
	return list;
}

static json_t *flags(uint32_t bits)
{
	json_t *list = json_array();

	if (bits & NFT_FLAG_OFFLOAD)
		json_array_append_new(list, json_string("offload"));
	if (bits & NFT_FLAG_COUNTER)
		json_array_append_new(list, json_string("counter"));
	return list;
}

json_t *record_flowtable(const struct nft_flowtable *ft)
{
	json_t *o = json_object();
	char mark[32];

	put_text(o, "source", ft->from_config ? "config" : "kernel");
	put_text(o, "family", text_family(ft->family));
	put_text(o, "table", ft->table);
	put_text(o, "name", ft->name);
	put_text(o, "hook", ft->hook == 0 ? "ingress" : "unknown");
	json_object_set_new(o, "priority", json_integer(ft->priority));
	json_object_set_new(o, "devices", devices(ft));
	json_object_set_new(o, "flags", flags(ft->flags));
	put(o, "rules", ft->use);
	if (ft->from_config) {
		snprintf(mark, sizeof(mark), "0x%x/0x%x", ft->mark_value, ft->mark_mask);
		put_text(o, "mark", mark);
	}
	return o;
}

static void put_port_stats(json_t *o, const struct dp_port_stats *stats)
{
#define X(field) put(o, #field, stats->field);
	PORT_STATS(X)
#undef X
#define X(word, class)                                  \
	put(o, "punted_" #word, stats->punted[class]); \
	put(o, "limited_" #word, stats->limited[class]);
	PUNT_CLASSES(X)
#undef X
}

json_t *record_port(const struct dp_port_info *info, const struct dp_port_stats *stats)
{
	json_t *o = json_object();

	put_text(o, "name", info->name);
	put_text(o, "device", info->device);
	put_text(o, "driver", info->driver);
	put_text(o, "twin_driver", info->twin_driver);
	put_mac(o, "mac", info->mac);
	put(o, "mtu_bytes", info->mtu);
	put_text(o, "link", info->link_up ? "up" : "down");
	put(o, "link_mbps", info->link_mbps);
	put(o, "rx_queues", info->rx_queues);
	put(o, "tx_queues", info->tx_queues);
	put_port_stats(o, stats);
	return o;
}

static json_t *punts(const uint64_t counts[NFO_N_PUNTS])
{
	json_t *o = json_object();

	for (int i = 0; i < NFO_N_PUNTS; i++)
		put(o, nfo_punt_word((enum nfo_punt)i), counts[i]);
	return o;
}

json_t *record_worker(const struct dp_worker_stats *stats)
{
	json_t *o = json_object();

	put(o, "lcore", stats->lcore);
	put(o, "rx_queues", stats->rx_queues);
	put(o, "busy_polls", stats->busy_polls);
	put(o, "idle_polls", stats->idle_polls);
	put(o, "busy_cycles", stats->busy_cycles);
	put(o, "packets", stats->packets);
	put(o, "offloaded_packets", stats->offloaded);
	json_object_set_new(o, "punts", punts(stats->punts));
	return o;
}

static json_t *mirror_totals(const struct mirror *mirror)
{
	json_t *o = json_object(), *reasons = json_object();
	struct mirror_stats stats;

	mirror_stats(mirror, &stats);
#define X(field) put(o, #field, stats.field);
	MIRROR_STATS(X)
#undef X
	for (int i = 0; i < NFO_N_REASONS; i++)
		put(reasons, nfo_reason_word((enum nfo_reason)i), stats.by_reason[i]);
	json_object_set_new(o, "by_reason", reasons);
	return o;
}

static json_t *route_totals(const struct mirror *mirror)
{
	struct routes_stats stats;

	mirror_routes_stats(mirror, &stats);
	return json_pack("{s:i, s:i, s:I, s:I}", "answers", (int)stats.answers, "in_doubt",
		(int)stats.in_doubt, "asked", (json_int_t)stats.asked, "found",
		(json_int_t)stats.found);
}

static json_t *ct_totals(const struct mirror *mirror)
{
	struct ct_stats stats;
	json_t *o;

	if (!mirror_ct_stats(mirror, &stats))
		return json_null();
	o = json_object();
#define X(field) put(o, #field, stats.field);
	CT_STATS(X)
#undef X
	return o;
}

static json_t *table_totals(void)
{
	struct dp_table_stats stats;
	json_t *o = json_object();

	dp_table_stats(&stats);
#define X(field) put(o, #field, stats.field);
	TABLE_STATS(X)
#undef X
	return o;
}

json_t *record_table(void)
{
	const char *fault = dp_table_check();
	json_t *o = table_totals();

	json_object_set_new(o, "fault", fault != NULL ? json_string(fault) : json_null());
	return o;
}

static json_t *punt_totals(void)
{
	uint64_t sum[NFO_N_PUNTS] = {0};
	struct dp_worker_stats stats;

	for (unsigned int w = 0; w < dp_workers(); w++) {
		if (dp_worker_stats(w, &stats) < 0)
			continue;
		for (int i = 0; i < NFO_N_PUNTS; i++)
			sum[i] += stats.punts[i];
	}
	return punts(sum);
}

static void sum_ports(struct dp_port_stats *sum)
{
	struct dp_port_stats stats;

	memset(sum, 0, sizeof(*sum));
	for (unsigned int p = 0; p < dp_ports(); p++) {
		if (dp_port_stats(p, &stats) < 0)
			continue;
#define X(field) sum->field += stats.field;
		PORT_STATS(X)
#undef X
		for (int c = 0; c < DP_N_PUNT_CLASSES; c++) {
			sum->punted[c] += stats.punted[c];
			sum->limited[c] += stats.limited[c];
		}
	}
}

json_t *record_stats(const struct mirror *mirror)
{
	json_t *o = json_object(), *ports = json_object();
	struct dp_port_stats sum;
	uint64_t received;

	sum_ports(&sum);
	received = sum.offloaded_packets + sum.punted_packets;
	json_object_set_new(o, "offloaded_share",
		received ? json_real((double)sum.offloaded_packets / (double)received)
			 : json_null());
	put_port_stats(ports, &sum);
	json_object_set_new(o, "ports", ports);
	json_object_set_new(o, "punts", punt_totals());
	json_object_set_new(o, "table", table_totals());
	json_object_set_new(o, "mirror", mirror_totals(mirror));
	json_object_set_new(o, "routes", route_totals(mirror));
	json_object_set_new(o, "ct", ct_totals(mirror));
	return o;
}
