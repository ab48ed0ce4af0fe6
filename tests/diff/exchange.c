// SPDX-License-Identifier: GPL-2.0-or-later
#include "exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mask.h"
#include "report.h"

static int compare(const void *a, const void *b)
{
	const struct frame *x = *(struct frame *const *)a, *y = *(struct frame *const *)b;

	if (x->port != y->port)
		return x->port - y->port;
	if (x->len != y->len)
		return x->len - y->len;
	return memcmp(x->b, y->b, x->len);
}

static bool same(struct frames out[ROUTERS])
{
	if (out[0].n != out[1].n)
		return false;
	for (int r = 0; r < ROUTERS; r++)
		qsort(out[r].f, out[r].n, sizeof(out[r].f[0]), compare);
	for (size_t i = 0; i < out[0].n; i++)
		if (compare(&out[0].f[i], &out[1].f[i]) != 0)
			return false;
	return true;
}

// Takes away or changes one frame of each hundred of the gateway's.
static void spoil(struct run *run, size_t from)
{
	struct frames *out = &run->out[ROUTER_G];

	for (size_t i = from; i < out->n; i++) {
		struct frame *f = out->f[i];

		if (++run->seen % 100 != 0)
			continue;
		run->spoilt++;
		if (run->perturb == PERTURB_FLIP) {
			f->b[run->seen / 100 % f->len] ^= 1;
		} else {
			free(f);
			out->f[i--] = out->f[--out->n];
		}
	}
}

// Adds what has come. True if something did.
static bool collect(struct run *run, int ms)
{
	size_t before[ROUTERS] = {run->out[0].n, run->out[1].n};
	const bool came = wire_receive(&run->wires, run->out, ms);

	for (int r = 0; r < ROUTERS; r++)
		for (size_t i = before[r]; i < run->out[r].n; i++)
			run->masked += mask_frame(run->out[r].f[i]);
	if (run->perturb != PERTURB_NONE)
		spoil(run, before[ROUTER_G]);
	return came;
}

bool exchange(struct run *run, const struct frames *in, size_t least)
{
	uint64_t end;

	for (int r = 0; r < ROUTERS; r++)
		frames_clear(&run->out[r]);
	for (size_t i = 0; i < in->n; i++) {
		if (!wire_send(&run->wires, in->f[i]))
			continue;
		run->sent++;
		run->plain += in->f[i]->plain;
	}
	end = wire_now_ms() + (uint64_t)run->limit_ms;
	for (;;) {
		if (collect(run, run->settle_ms))
			continue;
		if (run->out[ROUTER_K].n >= least && same(run->out))
			break;
		if (wire_now_ms() > end)
			return same(run->out);
	}
	run->left += run->out[ROUTER_K].n;
	return true;
}

bool exchange_checked(struct run *run, const struct frames *in, size_t least)
{
	struct frames found[ROUTERS];
	uint64_t n;

	if (exchange(run, in, least))
		return true;
	n = report_unmatched(run, compare);
	run->mismatches += n;
	if (run->shown++ >= SHOWN_MISMATCHES)
		return false;
	report_pcaps(run, in);
	if (in->n < 2)
		return false;
	// The frames of this exchange are the caller's to see.
	memcpy(found, run->out, sizeof(found));
	run->out[0].n = run->out[1].n = 0;
	report_culprits(run, in);
	for (int r = 0; r < ROUTERS; r++)
		frames_clear(&run->out[r]);
	memcpy(run->out, found, sizeof(found));
	return false;
}
