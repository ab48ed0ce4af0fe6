// SPDX-License-Identifier: GPL-2.0-or-later
// Log lines to stderr: "level: area: text", one line an event. Any thread may log.
#pragma once

#include <stdarg.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG, LOG_N_LEVELS };

// Returns -1 for an unknown word.
int log_level_parse(const char *word);
void log_set_level(enum log_level level);

void log_line(enum log_level level, const char *area, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(area, ...) log_line(LOG_ERROR, area, __VA_ARGS__)
#define log_warning(area, ...) log_line(LOG_WARNING, area, __VA_ARGS__)
#define log_notice(area, ...) log_line(LOG_NOTICE, area, __VA_ARGS__)
#define log_info(area, ...) log_line(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_line(LOG_DEBUG, area, __VA_ARGS__)

// True at most 'burst' times in any second of 'state' (a static of the caller); the first line of a
// later second should tell how many were kept back, which log_ratelimit() returns in '*missed'.
// A 'state' belongs to one thread.
struct log_limit {
	unsigned long long second;
	unsigned int used;
	unsigned int missed;
};
int log_ratelimit(struct log_limit *state, unsigned int burst, unsigned int *missed);

// A line that says the same each time: at most once a second.
#define log_warning_rarely(area, ...)                                 \
	do {                                                          \
		static struct log_limit rarely;                       \
		unsigned int rarely_missed;                           \
		if (log_ratelimit(&rarely, 1, &rarely_missed))        \
			log_line(LOG_WARNING, area, __VA_ARGS__);     \
	} while (0)
