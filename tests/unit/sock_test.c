// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/sock.c ctrl/client.c ctrl/loop.c ctrl/log.c
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sock_fixture.h"

static void answers(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"cmd\": \"count\", \"n\": 2}\n");
	assert_string_equal(hear(f, fd), "{\"i\":0}\n{\"i\":1}\n{\"end\":true}\n");
	say(fd, "{\"cmd\": \"count\", \"n\": 1}\r\n\n \r\n{\"cmd\": \"count\", \"n\": 0}\n");
	assert_string_equal(hear(f, fd), "{\"i\":0}\n{\"end\":true}\n{\"end\":true}\n");
	assert_int_equal(f->done, 3);
	close(fd);
}

static void many_requests_at_once(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	for (int i = 0; i < 100; i++)
		say(fd, "{\"cmd\": \"count\"}\n");
	assert_int_equal(strlen(hear(f, fd)), 100 * strlen("{\"end\":true}\n"));
	close(fd);
}

static void request_in_pieces(void **state)
{
	static const char text[] = "{\"cmd\": \"count\", \"n\": 1}\n";
	struct fixture *f = *state;
	int fd = dial(f);

	for (const char *p = text; *p; p++) {
		assert_string_equal(hear(f, fd), "");
		assert_int_equal(send(fd, p, 1, 0), 1);
	}
	assert_string_equal(hear(f, fd), "{\"i\":0}\n{\"end\":true}\n");
	close(fd);
}

#define NOT_JSON                                                                        \
	"{\"error\":\"the request is not a JSON object\",\"expected\":\"{\\\"cmd\\\": " \
	"\\\"help\\\"}\"}\n"

static void garbage_is_answered(void **state)
{
	static const char *const garbage[] = {"hello\n", "[1]\n", "{\"cmd\":\n", "\"x\"\n",
		"{\"a\":1,\"a\":2}\n", "{} {}\n", "\x80\xff\n", "{\"cmd\":\"\\u0000\"}\n"};
	struct fixture *f = *state;
	int fd = dial(f);

	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		say(fd, garbage[i]);
		assert_string_equal(hear(f, fd), NOT_JSON);
	}
	assert_int_equal(send(fd, "{\0}\n", 4, 0), 4);
	assert_string_equal(hear(f, fd), NOT_JSON);
	assert_int_equal(f->requests, 0);
	say(fd, "{}\n");
	assert_string_equal(hear(f, fd), "{\"error\":\"no cmd\",\"expected\":\"a cmd\"}\n");
	say(fd, "{\"cmd\": \"count\"}\n");
	assert_string_equal(hear(f, fd), "{\"end\":true}\n");
	close(fd);
}

static void error_within_an_answer(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"cmd\": \"fail\"}\n");
	assert_string_equal(hear(f, fd), "{\"i\":0}\n{\"error\":\"the kernel went away\"}\n");
	assert_int_equal(f->done, 1);
	close(fd);
}

// Sends a request of 'len' bytes without its newline; the kernel's buffer may need several turns.
static void say_long(struct fixture *f, int fd, size_t len)
{
	static const char head[] = "{\"cmd\":\"count\"";
	char *text = malloc(len + 1);
	size_t sent = 0;

	memset(text, ' ', len);
	memcpy(text, head, strlen(head));
	text[len - 1] = '}';
	text[len] = '\n';
	while (sent < len + 1) {
		ssize_t n = send(fd, text + sent, len + 1 - sent, MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		turns(f);
	}
	free(text);
}

static void request_length(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say_long(f, fd, CLIENT_REQUEST_MAX);
	assert_string_equal(hear(f, fd), "{\"end\":true}\n");
	say_long(f, fd, CLIENT_REQUEST_MAX + 1);
	assert_string_equal(hear(f, fd), "{\"error\":\"the request is too long\",\"expected\":"
					 "\"one line of at most 65536 bytes\"}\n");
	say_long(f, fd, 10 * CLIENT_REQUEST_MAX);
	assert_string_equal(hear(f, fd), "{\"error\":\"the request is too long\",\"expected\":"
					 "\"one line of at most 65536 bytes\"}\n");
	say(fd, "{\"cmd\": \"count\"}\n");
	assert_string_equal(hear(f, fd), "{\"end\":true}\n");
	close(fd);
}

static void half_a_request_at_the_end(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"cmd\": \"count\"}\n{\"cmd\": \"count\"}");
	shutdown(fd, SHUT_WR);
	assert_string_equal(hear(f, fd), "{\"end\":true}\n");
	assert_int_equal(f->requests, 1);
	assert_true(closed_by_peer(fd));
	close(fd);
}

