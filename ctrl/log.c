// SPDX-License-Identifier: GPL-2.0-or-later
// A line is made in a buffer of its own and leaves by one write(), so lines of different threads do
// not mix. What a message quotes may come from outside: bytes that would end or forge a line become
// '?'.
#include "log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 };

static const char *const level_words[LOG_N_LEVELS] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static atomic_int log_level = LOG_INFO;

int log_level_parse(const char *word)
{
	for (int i = 0; i < LOG_N_LEVELS; i++) {
		if (strcmp(word, level_words[i]) == 0)
			return i;
	}
	return -1;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

// Bytes that vsnprintf() or snprintf() put into a buffer of 'size', from what it returned.
static size_t stored(int n, size_t size)
{
	if (n < 0)
		return 0;
	return (size_t)n < size ? (size_t)n : size - 1;
}

static void mask_controls(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			text[i] = '?';
	}
}

void log_line(enum log_level level, const char *area, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	int err = errno;
	va_list args;
	size_t len;
	ssize_t n;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	len = stored(
		snprintf(line, sizeof(line), "%s: %s: ", level_words[level], area), sizeof(line));
	va_start(args, fmt);
	errno = err; // for %m
	len += stored(vsnprintf(line + len, sizeof(line) - len, fmt, args), sizeof(line) - len);
	va_end(args);
	mask_controls(line, len);
	line[len++] = '\n'; // in the place of the NUL
	do
		n = write(STDERR_FILENO, line, len);
	while (n < 0 && errno == EINTR);
	errno = err;
}

int log_ratelimit(struct log_limit *state, unsigned int burst, unsigned int *missed)
{
	struct timespec ts;

	*missed = 0;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (state->second != (unsigned long long)ts.tv_sec) {
		state->second = (unsigned long long)ts.tv_sec;
		state->used = 0;
	}
	if (state->used >= burst) {
		state->missed++;
		return 0;
	}
	state->used++;
	*missed = state->missed;
	state->missed = 0;
	return 1;
}
