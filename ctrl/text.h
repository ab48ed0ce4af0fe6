// SPDX-License-Identifier: GPL-2.0-or-later
// Values as words for people. Pure.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "flow.h"
#include "nft.h"

enum {
	TEXT_FLOWTABLE_MAX = 2 * NFT_NAME_LEN + 16,
	TEXT_ADDR_MAX = 46,
	TEXT_TUPLE_MAX = 2 * TEXT_ADDR_MAX + 40,
};

const char *text_family(uint8_t nfproto); // "inet", "ip", "ip6" or "unknown"
// "FAMILY TABLE NAME", of the configuration "NAME". Returns 'text'.
const char *text_flowtable(const struct nft_flowtable *ft, char text[TEXT_FLOWTABLE_MAX]);
// As inet_ntop() writes it. Returns 'text'.
const char *text_addr(uint8_t family, const union nfo_addr *addr, char text[TEXT_ADDR_MAX]);
// "tcp 10.0.1.2 port 40000 to 10.0.2.2 port 80", of GRE without ports. Returns 'text'.
const char *text_tuple(const struct nfo_tuple *tuple, char text[TEXT_TUPLE_MAX]);
