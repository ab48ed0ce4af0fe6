// SPDX-License-Identifier: GPL-2.0-or-later
// xfrm.c with the running kernel's policies.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "live.h"
#include "nl.h"
#include "xfrm.h"

static void count(void *arg)
{
	++*(unsigned int *)arg;
}

static void policies_are_followed(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct xfrm *x = xfrm_create(loop, count, &changes);

	assert_non_null(x);
	assert_false(xfrm_policies(x));
	live_run("ip xfrm policy add src 10.0.0.0/8 dst 10.1.0.0/16 dir in action block");
	live_turns(loop, 20);
	assert_int_equal(changes, 0); // what comes in is not what we forward
	live_run("ip xfrm policy add src 10.0.0.0/8 dst 10.2.0.0/16 dir out action block");
	live_until(loop, changes == 1);
	assert_true(xfrm_policies(x));
	live_run("ip xfrm policy add src 10.0.0.0/8 dst 10.3.0.0/16 dir fwd action block");
	live_run("ip xfrm policy delete src 10.0.0.0/8 dst 10.2.0.0/16 dir out");
	live_turns(loop, 20);
	assert_true(xfrm_policies(x));
	live_run("ip xfrm policy delete src 10.0.0.0/8 dst 10.3.0.0/16 dir fwd");
	live_until(loop, changes == 2);
	assert_false(xfrm_policies(x));
	xfrm_destroy(x);
}

static void policies_of_before(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct xfrm *x;

	live_run("ip xfrm policy add src 10.0.0.0/8 dst 10.2.0.0/16 dir out action block");
	x = xfrm_create(loop, count, &changes);
	assert_non_null(x);
	assert_true(xfrm_policies(x));
	xfrm_destroy(x);
}

// More events than the buffer holds: counted, and the policies are read all the same.
static void overrun(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct xfrm *x;

	nl_set_events_bytes(4096);
	x = xfrm_create(loop, count, &changes);
	nl_set_events_bytes(0);
	assert_non_null(x);
	live_run("i=0; while [ $i -lt 100 ]; do echo xfrm policy add src 10.0.0.0/8 dst "
		 "10.$i.0.0/16 dir out action block; i=$((i + 1)); done | ip -batch -");
	live_until(loop, xfrm_overruns(x) == 1);
	live_until(loop, changes == 1);
	assert_true(xfrm_policies(x));
	xfrm_destroy(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(policies_are_followed, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(policies_of_before, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(overrun, live_setup, live_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
