// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool set_proto(struct flow *flow, const char *word)
{
	flow->no_checksum = strcmp(word, "udp0") == 0;
	flow->client.proto = strcmp(word, "tcp") == 0       ? IPPROTO_TCP
			     : strncmp(word, "udp", 3) == 0 ? IPPROTO_UDP
			     : strcmp(word, "gre") == 0     ? IPPROTO_GRE
							    : 0;
	return flow->client.proto != 0;
}

static bool add_tag(struct side *side, const char *value)
{
	unsigned int tpid, vid;

	if (sscanf(value, "%x.%u", &tpid, &vid) != 2 || side->l2_len + 4 + 2 > PACKET_L2_MAX)
		return false;
	packet_put16(side->l2 + side->l2_len, (uint16_t)tpid);
	packet_put16(side->l2 + side->l2_len + 2, (uint16_t)vid);
	side->l2_len += 4;
	return true;
}

static bool set_key(
	struct flow *flow, const struct wires *wires, const char *key, const char *value)
{
	struct side *side = &flow->client;
	const int port = wire_find(wires, value);

	if (strcmp(key, "from") == 0 && port >= 0) {
		side->port = (uint8_t)port;
		memcpy(side->l2, wires->w[port].mac, 6);
		return true;
	}
	if (strcmp(key, "src") == 0)
		return side_address(&side->family, side->src, value);
	if (strcmp(key, "dst") == 0)
		return side_address(&side->family, side->dst, value);
	if (strcmp(key, "tag") == 0)
		return add_tag(side, value);
	if (strcmp(key, "dport") == 0)
		return (side->dport = (uint16_t)atoi(value)) != 0;
	return false;
}

static bool parse(struct flow *flow, const struct wires *wires, char *text)
{
	char *word = strtok(text, ",");

	if (word == NULL || !set_proto(flow, word))
		return false;
	while ((word = strtok(NULL, ",")) != NULL) {
		char *value = strchr(word, '=');

		if (value == NULL)
			return false;
		*value++ = '\0';
		if (!set_key(flow, wires, word, value))
			return false;
	}
	return flow->client.family != 0;
}

bool flow_add(struct flows *flows, const struct wires *wires, const char *text)
{
	struct flow *flow = &flows->f[flows->n];
	struct side *side = &flow->client;
	char copy[256];

	if (flows->n == FLOWS_MAX)
		return false;
	*flow = (struct flow){.client.l2_len = 12};
	snprintf(copy, sizeof(copy), "%s", text);
	snprintf(flow->text, sizeof(flow->text), "%s", text);
	if (!parse(flow, wires, copy)) {
		fprintf(stderr,
			"--flow %s: expected tcp|udp|udp0|gre,from=PORT,src=ADDRESS,dst=ADDRESS"
			"[,dport=N][,tag=TPID.VID]...\n",
			text);
		return false;
	}
	side->l2[6] = 2;
	memcpy(side->l2 + 8, side->src + (side->family == 4 ? 0 : 12), 4);
	packet_put16(side->l2 + side->l2_len, side->family == 4 ? 0x0800 : 0x86dd);
	side->l2_len += 2;
	flows->n++;
	return true;
}

void flow_spec(const struct flow *flow, unsigned int dir, struct spec *spec)
{
	memset(spec, 0, offsetof(struct spec, payload));
	spec->ttl = 64;
	spec->tcp_flags = TCP_ACK;
	spec->seq = flow->seq[dir];
	spec->ack = flow->seq[!dir];
	spec->window = 65535;
	spec->no_checksum = flow->no_checksum;
}

// Sends one packet and takes the bytes that leave as the other side's view.
static bool step(
	struct run *run, struct flow *flow, unsigned int dir, uint8_t tcp_flags, uint16_t payload)
{
	static struct packet packet;
	static struct spec spec;
	struct frames in = {.n = 0};
	bool came;

	flow_spec(flow, dir, &spec);
	spec.tcp_flags = tcp_flags;
	if (tcp_flags == TCP_SYN)
		spec.ack = 0;
	spec.payload_len = flow->client.proto == IPPROTO_TCP ? payload : 32;
	memset(spec.payload, 'x', spec.payload_len);
	packet_build(&packet, &flow->in[dir], &spec);
	frames_add(&in, flow->in[dir].port, packet.b, packet.len);
	in.f[0]->what = "opening";
	exchange_checked(run, &in, 1);
	flow->seq[dir] += tcp_flags & TCP_SYN ? 1 : spec.payload_len;
	frames_clear(&in);
	came = run->out[ROUTER_K].n == 1
	       && packet_answer(&flow->in[!dir], run->out[ROUTER_K].f[0]->port,
		       run->out[ROUTER_K].f[0]->b, run->out[ROUTER_K].f[0]->len);
	if (!came)
		fprintf(stderr, "# flow %s: %zu frames left the kernel's router at step %s/%02x\n",
			flow->text, run->out[ROUTER_K].n, dir ? "reply" : "original", tcp_flags);
	return came;
}

static bool talk(struct run *run, struct flow *flow)
{
	if (flow->client.proto == IPPROTO_TCP
		&& !(step(run, flow, ORIGINAL, TCP_SYN, 0)
			&& step(run, flow, REPLY, TCP_SYN | TCP_ACK, 0)
			&& step(run, flow, ORIGINAL, TCP_ACK, 0)))
		return false;
	for (int i = 0; i < 2; i++)
		if (!step(run, flow, ORIGINAL, TCP_ACK | TCP_PSH, 40)
			|| !step(run, flow, REPLY, TCP_ACK | TCP_PSH, 60))
			return false;
	return true;
}

bool flow_establish(struct run *run, struct flows *flows, struct flow *flow)
{
	flow->in[ORIGINAL] = flow->client;
	if (flow->client.proto != IPPROTO_GRE) {
		const uint16_t n = flows->used_ports++ % (FLOW_PORT_LAST - FLOW_PORT_FIRST);

		flow->in[ORIGINAL].sport = (uint16_t)(FLOW_PORT_FIRST + n);
		if (flow->client.dport == 0)
			flow->in[ORIGINAL].dport = (uint16_t)(5000 + n % 10000);
	}
	flow->seq[ORIGINAL] = (uint32_t)rng_next(&run->rng);
	flow->seq[REPLY] = (uint32_t)rng_next(&run->rng);
	flow->live = talk(run, flow);
	return flow->live;
}
