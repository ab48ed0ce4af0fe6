// SPDX-License-Identifier: GPL-2.0-or-later
// Which devices have something that looks at their packets, entering or leaving, beside the stack
// itself: chains of nf_tables on a device (family netdev, hook ingress or egress; family inet, hook
// ingress), tc (qdiscs clsact and ingress, where filters live), XDP programs, and queueing
// disciplines that shape, delay, drop or sort.
//
// The kernel's software flowtable leaves all of these in the way of a packet, and they may change,
// mark, count, redirect or hold it. The workers go past the twins, so what they send equals what
// the kernel would have sent only while a flow's devices, and those they are stacked upon, have
// none. What counts is chosen to err towards the kernel:
//   - a chain counts whatever its rules, its priority and its table's flag 'dormant';
//   - clsact or ingress counts without a filter too;
//   - a qdisc that the kernel gave the device by itself (handle 0: net.core.default_qdisc) does not
//     count, nor one that only queues what waits, first come first served or fairly between flows:
//     noqueue, pfifo_fast, pfifo, bfifo, mq, fq, fq_codel, sfq. Any other kind counts (htb, tbf,
//     cake, hfsc, netem, prio, ets, drr, red, codel, ...), at the root or below mq.
// Only the devices named count, a prefix of newer kernels ("eth*") for all that it fits.
//
// Events are hints that lead to new dumps. A program attached by a bpf link sends no event: XDP is
// found when the next event of any kind comes, tcx (Linux 6.6) is not seen at all.
// Control thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

struct hooks;
struct loop;
struct nlmsghdr;

// A set, as bits.
enum hooks_what {
	HOOKS_CHAIN = 1,
	HOOKS_TC = 2,
	HOOKS_XDP = 4,
	HOOKS_QDISC = 8,
};

// Reads what there is before it returns, then follows it; 'changed' is called from the loop when
// hooks_on() has changed for some device. A kernel without nf_tables has no chains, one without
// tc no qdiscs. NULL with errno set when the sockets cannot be made.
struct hooks *hooks_create(struct loop *loop, void (*changed)(void *arg), void *arg);
void hooks_destroy(struct hooks *hooks);

// True if a packet that enters or leaves by the device would meet a hook; for every device while
// the hooks cannot be read (said in the log, tried again).
bool hooks_on(const struct hooks *hooks, const char *ifname);
// For people: "nftables chain", "tc", "XDP program" or "qdisc", the first that applies; "unknown"
// while they cannot be read; NULL where hooks_on() is false.
const char *hooks_text(const struct hooks *hooks, const char *ifname);
// Times that the kernel lost events.
uint64_t hooks_overruns(const struct hooks *hooks);

// Decoders, pure.

typedef void (*hooks_device_fn)(void *arg, const char *name);
// Tells each device that one NFT_MSG_NEWCHAIN names; a chain of another hook names none. A device
// may be told twice.
void hooks_decode_chain(const struct nlmsghdr *nlh, hooks_device_fn fn, void *arg);
// The device of one RTM_NEWQDISC: HOOKS_TC, HOOKS_QDISC, or 0 for one that does not count or is no
// such message.
unsigned int hooks_decode_qdisc(const struct nlmsghdr *nlh, int *ifindex);
// The name of one RTM_NEWLINK and its HOOKS_XDP or 0. False for another message or a malformed one.
bool hooks_decode_link(
	const struct nlmsghdr *nlh, int *ifindex, char name[NFO_NAME_LEN], unsigned int *what);
