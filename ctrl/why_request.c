// SPDX-License-Identifier: GPL-2.0-or-later
#include "why_request.h"

#include <arpa/inet.h>
#include <string.h>

struct parse {
	const json_t *request;
	const char **error, **expected;
};

static bool fail(const struct parse *p, const char *error, const char *expected)
{
	*p->error = error;
	*p->expected = expected;
	return false;
}

static bool get_proto(const struct parse *p, uint8_t *proto)
{
	const char *word = json_string_value(json_object_get(p->request, "proto"));

	*proto = word != NULL ? nfo_proto_parse(word) : 0;
	return *proto != 0
	       || fail(p, word != NULL ? "'proto' is none that is offloaded" : "no 'proto'",
		       "\"tcp\", \"udp\" or \"gre\"");
}

static bool get_addr(const char *text, uint8_t *family, union nfo_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	*family = NFO_IPV4;
	if (text == NULL || inet_pton(AF_INET, text, addr->bytes) == 1)
		return text != NULL;
	*family = NFO_IPV6;
	return inet_pton(AF_INET6, text, addr->bytes) == 1;
}

static bool get_ends(const struct parse *p, struct ct_match *match)
{
	const json_t *src = json_object_get(p->request, "src");
	const json_t *dst = json_object_get(p->request, "dst");
	uint8_t family;

	if (!get_addr(json_string_value(src), &match->tuple.family, &match->tuple.src))
		return fail(p, src != NULL ? "'src' is not an address" : "no 'src'",
			"an address of the connection, such as \"10.0.1.2\" or \"fd00::1\"");
	match->has_dst = dst != NULL;
	if (dst == NULL)
		return true;
	if (!get_addr(json_string_value(dst), &family, &match->tuple.dst))
		return fail(
			p, "'dst' is not an address", "one such as \"10.0.2.2\" or \"fd00::2\"");
	if (family != match->tuple.family)
		return fail(p, "'dst' is of another family", "an address of the family of 'src'");
	return true;
}

// False for a member that is there and no number of 'min' to 65535.
static bool get_number(
	const struct parse *p, const char *key, int min, bool *there, uint16_t *number)
{
	const json_t *member = json_object_get(p->request, key);
	const json_int_t value = json_integer_value(member);

	*there = member != NULL;
	*number = (uint16_t)value;
	return member == NULL || (json_is_integer(member) && value >= min && value <= UINT16_MAX);
}

static bool get_ports(const struct parse *p, struct ct_match *match)
{
	uint16_t sport, dport;

	if (!get_number(p, "sport", 1, &match->has_sport, &sport))
		return fail(p, "'sport' is not a port", "a number of 1 to 65535");
	if (!get_number(p, "dport", 1, &match->has_dport, &dport))
		return fail(p, "'dport' is not a port", "a number of 1 to 65535");
	if (match->has_dport && !match->has_dst)
		return fail(p, "'dport' without 'dst'", "the address of that end in 'dst'");
	if (match->tuple.proto == NFO_GRE && (match->has_sport || match->has_dport))
		return fail(p, "GRE has no ports", "neither 'sport' nor 'dport'");
	match->tuple.sport_be = htons(sport);
	match->tuple.dport_be = htons(dport);
	return true;
}

bool why_request(
	const json_t *request, struct ct_match *match, const char **error, const char **expected)
{
	const struct parse p = {request, error, expected};
	bool has_zone;

	memset(match, 0, sizeof(*match));
	if (!get_proto(&p, &match->tuple.proto) || !get_ends(&p, match) || !get_ports(&p, match))
		return false;
	if (!get_number(&p, "zone", 0, &has_zone, &match->zone))
		return fail(&p, "'zone' is not a zone", "a number of 0 to 65535");
	return true;
}
