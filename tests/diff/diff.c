// SPDX-License-Identifier: GPL-2.0-or-later
// Sends the same frames to two routers, the kernel's and the gateway's, and compares what leaves
// them; see usage(). tests/diff/lib.sh sets both up and calls this.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>

#include "daemon.h"
#include "draft.h"
#include "mask.h"

enum { BATCH = 64, PLAIN_EVERY = 4, CLOSE_EVERY = 8, BAD_BATCHES_MAX = 5 };

struct options {
	const char *socket, *name;
	unsigned int frames;
	bool offloaded; // the daemon is expected to forward the flows
	bool no_tags;
	const char *without;
	int slow;
};

struct tally {
	uint64_t plain; // frames sent while the workers' packets were counted
	int64_t forwarded;
};

static struct run run = {.limit_ms = 1500, .settle_ms = 3};
static struct flows flows;
static struct options options = {.name = "run", .frames = 2000, .slow = 1};
static struct tally tally;
static struct daemon *gateway;

static void usage(FILE *out)
{
	fputs("usage: nfo-diff --port SPEC... --flow SPEC... [OPTION]...\n"
	      "  --port NAME=NAMESPACE/DEVICE,NAMESPACE/DEVICE,MAC,MTU\n"
	      "                     far ends of a wire of the kernel's router and of the "
	      "gateway's\n"
	      "  --flow PROTO,from=PORT,src=ADDRESS,dst=ADDRESS[,dport=N][,tag=TPID.VID]...\n"
	      "                     a flow; PROTO is tcp, udp, udp0 (checksum 0) or gre\n"
	      "  --seed N           of the random frames (default 1)\n"
	      "  --frames N         how many of them (default 2000)\n"
	      "  --socket PATH      of the daemon: count what its workers forward\n"
	      "  --offloaded        wait until they forward the flows\n"
	      "  --no-tags          send no frames with other VLAN tags than the flows'\n"
	      "  --without NAME     send no frames of that kind of oddity, such as fragments\n"
	      "  --pcap DIR         keep frames of mismatches there\n"
	      "  --perturb flip|drop   spoil each hundredth frame of the gateway, to see it found\n"
	      "  --slow N           factor for time limits\n"
	      "  --name WORD        for the output\n"
	      "Exit code: 0 no mismatch, 1 mismatches, 2 the run could not be done.\n",
		out);
}

static void die(const char *what)
{
	fprintf(stderr, "# %s: %s\n", options.name, what);
	exit(2);
}

// --- flows ---

static bool all_offloaded(void)
{
	uint16_t ports[FLOWS_MAX];

	for (unsigned int i = 0; i < flows.n; i++)
		ports[i] = flows.f[i].in[ORIGINAL].sport;
	return daemon_offloaded(gateway, ports, flows.n) >= (int)flows.n;
}

// Until the workers have them all.
static void await_offload(void)
{
	const uint64_t end = wire_now_ms() + 15000u * (unsigned int)options.slow;

	if (gateway == NULL || !options.offloaded)
		return;
	while (!all_offloaded()) {
		if (wire_now_ms() > end) {
			daemon_explain(gateway);
			die("the daemon does not offload the flows");
		}
		usleep(20000);
	}
}

static void establish_all(void)
{
	for (unsigned int i = 0; i < flows.n; i++)
		if (!flow_establish(&run, &flows, &flows.f[i]))
			die("a flow does not come through the kernel's router");
	await_offload();
}

// --- batches ---

static size_t count_plain(const struct frames *in)
{
	size_t n = 0;

	for (size_t i = 0; i < in->n; i++)
		n += in->f[i]->plain;
	return n;
}

static void random_batch(struct draft *d, bool plain)
{
	static struct frames in;
	const bool count = plain && gateway;
	const int64_t before = count ? daemon_packets(gateway) : 0;

	draft_batch(d, &flows, &in, BATCH, plain);
	exchange_checked(&run, &in, count_plain(&in));
	if (count) {
		tally.plain += in.n;
		tally.forwarded += daemon_packets(gateway) - before;
	}
	frames_clear(&in);
}

static void one_frame(struct draft *d, struct flow *flow, unsigned int dir, uint8_t flags)
{
	static struct frames in;

	draft_plain(d, flow, dir);
	d->what = flags ? "FIN, RST or SYN" : "after FIN, RST or SYN";
	if (flags) {
		d->spec.seq = flow->seq[dir];
		d->spec.ack = flow->seq[!dir];
		d->spec.tcp_flags = flags;
	}
	packet_build(&d->packet, &d->side, &d->spec);
	draft_emit(d, &in, d->packet.b, d->packet.len);
	exchange_checked(&run, &in, 0);
	frames_clear(&in);
}

