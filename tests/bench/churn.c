// SPDX-License-Identifier: GPL-2.0-or-later
// nfo-churn serve: echoes TCP and UDP on PORTS ports from FIRST_PORT on, until it is killed.
// nfo-churn call ADDRESS COUNT PARALLEL: COUNT short connections to it, PARALLEL at a time; each has some
// bytes echoed, which have to come back unchanged. By turns: UDP, TCP that the client closes, TCP that the
// server closes, TCP that the client resets. Prints 'COUNT connections, N failed, T ms'; fails with the
// first failure's reason on standard error.
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	FIRST_PORT = 7000,
	PORTS = 64,
	BYTES = 64, // of a message; its first one says whether the server is to close
	ROUNDS = 6,
	EVENTS = 256,
	RESEND_MS = 1000, // UDP
	GIVE_UP_MS = 60000,
};

enum kind { UDP, CLIENT_CLOSES, SERVER_CLOSES, CLIENT_RESETS, KINDS };

struct call {
	int fd; // -1: none
	enum kind kind;
	int round;
	uint32_t number;
	size_t got;
	int64_t since_ms, sent_ms;
	char sent[BYTES], received[BYTES];
};

static int poller;
static struct sockaddr_in server = {.sin_family = AF_INET};
static uint32_t begun, ended, failed;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int die(const char *what)
{
	fprintf(stderr, "nfo-churn: %s: %s\n", what, strerror(errno));
	return 1;
}

static int watch(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

// --- serve ---

// What epoll says of a socket of the server: its number, and what it is.
#define LISTENER (1ull << 32)
#define DATAGRAMS (2ull << 32)

static int open_port(int type, uint16_t port, uint64_t what)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
	const int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0
		|| bind(fd, (void *)&addr, sizeof(addr)) < 0)
		return -1;
	if (type == SOCK_STREAM && listen(fd, 4096) < 0)
		return -1;
	return watch(fd, EPOLLIN, (uint32_t)fd | what);
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		if (watch(fd, EPOLLIN, (uint32_t)fd) < 0)
			close(fd);
}

static void echo_datagrams(int fd)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[BYTES];
	ssize_t n;

	while ((n = recvfrom(fd, buf, sizeof(buf), 0, (void *)&from, &len)) >= 0)
		sendto(fd, buf, (size_t)n, 0, (void *)&from, len);
}

static void echo_stream(int fd)
{
	char buf[BYTES];
	const ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n || buf[0] == 'q')
		close(fd);
}

static int serve(void)
{
	struct epoll_event event[EVENTS];

	for (uint16_t port = FIRST_PORT; port < FIRST_PORT + PORTS; port++)
		if (open_port(SOCK_STREAM, port, LISTENER) < 0
			|| open_port(SOCK_DGRAM, port, DATAGRAMS) < 0)
			return die("port");
	for (;;) {
		const int n = epoll_wait(poller, event, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			const int fd = (int)(uint32_t)event[i].data.u64;

			if (event[i].data.u64 & LISTENER)
				accept_all(fd);
			else if (event[i].data.u64 & DATAGRAMS)
				echo_datagrams(fd);
			else
				echo_stream(fd);
		}
	}
}

// --- call ---

static void end_call(struct call *c, const char *failure)
{
	const struct linger reset = {.l_onoff = 1};

	if (failure != NULL && failed++ == 0)
		fprintf(stderr, "nfo-churn: connection %u, kind %d, round %d: %s\n", c->number, c->kind,
			c->round, failure);
	if (c->kind == CLIENT_RESETS)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(c->fd);
	c->fd = -1;
	ended++;
}

static void send_message(struct call *c)
{
	c->sent_ms = now_ms();
	if (send(c->fd, c->sent, BYTES, MSG_NOSIGNAL) != BYTES)
		end_call(c, strerror(errno));
}

