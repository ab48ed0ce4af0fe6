// SPDX-License-Identifier: GPL-2.0-or-later
// What two equal routers cannot have in common.
#pragma once

#include "wire.h"

// Lines for the output, one a mask.
extern const char *const mask_texts[];

// Sets the masked fields to 0. True if there was one. What a router makes itself leaves with a TTL
// of 64, which no ICMP message that was sent to it has behind it; its source may be NAT's.
bool mask_frame(struct frame *f);
