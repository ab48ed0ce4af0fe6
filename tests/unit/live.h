// SPDX-License-Identifier: GPL-2.0-or-later
// Tests against the running kernel, each in a new network namespace with a loop. Without the right
// to make one they are skipped. Include after cmocka.h.
#pragma once

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"

enum { LIVE_TURNS = 2000, LIVE_TURN_NS = 5000000 };

struct live {
	struct loop *loop;
	int err; // of unshare()
};

static inline int live_setup(void **state)
{
	struct live *live = calloc(1, sizeof(*live));

	if (!live)
		return -1;
	*state = live;
	if (unshare(CLONE_NEWNET) < 0) {
		live->err = errno;
		return 0;
	}
	live->loop = loop_create();
	return live->loop ? 0 : -1;
}

static inline int live_teardown(void **state)
{
	struct live *live = *state;

	if (live->loop)
		loop_destroy(live->loop);
	free(live);
	return 0;
}

static inline struct loop *live_loop(void **state)
{
	struct live *live = *state;

	if (live->err) {
		print_message("no network namespace: %s\n", strerror(live->err));
		skip();
	}
	return live->loop;
}

static inline void live_run(const char *command)
{
	if (system(command))
		fail_msg("failed: %s", command);
}

static inline void live_turns(struct loop *loop, unsigned int turns)
{
	while (turns--)
		assert_int_equal(loop_run_once(loop, LIVE_TURN_NS), 0);
}

// Runs the loop until the condition holds, ten seconds at most.
#define live_until(loop, condition)                                             \
	do {                                                                    \
		unsigned int live_left = LIVE_TURNS;                            \
		while (!(condition) && live_left--)                             \
			assert_int_equal(loop_run_once(loop, LIVE_TURN_NS), 0); \
		assert_true(condition);                                         \
	} while (0)
