// SPDX-License-Identifier: GPL-2.0-or-later
// For tables of control whose slots never move: memory that is taken as it is touched, and a hash
// that others cannot foresee. Any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

// NULL when there is no room for it. Zeroed. Slots are met in no order: with huge pages most are found
// without a walk through the page table.
static inline void *slots_map(size_t bytes)
{
	void *slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (slots == MAP_FAILED)
		return NULL;
	madvise(slots, bytes, MADV_HUGEPAGE); // a kernel without them does without
	return slots;
}

// NULL is allowed.
static inline void slots_unmap(void *slots, size_t bytes)
{
	if (slots != NULL)
		munmap(slots, bytes);
}

// Takes one more word into the hash 'h', which begins as 'secret'.
static inline uint64_t slots_hash(uint64_t h, uint64_t word, uint64_t secret)
{
	const __uint128_t product = (__uint128_t)(h ^ word) * (secret | 1);

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}
