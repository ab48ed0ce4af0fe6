// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/nft_decode.c ctrl/nl.c
#include "fuzz_nl.h"
#include "nft.h"

static void one(void *arg, const struct nlmsghdr *nlh)
{
	struct nft_flowtable ft;

	(void)arg;
	nft_decode_restores_mark(nlh);
	if (nft_decode_flowtable(nlh, &ft))
		return;
	for (unsigned int i = 0; i < ft.n_devices; i++)
		if (strnlen(ft.devices[i], NFO_NAME_LEN) == NFO_NAME_LEN)
			abort();
	if (!ft.table[0] || !ft.name[0] || strnlen(ft.name, NFT_NAME_LEN) == NFT_NAME_LEN)
		abort();
	nft_flowtable_fini(&ft);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_messages(data, size, one);
	return 0;
}
