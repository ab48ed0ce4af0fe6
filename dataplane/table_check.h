// SPDX-License-Identifier: BSD-3-Clause
// The flow table's audit, for tests and for whoever doubts. Its words are explained in docs/socket.md
// ('show table').
#pragma once

#include "table.h"

// NULL when everything is as it should be, otherwise one word, static, for the first fault:
//   unit-number, unit-twice, unit-pair, unit-state, unit-lost   of the array's units
//   slot-key                     an entry is where no lookup finds it
//   bucket-number, bucket-twice, bucket-lost                    of overflow buckets
//   free-link, free-buddy        of the lists of free units
//   replaced, sibling            of entries that name each other
//   used, next-hop               counts that do not add up
//   no-memory                    the audit itself has none
// O(capacity), some ten milliseconds for a million; control thread only.
const char *table_check(const struct table *table);
