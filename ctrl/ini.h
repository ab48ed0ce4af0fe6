// SPDX-License-Identifier: GPL-2.0-or-later
// The lines of an ini file, one by one, with their numbers for messages.
//
//	# a comment, or ; a comment: the whole line
//	[section]  or  [section NAME]
//	key = value   # a comment after white space and '#'
//
// White space around names and values does not count, empty lines neither; a value is never empty.
// Lines end with LF or CRLF, have at most INI_LINE_MAX bytes and no control characters but tabs.
#pragma once

#include <stddef.h>

enum { INI_LINE_MAX = 1000 };

enum ini_kind { INI_END, INI_SECTION, INI_KEY, INI_ERROR };

// The strings point into 'buf' and live until the next ini_next().
struct ini {
	const char *file; // for messages
	const char *pos, *end;
	unsigned int line;    // of the item, from 1; at the end the last line's
	char *section, *name; // INI_SECTION; 'name' is "" for [section]
	char *key, *value;    // INI_KEY
	char *err;
	size_t err_size;
	char buf[INI_LINE_MAX + 1];
};

// Errors are written to 'err' as "FILE:LINE: what is wrong, expected ...".
void ini_init(struct ini *ini, const char *file, const char *text, size_t len, char *err,
	size_t err_size);
enum ini_kind ini_next(struct ini *ini);

// Writes "FILE:LINE: " and the message to 'err'; -1, so that a caller may return it.
int ini_error_at(const struct ini *ini, unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
