// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

// A bit for each of the 8 signatures at 'sigs' that equals 'sig'.
static inline uint32_t sigcmp(const uint16_t *sigs, uint16_t sig)
{
	uint32_t hits = 0;

	for (unsigned int i = 0; i < 8; i++)
		hits |= (uint32_t)(sigs[i] == sig) << i;
	return hits;
}
