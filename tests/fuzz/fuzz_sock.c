// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/client.c ctrl/loop.c ctrl/why_request.c
// Bytes as a client of the control socket sends them, in pieces of the first byte's size. Whatever
// comes, each line of the answer is a JSON object.
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "loop.h"
#include "why_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool gone;

// client.c calls what sock.c has.
void sock_emit(struct sock *sock, void *client, json_t *record)
{
	(void)sock;
	client_emit(client, record);
}

static void on_gone(struct sock *sock, struct client *client)
{
	(void)sock;
	gone = true;
	client_destroy(client);
}

static int step(struct sock_reply *reply, struct sock *sock, void *client)
{
	json_t *request = reply->ctx;

	sock_emit(sock, client, json_incref(request));
	return reply->cursor++ < 3;
}

static void done(struct sock_reply *reply)
{
	json_decref(reply->ctx);
	free(reply);
}

// What is refused has a reason, what is not has an address.
static void check_why(const json_t *request)
{
	const char *error = NULL, *expected = NULL;
	struct ct_match match;

	if (!why_request(request, &match, &error, &expected) && (error == NULL || expected == NULL))
		abort();
	if (error == NULL && match.tuple.family != NFO_IPV4 && match.tuple.family != NFO_IPV6)
		abort();
}

// Echoes the request some times.
static struct sock_reply *on_request(
	void *arg, const json_t *request, const char **error, const char **expected)
{
	struct sock_reply *reply;

	(void)arg;
	check_why(request);
	if (!json_object_get(request, "cmd")) {
		*error = "no cmd";
		*expected = "cmd";
		return NULL;
	}
	reply = calloc(1, sizeof(*reply));
	reply->step = step;
	reply->done = done;
	reply->ctx = json_deep_copy(request);
	return reply;
}

static uint64_t no_time(void *arg)
{
	(void)arg;
	return 1;
}

static void check_line(const char *line, size_t len)
{
	json_t *json = json_loadb(line, len, 0, NULL);

	if (!json_is_object(json))
		abort();
	json_decref(json);
}

static void drain(int fd)
{
	static char buf[1 << 20];
	static size_t len;
	ssize_t n = recv(fd, buf + len, sizeof(buf) - len, MSG_DONTWAIT);
	char *line = buf, *eol;

	if (gone && n <= 0)
		len = 0;
	if (n <= 0)
		return;
	len += (size_t)n;
	while ((eol = memchr(line, '\n', len - (size_t)(line - buf)))) {
		check_line(line, (size_t)(eol - line));
		line = eol + 1;
	}
	len -= (size_t)(line - buf);
	memmove(buf, line, len);
}

static void turn(struct loop *loop, int fd)
{
	if (loop_run_once(loop, 0) < 0)
		abort();
	drain(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_conf conf = {.request = on_request, .gone = on_gone};
	size_t piece = size > 0 ? 1 + 16 * (size_t)data[0] : 1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		abort();
	gone = false;
	conf.loop = loop_create();
	loop_set_clock(conf.loop, no_time, NULL);
	if (!client_create(&conf, pair[0]))
		abort();
	for (size_t pos = 1; pos < size && !gone;) {
		size_t n = size - pos < piece ? size - pos : piece;
		ssize_t sent = send(pair[1], data + pos, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		pos += sent > 0 ? (size_t)sent : 0;
		turn(conf.loop, pair[1]);
	}
	shutdown(pair[1], SHUT_WR);
	while (!gone)
		turn(conf.loop, pair[1]);
	drain(pair[1]);
	drain(pair[1]);
	close(pair[1]);
	loop_destroy(conf.loop);
	return 0;
}
