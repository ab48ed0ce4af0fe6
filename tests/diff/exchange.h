// SPDX-License-Identifier: GPL-2.0-or-later
// Sends frames to both routers and compares what leaves them.
#pragma once

#include "rng.h"
#include "wire.h"

enum { SHOWN_MISMATCHES = 3 };

enum perturb { PERTURB_NONE, PERTURB_FLIP, PERTURB_DROP };

struct run {
	struct wires wires;
	struct rng rng;
	struct frames out[ROUTERS]; // of the last exchange
	int limit_ms;               // to wait for what one router sent and the other did not
	int settle_ms;              // of silence before a batch counts as done
	const char *pcap_dir;       // NULL: keep none
	enum perturb perturb;       // spoil what the gateway sent, to see it found
	uint64_t seed;
	unsigned int batch;
	uint64_t sent, plain, left; // frames: to both routers, of these plain, compared behind them
	uint64_t masked;
	uint64_t mismatches; // frames that only one router sent
	unsigned int shown;
	uint64_t spoilt, seen; // by 'perturb'
};

// Sends them and waits until both routers sent the same, at least 'least' frames each, or the time
// is over. True if it was the same. What left is in run->out, sorted, until the next call.
bool exchange(struct run *run, const struct frames *in, size_t least);

// Likewise; counts, prints and keeps a mismatch.
bool exchange_checked(struct run *run, const struct frames *in, size_t least);
