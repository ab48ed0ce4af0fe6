// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/loop.c
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MS = 1000000 };

struct fixture {
	struct loop *loop;
	uint64_t now_ns;
	int pair[2][2];
	struct loop_fd *watch[2];
	struct loop_timer *timer[3];
	int fd_calls[2];
	int timer_calls[3];
	char order[64]; // a digit for each timer as it fires
	unsigned int n_order;
};

static uint64_t fake_clock(void *arg)
{
	return ((struct fixture *)arg)->now_ns;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->loop = loop_create();
	f->now_ns = 1000 * (uint64_t)MS;
	loop_set_clock(f->loop, fake_clock, f);
	for (int i = 0; i < 2; i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->pair[i]), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	loop_destroy(f->loop);
	for (int i = 0; i < 2; i++) {
		close(f->pair[i][0]);
		close(f->pair[i][1]);
	}
	free(f);
	return 0;
}

static void advance(struct fixture *f, uint64_t ns)
{
	f->now_ns += ns;
	assert_int_equal(loop_run_once(f->loop, UINT64_MAX), 0);
}

static void on_timer(struct fixture *f, int i)
{
	f->timer_calls[i]++;
	if (f->n_order < sizeof(f->order) - 1)
		f->order[f->n_order++] = (char)('0' + i);
}

static void on_timer0(void *arg)
{
	on_timer(arg, 0);
}

static void on_timer1(void *arg)
{
	on_timer(arg, 1);
}

static void on_timer2(void *arg)
{
	on_timer(arg, 2);
}

static void timers_fire_in_order(void **state)
{
	struct fixture *f = *state;

	f->timer[0] = loop_timer_add(f->loop, 30 * MS, on_timer0, f);
	f->timer[1] = loop_timer_add(f->loop, 10 * MS, on_timer1, f);
	f->timer[2] = loop_timer_add(f->loop, 20 * MS, on_timer2, f);
	advance(f, 10 * MS - 1);
	assert_string_equal(f->order, "");
	advance(f, 1);
	assert_string_equal(f->order, "1");
	advance(f, 10 * MS);
	advance(f, 10 * MS);
	assert_int_equal(f->timer_calls[0], 1);
	assert_int_equal(f->timer_calls[1], 3);
	assert_int_equal(f->timer_calls[2], 1);
}

static void late_timer_fires_once(void **state)
{
	struct fixture *f = *state;

	f->timer[0] = loop_timer_add(f->loop, 10 * MS, on_timer0, f);
	advance(f, 57 * MS);
	assert_int_equal(f->timer_calls[0], 1);
	advance(f, 2 * MS); // keeps to the grid of 10 ms
	assert_int_equal(f->timer_calls[0], 1);
	advance(f, 1 * MS);
	assert_int_equal(f->timer_calls[0], 2);
}

// Later and sooner than others, and counted from the change on.
static void other_periods(void **state)
{
	struct fixture *f = *state;

	f->timer[0] = loop_timer_add(f->loop, 10 * MS, on_timer0, f);
	f->timer[1] = loop_timer_add(f->loop, 60 * MS, on_timer1, f);
	f->timer[2] = loop_timer_add(f->loop, 20 * MS, on_timer2, f);
	advance(f, 5 * MS);
	loop_timer_set_period(f->timer[0], 100 * MS);
	advance(f, 20 * MS);
	assert_string_equal(f->order, "2");
	loop_timer_set_period(f->timer[0], 10 * MS);
	advance(f, 10 * MS - 1);
	assert_string_equal(f->order, "2");
	advance(f, 1);
	assert_string_equal(f->order, "20");
	advance(f, 10 * MS);
	assert_int_equal(f->timer_calls[0], 2);
	assert_int_equal(f->timer_calls[1], 0);
}

static void zero_period_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_null(loop_timer_add(f->loop, 0, on_timer0, f));
	assert_int_equal(errno, EINVAL);
}

static void removes_itself_and_another(void *arg)
{
	struct fixture *f = arg;

	on_timer(f, 0);
	loop_timer_del(f->timer[0]);
	loop_timer_del(f->timer[1]);
	f->timer[2] = loop_timer_add(f->loop, 5 * MS, on_timer2, f);
}

static void timer_removed_in_a_handler(void **state)
{
	struct fixture *f = *state;

	f->timer[0] = loop_timer_add(f->loop, 10 * MS, removes_itself_and_another, f);
	f->timer[1] = loop_timer_add(f->loop, 11 * MS, on_timer1, f);
	advance(f, 20 * MS);
	assert_string_equal(f->order, "0");
	advance(f, 20 * MS);
	assert_string_equal(f->order, "02");
}

struct many {
	struct fixture *f;
	struct loop_timer *timer;
	uint64_t due_ns;
};

static uint64_t last_due_ns;
static int many_fired;

static void on_many(void *arg)
{
	struct many *m = arg;

	assert_true(m->due_ns >= last_due_ns);
	last_due_ns = m->due_ns;
	many_fired++;
	loop_timer_del(m->timer);
	m->timer = NULL;
}

// The heap: 500 timers of odd periods, every third removed before it fires.
static void many_timers(void **state)
{
	struct fixture *f = *state;
	static struct many many[500];
	int expected = 0;

	last_due_ns = 0;
	many_fired = 0;
	for (unsigned int i = 0; i < 500; i++) {
		many[i].f = f;
		many[i].due_ns = (i * 7919 % 500 + 1) * (uint64_t)MS;
		many[i].timer = loop_timer_add(f->loop, many[i].due_ns, on_many, &many[i]);
		assert_non_null(many[i].timer);
	}
	for (unsigned int i = 0; i < 500; i++) {
		if (i % 3 == 0)
			loop_timer_del(many[i].timer);
		else
			expected++;
	}
	advance(f, 250 * MS);
	assert_in_range(many_fired, 1, expected - 1);
	advance(f, 250 * MS);
	assert_int_equal(many_fired, expected);
}

