// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

struct daemon {
	FILE *lines;
	char *line;
	size_t room;
};

struct daemon *daemon_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = 20};
	struct daemon *d;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return NULL;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		abort();
	d->lines = fdopen(fd, "r");
	return d;
}

void daemon_close(struct daemon *d)
{
	if (d == NULL)
		return;
	fclose(d->lines);
	free(d->line);
	free(d);
}

static bool ask(struct daemon *d, const char *command)
{
	return dprintf(fileno(d->lines), "{\"cmd\": \"%s\"}\n", command) > 0;
}

// The next record, to be released with json_decref(); NULL at the end. 'broken' tells of a daemon
// that went away.
static json_t *next_record(struct daemon *d, bool *broken)
{
	json_t *record;

	*broken = getline(&d->line, &d->room, d->lines) < 0;
	if (*broken)
		return NULL;
	record = json_loads(d->line, 0, NULL);
	*broken = record == NULL || json_object_get(record, "error") != NULL;
	if (!*broken && json_object_get(record, "end") == NULL)
		return record;
	json_decref(record);
	return NULL;
}

static bool is_offloaded(const json_t *record)
{
	const char *state = json_string_value(json_object_get(record, "state"));

	return state != NULL && strcmp(state, "offloaded") == 0;
}

int daemon_offloaded(struct daemon *d, const uint16_t *ports, unsigned int n)
{
	json_t *record;
	bool broken;
	int found = 0;

	if (!ask(d, "show flows"))
		return -1;
	while ((record = next_record(d, &broken)) != NULL) {
		const json_int_t port = json_integer_value(json_object_get(record, "sport"));

		for (unsigned int i = 0; i < n && is_offloaded(record); i++) {
			found += ports[i] == port;
			if (ports[i] == port)
				break;
		}
		json_decref(record);
	}
	return broken ? -1 : found;
}

int64_t daemon_packets(struct daemon *d)
{
	int64_t packets = -1;
	json_t *record;
	bool broken;

	if (!ask(d, "show stats"))
		return -1;
	while ((record = next_record(d, &broken)) != NULL) {
		json_t *ports = json_object_get(record, "ports");

		packets = json_integer_value(json_object_get(ports, "offloaded_packets"));
		json_decref(record);
	}
	return packets;
}

static void explain_flow(const json_t *record)
{
	const char *names[] = {"proto", "src", "dst", "state", "reason", "in", "out"};

	fputs("#   ", stderr);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = json_string_value(json_object_get(record, names[i]));

		fprintf(stderr, " %s=%s", names[i], value ? value : "-");
	}
	fprintf(stderr, " sport=%d dport=%d\n",
		(int)json_integer_value(json_object_get(record, "sport")),
		(int)json_integer_value(json_object_get(record, "dport")));
}

void daemon_explain(struct daemon *d)
{
	json_t *record;
	bool broken;
	int n = 0;

	fputs("# the daemon's flows:\n", stderr);
	if (!ask(d, "show flows"))
		return;
	while ((record = next_record(d, &broken)) != NULL) {
		if (n++ < 20)
			explain_flow(record);
		json_decref(record);
	}
}
