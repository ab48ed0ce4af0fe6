// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctl_print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_text.h"
#include "ctl_why.h"

enum { CELL_SIZE = 640, MAX_COLUMNS = 16 };

// A cell's text from a record; 'key' is the column's.
typedef void (*cell_fn)(const json_t *record, const char *key, char *text, size_t size);

struct column {
	const char *title;
	const char *key;
	cell_fn cell;
	int width;  // the least; of a streamed table, the usual
	bool right; // numbers
};

struct layout {
	const char *cmd;
	bool stream; // rows leave as they come
	const struct column *columns;
};

struct printer {
	const struct layout *layout; // NULL: "name value"
	bool why;                    // ctl_why.h prints
	json_t *records;             // kept for the end
	bool titled;
};

static void scalar(const json_t *value, char *text, size_t size)
{
	if (json_is_string(value))
		ctl_text(text, size, json_string_value(value));
	else if (json_is_integer(value))
		snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		snprintf(text, size, "%.3f", json_real_value(value));
	else if (json_is_boolean(value))
		ctl_text(text, size, json_is_true(value) ? "yes" : "no");
	else
		ctl_text(text, size, "-");
}

static void list(const json_t *array, char *text, size_t size)
{
	size_t len = 0;

	ctl_text(text, size, json_array_size(array) ? "" : "-");
	for (size_t i = 0; i < json_array_size(array) && len + 2 < size; i++) {
		if (i > 0)
			text[len++] = ',';
		scalar(json_array_get(array, i), text + len, size - len);
		len = strlen(text);
	}
}

static void member(const json_t *record, const char *key, char *text, size_t size)
{
	const json_t *value = json_object_get(record, key);

	if (json_is_array(value))
		list(value, text, size);
	else
		scalar(value, text, size);
	if (text[0] == '\0')
		ctl_text(text, size, "-");
}

static json_int_t number(const json_t *record, const char *key)
{
	return json_integer_value(json_object_get(record, key));
}

// "10.0.1.2:40000" or "[fd00::1]:53" from two members.
static size_t endpoint(
	const json_t *record, const char *addr_key, const char *port_key, char *text, size_t size)
{
	const char *addr = json_string_value(json_object_get(record, addr_key));
	const char *form = addr && strchr(addr, ':') ? "[%s]:%d" : "%s:%d";
	int n = snprintf(text, size, form, addr ? addr : "?", (int)number(record, port_key));

	return n < 0 ? 0 : (size_t)n;
}

static void tuple(const json_t *record, const char *key, char *text, size_t size)
{
	size_t len = endpoint(record, "src", "sport", text, size);

	(void)key;
	if (len + 4 >= size)
		return;
	len += (size_t)snprintf(text + len, size - len, " -> ");
	endpoint(record, "dst", "dport", text + len, size - len);
}

// What the translation makes of the original direction's ends.
static void nat(const json_t *record, const char *key, char *text, size_t size)
{
	size_t len = 0;

	(void)key;
	ctl_text(text, size, "-");
	if (json_object_get(record, "nat_src")) {
		len = (size_t)snprintf(text, size, "src=");
		len += endpoint(record, "nat_src", "nat_sport", text + len, size - len);
	}
	if (json_object_get(record, "nat_dst") && len + 5 < size) {
		len += (size_t)snprintf(text + len, size - len, "%sdst=", len ? "," : "");
		endpoint(record, "nat_dst", "nat_dport", text + len, size - len);
	}
}

static void path(const json_t *record, const char *key, char *text, size_t size)
{
	char in[64], out[64];

	(void)key;
	if (!json_object_get(record, "in")) {
		ctl_text(text, size, "-");
		return;
	}
	member(record, "in", in, sizeof(in));
	member(record, "out", out, sizeof(out));
	snprintf(text, size, "%s>%s", in, out);
}

// "original/reply" of a counter.
static void both(const json_t *record, const char *key, char *text, size_t size)
{
	snprintf(text, size, "%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT,
		number(json_object_get(record, "original"), key),
		number(json_object_get(record, "reply"), key));
}

static void seconds(const json_t *record, const char *key, char *text, size_t size)
{
	snprintf(text, size, "%" JSON_INTEGER_FORMAT "s", number(record, key));
}

static void queues(const json_t *record, const char *key, char *text, size_t size)
{
	(void)key;
	snprintf(text, size, "%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT,
		number(record, "rx_queues"), number(record, "tx_queues"));
}

