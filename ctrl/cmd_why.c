// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd_why.h"

#include <errno.h>
#include <stdlib.h>

#include "ct_find.h"
#include "loop.h"
#include "mirror.h"
#include "record.h"
#include "why.h"
#include "why_request.h"

enum { CONNECTIONS_MAX = 100 }; // of an answer

// 'cursor' of the reply counts the connections that have been explained.
struct question {
	struct sock_reply reply;
	const struct cmd_ctx *ctx;
	struct ct_find *find;
	struct ct_match match;
};

static void emit_untracked(const struct question *q, struct sock *sock, void *client)
{
	struct why why;

	why_untracked(q->match.zone, &why);
	sock_emit(sock, client, record_untracked(&q->match, &why));
}

static void emit(
	const struct question *q, const struct ct_conn *conn, struct sock *sock, void *client)
{
	struct mirror_flow flow;
	struct why why;
	const bool known = mirror_why(q->ctx->mirror, conn, &flow, &why);

	sock_emit(sock, client, record_why(&flow, known, &why, loop_now_ns(q->ctx->loop)));
}

static int step(struct sock_reply *reply, struct sock *sock, void *client)
{
	const struct question *q = reply->ctx;
	struct ct_conn conn;
	const int ret = ct_find_next(q->find, &conn);

	if (ret == 0)
		return 1;
	if (ret == -ENOENT) {
		if (reply->cursor == 0)
			emit_untracked(q, sock, client);
		return 0;
	}
	if (ret < 0) {
		reply->error = "conntrack's list broke off";
		return -1;
	}
	if (reply->cursor == CONNECTIONS_MAX) {
		sock_emit(sock, client,
			json_pack(
				"{s:s}", "notice", "there are more; name more of the connection"));
		return 0;
	}
	reply->cursor++;
	emit(q, &conn, sock, client);
	return 1;
}

static void done(struct sock_reply *reply)
{
	struct question *q = reply->ctx;

	ct_find_destroy(q->find);
	free(q);
}

struct sock_reply *cmd_why(
	const struct cmd_ctx *ctx, const json_t *request, const char **error, const char **expected)
{
	struct ct_match match;
	struct question *q;
	struct ct_stats stats;

	if (!why_request(request, &match, error, expected))
		return NULL;
	if (!mirror_ct_stats(ctx->mirror, &stats)) {
		*error = "conntrack is not followed";
		*expected = "a kernel with conntrack, and a daemon without --flows";
		return NULL;
	}
	q = calloc(1, sizeof(*q));
	if (q != NULL)
		q->find = ct_find_create(&match);
	if (q == NULL || q->find == NULL) {
		free(q);
		*error = "conntrack cannot be asked";
		return NULL;
	}
	q->ctx = ctx;
	q->match = match;
	q->reply = (struct sock_reply){.step = step, .done = done, .ctx = q};
	return &q->reply;
}
