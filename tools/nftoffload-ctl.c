// SPDX-License-Identifier: GPL-2.0-or-later
// nftoffload-ctl: sends one command to the daemon's control socket and prints the answer. The
// protocol is in docs/socket.md.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "ctl_print.h"
#include "ctl_why.h"

#ifndef NFO_VERSION
#define NFO_VERSION "unknown"
#endif

enum { EXIT_OK, EXIT_REFUSED, EXIT_USAGE, EXIT_UNREACHABLE };
enum { ANSWER_TIMEOUT_S = 10, COMMAND_SIZE = 1024 };

static const char default_socket[] = "/run/dpdk-nftoffload/ctl.sock";

struct options {
	const char *socket;
	bool json;
	char command[COMMAND_SIZE];
	json_t *request; // NULL: {"cmd": command}
};

static void usage(FILE *out)
{
	fprintf(out,
		"Usage: nftoffload-ctl [-s SOCKET] [-j] COMMAND...\n"
		"Asks a running dpdk-nftoffload and prints its answer.\n"
		"\n"
		"  -s, --socket SOCKET  the daemon's socket (default %s)\n"
		"  -j, --json           print the records as they come, one JSON object a line\n"
		"  -h, --help           print this and end\n"
		"  -V, --version        print the version and end\n"
		"\n"
		"  why PROTO END [END] [zone N]\n"
		"                       what forwards a connection, and for which reason. PROTO is tcp,\n"
		"                       udp or gre; END is 10.0.1.2:80 or [fd00::1]:80, of packets of\n"
		"                       either direction, before or after NAT. Without port or second\n"
		"                       END: all connections that fit.\n"
		"\n"
		"Commands: help, version, why, show flows, show reasons, show problems,\n"
		"show flowtables, show ports, show workers, show stats, show table, reload. 'nftoffload-ctl\n"
		"help' asks the daemon for those it has.\n"
		"\n"
		"Exit status: 0 answered, 1 the daemon answered an error or the output failed,\n"
		"2 bad usage, 3 the daemon cannot be reached.\n",
		default_socket);
}

static int bad_usage(const char *what)
{
	fprintf(stderr, "nftoffload-ctl: %s\nTry 'nftoffload-ctl --help'.\n", what);
	return EXIT_USAGE;
}

static bool join(char *command, size_t size, char **words)
{
	size_t len = 0;

	for (; *words; words++) {
		int n = snprintf(command + len, size - len, "%s%s", len ? " " : "", *words);

		if (n < 0 || (size_t)n >= size - len)
			return false;
		len += (size_t)n;
	}
	return true;
}

// Returns -1 to go on, else the exit status.
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "s:jhV", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->socket = optarg;
			break;
		case 'j':
			o->json = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		case 'V':
			printf("nftoffload-ctl %s\n", NFO_VERSION);
			return EXIT_OK;
		default:
			fprintf(stderr, "Try 'nftoffload-ctl --help'.\n");
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return bad_usage("no command, expected one such as 'show flows'");
	if (strcmp(argv[optind], "why") == 0) {
		o->request = why_request_of(argv + optind + 1, o->command, sizeof(o->command));
		if (!o->request)
			return bad_usage(o->command);
		strcpy(o->command, "why");
		return -1;
	}
	if (!join(o->command, sizeof(o->command), argv + optind))
		return bad_usage("the command is too long");
	return -1;
}

static const char *advice(int err)
{
	switch (err) {
	case ENOENT:
		return "Is dpdk-nftoffload running? Its socket may be elsewhere: see 'socket' in "
		       "its "
		       "configuration and name it with -s.";
	case ECONNREFUSED:
		return "The socket was left behind: dpdk-nftoffload does not run any more.";
	case EACCES:
	case EPERM:
		return "The socket is for root and its group: try with sudo.";
	default:
		return "Is dpdk-nftoffload running?";
	}
}

static int unreachable(const char *socket_path, int err)
{
	fprintf(stderr, "nftoffload-ctl: cannot reach the daemon at %s: %s\n%s\n", socket_path,
		strerror(err), advice(err));
	return EXIT_UNREACHABLE;
}

static FILE *dial(const char *path)
{
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	FILE *stream;
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	stream = NULL;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		stream = fdopen(fd, "r");
	if (!stream) {
		int err = errno;

		close(fd);
		errno = err;
	}
	return stream;
}

// MSG_NOSIGNAL: a daemon too busy for us answers and closes before it reads; the answer counts.
static int send_request(int fd, const struct options *o)
{
	json_t *request =
		o->request ? json_incref(o->request) : json_pack("{s:s}", "cmd", o->command);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	int ret = -1;

	json_decref(request);
	if (!text) {
		errno = EINVAL; // not UTF-8
		return -1;
	}
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) >= 0 && send(fd, "\n", 1, MSG_NOSIGNAL) >= 0)
		ret = 0;
	free(text);
	return ret < 0 && errno == EPIPE ? 0 : ret;
}

static int refused(const json_t *record)
{
	const char *expected = json_string_value(json_object_get(record, "expected"));

	fprintf(stderr, "nftoffload-ctl: the daemon answers: %s\n",
		json_string_value(json_object_get(record, "error")));
	if (expected)
		fprintf(stderr, "expected %s\n", expected);
	return EXIT_REFUSED;
}

static int broken_answer(const char *why)
{
	fprintf(stderr, "nftoffload-ctl: the answer broke off: %s\n", why);
	return EXIT_UNREACHABLE;
}

// Returns -1 to go on, else the exit status.
static int take_line(const char *line, const struct options *o, struct printer *printer)
{
	json_t *record = json_loads(line, 0, NULL);
	int status = -1;

	if (!json_is_object(record))
		status = broken_answer("not a JSON object");
	else if (json_is_string(json_object_get(record, "error")))
		status = refused(record);
	else if (json_is_true(json_object_get(record, "end")))
		status = EXIT_OK;
	else if (o->json)
		fputs(line, stdout);
	else
		printer_add(printer, record);
	json_decref(record);
	return status;
}

static int read_answer(FILE *stream, const struct options *o, struct printer *printer)
{
	char *line = NULL;
	int status = -1;
	size_t size = 0;

	while (status < 0 && !ferror(stdout)) {
		errno = 0;
		if (getline(&line, &size, stream) >= 0)
			status = take_line(line, o, printer);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			status = broken_answer("nothing came for 10 s");
		else
			status = broken_answer(errno ? strerror(errno) : "the daemon hung up");
	}
	free(line);
	return status;
}

static int ask(FILE *stream, const struct options *o)
{
	struct printer *printer = printer_create(o->command);
	int status;

	if (!printer)
		return broken_answer(strerror(ENOMEM));
	status = read_answer(stream, o, printer);
	if (status == EXIT_OK && !o->json)
		printer_end(printer);
	printer_destroy(printer);
	return status;
}

int main(int argc, char **argv)
{
	struct options o = {.socket = default_socket};
	int status = parse_options(argc, argv, &o);
	FILE *stream;

	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_DFL); // 'nftoffload-ctl show flows | head' ends quietly
	stream = dial(o.socket);
	if (!stream)
		return unreachable(o.socket, errno);
	if (send_request(fileno(stream), &o) < 0)
		status = broken_answer(strerror(errno));
	else
		status = ask(stream, &o);
	fclose(stream);
	json_decref(o.request);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "nftoffload-ctl: cannot write the output: %s\n", strerror(errno));
		return EXIT_REFUSED;
	}
	return status;
}
