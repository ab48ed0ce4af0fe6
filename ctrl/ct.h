// SPDX-License-Identifier: GPL-2.0-or-later
// Conntrack by ctnetlink: events, filtered dumps, and the few updates the mirror may make.
// Events come by two sockets (DESTROY apart, so that a storm of new connections cannot lose an
// end); each overrun (ENOBUFS) is counted and reported so that the caller dumps again.
// Control thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"

struct loop;
struct nlmsghdr;
struct ct;

// A connection as ctnetlink tells it. 'orig' and 'reply' are the tuples of the two directions as
// their packets *arrive*; without NAT reply is orig swapped.
struct ct_conn {
	struct nfo_tuple orig;
	struct nfo_tuple reply;
	uint32_t id;     // CTA_ID, 0 if absent
	uint32_t status; // IPS_*
	uint32_t mark;
	uint32_t timeout_s; // 0 if absent
	uint16_t zone;      // of the original direction
	uint8_t tcp_state;  // TCP_CONNTRACK_*; CT_TCP_STATE_ABSENT when the message has none
	bool has_helper;
};

enum { CT_TCP_STATE_ABSENT = 0xff };

enum ct_event {
	CT_EVENT_NEW,
	CT_EVENT_UPDATE,
	CT_EVENT_DESTROY,
	CT_EVENT_DUMP,     // an entry of a dump
	CT_EVENT_DUMP_END, // 'conn' is NULL
	CT_EVENT_LOST,     // messages were lost: 'conn' is NULL; dump again
};

// An UPDATE is told before the DESTROY that followed it, and no entry of a dump after its DESTROY.
// A NEW that reuses a tuple may come before the DESTROY of the old connection: compare the ids.
typedef void (*ct_event_fn)(void *arg, enum ct_event event, const struct ct_conn *conn);

// What a dump shall select. The kernel filters where it can; ct.c filters again what an older
// kernel sent all the same, so that the caller sees the same on every kernel.
struct ct_filter {
	uint32_t status_value, status_mask; // e.g. IPS_OFFLOAD; mask 0: any
	uint32_t mark_value, mark_mask;     // mask 0: any
};

struct ct_stats {
	uint64_t events, dumps, dumped, updates, update_errors, overruns, undecodable;
};

// Subscribes to NEW, UPDATE and DESTROY with receive buffers of 'rcvbuf_bytes' (SO_RCVBUFFORCE).
// NULL with errno set when conntrack is not there or not allowed.
struct ct *ct_create(struct loop *loop, size_t rcvbuf_bytes, ct_event_fn fn, void *arg);
void ct_destroy(struct ct *ct);

// Starts a dump; its entries and end come as events from the loop. One at a time: -EBUSY. A dump
// that fails ends with CT_EVENT_LOST in place of CT_EVENT_DUMP_END; an entry may come twice. Both
// may start the next one.
int ct_dump(struct ct *ct, const struct ct_filter *filter);

// Requests about one entry, batched: queued here, sent by ct_flush() or when the batch is full. The
// kernel answers errors only; -ENOENT and -ETIME (the entry is gone or dying) come to 'gone', from
// the loop, never from within these functions.
typedef void (*ct_gone_fn)(void *arg, const struct nfo_tuple *orig, uint16_t zone);
void ct_on_gone(struct ct *ct, ct_gone_fn fn, void *arg);
// Asks for the entry: what it is now comes as CT_EVENT_UPDATE (compare the id), its absence to
// 'gone'.
int ct_check(struct ct *ct, const struct ct_conn *conn);
// IP_CT_TCP_FLAG_BE_LIBERAL for both directions: nf_conntrack_tcp_packet() then accepts segments
// beyond the windows it has seen, as nf_flow_table sets it for what it takes.
int ct_set_liberal(struct ct *ct, const struct ct_conn *conn);
int ct_flush(struct ct *ct);

void ct_stats(const struct ct *ct, struct ct_stats *stats);

// Decodes one IPCTNL_MSG_CT_NEW or _DELETE. Returns 0, -EAFNOSUPPORT or -EPROTONOSUPPORT for what
// is not TCP, UDP or GRE of IPv4 or IPv6, -EBADMSG for what has no tuples.
int ct_decode(const struct nlmsghdr *nlh, struct ct_conn *conn);
