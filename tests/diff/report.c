// SPDX-License-Identifier: GPL-2.0-or-later
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hex_dump(const char *who, const struct run *run, const struct frame *f)
{
	fprintf(stderr, "# %s, port %s, %u bytes\n", who, run->wires.w[f->port].name, f->len);
	for (size_t at = 0; at < f->len; at += 16) {
		fprintf(stderr, "#   %04zx ", at);
		for (size_t i = at; i < at + 16 && i < f->len; i++)
			fprintf(stderr, " %02x", f->b[i]);
		fputc('\n', stderr);
	}
}

static void show_pair(const struct run *run, const struct frame *k, const struct frame *g)
{
	if (k)
		hex_dump("the kernel alone sent", run, k);
	if (g)
		hex_dump("the gateway alone sent", run, g);
	if (!k || !g)
		return;
	for (size_t i = 0; i < k->len && i < g->len; i++) {
		if (k->b[i] == g->b[i])
			continue;
		fprintf(stderr, "# first difference at %04zx\n", i);
		return;
	}
}

// Frames of run->out that have no equal on the other side, by router; both are sorted.
static void split(
	struct run *run, int (*compare)(const void *, const void *), struct frames alone[ROUTERS])
{
	struct frames *k = &run->out[ROUTER_K], *g = &run->out[ROUTER_G];
	size_t i = 0, j = 0;

	qsort(k->f, k->n, sizeof(k->f[0]), compare);
	qsort(g->f, g->n, sizeof(g->f[0]), compare);
	alone[ROUTER_K].n = alone[ROUTER_G].n = 0;
	while (i < k->n || j < g->n) {
		const int order = i == k->n ? 1 : j == g->n ? -1 : compare(&k->f[i], &g->f[j]);

		if (order < 0)
			alone[ROUTER_K].f[alone[ROUTER_K].n++] = k->f[i];
		else if (order > 0)
			alone[ROUTER_G].f[alone[ROUTER_G].n++] = g->f[j];
		i += order <= 0;
		j += order >= 0;
	}
}

// Which of the others resembles a frame most: same port, most bytes in common.
static size_t nearest(const struct frame *to, const struct frames *among)
{
	size_t best = 0, best_score = 0;

	for (size_t i = 0; i < among->n; i++) {
		const struct frame *f = among->f[i];
		size_t score = f->port == to->port ? 8 : 0;

		for (size_t b = 0; b < f->len && b < to->len && b < 80; b++)
			score += f->b[b] == to->b[b];
		if (score > best_score) {
			best_score = score;
			best = i;
		}
	}
	return best;
}

uint64_t report_unmatched(struct run *run, int (*compare)(const void *, const void *))
{
	static struct frames alone[ROUTERS];
	struct frames *k = &alone[ROUTER_K], *g = &alone[ROUTER_G];
	uint64_t n;

	split(run, compare, alone);
	n = k->n + g->n;
	if (run->shown >= SHOWN_MISMATCHES)
		return n;
	fprintf(stderr,
		"# mismatch in batch %u of seed %llu: %zu frames only of the kernel's, %zu only of "
		"the gateway's\n",
		run->batch, (unsigned long long)run->seed, k->n, g->n);
	for (int shown = 0; shown < 3 && (k->n || g->n); shown++) {
		const struct frame *a = k->n ? k->f[--k->n] : NULL;
		const size_t at = a ? nearest(a, g) : g->n - 1;
		const struct frame *b = g->n ? g->f[at] : NULL;

		show_pair(run, a, b);
		if (b)
			g->f[at] = g->f[--g->n];
	}
	return n;
}

static void put_pcap(
	const struct run *run, const char *who, unsigned int port, const struct frames *frames)
{
	const uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};
	char path[512];
	FILE *out;

	snprintf(path, sizeof(path), "%s/mismatch-%u-%s-%s.pcap", run->pcap_dir, run->batch, who,
		run->wires.w[port].name);
	out = fopen(path, "w");
	if (out == NULL) {
		perror(path);
		return;
	}
	fwrite(head, sizeof(head), 1, out);
	for (size_t i = 0; i < frames->n; i++) {
		const struct frame *f = frames->f[i];
		const uint32_t record[4] = {0, (uint32_t)i, f->len, f->len};

		if (f->port != port)
			continue;
		fwrite(record, sizeof(record), 1, out);
		fwrite(f->b, f->len, 1, out);
	}
	fclose(out);
}

void report_pcaps(const struct run *run, const struct frames *in)
{
	if (run->pcap_dir == NULL)
		return;
	for (unsigned int port = 0; port < run->wires.n; port++) {
		put_pcap(run, "in", port, in);
		put_pcap(run, "k", port, &run->out[ROUTER_K]);
		put_pcap(run, "g", port, &run->out[ROUTER_G]);
	}
}

void report_culprits(struct run *run, const struct frames *in)
{
	const int limit_ms = run->limit_ms;
	unsigned int found = 0;

	run->limit_ms = limit_ms < 300 ? limit_ms : 300;
	for (size_t i = 0; i < in->n && found < 3; i++) {
		struct frames one = {.n = 1, .f = {in->f[i]}};

		if (exchange(run, &one, in->f[i]->plain))
			continue;
		found++;
		fprintf(stderr, "# frame %zu of the batch (%s) makes the difference alone:\n", i,
			in->f[i]->what);
		hex_dump("sent to both", run, in->f[i]);
	}
	if (found == 0)
		fputs("# sent one by one, no frame of the batch makes a difference\n", stderr);
	run->limit_ms = limit_ms;
}
