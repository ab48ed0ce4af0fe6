// SPDX-License-Identifier: GPL-2.0-or-later
// What a mismatch leaves behind.
#pragma once

#include "exchange.h"

// Prints frames of run->out that only one router sent, the kernel's beside the gateway's, and
// returns how many there are. 'compare' is the order they are sorted by.
uint64_t report_unmatched(struct run *run, int (*compare)(const void *, const void *));

// Keeps what was sent and what left as mismatch-BATCH-{in,k,g}-PORT.pcap in run->pcap_dir.
void report_pcaps(const struct run *run, const struct frames *in);

// Sends the frames again one by one and prints those that make a difference.
void report_culprits(struct run *run, const struct frames *in);
