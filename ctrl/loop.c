// SPDX-License-Identifier: GPL-2.0-or-later
// Descriptors are epoll's; timers are a binary heap by due time. A turn waits once, runs the
// handlers of what epoll told, then the timers that are due.
//
// Handlers may remove anything: a watch removed during a turn is only marked, as epoll's answer may
// still name it, and freed at the end of the turn. A timer is put back into the heap before its
// handler runs and not looked at afterwards, so it can be freed at once.
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, NS_PER_S = 1000000000, NS_PER_MS = 1000000 };

struct loop_fd {
	struct loop *loop;
	struct loop_fd *next, **pprev; // in loop->fds or loop->dead
	loop_fd_fn fn;
	void *arg;
	int fd;
	bool dead;
};

struct loop_timer {
	struct loop *loop;
	loop_timer_fn fn;
	void *arg;
	uint64_t due_ns;
	uint64_t period_ns;
	unsigned int pos; // in loop->heap
};

struct loop {
	int epfd;
	int wake_fd; // readable once the loop is to stop
	volatile sig_atomic_t stopped;
	bool running; // within a turn
	uint64_t now_ns;
	uint64_t (*clock)(void *arg); // NULL: CLOCK_MONOTONIC
	void *clock_arg;
	struct loop_fd *fds;
	struct loop_fd *dead;
	struct loop_timer **heap; // the root is due first
	unsigned int n_timers;
	unsigned int heap_size;
};

static uint64_t read_clock(const struct loop *loop)
{
	struct timespec ts;

	if (loop->clock)
		return loop->clock(loop->clock_arg);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int wake_init(struct loop *loop)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (loop->wake_fd < 0)
		return -1;
	return epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->wake_fd, &ev);
}

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->wake_fd = -1;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0 || wake_init(loop) < 0) {
		int err = errno;

		loop_destroy(loop);
		errno = err;
		return NULL;
	}
	loop->now_ns = read_clock(loop);
	return loop;
}

static void free_fds(struct loop_fd *list)
{
	while (list) {
		struct loop_fd *next = list->next;

		free(list);
		list = next;
	}
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	free_fds(loop->fds);
	free_fds(loop->dead);
	for (unsigned int i = 0; i < loop->n_timers; i++)
		free(loop->heap[i]);
	free(loop->heap);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	if (loop->epfd >= 0)
		close(loop->epfd);
	free(loop);
}

void loop_set_clock(struct loop *loop, uint64_t (*now_ns)(void *arg), void *arg)
{
	loop->clock = now_ns;
	loop->clock_arg = arg;
	loop->now_ns = read_clock(loop);
}

uint64_t loop_now_ns(const struct loop *loop)
{
	return loop->now_ns;
}

static void link_fd(struct loop_fd **list, struct loop_fd *w)
{
	w->next = *list;
	w->pprev = list;
	if (w->next)
		w->next->pprev = &w->next;
	*list = w;
}

static void unlink_fd(struct loop_fd *w)
{
	*w->pprev = w->next;
	if (w->next)
		w->next->pprev = w->pprev;
}

struct loop_fd *loop_fd_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *arg)
{
	struct loop_fd *w = calloc(1, sizeof(*w));
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (!w)
		return NULL;
	w->loop = loop;
	w->fn = fn;
	w->arg = arg;
	w->fd = fd;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int err = errno;

		free(w);
		errno = err;
		return NULL;
	}
	link_fd(&loop->fds, w);
	return w;
}

