// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/hooks_decode.c ctrl/nft_decode.c ctrl/nl.c
#include "fuzz_nl.h"
#include "hooks.h"

static void check_name(void *arg, const char *name)
{
	const size_t len = strnlen(name, NFO_NAME_LEN);

	(void)arg;
	if (len == 0 || len == NFO_NAME_LEN)
		abort();
}

static void one(void *arg, const struct nlmsghdr *nlh)
{
	char name[NFO_NAME_LEN];
	unsigned int what;
	int ifindex;

	(void)arg;
	hooks_decode_chain(nlh, check_name, NULL);
	what = hooks_decode_qdisc(nlh, &ifindex);
	if (what != 0 && what != HOOKS_TC && what != HOOKS_QDISC)
		abort();
	if (!hooks_decode_link(nlh, &ifindex, name, &what))
		return;
	check_name(NULL, name);
	if (ifindex <= 0 || (what & ~(unsigned int)HOOKS_XDP) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_messages(data, size, one);
	return 0;
}
