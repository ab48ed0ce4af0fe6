// SPDX-License-Identifier: GPL-2.0-or-later
// Wrong set-ups that users make, each in a sentence that says what to do. A pure function of what
// 'view' answers: the kernel's state in the daemon (problems.h), anything a test likes otherwise.
//
// It errs towards silence: what may be meant (a twin without flowtable that has no address, routes
// that nothing is known of) is no problem.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "nft.h"
#include "rtnl.h"

// A set: addresses of an interface.
enum { DIAG_IPV4 = 1, DIAG_IPV6 = 2, DIAG_LINK_LOCAL = 4 }; // link-local ones of IPv6 apart

struct diag_view {
	const struct rtnl_link *(*link)(void *arg, int ifindex);
	// The link with the least ifindex above 'after', NULL at the end.
	const struct rtnl_link *(*next_link)(void *arg, int after);
	const char *(*twin)(void *arg, unsigned int port); // its name, NULL behind the last
	unsigned int (*addresses)(void *arg, int ifindex);
	bool (*pppoe)(void *arg, const char *ifname); // a PPPoE session uses the interface
	// Flowtables of the kernel and of the configuration, 0..n-1.
	unsigned int (*flowtables)(void *arg);
	const struct nft_flowtable *(*flowtable)(void *arg, unsigned int i);
	// Does it list the interface, or what that stands upon?
	bool (*lists)(void *arg, const struct nft_flowtable *ft, int ifindex);
	uint32_t (*sysctl)(void *arg, const char *name, uint32_t otherwise); // as sysctl_net()
	const char *unsupported; // why the kernel has no flowtables, or NULL
	bool conntrack;          // is followed
	bool ipsec;              // policies keep everything with the kernel
	uint32_t asymmetric, table_full; // connections with these reasons
	void *arg;
};

enum { DIAG_MAX = 64, DIAG_SUBJECT_MAX = 64, DIAG_TEXT_MAX = 320 };

// Of one problem there is one with the same word and subject.
struct diag_problem {
	const char *word;               // static
	char subject[DIAG_SUBJECT_MAX]; // interface or flowtable; "" for the machine
	char text[DIAG_TEXT_MAX];       // one sentence or two
};

struct diag {
	unsigned int n; // those beyond DIAG_MAX are not told
	struct diag_problem list[DIAG_MAX];
};

void diag_find(const struct diag_view *view, struct diag *diag);