// printf REQUEST | nc -N: no more requests, but the answer shall come, however long.
static void half_closed_client_gets_its_answer(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"cmd\": \"count\", \"n\": 50000}\n");
	shutdown(fd, SHUT_WR);
	hear(f, fd);
	assert_non_null(strstr(f->answer, "{\"i\":49999}\n{\"end\":true}\n"));
	assert_true(closed_by_peer(fd));
	close(fd);
}

static void client_gone_within_an_answer(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"cmd\": \"endless\"}\n");
	turns(f);
	assert_int_equal(f->done, 0);
	close(fd);
	turns(f);
	assert_int_equal(f->done, 1);
}

static void client_gone_within_a_search(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"cmd\": \"empty\", \"n\": 1000000}\n");
	turns(f);
	assert_int_equal(f->done, 0);
	close(fd);
	turns(f);
	assert_int_equal(f->done, 1);
}

static void too_many_clients(void **state)
{
	static const char sorry[] = "{\"error\":\"too many clients\",\"expected\":"
				    "\"at most 64 at a time\"}\n";
	struct fixture *f = *state;
	int fd[100];

	for (int i = 0; i < 100; i++) {
		fd[i] = dial(f);
		turns(f);
	}
	for (int i = 64; i < 100; i++) {
		assert_string_equal(hear(f, fd[i]), sorry);
		assert_true(closed_by_peer(fd[i]));
		close(fd[i]);
	}
	for (int i = 0; i < 64; i++) {
		say(fd[i], "{\"cmd\": \"count\"}\n");
		assert_string_equal(hear(f, fd[i]), "{\"end\":true}\n");
	}
	close(fd[7]);
	turns(f);
	fd[7] = dial(f);
	say(fd[7], "{\"cmd\": \"count\"}\n");
	assert_string_equal(hear(f, fd[7]), "{\"end\":true}\n");
	for (int i = 0; i < 64; i++)
		close(fd[i]);
}

static void client_that_never_reads(void **state)
{
	struct fixture *f = *state;
	int lazy = dial(f), other = dial(f);
	int steps;

	say(lazy, "{\"cmd\": \"endless\"}\n");
	turns(f);
	steps = f->steps;
	assert_in_range(f->memory, 1, 4 * CLIENT_HIGH_WATER);
	pass(f, 20);
	assert_int_equal(f->steps, steps); // nothing is produced for nobody
	say(other, "{\"cmd\": \"count\"}\n");
	assert_string_equal(hear(f, other), "{\"end\":true}\n");
	assert_int_equal(f->done, 1);
	pass(f, 12);
	assert_int_equal(f->done, 2);
	say(other, "{\"cmd\": \"count\"}\n");
	assert_string_equal(hear(f, other), "{\"end\":true}\n");
	close(lazy);
	close(other);
}

// Whoever takes something now and then may take as long as it likes.
static void slow_reader_is_kept(void **state)
{
	struct fixture *f = *state;
	static char some[300000];
	int fd = dial(f);

	say(fd, "{\"cmd\": \"endless\"}\n");
	turns(f);
	for (int i = 0; i < 5; i++) {
		pass(f, 25);
		assert_true(recv(fd, some, sizeof(some), 0) > 0);
		turns(f);
	}
	assert_int_equal(f->done, 0);
	assert_in_range(f->memory, 1, 4 * CLIENT_HIGH_WATER);
	close(fd);
}

