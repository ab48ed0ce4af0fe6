// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/log.c
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr;
static int pipe_fd[2];
static char text[4096];

static void capture(void)
{
	assert_int_equal(pipe2(pipe_fd, O_NONBLOCK), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(pipe_fd[1], STDERR_FILENO);
}

// What was logged since capture().
static const char *captured(void)
{
	ssize_t n = read(pipe_fd[0], text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return text;
}

static void levels_have_words(void **state)
{
	(void)state;
	assert_int_equal(log_level_parse("error"), LOG_ERROR);
	assert_int_equal(log_level_parse("warning"), LOG_WARNING);
	assert_int_equal(log_level_parse("notice"), LOG_NOTICE);
	assert_int_equal(log_level_parse("info"), LOG_INFO);
	assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
	assert_int_equal(log_level_parse("Error"), -1);
	assert_int_equal(log_level_parse(""), -1);
}

static void level_decides(void **state)
{
	(void)state;
	capture();
	log_set_level(LOG_NOTICE);
	log_notice("conf", "read %d lines", 3);
	log_info("conf", "not this one");
	log_set_level(LOG_INFO);
	log_info("nft", "this one");
	assert_string_equal(captured(), "notice: conf: read 3 lines\ninfo: nft: this one\n");
}

static void one_line_an_event(void **state)
{
	(void)state;
	capture();
	log_error("sock", "%s", "a\nerror: fake: b\x1b[0m");
	assert_string_equal(captured(), "error: sock: a?error: fake: b?[0m\n");
}

static void long_lines_are_cut(void **state)
{
	char big[3000];

	(void)state;
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	capture();
	log_error("a", "%s", big);
	captured();
	assert_in_range(strlen(text), 1000, 1024);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void errno_survives(void **state)
{
	(void)state;
	capture();
	errno = ENOENT;
	log_error("a", "%m");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(captured(), "error: a: No such file or directory\n");
}

static void errno_survives_a_closed_stderr(void **state)
{
	int saved = dup(STDERR_FILENO);
	int err;

	(void)state;
	close(STDERR_FILENO);
	errno = ENOENT;
	log_error("a", "b");
	err = errno;
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(err, ENOENT);
}

// A second may end between two calls; then the same is tried again.
static void limit_within_a_second(void **state)
{
	struct log_limit limit;
	unsigned int missed, passed;
	unsigned long long second;

	(void)state;
	do {
		limit = (struct log_limit){0};
		log_ratelimit(&limit, 3, &missed);
		second = limit.second;
		passed = 1;
		for (int i = 0; i < 9; i++) {
			passed += (unsigned int)log_ratelimit(&limit, 3, &missed);
			assert_int_equal(missed, 0);
		}
	} while (limit.second != second);
	assert_int_equal(passed, 3);
	assert_int_equal(limit.missed, 7);
}

static void limit_tells_what_was_missed(void **state)
{
	struct log_limit limit = {.second = 1, .used = 3, .missed = 7}; // long ago
	unsigned int missed;

	(void)state;
	assert_true(log_ratelimit(&limit, 3, &missed));
	assert_int_equal(missed, 7);
	assert_true(log_ratelimit(&limit, 3, &missed));
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_have_words),
		cmocka_unit_test(level_decides),
		cmocka_unit_test(one_line_an_event),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(errno_survives),
		cmocka_unit_test(errno_survives_a_closed_stderr),
		cmocka_unit_test(limit_within_a_second),
		cmocka_unit_test(limit_tells_what_was_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