static void next_round(struct call *c)
{
	c->got = 0;
	snprintf(c->sent, BYTES, "%c %u %d %ld", c->kind == SERVER_CLOSES && c->round == ROUNDS - 1 ? 'q' : 'e',
		c->number, c->round, random());
	send_message(c);
}

static void begin_call(struct call *c, uint32_t slot)
{
	*c = (struct call){.kind = begun % KINDS, .number = begun, .since_ms = now_ms()};
	begun++;
	server.sin_port = htons((uint16_t)(FIRST_PORT + c->number / KINDS % PORTS));
	c->fd = socket(AF_INET, (c->kind == UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || (connect(c->fd, (void *)&server, sizeof(server)) < 0 && errno != EINPROGRESS)
		|| watch(c->fd, c->kind == UDP ? EPOLLIN : EPOLLOUT, slot) < 0)
		end_call(c, strerror(errno));
	else if (c->kind == UDP)
		next_round(c);
}

static void connected(struct call *c, uint32_t slot)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = slot};
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err != 0 || epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event) < 0)
		end_call(c, strerror(err));
	else
		next_round(c);
}

static void receive(struct call *c)
{
	const ssize_t n = recv(c->fd, c->received + c->got, BYTES - c->got, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		const bool wanted = n == 0 && c->kind == SERVER_CLOSES && c->round == ROUNDS;

		end_call(c, wanted ? NULL : n == 0 ? "closed too early" : strerror(errno));
		return;
	}
	c->got += (size_t)n;
	if (c->got < BYTES)
		return;
	if (memcmp(c->sent, c->received, BYTES) != 0) {
		// the answer to a datagram that was sent twice
		if (c->kind != UDP)
			end_call(c, "came back changed");
		c->got = 0;
		return;
	}
	c->got = 0;
	if (++c->round < ROUNDS)
		next_round(c);
	else if (c->kind != SERVER_CLOSES)
		end_call(c, NULL);
}

static void look_after(struct call *calls, uint32_t parallel)
{
	const int64_t now = now_ms();

	for (uint32_t i = 0; i < parallel; i++) {
		struct call *c = &calls[i];

		if (c->fd >= 0 && now > c->since_ms + GIVE_UP_MS)
			end_call(c, "no answer");
		else if (c->fd >= 0 && c->kind == UDP && now > c->sent_ms + RESEND_MS)
			send_message(c);
	}
}

static int call(uint32_t count, uint32_t parallel)
{
	struct call *calls = calloc(parallel, sizeof(*calls));
	const int64_t start_ms = now_ms();
	struct epoll_event event[EVENTS];
	int64_t look_ms = start_ms;

	if (calls == NULL)
		return die("memory");
	for (uint32_t i = 0; i < parallel; i++)
		calls[i].fd = -1;
	while (ended < count) {
		int n;

		for (uint32_t i = 0; i < parallel && begun < count; i++)
			if (calls[i].fd < 0)
				begin_call(&calls[i], i);
		n = epoll_wait(poller, event, EVENTS, 100);
		for (int i = 0; i < n; i++) {
			struct call *c = &calls[event[i].data.u64];

			if (event[i].events & EPOLLOUT)
				connected(c, (uint32_t)event[i].data.u64);
			else
				receive(c);
		}
		if (now_ms() > look_ms + 200) {
			look_after(calls, parallel);
			look_ms = now_ms();
		}
	}
	free(calls);
	printf("%u connections, %u failed, %lld ms\n", count, failed, (long long)(now_ms() - start_ms));
	return failed != 0;
}

int main(int argc, char **argv)
{
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		return die("epoll");
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	if (argc == 5 && strcmp(argv[1], "call") == 0 && inet_pton(AF_INET, argv[2], &server.sin_addr) == 1)
		return call((uint32_t)strtoul(argv[3], NULL, 0), (uint32_t)strtoul(argv[4], NULL, 0));
	fprintf(stderr, "usage: nfo-churn serve | nfo-churn call ADDRESS COUNT PARALLEL\n");
	return 2;
}
