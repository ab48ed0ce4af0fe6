// SPDX-License-Identifier: GPL-2.0-or-later
// 'nftoffload-ctl why': its words as a request, and the answer as text.
#pragma once

#include <stddef.h>

#include <jansson.h>

// Of the words behind "why": PROTO END [END] [zone N]. NULL with one line in 'err' for what is no
// such list; addresses are the daemon's to judge.
json_t *why_request_of(char **words, char *err, size_t err_size);
void why_print(const json_t *record);
