// SPDX-License-Identifier: BSD-3-Clause
#include "flow.h"

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
