// SPDX-License-Identifier: GPL-2.0-or-later
// The control thread's event loop: file descriptors and timers over epoll. One thread only.
// Time comes from loop_now_ns(), which a test may replace by a clock of its own; then timers fire
// by that clock and loop_run_once() never sleeps.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_timer;

typedef void (*loop_fd_fn)(void *arg, uint32_t epoll_events);
typedef void (*loop_timer_fn)(void *arg);

// NULL with errno set on failure.
struct loop *loop_create(void);
void loop_destroy(struct loop *loop);
void loop_set_clock(struct loop *loop, uint64_t (*now_ns)(void *arg), void *arg);

// CLOCK_MONOTONIC as of the last wake-up, so that handlers of one turn agree.
uint64_t loop_now_ns(const struct loop *loop);

// 'events' are EPOLLIN|EPOLLOUT...; level triggered. The loop does not own the descriptor;
// remove the watch before closing it.
// A handler may remove any watch or timer, its own too.
struct loop_fd *loop_fd_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *arg);
int loop_fd_events(struct loop_fd *w, uint32_t events);
void loop_fd_del(struct loop_fd *w); // NULL is legal

// A timer fires every 'period_ns' from now on; late ones fire once, not several times.
// A period of 0 is EINVAL.
struct loop_timer *loop_timer_add(
	struct loop *loop, uint64_t period_ns, loop_timer_fn fn, void *arg);
// From now on it fires every 'period_ns', which is not 0; the first time after one of these.
void loop_timer_set_period(struct loop_timer *t, uint64_t period_ns);
void loop_timer_del(struct loop_timer *t); // NULL is legal

// Waits at most 'max_wait_ns' (UINT64_MAX: until something happens) and runs what is due.
// Returns 0, or a negative errno when epoll itself fails (EINTR is not a failure).
int loop_run_once(struct loop *loop, uint64_t max_wait_ns);
void loop_stop(struct loop *loop); // may be called by a signal handler
bool loop_stopped(const struct loop *loop);