// What the class's rate had no room for stands behind a minus.
static void classes(const json_t *record, const char *key, char *text, size_t size)
{
	static const char *const words[] = {"control", "new", "rest"};
	char passed[32], limited[32];
	size_t len = 0;

	(void)key;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && len < size; i++) {
		snprintf(passed, sizeof(passed), "punted_%s", words[i]);
		snprintf(limited, sizeof(limited), "limited_%s", words[i]);
		len += (size_t)snprintf(text + len, size - len, "%s%" JSON_INTEGER_FORMAT,
			i != 0 ? "/" : "", number(record, passed));
		if (number(record, limited) != 0 && len < size)
			len += (size_t)snprintf(text + len, size - len, "-%" JSON_INTEGER_FORMAT,
				number(record, limited));
	}
}

static void dropped(const json_t *record, const char *key, char *text, size_t size)
{
	static const char *const keys[] = {
		"rx_missed", "rx_errors", "rx_nombuf", "tx_errors", "tx_dropped", "twin_dropped",
		"limited_control", "limited_new", "limited_rest"};
	json_int_t sum = 0;

	(void)key;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		sum += number(record, keys[i]);
	snprintf(text, size, "%" JSON_INTEGER_FORMAT, sum);
}

static void busy(const json_t *record, const char *key, char *text, size_t size)
{
	double polls = (double)number(record, "busy_polls");
	double all = polls + (double)number(record, "idle_polls");

	(void)key;
	snprintf(text, size, "%.1f%%", all > 0 ? 100 * polls / all : 0.0);
}

static void punted(const json_t *record, const char *key, char *text, size_t size)
{
	json_int_t sum = 0;
	const char *word;
	json_t *value;

	json_object_foreach(json_object_get(record, key), word, value) sum +=
		json_integer_value(value);
	snprintf(text, size, "%" JSON_INTEGER_FORMAT, sum);
}

static const struct column flow_columns[] = {
	{"PROTO", "proto", member, 5, false},
	{"ORIGINAL", NULL, tuple, 42, false},
	{"NAT", NULL, nat, 25, false},
	{"PATH", NULL, path, 13, false},
	{"REASON", "reason", member, 15, false},
	{"PACKETS", "packets", both, 17, true},
	{"BYTES", "bytes", both, 21, true},
	{"IDLE", "idle_s", seconds, 6, true},
	{NULL, NULL, NULL, 0, false},
};

static const struct column reason_columns[] = {
	{"CONNECTIONS", "connections", member, 0, true},
	{"REASON", "reason", member, 0, false},
	{"MEANING", "reason_text", member, 0, false},
	{NULL, NULL, NULL, 0, false},
};

static const struct column problem_columns[] = {
	{"PROBLEM", "problem", member, 0, false},
	{"OF", "subject", member, 0, false},
	{"WHAT TO DO", "text", member, 0, false},
	{NULL, NULL, NULL, 0, false},
};

static const struct column flowtable_columns[] = {
	{"SOURCE", "source", member, 0, false},
	{"FAMILY", "family", member, 0, false},
	{"TABLE", "table", member, 0, false},
	{"NAME", "name", member, 0, false},
	{"HOOK", "hook", member, 0, false},
	{"PRIORITY", "priority", member, 0, true},
	{"RULES", "rules", member, 0, true},
	{"FLAGS", "flags", member, 0, false},
	{"MARK", "mark", member, 0, false},
	{"DEVICES", "devices", member, 0, false},
	{NULL, NULL, NULL, 0, false},
};

static const struct column port_columns[] = {
	{"NAME", "name", member, 0, false},
	{"LINK", "link", member, 0, false},
	{"MBIT/S", "link_mbps", member, 0, true},
	{"MTU", "mtu_bytes", member, 0, true},
	{"RXQ/TXQ", NULL, queues, 0, true},
	{"RX", "rx_packets", member, 0, true},
	{"OFFLOADED", "offloaded_packets", member, 0, true},
	{"PUNTED", "punted_packets", member, 0, true},
	{"CONTROL/NEW/REST", NULL, classes, 0, true},
	{"INJECTED", "injected_packets", member, 0, true},
	{"TX", "tx_packets", member, 0, true},
	{"DROPPED", NULL, dropped, 0, true},
	{"MAC", "mac", member, 0, false},
	{"DRIVER", "driver", member, 0, false},
	{"TWIN", "twin_driver", member, 0, false},
	{"DEVICE", "device", member, 0, false},
	{NULL, NULL, NULL, 0, false},
};

static const struct column worker_columns[] = {
	{"LCORE", "lcore", member, 0, true},
	{"RXQ", "rx_queues", member, 0, true},
	{"PACKETS", "packets", member, 0, true},
	{"OFFLOADED", "offloaded_packets", member, 0, true},
	{"PUNTED", "punts", punted, 0, true},
	{"BUSY", NULL, busy, 0, true},
	{"BUSY-POLLS", "busy_polls", member, 0, true},
	{"IDLE-POLLS", "idle_polls", member, 0, true},
	{"BUSY-CYCLES", "busy_cycles", member, 0, true},
	{NULL, NULL, NULL, 0, false},
};

