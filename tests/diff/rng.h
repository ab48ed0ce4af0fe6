// SPDX-License-Identifier: GPL-2.0-or-later
// Random numbers that a seed repeats on every machine (splitmix64).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

// 0 to n - 1; 0 for an n of 0.
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return n == 0 ? 0 : (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

static inline uint32_t rng_range(struct rng *r, uint32_t low, uint32_t high)
{
	return low + rng_below(r, high - low + 1);
}

static inline bool rng_percent(struct rng *r, uint32_t percent)
{
	return rng_below(r, 100) < percent;
}

static inline void rng_fill(struct rng *r, uint8_t *to, size_t n)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < n; i++, bits >>= 8) {
		if (i % 8 == 0)
			bits = rng_next(r);
		to[i] = (uint8_t)bits;
	}
}
