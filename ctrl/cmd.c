// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd.h"

#include <stdlib.h>
#include <string.h>

#include "cmd_reload.h"
#include "cmd_why.h"
#include "dp_api.h"
#include "loop.h"
#include "mirror.h"
#include "problems.h"
#include "record.h"

enum { SLOTS_A_STEP = 64 };

#define COMMANDS(X)                                                                               \
	X("help", step_help, "this list")                                                         \
	X("version", step_version, "version of the daemon")                                       \
	X("show flows", step_flows, "connections, where they are and why")                        \
	X("show reasons", step_reasons, "how many connections are where, by reason")              \
	X("why", NULL, "of one connection: what forwards it, and for which reason")               \
	X("show problems", step_problems, "wrong set-ups, and what to do")                        \
	X("show flowtables", step_flowtables, "flowtables of nf_tables and of the configuration") \
	X("show ports", step_ports, "ports with their twins and counters")                        \
	X("show workers", step_workers, "workers with their load and counters")                   \
	X("show stats", step_stats, "totals")                                                     \
	X("show table", step_table, "an audit of the flow table")                                 \
	X("reload", NULL, "reads the configuration again and applies what is different")

struct cmd {
	const char *name;
	const char *help;
	// NULL: there is more to the request than its name
	int (*step)(struct sock_reply *reply, struct sock *sock, void *client);
};

// An answer under way; 'cursor' of the reply says what comes next.
struct answer {
	struct sock_reply reply;
	const struct cmd_ctx *ctx;
};

static int step_help(struct sock_reply *reply, struct sock *sock, void *client);

static const struct cmd_ctx *ctx_of(const struct sock_reply *reply)
{
	return ((const struct answer *)reply->ctx)->ctx;
}

static int step_version(struct sock_reply *reply, struct sock *sock, void *client)
{
	sock_emit(sock, client,
		json_pack("{s:s, s:s}", "name", "dpdk-nftoffload", "version",
			ctx_of(reply)->version));
	return 0;
}

static int step_flows(struct sock_reply *reply, struct sock *sock, void *client)
{
	const struct answer *answer = reply->ctx;
	const struct mirror *mirror = answer->ctx->mirror;
	uint64_t now_ns = loop_now_ns(answer->ctx->loop);
	uint32_t slots = mirror_slots(mirror);
	struct mirror_flow flow;

	for (int i = 0; i < SLOTS_A_STEP && reply->cursor < slots; i++, reply->cursor++) {
		if (mirror_get(mirror, (uint32_t)reply->cursor, &flow))
			sock_emit(sock, client, record_flow(&flow, now_ns));
	}
	return reply->cursor < slots;
}

static int step_reasons(struct sock_reply *reply, struct sock *sock, void *client)
{
	struct mirror_stats stats;

	mirror_stats(ctx_of(reply)->mirror, &stats);
	for (int i = 0; i < NFO_N_REASONS; i++)
		if (stats.by_reason[i] != 0)
			sock_emit(sock, client,
				record_reason((enum nfo_reason)i, stats.by_reason[i]));
	return 0;
}

static int step_problems(struct sock_reply *reply, struct sock *sock, void *client)
{
	struct diag found;

	problems_find(ctx_of(reply)->problems, &found);
	for (unsigned int i = 0; i < found.n; i++)
		sock_emit(sock, client, record_problem(&found.list[i]));
	return 0;
}

static int step_flowtables(struct sock_reply *reply, struct sock *sock, void *client)
{
	const struct mirror *mirror = ctx_of(reply)->mirror;
	const char *notice = mirror_nft_unsupported(mirror);

	if (reply->cursor < mirror_flowtables(mirror)) {
		const struct nft_flowtable *ft;

		ft = mirror_flowtable(mirror, (unsigned int)reply->cursor++);
		sock_emit(sock, client, record_flowtable(ft));
		return 1;
	}
	if (notice)
		sock_emit(sock, client, json_pack("{s:s}", "notice", notice));
	return 0;
}

static int step_ports(struct sock_reply *reply, struct sock *sock, void *client)
{
	unsigned int port = (unsigned int)reply->cursor++;
	struct dp_port_stats stats;
	struct dp_port_info info;

	if (port >= dp_ports())
		return 0;
	if (dp_port_info(port, &info) == 0 && dp_port_stats(port, &stats) == 0)
		sock_emit(sock, client, record_port(&info, &stats));
	return 1;
}

static int step_workers(struct sock_reply *reply, struct sock *sock, void *client)
{
	unsigned int worker = (unsigned int)reply->cursor++;
	struct dp_worker_stats stats;

	if (worker >= dp_workers())
		return 0;
	if (dp_worker_stats(worker, &stats) == 0)
		sock_emit(sock, client, record_worker(&stats));
	return 1;
}

static int step_stats(struct sock_reply *reply, struct sock *sock, void *client)
{
	sock_emit(sock, client, record_stats(ctx_of(reply)->mirror));
	return 0;
}

static int step_table(struct sock_reply *reply, struct sock *sock, void *client)
{
	(void)reply;
	sock_emit(sock, client, record_table());
	return 0;
}

static const struct cmd cmds[] = {
#define X(name, step, help) {name, help, step},
	COMMANDS(X)
#undef X
};

enum { N_CMDS = sizeof(cmds) / sizeof(cmds[0]) };

#define X(name, step, help) " '" name "'"
static const char known[] = "one of" COMMANDS(X);
#undef X

static int step_help(struct sock_reply *reply, struct sock *sock, void *client)
{
	const struct cmd *cmd = &cmds[reply->cursor++];

	sock_emit(sock, client, json_pack("{s:s, s:s}", "cmd", cmd->name, "help", cmd->help));
	return reply->cursor < N_CMDS;
}

static void done(struct sock_reply *reply)
{
	free(reply->ctx);
}

static struct sock_reply *start(const struct cmd *cmd, const struct cmd_ctx *ctx)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	if (!answer)
		return NULL;
	answer->ctx = ctx;
	answer->reply.step = cmd->step;
	answer->reply.done = done;
	answer->reply.ctx = answer;
	return &answer->reply;
}

struct sock_reply *cmd_request(
	void *arg, const json_t *request, const char **error, const char **expected)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));
	struct sock_reply *reply;

	*expected = NULL;
	for (int i = 0; name && i < N_CMDS; i++) {
		if (strcmp(cmds[i].name, name) != 0)
			continue;
		if (strcmp(name, "why") == 0)
			return cmd_why(arg, request, error, expected);
		if (strcmp(name, "reload") == 0)
			return cmd_reload(arg, request, error, expected);
		reply = start(&cmds[i], arg);
		*error = reply ? NULL : "no memory";
		return reply;
	}
	*error = name ? "unknown command" : "no command in the request";
	*expected = name ? known : "{\"cmd\": \"help\"}";
	return NULL;
}
