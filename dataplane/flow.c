// SPDX-License-Identifier: BSD-3-Clause
#include "flow.h"

#include <string.h>

static const struct {
	const char *word;
	const char *text;
} reasons[] = {
#define X(name, word, text) [NFO_R_##name] = {word, text},
	NFO_REASONS(X)
#undef X
};

static const char *const punts[] = {
#define X(name, word, text) [NFO_P_##name] = word,
	NFO_PUNTS(X)
#undef X
};

static const struct {
	const char *word;
	uint8_t proto;
} protos[] = {{"tcp", NFO_TCP}, {"udp", NFO_UDP}, {"gre", NFO_GRE}};

enum { N_PROTOS = sizeof(protos) / sizeof(protos[0]) };

uint8_t nfo_proto_parse(const char *word)
{
	for (unsigned int i = 0; i < N_PROTOS; i++)
		if (strcmp(protos[i].word, word) == 0)
			return protos[i].proto;
	return 0;
}

const char *nfo_proto_word(uint8_t proto)
{
	for (unsigned int i = 0; i < N_PROTOS; i++)
		if (protos[i].proto == proto)
			return protos[i].word;
	return "unknown";
}

struct nfo_tuple nfo_tuple_swapped(const struct nfo_tuple *t)
{
	return (struct nfo_tuple){
		.src = t->dst,
		.dst = t->src,
		.sport_be = t->dport_be,
		.dport_be = t->sport_be,
		.family = t->family,
		.proto = t->proto,
	};
}

const char *nfo_reason_word(enum nfo_reason r)
{
	return r < NFO_N_REASONS ? reasons[r].word : "unknown";
}

const char *nfo_reason_text(enum nfo_reason r)
{
	return r < NFO_N_REASONS ? reasons[r].text : "unknown";
}

const char *nfo_punt_word(enum nfo_punt p)
{
	return p < NFO_N_PUNTS ? punts[p] : "unknown";
}