static const struct column help_columns[] = {
	{"COMMAND", "cmd", member, 0, false},
	{"SHOWS", "help", member, 0, false},
	{NULL, NULL, NULL, 0, false},
};

_Static_assert(sizeof(port_columns) <= (MAX_COLUMNS + 1) * sizeof(struct column), "the longest");

static const struct layout layouts[] = {
	{"show flows", true, flow_columns},
	{"show reasons", false, reason_columns},
	{"show problems", false, problem_columns},
	{"show flowtables", false, flowtable_columns},
	{"show ports", false, port_columns},
	{"show workers", false, worker_columns},
	{"help", false, help_columns},
};

struct printer *printer_create(const char *cmd)
{
	struct printer *printer = calloc(1, sizeof(*printer));

	if (!printer)
		return NULL;
	printer->records = json_array();
	printer->why = strcmp(cmd, "why") == 0;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		if (strcmp(layouts[i].cmd, cmd) == 0)
			printer->layout = &layouts[i];
	}
	return printer;
}

void printer_destroy(struct printer *printer)
{
	if (!printer)
		return;
	json_decref(printer->records);
	free(printer);
}

// Prints a cell and returns how far it went beyond 'width'. The last column is not padded.
static int print_cell(const struct column *column, const char *text, int width)
{
	bool last = !column[1].title;
	int len = (int)strlen(text);

	if (width < 0)
		width = 0;
	printf("%*s%s", column->right ? width : last ? 0 : -width, text, last ? "\n" : "  ");
	return len > width ? len - width : 0;
}

// What a cell takes too much, those behind it give up, so that columns come back into line.
static void print_row(const struct column *columns, const json_t *record, const int *widths)
{
	char text[CELL_SIZE];
	int over = 0;

	for (int c = 0; columns[c].title; c++) {
		int width = widths ? widths[c] : columns[c].width;

		if (record)
			columns[c].cell(record, columns[c].key, text, sizeof(text));
		else
			ctl_text(text, sizeof(text), columns[c].title);
		over = print_cell(&columns[c], text, width - over);
	}
}

static void widen(const struct column *columns, const json_t *record, int *widths)
{
	char text[CELL_SIZE];

	for (int c = 0; columns[c].title; c++) {
		int width;

		columns[c].cell(record, columns[c].key, text, sizeof(text));
		width = (int)strlen(text);
		if (width > widths[c])
			widths[c] = width;
	}
}

// Members of nested objects get a name of both: "ports.rx_packets".
static void print_members(const json_t *object, const char *prefix)
{
	char name[256], text[CELL_SIZE];
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
		if (json_is_object(value)) {
			print_members(value, name);
		} else {
			member(object, key, text, sizeof(text));
			printf("%-36s %s\n", name, text);
		}
	}
}

static void print_notice(const json_t *record)
{
	char text[CELL_SIZE];

	member(record, "notice", text, sizeof(text));
	printf("notice: %s\n", text);
}

static void print_titles(struct printer *printer)
{
	if (!printer->titled)
		print_row(printer->layout->columns, NULL, NULL);
	printer->titled = true;
}

void printer_add(struct printer *printer, const json_t *record)
{
	if (printer->why) {
		why_print(record);
	} else if (!printer->layout) {
		print_members(record, "");
	} else if (printer->layout->stream) {
		print_titles(printer);
		print_row(printer->layout->columns, record, NULL);
	} else {
		json_array_append(printer->records, (json_t *)(uintptr_t)record);
	}
}

static void print_table(const struct printer *printer)
{
	const struct column *columns = printer->layout->columns;
	int widths[MAX_COLUMNS] = {0};
	const json_t *record;
	size_t i, rows = 0;

	for (int c = 0; columns[c].title; c++)
		widths[c] = (int)strlen(columns[c].title);
	json_array_foreach(printer->records, i, record)
	{
		if (!json_object_get(record, "notice")) {
			widen(columns, record, widths);
			rows++;
		}
	}
	if (rows > 0 || json_array_size(printer->records) == 0)
		print_row(columns, NULL, widths);
	json_array_foreach(printer->records, i, record)
	{
		if (json_object_get(record, "notice"))
			print_notice(record);
		else
			print_row(columns, record, widths);
	}
}

void printer_end(struct printer *printer)
{
	if (printer->layout && printer->layout->stream)
		print_titles(printer);
	else if (printer->layout)
		print_table(printer);
}
