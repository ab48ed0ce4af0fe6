// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <emmintrin.h>
#include <stdint.h>

// A bit for each of the 8 signatures at 'sigs' (16-byte aligned) that equals 'sig'.
static inline uint32_t sigcmp(const uint16_t *sigs, uint16_t sig)
{
	const __m128i all = _mm_load_si128((const __m128i *)(const void *)sigs);
	const __m128i equal = _mm_cmpeq_epi16(all, _mm_set1_epi16((short)sig));

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
}
