// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd_reload.h"

#include <stdlib.h>

#include "ctrl.h"
#include "reload.h"

// What has been changed; 'cursor' of the reply is the next to tell.
struct changes {
	struct sock_reply reply;
	json_t *list;
};

static void on_change(void *arg, const struct conf_change *change)
{
	struct changes *c = arg;

	json_array_append_new(c->list,
		json_pack("{s:s, s:s?, s:s, s:s}", "section", change->section, "key", change->key,
			"from", change->from, "to", change->to));
}

static int step(struct sock_reply *reply, struct sock *sock, void *client)
{
	const struct changes *c = reply->ctx;
	json_t *record = json_array_get(c->list, reply->cursor++);

	if (record != NULL)
		sock_emit(sock, client, json_incref(record));
	else if (json_array_size(c->list) == 0)
		sock_emit(sock, client, json_pack("{s:s}", "notice", "nothing is different"));
	return record != NULL;
}

static void done(struct sock_reply *reply)
{
	struct changes *c = reply->ctx;

	json_decref(c->list);
	free(c);
}

struct sock_reply *cmd_reload(
	const struct cmd_ctx *ctx, const json_t *request, const char **error, const char **expected)
{
	static char err[RELOAD_ERR_BYTES]; // the caller sends it at once
	struct changes *c = calloc(1, sizeof(*c));

	(void)request;
	(void)expected;
	if (c != NULL)
		c->list = json_array();
	if (c == NULL || c->list == NULL) {
		free(c);
		*error = "no memory";
		return NULL;
	}
	c->reply = (struct sock_reply){.step = step, .done = done, .ctx = c};
	if (ctrl_reload(ctx->ctrl, on_change, c, err, sizeof(err)) == 0)
		return &c->reply;
	done(&c->reply);
	*error = err;
	return NULL;
}
