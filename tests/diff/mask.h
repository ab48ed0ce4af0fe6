// SPDX-License-Identifier: GPL-2.0-or-later
// What two equal routers cannot have in common.
#pragma once

#include "wire.h"

// Lines for the output, one a mask.
extern const char *const mask_texts[];

// Sets the masked fields to 0. True if there was one. 'own' are the routers' IPv4 addresses.
bool mask_frame(struct frame *f, uint8_t own[][4], unsigned int n_own);
