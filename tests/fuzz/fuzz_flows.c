// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/flows.c
// What is refused leaves nothing behind and has a message of one line with a line number; what is
// accepted keeps within the limits that the dataplane relies on.
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "flows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_vlans(const struct nfo_vlan vlan[NFO_MAX_VLANS])
{
	for (int i = 0; i < NFO_MAX_VLANS; i++) {
		const bool tag = vlan[i].tpid_be != 0;

		if (tag != (vlan[i].vid != 0) || vlan[i].vid > 4094
			|| (tag && i > 0 && vlan[i - 1].tpid_be == 0))
			abort();
	}
}

int dp_flow_add(const struct nfo_flow *flow, uint32_t sibling, uint32_t cookie, uint32_t *idx)
{
	const struct nfo_tuple *t[] = {&flow->match, &flow->out};

	if (flow->in_port > 1 || flow->out_port > 1 || flow->mtu < 68)
		abort();
	for (int i = 0; i < 2; i++) {
		if ((t[i]->family != NFO_IPV4 && t[i]->family != NFO_IPV6)
			|| t[i]->family != t[0]->family || t[i]->proto != t[0]->proto)
			abort();
		if (t[i]->proto == NFO_GRE && (t[i]->sport_be != 0 || t[i]->dport_be != 0))
			abort();
	}
	check_vlans(flow->in_vlan);
	check_vlans(flow->out_vlan);
	if (sibling != DP_FLOW_NONE && sibling != cookie)
		abort();
	*idx = cookie;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dp_conf ports = {
		.n_ports = 2, .port = {{.name = "lan"}, {.name = "wan"}}};
	struct flows flows;
	char err[512];

	if (flows_parse("f", (const char *)data, size, &ports, &flows, err, sizeof(err)) == 0) {
		if (flows_install(&flows, err, sizeof(err)) < 0)
			abort();
		flows_fini(&flows);
	} else if (flows.file || flows.lines || strncmp(err, "f:", 2) != 0
		   || !strstr(err, "expected") || strchr(err, '\n')) {
		abort();
	}
	return 0;
}
