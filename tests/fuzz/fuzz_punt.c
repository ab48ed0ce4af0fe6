// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: dataplane/punt.c
// A frame through punt_classify(), behind a byte for the reason. It reads what is there and no
// more, and the class of a frame does not depend on its padding.
#include <stdlib.h>
#include <string.h>

#include "punt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LONGEST = 9000 };

// The frame's memory ends where the frame ends.
static enum dp_punt_class classify(const uint8_t *data, size_t size, enum nfo_punt reason)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct rte_mbuf m = {
		.buf_addr = copy,
		.data_len = (uint16_t)size,
		.pkt_len = (uint32_t)size,
		.nb_segs = 1,
	};
	enum dp_punt_class class;

	memcpy(copy, data, size);
	class = punt_classify(&m, reason);
	free(copy);
	return class;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum nfo_punt reason;
	enum dp_punt_class class;

	if (size == 0 || size > LONGEST)
		return 0;
	reason = (enum nfo_punt)(data[0] % NFO_N_PUNTS);
	class = classify(data + 1, size - 1, reason);
	if (class >= DP_N_PUNT_CLASSES)
		abort();
	// what a bridge must not forward is control, whatever is behind its addresses
	if (size > 14 && memcmp(data + 1, "\x01\x80\xc2\0\0\0", 6) == 0 && class != DP_PUNT_CONTROL)
		abort();
	return 0;
}
