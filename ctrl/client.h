// SPDX-License-Identifier: GPL-2.0-or-later
// One connection of the control socket: its requests, the answer under way and both buffers.
// Private to sock.c. Control thread only.
//
// Bounds: a request line has CLIENT_REQUEST_MAX bytes at most. One answer is under way at a time,
// and nothing is read meanwhile. An answer is asked for more when less than CLIENT_HIGH_WATER bytes
// wait, and at most CLIENT_STEPS times a turn of the loop, so that a long listing stalls nobody.
#pragma once

#include <stdint.h>

#include "sock.h"

enum {
	CLIENT_REQUEST_MAX = 64 * 1024,
	CLIENT_HIGH_WATER = 64 * 1024,
	CLIENT_STEPS = 16,
};

struct client;

struct client_conf {
	struct loop *loop;
	struct sock *sock; // for 'step' and 'gone'
	sock_request_fn request;
	void *request_arg;
	// The connection ended: destroy it.
	void (*gone)(struct sock *sock, struct client *client);
};

// Takes over 'fd', which must not block, unless it returns NULL. 'conf' must outlive the client.
struct client *client_create(const struct client_conf *conf, int fd);
void client_destroy(struct client *client); // NULL is legal
// Time since it took some of an answer; every request has one.
uint64_t client_idle_ns(const struct client *client);
// Bytes of both buffers, for tests.
size_t client_memory(const struct client *client);
// Appends one line; steals the reference. NULL (no memory) ends the connection.
void client_emit(struct client *client, json_t *record);
