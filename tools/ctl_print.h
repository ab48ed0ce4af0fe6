// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket's records as text for people: a table for the commands it knows, lines of
// "name value" for others.
#pragma once

#include <jansson.h>

struct printer;

// NULL without memory. 'cmd' is the command that the records answer.
struct printer *printer_create(const char *cmd);
// Prints the record, or keeps it for printer_end() where columns are as wide as their contents.
void printer_add(struct printer *printer, const json_t *record);
void printer_end(struct printer *printer);
void printer_destroy(struct printer *printer);