static void read_byte(struct fixture *f, int i)
{
	char c;

	f->fd_calls[i]++;
	assert_int_equal(read(f->pair[i][0], &c, 1), 1);
}

static void on_fd0(void *arg, uint32_t events)
{
	assert_true(events & EPOLLIN);
	read_byte(arg, 0);
}

static void on_fd1(void *arg, uint32_t events)
{
	assert_true(events & EPOLLIN);
	read_byte(arg, 1);
}

static void descriptors(void **state)
{
	struct fixture *f = *state;

	f->watch[0] = loop_fd_add(f->loop, f->pair[0][0], EPOLLIN, on_fd0, f);
	f->watch[1] = loop_fd_add(f->loop, f->pair[1][0], EPOLLIN, on_fd1, f);
	advance(f, 0);
	assert_int_equal(f->fd_calls[0] + f->fd_calls[1], 0);
	assert_int_equal(write(f->pair[0][1], "ab", 2), 2);
	advance(f, 0);
	advance(f, 0); // level triggered
	assert_int_equal(f->fd_calls[0], 2);
	assert_int_equal(write(f->pair[1][1], "c", 1), 1);
	assert_int_equal(loop_fd_events(f->watch[1], 0), 0);
	advance(f, 0);
	assert_int_equal(f->fd_calls[1], 0);
	assert_int_equal(loop_fd_events(f->watch[1], EPOLLIN), 0);
	advance(f, 0);
	assert_int_equal(f->fd_calls[1], 1);
	loop_fd_del(f->watch[0]);
	assert_int_equal(write(f->pair[0][1], "d", 1), 1);
	advance(f, 0);
	assert_int_equal(f->fd_calls[0], 2);
}

static void bad_descriptor(void **state)
{
	struct fixture *f = *state;

	assert_null(loop_fd_add(f->loop, -1, EPOLLIN, on_fd0, f));
	assert_int_equal(errno, EBADF);
}

static void removes_both(void *arg, uint32_t events)
{
	struct fixture *f = arg;

	(void)events;
	f->fd_calls[0]++;
	loop_fd_del(f->watch[0]);
	loop_fd_del(f->watch[1]);
}

// Both are ready in one turn; the first to run removes both, so the second must not run.
static void descriptor_removed_in_a_handler(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		f->watch[i] = loop_fd_add(f->loop, f->pair[i][0], EPOLLIN, removes_both, f);
		assert_int_equal(write(f->pair[i][1], "x", 1), 1);
	}
	advance(f, 0);
	assert_int_equal(f->fd_calls[0], 1);
	advance(f, 0);
	assert_int_equal(f->fd_calls[0], 1);
}

static void now_is_one_for_a_turn(void *arg)
{
	struct fixture *f = arg;
	uint64_t before_ns = loop_now_ns(f->loop);

	f->now_ns += 5 * MS;
	assert_int_equal(loop_now_ns(f->loop), before_ns);
	on_timer(f, 0);
}

static void time_stands_still_in_a_turn(void **state)
{
	struct fixture *f = *state;

	loop_timer_add(f->loop, 10 * MS, now_is_one_for_a_turn, f);
	advance(f, 10 * MS);
	assert_int_equal(f->timer_calls[0], 1);
}

static struct loop *signal_loop;

static void on_signal(int sig)
{
	(void)sig;
	loop_stop(signal_loop);
}

// A real clock and an endless wait: without the wake-up by the signal handler this test hangs.
static void stop_in_a_signal_handler(void **state)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct loop *loop = loop_create();

	(void)state;
	signal_loop = loop;
	sigaction(SIGUSR1, &sa, NULL);
	assert_false(loop_stopped(loop));
	raise(SIGUSR1); // before the wait begins: EINTR alone would be too early
	assert_int_equal(loop_run_once(loop, UINT64_MAX), 0);
	assert_true(loop_stopped(loop));
	assert_int_equal(loop_run_once(loop, UINT64_MAX), 0);
	loop_destroy(loop);
}

static void *stopper(void *arg)
{
	loop_stop(arg);
	return NULL;
}

static void stop_by_another_thread(void **state)
{
	struct loop *loop = loop_create();
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, stopper, loop), 0);
	while (!loop_stopped(loop))
		assert_int_equal(loop_run_once(loop, UINT64_MAX), 0);
	pthread_join(thread, NULL);
	loop_destroy(loop);
}

static void sleeps_until_the_timer(void **state)
{
	struct fixture *f = *state;
	struct loop *loop = loop_create();

	loop_timer_add(loop, MS, on_timer0, f);
	while (f->timer_calls[0] == 0)
		assert_int_equal(loop_run_once(loop, UINT64_MAX), 0);
	loop_destroy(loop);
}

static void null_is_legal(void **state)
{
	(void)state;
	loop_destroy(NULL);
	loop_fd_del(NULL);
	loop_timer_del(NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(timers_fire_in_order),
		TEST(late_timer_fires_once),
		TEST(other_periods),
		TEST(zero_period_is_refused),
		TEST(timer_removed_in_a_handler),
		TEST(many_timers),
		TEST(descriptors),
		TEST(bad_descriptor),
		TEST(descriptor_removed_in_a_handler),
		TEST(time_stands_still_in_a_turn),
		TEST(stop_in_a_signal_handler),
		TEST(stop_by_another_thread),
		TEST(sleeps_until_the_timer),
		TEST(null_is_legal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
