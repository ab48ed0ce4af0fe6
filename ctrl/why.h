// SPDX-License-Identifier: GPL-2.0-or-later
// Why is a connection forwarded by the workers, or not? The conditions in the order in which they are
// met, each with an answer and a sentence. They are asked of the same view, by the same functions, as
// resolve() asks, so that the explanation cannot disagree with what is done. Pure.
#pragma once

#include <stdbool.h>

#include "ct.h"
#include "flow.h"
#include "nft.h"
#include "resolve.h"

struct why_view {
	const struct resolve_view *resolve;
	// Flowtables of the kernel and of the configuration, 0..n-1.
	unsigned int (*flowtables)(void *arg);
	const struct nft_flowtable *(*flowtable)(void *arg, unsigned int i);
	// Does it list the interface, or what that stands upon?
	bool (*lists)(void *arg, const struct nft_flowtable *ft, int ifindex);
	const char *(*unsupported)(void *arg); // why the kernel has no flowtables, or NULL
	const char *(*hook)(void *arg, const char *ifname); // what looks at its packets, or NULL
	void *arg;
};

enum why_answer { WHY_YES, WHY_NO, WHY_UNKNOWN };

enum { WHY_STEPS = 16, WHY_TEXT_MAX = 256, WHY_VERDICT_MAX = 1024 };

struct why_step {
	const char *name; // static
	enum why_answer answer;
	enum nfo_reason reason; // with WHY_NO
	char text[WHY_TEXT_MAX];
};

struct why {
	enum nfo_reason reason;
	unsigned int n;
	struct why_step step[WHY_STEPS];
	char verdict[WHY_VERDICT_MAX]; // and what to do
};

const char *why_answer_word(enum why_answer answer);

// 'known' is the mirror's reason for the connection, NFO_R_NOT_OFFERED if it does not know it.
void why_explain(const struct why_view *view, const struct ct_conn *conn, enum nfo_reason known,
	struct why *why);
// Of one that conntrack does not have.
void why_untracked(uint16_t zone, struct why *why);