// A reply without records must not keep the loop for itself: a turn has CLIENT_STEPS of it.
static void long_search_lets_others_in(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f), other = dial(f);

	turns(f);
	say(fd, "{\"cmd\": \"empty\", \"n\": 1000}\n");
	say(other, "{\"cmd\": \"count\"}\n");
	loop_run_once(f->loop, 0);
	assert_in_range(f->steps, 1, CLIENT_STEPS);
	assert_int_equal(f->done, 1); // the other one's
	pass(f, 31);                  // busy is not idle
	assert_string_equal(hear(f, fd), "{\"end\":true}\n");
	assert_int_equal(f->steps, 1001);
	close(fd);
	close(other);
}

static void idle_client_is_dropped(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f), half = dial(f);

	turns(f);
	pass(f, 15);
	say(half, "{");
	pass(f, 14);
	assert_false(closed_by_peer(fd));
	pass(f, 2);
	assert_true(closed_by_peer(fd));
	assert_true(closed_by_peer(half)); // half a request is nothing
	close(fd);
	close(half);
}

static void modes(void **state)
{
	struct fixture *f = *state;
	mode_t masks[] = {0, 022, 077};
	struct stat st;
	char run[64];

	snprintf(run, sizeof(run), "%s/run", f->dir);
	for (int i = 0; i < 3; i++) {
		mode_t old = umask(masks[i]);

		sock_destroy(f->sock);
		rmdir(run);
		f->sock = sock_create(f->loop, f->path, on_request, f);
		umask(old);
		assert_non_null(f->sock);
		assert_int_equal(stat(f->path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0660);
		assert_int_equal(stat(run, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
	}
}

static void socket_of_a_running_daemon(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_null(sock_create(f->loop, f->path, on_request, f));
	assert_int_equal(errno, EADDRINUSE);
	fd = dial(f); // and that one still answers
	say(fd, "{\"cmd\": \"count\"}\n");
	assert_string_equal(hear(f, fd), "{\"end\":true}\n");
	close(fd);
}

static void stale_socket(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int stale, fd;

	sock_destroy(f->sock);
	strcpy(addr.sun_path, f->path);
	stale = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(stale, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(stale);
	f->sock = sock_create(f->loop, f->path, on_request, f);
	assert_non_null(f->sock);
	fd = dial(f);
	say(fd, "{\"cmd\": \"count\"}\n");
	assert_string_equal(hear(f, fd), "{\"end\":true}\n");
	close(fd);
}

static void other_file_is_left_alone(void **state)
{
	struct fixture *f = *state;
	int fd;

	sock_destroy(f->sock);
	f->sock = NULL;
	fd = creat(f->path, 0600);
	close(fd);
	assert_null(sock_create(f->loop, f->path, on_request, f));
	assert_int_equal(errno, EEXIST);
	assert_int_equal(unlink(f->path), 0);
}

// Somebody replaced the file: it is not ours to remove.
static void file_of_another_is_left_alone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(unlink(f->path), 0);
	close(creat(f->path, 0600));
	sock_destroy(f->sock);
	f->sock = NULL;
	assert_int_equal(unlink(f->path), 0);
}

static void bad_paths(void **state)
{
	struct fixture *f = *state;
	char path[200];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	assert_null(sock_create(f->loop, path, on_request, f));
	assert_int_equal(errno, ENAMETOOLONG);
	assert_null(sock_create(f->loop, "", on_request, f));
	assert_int_equal(errno, ENOENT);
	assert_null(sock_create(f->loop, "/nonexistent/a/b", on_request, f));
	assert_int_equal(errno, ENOENT);
	sock_destroy(NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers),
		TEST(many_requests_at_once),
		TEST(request_in_pieces),
		TEST(garbage_is_answered),
		TEST(error_within_an_answer),
		TEST(request_length),
		TEST(half_a_request_at_the_end),
		TEST(half_closed_client_gets_its_answer),
		TEST(client_gone_within_an_answer),
		TEST(client_gone_within_a_search),
		TEST(too_many_clients),
		TEST(client_that_never_reads),
		TEST(slow_reader_is_kept),
		TEST(long_search_lets_others_in),
		TEST(idle_client_is_dropped),
		TEST(modes),
		TEST(socket_of_a_running_daemon),
		TEST(stale_socket),
		TEST(other_file_is_left_alone),
		TEST(file_of_another_is_left_alone),
		TEST(bad_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
