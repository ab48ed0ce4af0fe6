// SPDX-License-Identifier: BSD-3-Clause
// Internet checksum updates by delta (RFC 1624, equation 3: HC' = ~(~HC + ~m + m')).
//
// A delta is the one's complement sum of ~old and new over all 16-bit words that change; sums are
// the same in either byte order (RFC 1071), so words are added as they lie in memory. The results
// agree bit for bit with csum_replace4() and ip_decrease_ttl() of the kernel, zeros included: a
// delta that comes from a change is never 0, and then neither side yields 0xffff. Delta 0 says
// "nothing changes" and leaves the field alone.
#pragma once

#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

static inline uint16_t csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static inline uint32_t csum_delta16(uint16_t old, uint16_t new)
{
	return (uint32_t)(uint16_t)~old + new;
}


static inline uint16_t csum_apply(uint16_t csum, uint16_t delta)
{
	uint32_t sum = (uint32_t)(uint16_t)~csum + delta;

	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

// True if the 20-byte IPv4 header at 'header' sums to all ones. By words of 32 bits: a sum of one's
// complement does not care (RFC 1071).
static inline int csum_ipv4_valid(const void *header)
{
	uint32_t word[5];
	uint64_t sum = 0;

	memcpy(word, header, sizeof(word));
	for (int i = 0; i < 5; i++)
		sum += word[i];
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return csum_fold((uint32_t)sum) == 0xffff;
}

// The sum of 'bytes' of a packet from 'start', which lies in its first segment; they are there.
// (rte_raw_cksum_mbuf() of DPDK 22.11 loses carries behind a segment of odd length.)
static inline uint16_t csum_packet(const struct rte_mbuf *m, uint32_t start, uint32_t bytes)
{
	uint32_t total = 0, done = 0;

	for (; done < bytes; m = m->next, start = 0) {
		const uint32_t len = RTE_MIN(m->data_len - start, bytes - done);
		const uint16_t sum = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, void *, start), len);

		total += done & 1 ? rte_bswap16(sum) : sum;
		done += len;
	}
	return csum_fold(total);
}
