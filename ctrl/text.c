// SPDX-License-Identifier: GPL-2.0-or-later
#include "text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const char *text_family(uint8_t nfproto)
{
	switch (nfproto) {
	case 1: // NFPROTO_INET
		return "inet";
	case NFO_IPV4:
		return "ip";
	case NFO_IPV6:
		return "ip6";
	default:
		return "unknown";
	}
}

const char *text_flowtable(const struct nft_flowtable *ft, char text[TEXT_FLOWTABLE_MAX])
{
	if (ft->from_config)
		snprintf(text, TEXT_FLOWTABLE_MAX, "%s", ft->name);
	else
		snprintf(text, TEXT_FLOWTABLE_MAX, "%s %s %s", text_family(ft->family), ft->table,
			ft->name);
	return text;
}

const char *text_addr(uint8_t family, const union nfo_addr *addr, char text[TEXT_ADDR_MAX])
{
	if (inet_ntop(family, addr->bytes, text, TEXT_ADDR_MAX) == NULL)
		strcpy(text, "?");
	return text;
}

const char *text_tuple(const struct nfo_tuple *t, char text[TEXT_TUPLE_MAX])
{
	char src[TEXT_ADDR_MAX], dst[TEXT_ADDR_MAX];

	text_addr(t->family, &t->src, src);
	text_addr(t->family, &t->dst, dst);
	if (t->proto == NFO_GRE)
		snprintf(text, TEXT_TUPLE_MAX, "gre %s to %s", src, dst);
	else
		snprintf(text, TEXT_TUPLE_MAX, "%s %s port %u to %s port %u", nfo_proto_word(t->proto),
			src, ntohs(t->sport_be), dst, ntohs(t->dport_be));
	return text;
}
