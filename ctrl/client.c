// SPDX-License-Identifier: GPL-2.0-or-later
#include "client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

enum { IN_MAX = CLIENT_REQUEST_MAX + 1, BUFFER_MIN = 4096 }; // a request and its newline

// Bytes 'off' to 'len' of 'data' wait.
struct buffer {
	char *data;
	size_t off, len, size;
};

struct client {
	const struct client_conf *conf;
	struct loop_fd *watch;
	struct sock_reply *reply; // NULL: none under way
	struct buffer in, out;
	size_t scanned; // of 'in': no newline before
	uint64_t last_ns;
	int fd;
	bool eof;      // no more requests will come
	bool skipping; // the rest of a request that was too long
	bool more;     // the last turn ended with work left
	bool failed;   // no memory
};

static size_t waiting(const struct buffer *b)
{
	return b->len - b->off;
}

// Makes room for 'n' bytes more; -1 without memory.
static int reserve(struct buffer *b, size_t n)
{
	size_t size = b->size ? b->size : BUFFER_MIN;
	char *data;

	if (b->off > 0) {
		memmove(b->data, b->data + b->off, waiting(b));
		b->len -= b->off;
		b->off = 0;
	}
	while (size < b->len + n)
		size *= 2;
	if (size == b->size)
		return 0;
	data = realloc(b->data, size);
	if (!data)
		return -1;
	b->data = data;
	b->size = size;
	return 0;
}

static int append(const char *text, size_t len, void *arg)
{
	struct client *c = arg;

	if (c->out.len + len > c->out.size && reserve(&c->out, len) < 0)
		return -1;
	memcpy(c->out.data + c->out.len, text, len);
	c->out.len += len;
	return 0;
}

void client_emit(struct client *c, json_t *record)
{
	if (!record || json_dump_callback(record, append, c, JSON_COMPACT) < 0
		|| append("\n", 1, c) < 0)
		c->failed = true;
	json_decref(record);
}

static void emit_error(struct client *c, const char *error, const char *expected)
{
	json_t *record = json_pack("{s:s}", "error", error ? error : "failed");

	if (record && expected)
		json_object_set_new(record, "expected", json_string(expected));
	client_emit(c, record);
}

static void request(struct client *c, const char *line, size_t len)
{
	const char *error = NULL, *expected = NULL;
	json_t *json;

	json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(json)) {
		json_decref(json);
		emit_error(c, "the request is not a JSON object", "{\"cmd\": \"help\"}");
		return;
	}
	c->reply = c->conf->request(c->conf->request_arg, json, &error, &expected);
	json_decref(json);
	if (!c->reply)
		emit_error(c, error, expected);
}

static bool blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!memchr(" \t\r", line[i], 3))
			return false;
	}
	return true;
}

static void too_long(struct client *c)
{
	c->skipping = true;
	c->in.off = c->in.len = c->scanned = 0;
	emit_error(c, "the request is too long", "one line of at most 65536 bytes");
}

// Takes one line from the input. Returns false when there is no whole one.
static bool next_request(struct client *c)
{
	struct buffer *in = &c->in;
	size_t from = in->off + c->scanned;
	char *eol = in->len > from ? memchr(in->data + from, '\n', in->len - from) : NULL;
	const char *line = in->data + in->off;
	size_t len;

	if (!eol) {
		c->scanned = waiting(in);
		if (c->skipping)
			in->off = in->len = c->scanned = 0;
		else if (c->scanned == IN_MAX)
			too_long(c);
		return false;
	}
	len = (size_t)(eol - line);
	in->off += len + 1;
	c->scanned = 0;
	if (c->skipping)
		c->skipping = false;
	else if (!blank(line, len))
		request(c, line, len);
	return true;
}

static void step(struct client *c)
{
	struct sock_reply *reply = c->reply;
	int ret = reply->step(reply, c->conf->sock, c);

	if (ret > 0)
		return;
	if (ret < 0)
		emit_error(c, reply->error, NULL);
	else
		client_emit(c, json_pack("{s:b}", "end", 1));
	reply->done(reply);
	c->reply = NULL;
}

static void work(struct client *c)
{
	c->more = true;
	for (int i = 0; i < CLIENT_STEPS; i++) {
		if (c->failed || waiting(&c->out) >= CLIENT_HIGH_WATER)
			return;
		if (c->reply) {
			step(c);
		} else if (!next_request(c)) {
			c->more = false;
			return;
		}
	}
}

// Both return -1 when the connection is over.
static int transmit(struct client *c)
{
	ssize_t n;

	while (waiting(&c->out) > 0) {
		n = send(c->fd, c->out.data + c->out.off, waiting(&c->out),
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
		c->out.off += (size_t)n;
		c->last_ns = loop_now_ns(c->conf->loop);
	}
	c->out.off = c->out.len = 0;
	if (c->reply) // nothing to take yet: that is not the client's fault
		c->last_ns = loop_now_ns(c->conf->loop);
	return 0;
}

static int receive(struct client *c)
{
	size_t room = IN_MAX - waiting(&c->in);
	ssize_t n;

	if (room > BUFFER_MIN)
		room = BUFFER_MIN;
	if (reserve(&c->in, room) < 0)
		return -1;
	n = recv(c->fd, c->in.data + c->in.len, room, MSG_DONTWAIT);
	if (n > 0)
		c->in.len += (size_t)n;
	else if (n == 0)
		c->eof = true;
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		return -1;
	return 0;
}

// Waits for room while there is something to say, for requests otherwise.
static int arm(struct client *c)
{
	if (waiting(&c->out) > 0 || c->reply || c->more)
		return loop_fd_events(c->watch, EPOLLOUT);
	return c->eof ? -1 : loop_fd_events(c->watch, EPOLLIN);
}

static int turn(struct client *c, uint32_t events)
{
	if (events & (EPOLLHUP | EPOLLERR))
		return -1;
	if ((events & EPOLLIN) && receive(c) < 0)
		return -1;
	work(c);
	if (c->failed || transmit(c) < 0)
		return -1;
	return arm(c);
}

static void on_event(void *arg, uint32_t events)
{
	struct client *c = arg;

	if (turn(c, events) < 0)
		c->conf->gone(c->conf->sock, c);
}

struct client *client_create(const struct client_conf *conf, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->conf = conf;
	c->fd = fd;
	c->last_ns = loop_now_ns(conf->loop);
	c->watch = loop_fd_add(conf->loop, fd, EPOLLIN, on_event, c);
	if (!c->watch) {
		free(c);
		return NULL;
	}
	return c;
}

void client_destroy(struct client *c)
{
	if (!c)
		return;
	if (c->reply)
		c->reply->done(c->reply);
	loop_fd_del(c->watch);
	close(c->fd);
	free(c->in.data);
	free(c->out.data);
	free(c);
}

uint64_t client_idle_ns(const struct client *c)
{
	return loop_now_ns(c->conf->loop) - c->last_ns;
}

size_t client_memory(const struct client *c)
{
	return c->in.size + c->out.size;
}