// Ends a TCP flow in one of several ways, goes on with it as if nothing had been, and opens it
// anew. One frame at a time: each may change what the next one meets.
static void close_one(struct draft *d)
{
	static const uint8_t ways[] = {TCP_FIN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK, TCP_SYN,
		TCP_SYN | TCP_FIN, TCP_FIN | TCP_ACK | TCP_PSH};
	struct flow *flow = &flows.f[rng_below(&run.rng, flows.n)];
	const unsigned int dir = rng_below(&run.rng, 2);

	if (flow->client.proto == IPPROTO_TCP)
		one_frame(d, flow, dir, ways[rng_below(&run.rng, sizeof(ways))]);
	for (int i = 0; i < 4; i++)
		one_frame(d, flow, rng_below(&run.rng, 2), 0);
	if (!flow_establish(&run, &flows, flow))
		fprintf(stderr, "# %s: batch %u: a flow does not come through again\n",
			options.name, run.batch);
	await_offload();
}

static void random_phase(void)
{
	static struct draft draft;
	uint64_t last = run.sent + options.frames;

	draft.rng = &run.rng;
	draft.wires = &run.wires;
	draft.no_tags = options.no_tags;
	draft.without = options.without;
	for (run.batch = 0; run.sent < last && run.shown < BAD_BATCHES_MAX; run.batch++) {
		run.rng.state = run.seed * 0x100000001 + run.batch;
		if (run.batch % CLOSE_EVERY == CLOSE_EVERY - 1)
			close_one(&draft);
		random_batch(&draft, run.batch % PLAIN_EVERY == 0);
	}
}

// --- options ---

static bool set_perturb(const char *word)
{
	run.perturb = strcmp(word, "flip") == 0   ? PERTURB_FLIP
		      : strcmp(word, "drop") == 0 ? PERTURB_DROP
						  : PERTURB_NONE;
	return run.perturb != PERTURB_NONE;
}

static bool set_option(int option)
{
	switch (option) {
	case 'p':
		return wire_add(&run.wires, optarg);
	case 'f':
		return flow_add(&flows, &run.wires, optarg);
	case 's':
		run.seed = strtoull(optarg, NULL, 0);
		return true;
	case 'n':
		return (options.frames = (unsigned int)atoi(optarg)) != 0;
	case 'S':
		options.socket = optarg;
		return true;
	case 'O':
		return options.offloaded = true;
	case 'T':
		return options.no_tags = true;
	case 'W':
		options.without = optarg;
		return true;
	case 'd':
		run.pcap_dir = optarg;
		return true;
	case 'x':
		return set_perturb(optarg);
	case 'w':
		return (options.slow = atoi(optarg)) > 0;
	case 'N':
		options.name = optarg;
		return true;
	default:
		return false;
	}
}

static void parse_options(int argc, char **argv)
{
	static const struct option known[] = {{"port", 1, NULL, 'p'}, {"flow", 1, NULL, 'f'},
		{"seed", 1, NULL, 's'}, {"frames", 1, NULL, 'n'}, {"socket", 1, NULL, 'S'},
		{"offloaded", 0, NULL, 'O'}, {"no-tags", 0, NULL, 'T'}, {"without", 1, NULL, 'W'},
		{"pcap", 1, NULL, 'd'},
		{"perturb", 1, NULL, 'x'}, {"slow", 1, NULL, 'w'}, {"name", 1, NULL, 'N'},
		{"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int option;

	run.seed = 1;
	while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			exit(0);
		}
		if (!set_option(option)) {
			usage(stderr);
			exit(2);
		}
	}
	if (optind == argc && run.wires.n != 0 && flows.n != 0)
		return;
	usage(stderr);
	exit(2);
}

static int report(void)
{
	const int64_t share = tally.plain == 0 ? 0 : 100 * tally.forwarded / (int64_t)tally.plain;

	for (int i = 0; run.masked != 0 && mask_texts[i] != NULL; i++)
		fprintf(stderr, "# masked: %s\n", mask_texts[i]);
	fprintf(stderr,
		"# %s: %llu masked, %llu not sendable, ignored of the machines: %llu and %llu\n",
		options.name, (unsigned long long)run.masked,
		(unsigned long long)run.wires.unsendable,
		(unsigned long long)run.wires.ignored[ROUTER_K],
		(unsigned long long)run.wires.ignored[ROUTER_G]);
	printf("frames=%llu plain=%llu left=%llu share=%lld mismatches=%llu spoilt=%llu\n",
		(unsigned long long)run.sent, (unsigned long long)run.plain,
		(unsigned long long)run.left, (long long)share, (unsigned long long)run.mismatches,
		(unsigned long long)run.spoilt);
	return run.mismatches == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	int code;

	parse_options(argc, argv);
	run.limit_ms *= options.slow;
	run.rng.state = run.seed;
	if (options.socket && (gateway = daemon_connect(options.socket)) == NULL)
		die(strerror(errno));
	establish_all();
	random_phase();
	code = report();
	daemon_close(gateway);
	return code;
}