int loop_fd_events(struct loop_fd *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	return epoll_ctl(w->loop->epfd, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? -errno : 0;
}

void loop_fd_del(struct loop_fd *w)
{
	int err = errno;

	if (!w)
		return;
	epoll_ctl(w->loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	errno = err;
	unlink_fd(w);
	if (!w->loop->running) {
		free(w);
		return;
	}
	w->dead = true;
	link_fd(&w->loop->dead, w);
}

static void heap_put(struct loop *loop, unsigned int pos, struct loop_timer *t)
{
	loop->heap[pos] = t;
	t->pos = pos;
}

static void sift_up(struct loop *loop, struct loop_timer *t)
{
	unsigned int pos = t->pos;

	while (pos > 0) {
		unsigned int parent = (pos - 1) / 2;

		if (loop->heap[parent]->due_ns <= t->due_ns)
			break;
		heap_put(loop, pos, loop->heap[parent]);
		pos = parent;
	}
	heap_put(loop, pos, t);
}

static void sift_down(struct loop *loop, struct loop_timer *t)
{
	unsigned int pos = t->pos;

	for (;;) {
		unsigned int child = 2 * pos + 1;

		if (child + 1 < loop->n_timers
			&& loop->heap[child + 1]->due_ns < loop->heap[child]->due_ns)
			child++;
		if (child >= loop->n_timers || loop->heap[child]->due_ns >= t->due_ns)
			break;
		heap_put(loop, pos, loop->heap[child]);
		pos = child;
	}
	heap_put(loop, pos, t);
}

static int heap_reserve(struct loop *loop)
{
	unsigned int size = loop->heap_size ? 2 * loop->heap_size : 16;
	struct loop_timer **heap;

	if (loop->n_timers < loop->heap_size)
		return 0;
	heap = realloc(loop->heap, size * sizeof(struct loop_timer *));
	if (!heap)
		return -1;
	loop->heap = heap;
	loop->heap_size = size;
	return 0;
}

struct loop_timer *loop_timer_add(
	struct loop *loop, uint64_t period_ns, loop_timer_fn fn, void *arg)
{
	struct loop_timer *t;

	if (period_ns == 0) {
		errno = EINVAL;
		return NULL;
	}
	if (heap_reserve(loop) < 0)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	if (!loop->running)
		loop->now_ns = read_clock(loop);
	t->loop = loop;
	t->fn = fn;
	t->arg = arg;
	t->period_ns = period_ns;
	t->due_ns = loop->now_ns + period_ns;
	heap_put(loop, loop->n_timers++, t);
	sift_up(loop, t);
	return t;
}

void loop_timer_set_period(struct loop_timer *t, uint64_t period_ns)
{
	struct loop *loop = t->loop;

	if (!loop->running)
		loop->now_ns = read_clock(loop);
	t->period_ns = period_ns;
	t->due_ns = loop->now_ns + period_ns;
	sift_up(loop, t);
	sift_down(loop, t);
}

void loop_timer_del(struct loop_timer *t)
{
	struct loop_timer *last;
	struct loop *loop;

	if (!t)
		return;
	loop = t->loop;
	last = loop->heap[--loop->n_timers];
	if (last != t) {
		heap_put(loop, t->pos, last);
		sift_up(loop, last);
		sift_down(loop, last);
	}
	free(t);
}

// The periods keep to the grid that began with loop_timer_add(); those that were missed are lost.
static void run_timers(struct loop *loop)
{
	while (loop->n_timers > 0 && loop->heap[0]->due_ns <= loop->now_ns) {
		struct loop_timer *t = loop->heap[0];
		uint64_t missed = (loop->now_ns - t->due_ns) / t->period_ns;

		t->due_ns += (missed + 1) * t->period_ns;
		sift_down(loop, t);
		t->fn(t->arg);
	}
}

static void run_fds(const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		struct loop_fd *w = ev[i].data.ptr;

		if (w && !w->dead) // NULL: wake_fd
			w->fn(w->arg, ev[i].events);
	}
}

static uint64_t wait_ns(const struct loop *loop, uint64_t max_wait_ns)
{
	uint64_t due_ns;

	if (loop->clock)
		return 0;
	if (loop->n_timers == 0)
		return max_wait_ns;
	due_ns = loop->heap[0]->due_ns;
	if (due_ns <= loop->now_ns)
		return 0;
	return due_ns - loop->now_ns < max_wait_ns ? due_ns - loop->now_ns : max_wait_ns;
}

// epoll_pwait2() has nanoseconds, which short sleeps of the packet loop need; kernels before 5.11
// have milliseconds, rounded up so that a timer is due when the wait ends.
static int wait_epoll(int epfd, struct epoll_event *ev, int n, uint64_t ns)
{
	struct timespec ts = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
	uint64_t ms = ns / NS_PER_MS + (ns % NS_PER_MS != 0);
	int got;

	got = epoll_pwait2(epfd, ev, n, ns == UINT64_MAX ? NULL : &ts, NULL);
	if (got >= 0 || errno != ENOSYS)
		return got;
	if (ns == UINT64_MAX)
		return epoll_wait(epfd, ev, n, -1);
	return epoll_wait(epfd, ev, n, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

int loop_run_once(struct loop *loop, uint64_t max_wait_ns)
{
	struct epoll_event ev[BATCH];
	int n;

	loop->now_ns = read_clock(loop);
	n = wait_epoll(loop->epfd, ev, BATCH, wait_ns(loop, max_wait_ns));
	if (n < 0 && errno != EINTR)
		return -errno;
	loop->now_ns = read_clock(loop);
	loop->running = true;
	run_fds(ev, n);
	run_timers(loop);
	loop->running = false;
	free_fds(loop->dead);
	loop->dead = NULL;
	return 0;
}

// Nobody reads wake_fd: a loop that was stopped never sleeps again.
void loop_stop(struct loop *loop)
{
	static const uint64_t one = 1;
	int err = errno;

	loop->stopped = 1;
	if (write(loop->wake_fd, &one, sizeof(one)) < 0) // EAGAIN: it is readable already
		errno = err;
}

bool loop_stopped(const struct loop *loop)
{
	return loop->stopped;
}
