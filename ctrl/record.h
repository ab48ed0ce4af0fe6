// SPDX-License-Identifier: GPL-2.0-or-later
// JSON records of the control socket, made of the mirror's and the dataplane's values.
// docs/socket.md documents every field; a change there is a change of the protocol. Each returns a
// new reference, NULL without memory. Pure but for record_stats() and record_table().
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "ct_find.h"
#include "diag.h"
#include "dp_api.h"
#include "mirror.h"
#include "why.h"

json_t *record_flow(const struct mirror_flow *flow, uint64_t now_ns);
// 'known' to the mirror: only then there are path and counters.
json_t *record_why(
	const struct mirror_flow *flow, bool known, const struct why *why, uint64_t now_ns);
json_t *record_untracked(const struct ct_match *match, const struct why *why);
json_t *record_reason(enum nfo_reason reason, uint32_t connections);
json_t *record_problem(const struct diag_problem *problem);
json_t *record_flowtable(const struct nft_flowtable *ft);
json_t *record_port(const struct dp_port_info *info, const struct dp_port_stats *stats);
json_t *record_worker(const struct dp_worker_stats *stats);
// Asks the mirror and the dataplane. Control thread only.
json_t *record_stats(const struct mirror *mirror);
// Looks at every entry of the flow table.
json_t *record_table(void);
