// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl_why.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_text.h"

enum { NUMBER_MAX = 65535 };

static bool parse_number(const char *text, int *number)
{
	if (*text == '\0' || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
		return false;
	*number = atoi(text);
	return *number <= NUMBER_MAX;
}

// Splits 10.0.1.2:80, [fd00::1]:80, or either without port; an IPv6 address without port may do
// without its brackets. Changes 'text'; '*port' is 0 where there is none.
static bool split_end(char *text, char **addr, int *port)
{
	char *colon = strrchr(text, ':'), *close = strrchr(text, ']');

	*addr = text;
	*port = 0;
	if (*text == '[') {
		if (close == NULL || (close[1] != '\0' && close[1] != ':'))
			return false;
		*addr = text + 1;
		*close = '\0';
		return close[1] == '\0' || (parse_number(close + 2, port) && *port != 0);
	}
	if (colon == NULL || strchr(text, ':') != colon)
		return true;
	*colon = '\0';
	return parse_number(colon + 1, port) && *port != 0;
}

static bool put_end(json_t *request, const char *word, const char *addr_key, const char *port_key)
{
	char *text = strdup(word), *addr;
	bool good;
	int port;

	good = text != NULL && split_end(text, &addr, &port)
	       && json_object_set_new(request, addr_key, json_string(addr)) == 0
	       && (port == 0 || json_object_set_new(request, port_key, json_integer(port)) == 0);
	free(text);
	return good;
}

static json_t *refuse(
	json_t *request, char *err, size_t err_size, const char *what, const char *word)
{
	json_decref(request);
	snprintf(err, err_size, "%.80s%s%s", word, *word != '\0' ? ": " : "", what);
	return NULL;
}

static const char end_expected[] =
	"expected an address, with a port where there is one: 10.0.1.2:80 or [fd00::1]:80";

json_t *why_request_of(char **words, char *err, size_t err_size)
{
	json_t *request = json_pack("{s:s}", "cmd", "why");
	static const char *const keys[][2] = {{"src", "sport"}, {"dst", "dport"}};
	int zone;

	if (words[0] == NULL || words[1] == NULL)
		return refuse(request, err, err_size,
			"why: expected a protocol and an end, such as 'why tcp 10.0.1.2:40000 "
			"10.0.2.2:80'",
			"");
	json_object_set_new(request, "proto", json_string(words[0]));
	words++;
	for (int i = 0; i < 2 && *words != NULL && strcmp(*words, "zone") != 0; i++, words++)
		if (!put_end(request, *words, keys[i][0], keys[i][1]))
			return refuse(request, err, err_size, end_expected, *words);
	if (*words == NULL)
		return request;
	if (strcmp(*words, "zone") != 0)
		return refuse(request, err, err_size, "expected nothing more, or 'zone N'", *words);
	if (words[1] == NULL || !parse_number(words[1], &zone) || words[2] != NULL)
		return refuse(request, err, err_size, "expected one number of 0 to 65535", *words);
	json_object_set_new(request, "zone", json_integer(zone));
	return request;
}

// --- the answer ---

// Names may hold what moves a terminal.
static const char *text_of(const json_t *record, const char *key, char text[1024])
{
	const char *from = json_string_value(json_object_get(record, key));

	ctl_text(text, 1024, from != NULL ? from : "-");
	return text;
}

static void print_end(const json_t *record, const char *addr_key, const char *port_key)
{
	const char *addr = json_string_value(json_object_get(record, addr_key));
	const json_int_t port = json_integer_value(json_object_get(record, port_key));

	if (addr == NULL)
		return;
	printf(strchr(addr, ':') != NULL && port != 0 ? " [%s]" : " %s", addr);
	if (port != 0)
		printf(":%" JSON_INTEGER_FORMAT, port);
}

static void print_heading(const json_t *record)
{
	const bool src = json_object_get(record, "nat_src") != NULL;
	const bool dst = json_object_get(record, "nat_dst") != NULL;
	char text[1024];

	printf("%s", text_of(record, "proto", text));
	print_end(record, "src", "sport");
	print_end(record, "dst", "dport");
	printf("%s", src || dst ? ", translated" : "");
	printf("%s", src ? " from" : "");
	print_end(record, "nat_src", "nat_sport");
	printf("%s", dst ? " to" : "");
	print_end(record, "nat_dst", "nat_dport");
	printf("\n");
}

static void print_counters(const json_t *record)
{
	static const char *const dirs[] = {"original", "reply"};

	for (int d = 0; d < 2; d++) {
		const json_t *dir = json_object_get(record, dirs[d]);

		if (dir != NULL)
			printf("  %-9s %-18s %" JSON_INTEGER_FORMAT
			       " packets, %" JSON_INTEGER_FORMAT " bytes by the workers\n",
				"", dirs[d], json_integer_value(json_object_get(dir, "packets")),
				json_integer_value(json_object_get(dir, "bytes")));
	}
	if (json_object_get(record, "idle_s") != NULL)
		printf("  %-9s %-18s %" JSON_INTEGER_FORMAT " s\n", "", "idle",
			json_integer_value(json_object_get(record, "idle_s")));
}

void why_print(const json_t *record)
{
	const json_t *steps = json_object_get(record, "steps"), *step;
	char text[1024];
	size_t i;

	if (json_object_get(record, "notice") != NULL) {
		printf("notice: %s\n", text_of(record, "notice", text));
		return;
	}
	print_heading(record);
	json_array_foreach(steps, i, step)
	{
		printf("  %-9s", text_of(step, "answer", text));
		printf(" %-18s", text_of(step, "step", text));
		printf(" %s\n", text_of(step, "text", text));
	}
	print_counters(record);
	printf("%s\n", text_of(record, "verdict", text));
}
