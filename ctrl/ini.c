// SPDX-License-Identifier: GPL-2.0-or-later
#include "ini.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char blanks[] = " \t";

void ini_init(
	struct ini *ini, const char *file, const char *text, size_t len, char *err, size_t err_size)
{
	memset(ini, 0, sizeof(*ini));
	ini->file = file;
	ini->pos = text;
	ini->end = text + len;
	ini->err = err;
	ini->err_size = err_size;
	if (err_size > 0)
		err[0] = '\0';
}

int ini_error_at(const struct ini *ini, unsigned int line, const char *fmt, ...)
{
	va_list args;
	int n;

	n = snprintf(ini->err, ini->err_size, "%s:%u: ", ini->file, line);
	if (n < 0 || (size_t)n >= ini->err_size)
		return -1;
	va_start(args, fmt);
	vsnprintf(ini->err + n, ini->err_size - (size_t)n, fmt, args);
	va_end(args);
	return -1;
}

static enum ini_kind fail(const struct ini *ini, const char *text)
{
	ini_error_at(ini, ini->line, "%s", text);
	return INI_ERROR;
}

static int has_control(const char *line, size_t len, unsigned char *c)
{
	for (size_t i = 0; i < len; i++) {
		*c = (unsigned char)line[i];
		if ((*c < ' ' && *c != '\t') || *c == 0x7f)
			return 1;
	}
	return 0;
}

// Copies the next line to 'buf', checked. Returns 0, or -1 for an error.
static int read_line(struct ini *ini)
{
	const char *eol = memchr(ini->pos, '\n', (size_t)(ini->end - ini->pos));
	size_t len = (size_t)((eol ? eol : ini->end) - ini->pos);
	const char *line = ini->pos;
	unsigned char c;

	ini->line++;
	ini->pos = eol ? eol + 1 : ini->end;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len > INI_LINE_MAX)
		return ini_error_at(ini, ini->line, "a line of %zu bytes, expected at most %d", len,
			INI_LINE_MAX);
	if (has_control(line, len, &c))
		return ini_error_at(
			ini, ini->line, "a control character (0x%02x), expected text and tabs", c);
	memcpy(ini->buf, line, len);
	ini->buf[len] = '\0';
	return 0;
}

static char *trim(char *s)
{
	size_t len;

	s += strspn(s, blanks);
	len = strlen(s);
	while (len > 0 && strchr(blanks, s[len - 1]))
		len--;
	s[len] = '\0';
	return s;
}

static void cut_comment(char *s)
{
	for (char *p = strchr(s, '#'); p; p = strchr(p + 1, '#')) {
		if (p > s && strchr(blanks, p[-1])) {
			*p = '\0';
			return;
		}
	}
}

static enum ini_kind section(struct ini *ini, char *s)
{
	char *close = strchr(s, ']');

	if (!close)
		return fail(ini, "no ']' after '[', expected [section] or [section NAME]");
	if (close[1] != '\0')
		return fail(ini, "text after ']', expected [section] or [section NAME]");
	*close = '\0';
	ini->section = trim(s + 1);
	ini->name = ini->section + strcspn(ini->section, blanks);
	if (*ini->name != '\0') {
		*ini->name = '\0';
		ini->name = trim(ini->name + 1);
	}
	if (*ini->section == '\0')
		return fail(ini, "an empty section name, expected [section] or [section NAME]");
	return INI_SECTION;
}

static enum ini_kind key(struct ini *ini, char *s)
{
	char *equals = strchr(s, '=');

	if (!equals) {
		ini_error_at(ini, ini->line,
			"'%.80s', expected 'key = value', [section] or a comment", s);
		return INI_ERROR;
	}
	*equals = '\0';
	ini->key = trim(s);
	ini->value = trim(equals + 1);
	if (*ini->key == '\0')
		return fail(ini, "nothing before '=', expected 'key = value'");
	if (*ini->value == '\0') {
		ini_error_at(ini, ini->line, "'%.80s' without a value, expected '%.80s = value'",
			ini->key, ini->key);
		return INI_ERROR;
	}
	return INI_KEY;
}

enum ini_kind ini_next(struct ini *ini)
{
	while (ini->pos < ini->end) {
		char *s;

		if (read_line(ini) < 0)
			return INI_ERROR;
		s = ini->buf + strspn(ini->buf, blanks);
		if (*s == '#' || *s == ';')
			continue;
		cut_comment(s);
		s = trim(s);
		if (*s == '[')
			return section(ini, s);
		if (*s != '\0')
			return key(ini, s);
	}
	if (ini->line == 0)
		ini->line = 1;
	return INI_END;
}
