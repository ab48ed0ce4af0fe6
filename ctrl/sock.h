// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket: a unix stream socket that speaks JSON lines. A request is one line, a JSON
// object {"cmd": "show flows"}; the answer is one line for each record, a JSON object each, and a
// last line {"end": true} or {"error": "...", "expected": "..."}. Answers are produced as the
// client reads them, so that a million records need no memory; a client that does not read is
// dropped after a while and hurts nobody else. Control thread only.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct loop;
struct sock;

// One answer under way. 'step' is called whenever the client has room; it calls sock_emit() some
// times and returns 1 while there is more, 0 at the end, negative with 'error' to tell the client.
struct sock_reply {
	int (*step)(struct sock_reply *reply, struct sock *sock, void *client);
	void (*done)(struct sock_reply *reply); // frees it, at the end or when the client has gone
	void *ctx;                              // the command's own
	uint64_t cursor;                        // likewise
	const char *error;                      // static text
};

// Turns a request into a reply, or returns NULL with '*error' and '*expected' set (static text).
typedef struct sock_reply *(*sock_request_fn)(
	void *arg, const json_t *request, const char **error, const char **expected);

// Listens at 'path' (mode 0660). A stale socket file is replaced; one that answers belongs to a
// running daemon: NULL with errno EADDRINUSE. What is no socket is left alone: EEXIST. The directory
// of 'path' is made (mode 0755) if it is missing.
struct sock *sock_create(struct loop *loop, const char *path, sock_request_fn fn, void *arg);
void sock_destroy(struct sock *sock); // removes the file

// Appends one record to the client's answer; steals the reference. Called from 'step' only.
void sock_emit(struct sock *sock, void *client, json_t *record);
