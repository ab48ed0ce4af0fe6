// SPDX-License-Identifier: GPL-2.0-or-later
// For sock_test.c: a control socket under a clock of the test's, commands that answer in odd ways,
// and clients of it.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "client.h"
#include "loop.h"
#include "sock.h"

enum { TURNS = 50, ANSWER_MAX = 1 << 20 };

static const uint64_t second_ns = 1000000000;

struct fixture {
	struct loop *loop;
	struct sock *sock;
	uint64_t now_ns;
	char dir[32];
	char path[64];
	int requests;
	int steps;
	int done;
	size_t memory; // the most that a client had
	char answer[ANSWER_MAX];
};

static uint64_t fake_clock(void *arg)
{
	return ((struct fixture *)arg)->now_ns;
}

// "count" sends the numbers below 'n'; "endless" never ends; "fail" fails after one record; "empty"
// takes 'n' steps without a record.
static int step_count(struct sock_reply *reply, struct sock *sock, void *client)
{
	uint64_t n = (uint64_t)(uintptr_t)reply->ctx;

	if (reply->cursor == n)
		return 0;
	sock_emit(sock, client, json_pack("{s:I}", "i", (json_int_t)reply->cursor++));
	return 1;
}

static struct fixture *current;

static int step_endless(struct sock_reply *reply, struct sock *sock, void *client)
{
	char text[900];

	(void)reply;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	current->steps++;
	for (int i = 0; i < 64; i++)
		sock_emit(sock, client, json_pack("{s:s}", "text", text));
	if (client_memory(client) > current->memory)
		current->memory = client_memory(client);
	return 1;
}

static int step_fail(struct sock_reply *reply, struct sock *sock, void *client)
{
	if (reply->cursor++ == 0) {
		sock_emit(sock, client, json_pack("{s:i}", "i", 0));
		return 1;
	}
	reply->error = "the kernel went away";
	return -1;
}

static int step_empty(struct sock_reply *reply, struct sock *sock, void *client)
{
	(void)sock;
	(void)client;
	current->steps++;
	return reply->cursor++ < (uint64_t)(uintptr_t)reply->ctx;
}

static void reply_done(struct sock_reply *reply)
{
	current->done++;
	free(reply);
}

static struct sock_reply *on_request(
	void *arg, const json_t *request, const char **error, const char **expected)
{
	const char *cmd = json_string_value(json_object_get(request, "cmd"));
	json_int_t n = json_integer_value(json_object_get(request, "n"));
	struct fixture *f = arg;
	struct sock_reply *reply;

	f->requests++;
	if (!cmd) {
		*error = "no cmd";
		*expected = "a cmd";
		return NULL;
	}
	reply = calloc(1, sizeof(*reply));
	reply->done = reply_done;
	reply->ctx = (void *)(uintptr_t)n;
	reply->step = strcmp(cmd, "endless") == 0 ? step_endless
		      : strcmp(cmd, "fail") == 0  ? step_fail
		      : strcmp(cmd, "empty") == 0 ? step_empty
						  : step_count;
	return reply;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/sock_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/run/ctl.sock", f->dir);
	f->now_ns = 1000 * second_ns;
	f->loop = loop_create();
	loop_set_clock(f->loop, fake_clock, f);
	f->sock = sock_create(f->loop, f->path, on_request, f);
	assert_non_null(f->sock);
	current = f;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char run[64];

	sock_destroy(f->sock);
	loop_destroy(f->loop);
	assert_int_equal(access(f->path, F_OK), -1); // removed
	snprintf(run, sizeof(run), "%s/run", f->dir);
	rmdir(run);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void turns(struct fixture *f)
{
	for (int i = 0; i < TURNS; i++)
		assert_int_equal(loop_run_once(f->loop, 0), 0);
}

static void pass(struct fixture *f, uint64_t seconds)
{
	f->now_ns += seconds * second_ns;
	turns(f);
}

static int dial(struct fixture *f)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

// What has come within some turns of the loop.
static const char *hear(struct fixture *f, int fd)
{
	size_t len = 0;
	ssize_t n;

	do {
		turns(f);
		n = recv(fd, f->answer + len, ANSWER_MAX - 1 - len, 0);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0);
	f->answer[len] = '\0';
	return f->answer;
}

static int closed_by_peer(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK) == 0;
}
