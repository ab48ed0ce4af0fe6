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
