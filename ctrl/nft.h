// SPDX-License-Identifier: GPL-2.0-or-later
// The flowtables of nf_tables, mirrored. Events are hints only: each leads to a new dump that is
// generation-checked (NFT_MSG_GETGEN before and after, NLM_F_DUMP_INTR), since a partial device
// list travels as NEWFLOWTABLE/DELFLOWTABLE and a vanished device without any event.
// Control thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"

struct loop;
struct nlattr;
struct nlmsghdr;
struct nft;

enum { NFT_NAME_LEN = 256 }; // NFT_NAME_MAXLEN of the kernel
enum { NFT_FAMILY_INET = 1 }; // NFPROTO_INET; _IPV4 and _IPV6 are NFO_IPV4 and NFO_IPV6
enum { NFT_FLAG_OFFLOAD = 1, NFT_FLAG_COUNTER = 2 };

struct nft_flowtable {
	char table[NFT_NAME_LEN];
	char name[NFT_NAME_LEN];
	uint8_t family; // NFPROTO_INET, _IPV4, _IPV6
	int32_t priority;
	uint32_t hook;  // 0: ingress
	uint32_t flags; // NFT_FLAG_*
	uint32_t use;   // rules that refer to it
	uint64_t handle;
	unsigned int n_devices;
	char (*devices)[NFO_NAME_LEN]; // owned
	// A [flowtable] of config.ini that stands in for one of the kernel:
	bool from_config;
	uint32_t mark_value, mark_mask;
};

// May the flowtable hold connections of this address family with this mark? The mark counts for those
// of config.ini alone.
static inline bool nft_flowtable_fits(const struct nft_flowtable *ft, uint8_t family, uint32_t mark)
{
	if (ft->from_config)
		return (mark & ft->mark_mask) == ft->mark_value;
	return ft->family == NFT_FAMILY_INET || ft->family == family;
}

struct nft_flowtables {
	struct nft_flowtable *list; // owned; sorted by family, table, name
	unsigned int n;
};

// Called from the loop after the list or the epoch changed, at start too unless it is empty.
typedef void (*nft_changed_fn)(void *arg);

// Opens its sockets, reads the flowtables and follows them. A kernel without nf_tables or without
// flowtables is no error: the list stays empty and nft_unsupported() says why. The list is there
// when this returns; 'changed' follows from the loop. NULL with errno set when the sockets cannot
// be made.
struct nft *nft_create(struct loop *loop, nft_changed_fn changed, void *arg);
void nft_destroy(struct nft *nft);
const struct nft_flowtables *nft_list(const struct nft *nft);
uint32_t nft_generation(const struct nft *nft);
// Moves when a flowtable or a device of one was deleted, even if it is back already, or when events
// were lost: the kernel may have torn down its flows. 'changed' is called then too.
uint32_t nft_epoch(const struct nft *nft);
// Times that the kernel lost events.
uint64_t nft_overruns(const struct nft *nft);
// NULL when the kernel has flowtables, else the reason in words.
const char *nft_unsupported(const struct nft *nft);
// Does a rule give the connection's mark back to packets (meta mark set ct mark)? Then conntrack's
// mark tells the packets' one. Reads the rules if the ruleset has changed; false if it cannot.
bool nft_restores_marks(struct nft *nft);
// Asks for a new dump soon: a device appeared or vanished (no nf_tables event tells).
void nft_kick(struct nft *nft);

// Decodes one NFT_MSG_NEWFLOWTABLE, its devices sorted, a prefix of newer kernels as "name*". By
// libmnl alone: libnftnl ends the process on a malformed message. Returns 0 or a negative errno;
// 'ft' is then untouched.
int nft_decode_flowtable(const struct nlmsghdr *nlh, struct nft_flowtable *ft);
void nft_flowtable_fini(struct nft_flowtable *ft);
// True if one NFT_MSG_NEWRULE sets the packet's mark from conntrack's, in words of nft or by
// iptables' CONNMARK --restore-mark.
bool nft_decode_restores_mark(const struct nlmsghdr *nlh);
// One element of a list of devices, of a flowtable or a chain; a prefix as "name*". False for what
// is neither.
bool nft_decode_device(const struct nlattr *attr, char name[NFO_NAME_LEN]);
