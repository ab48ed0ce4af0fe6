// SPDX-License-Identifier: GPL-2.0-or-later
#include "mask.h"

#include <netinet/in.h>
#include <string.h>

#include "packet.h"

enum { OWN_TTL = 64 };

const char *const mask_texts[] = {
	"IP id and header checksum of ICMP errors and echo replies that the routers make: random",
	"identification of IPv6 fragments: the kernel takes a random one when it fragments again",
	NULL,
};

static size_t l3_offset(const struct frame *f)
{
	size_t at = 12;

	while (at + 2 <= f->len
		&& (packet_get16(f->b + at) == 0x8100 || packet_get16(f->b + at) == 0x88a8))
		at += 4;
	return at + 2;
}

static bool mask_icmp(uint8_t *ip, size_t len)
{
	const size_t header = (size_t)(ip[0] & 15) * 4;

	if (len < 28 || header < 20 || len < header + 8 || ip[8] != OWN_TTL
		|| ip[9] != IPPROTO_ICMP)
		return false;
	if (ip[header] != 0 && ip[header] != 3 && ip[header] != 11 && ip[header] != 12)
		return false;
	packet_put16(ip + 4, 0);
	packet_put16(ip + 10, 0);
	return true;
}

static bool mask_fragment(uint8_t *ip, size_t len)
{
	uint8_t next = ip[6];
	size_t at = 40;

	while (at + 8 <= len) {
		if (next == 44) {
			memset(ip + at + 4, 0, 4);
			return true;
		}
		if (next != 0 && next != 43 && next != 60)
			return false;
		next = ip[at];
		at += (size_t)(ip[at + 1] + 1) * 8;
	}
	return false;
}

bool mask_frame(struct frame *f)
{
	const size_t l3 = l3_offset(f);
	uint8_t *ip = f->b + l3;

	if (l3 + 20 > f->len)
		return false;
	if (ip[0] >> 4 == 4)
		return mask_icmp(ip, f->len - l3);
	return ip[0] >> 4 == 6 && mask_fragment(ip, f->len - l3);
}
