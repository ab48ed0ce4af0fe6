// SPDX-License-Identifier: GPL-2.0-or-later
// The listening side: the socket's file, who may come, and who is dropped. client.c has the rest.
#include "sock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "log.h"
#include "loop.h"

enum { MAX_CLIENTS = 64, BACKLOG = 64, MODE = 0660, DIR_MODE = 0755 };

static const uint64_t tick_ns = 1000000000;
static const uint64_t idle_limit_ns = 30 * 1000000000ull;

struct sock {
	struct loop *loop;
	struct loop_fd *watch;
	struct loop_timer *timer;
	int fd;
	bool bound;
	bool paused; // no descriptors left: accepting waits for the next tick
	dev_t dev;   // of the file, to remove no other's
	ino_t ino;
	struct client_conf client_conf;
	struct client *clients[MAX_CLIENTS];
	struct sockaddr_un addr;
};

void sock_emit(struct sock *sock, void *client, json_t *record)
{
	(void)sock;
	client_emit(client, record);
}

static struct client **find_slot(struct sock *sock, const struct client *client)
{
	for (int i = 0; i < MAX_CLIENTS; i++) {
		if (sock->clients[i] == client)
			return &sock->clients[i];
	}
	return NULL;
}

static void drop(struct sock *sock, struct client *client)
{
	*find_slot(sock, client) = NULL;
	client_destroy(client);
}

static void turn_away(int fd)
{
	static const char text[] = "{\"error\":\"too many clients\",\"expected\":"
				   "\"at most 64 at a time\"}\n";

	if (send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("sock", "a client too many did not get its answer: %m");
	close(fd);
}

static void add_client(struct sock *sock, int fd)
{
	struct client **slot = find_slot(sock, NULL);

	if (!slot) {
		turn_away(fd);
		return;
	}
	*slot = client_create(&sock->client_conf, fd);
	if (!*slot)
		close(fd);
}

static void on_connect(void *arg, uint32_t events)
{
	struct sock *sock = arg;

	(void)events;
	for (int i = 0; i < BACKLOG; i++) {
		int fd = accept4(sock->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			add_client(sock, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			log_warning("sock", "cannot take a client: %m");
			sock->paused = true;
			loop_fd_events(sock->watch, 0);
		}
		return;
	}
}

static void on_tick(void *arg)
{
	struct sock *sock = arg;

	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = sock->clients[i];

		if (client && client_idle_ns(client) > idle_limit_ns) {
			log_debug("sock", "dropped a client that neither asked nor read for 30 s");
			drop(sock, client);
		}
	}
	if (sock->paused) {
		sock->paused = false;
		loop_fd_events(sock->watch, EPOLLIN);
	}
}

static int set_address(struct sock *sock, const char *path)
{
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(sock->addr.sun_path)) {
		errno = len ? ENAMETOOLONG : ENOENT;
		return -1;
	}
	sock->addr.sun_family = AF_UNIX;
	memcpy(sock->addr.sun_path, path, len + 1);
	return 0;
}

// Makes the directory of the socket, not those above it.
static int make_directory(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	strcpy(dir, path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, DIR_MODE) < 0)
		return errno == EEXIST ? 0 : -1;
	return chmod(dir, DIR_MODE); // whatever the umask
}

// Does somebody answer at the address?
static bool in_use(const struct sock *sock)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return true;
	ret = connect(fd, (const struct sockaddr *)&sock->addr, sizeof(sock->addr));
	if (ret < 0 && errno == EAGAIN) // its backlog is full
		ret = 0;
	close(fd);
	return ret == 0;
}

static int remove_stale(const struct sock *sock)
{
	const char *path = sock->addr.sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	if (in_use(sock)) {
		errno = EADDRINUSE;
		return -1;
	}
	return unlink(path);
}

// Nobody can connect before listen(), so the mode is in force from the first client on.
static int start_listening(struct sock *sock)
{
	const char *path = sock->addr.sun_path;
	struct stat st;

	sock->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock->fd < 0)
		return -1;
	if (bind(sock->fd, (struct sockaddr *)&sock->addr, sizeof(sock->addr)) < 0)
		return -1;
	if (lstat(path, &st) < 0)
		return -1;
	sock->bound = true;
	sock->dev = st.st_dev;
	sock->ino = st.st_ino;
	if (chmod(path, MODE) < 0)
		return -1;
	return listen(sock->fd, BACKLOG);
}

static int watch(struct sock *sock)
{
	sock->watch = loop_fd_add(sock->loop, sock->fd, EPOLLIN, on_connect, sock);
	if (!sock->watch)
		return -1;
	sock->timer = loop_timer_add(sock->loop, tick_ns, on_tick, sock);
	return sock->timer ? 0 : -1;
}

struct sock *sock_create(struct loop *loop, const char *path, sock_request_fn fn, void *arg)
{
	struct sock *sock = calloc(1, sizeof(*sock));
	int err;

	if (!sock)
		return NULL;
	sock->loop = loop;
	sock->fd = -1;
	sock->client_conf = (struct client_conf){
		.loop = loop, .sock = sock, .request = fn, .request_arg = arg, .gone = drop};
	if (set_address(sock, path) == 0 && make_directory(path) == 0 && remove_stale(sock) == 0
		&& start_listening(sock) == 0 && watch(sock) == 0)
		return sock;
	err = errno;
	sock_destroy(sock);
	errno = err;
	return NULL;
}

static void remove_file(const struct sock *sock)
{
	const char *path = sock->addr.sun_path;
	struct stat st;

	if (sock->bound && lstat(path, &st) == 0 && st.st_dev == sock->dev
		&& st.st_ino == sock->ino)
		unlink(path);
}

void sock_destroy(struct sock *sock)
{
	if (!sock)
		return;
	for (int i = 0; i < MAX_CLIENTS; i++)
		client_destroy(sock->clients[i]);
	loop_timer_del(sock->timer);
	loop_fd_del(sock->watch);
	remove_file(sock);
	if (sock->fd >= 0)
		close(sock->fd);
	free(sock);
}
