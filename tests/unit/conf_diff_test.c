// SPDX-License-Identifier: GPL-2.0-or-later
// conf_diff.h: every key of the tables, changed; and sections that come and go.
#include "conf_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf_values.h"

#define PORTS "[port lan]\ndevice = net_tap0\n[port wan]\ndevice = net_tap1\n"

static struct conf now, next;
static struct conf_change told[64];
static unsigned int n_told;

static void parse(const char *text, struct conf *conf)
{
	char err[512];

	if (conf_parse("c", text, strlen(text), conf, err, sizeof(err)) < 0)
		fail_msg("%s", err);
}

static void tell(void *arg, const struct conf_change *change)
{
	(void)arg;
	told[n_told++] = *change;
}

// Returns how many are not live.
static unsigned int diff(const char *a, const char *b)
{
	conf_fini(&now);
	conf_fini(&next);
	parse(a, &now);
	parse(b, &next);
	n_told = 0;
	return conf_diff(&now, &next, tell, NULL);
}

static void check_told(unsigned int i, const char *section, const char *key, const char *from,
	const char *to, unsigned int line)
{
	assert_in_range(i, 0, n_told - 1);
	assert_string_equal(told[i].section, section);
	if (key == NULL)
		assert_null(told[i].key);
	else
		assert_string_equal(told[i].key, key);
	assert_string_equal(told[i].from, from);
	assert_string_equal(told[i].to, to);
	assert_int_equal(told[i].line, line);
}

static void nothing(void **state)
{
	(void)state;
	assert_int_equal(diff(PORTS, PORTS), 0);
	assert_int_equal(n_told, 0);
	// another order, comments, and defaults said aloud
	assert_int_equal(diff(PORTS, "# x\n[port wan]\ndevice = net_tap1\nmtu = 0\n[global]\nmbufs = 0\n"
				     "[port lan]\ndevice = net_tap0\n"),
		0);
	assert_int_equal(n_told, 0);
}

static const char *first_value(const struct conf_key *key)
{
	if (key->preset != NULL)
		return key->preset;
	return key->type == CONF_DEVICES ? "lan, wan" : key->type == CONF_MARK ? "1/1" : "net_tap0";
}

// A file in which key 'i' of 'section' has another value, or none has.
static void file_with(int kind, int i, char *text, size_t size)
{
	const struct conf_section *section = &conf_sections[kind];
	char value[16];
	int n = snprintf(text, size, "%s[%s%s]\n", kind == CONF_PORT ? "" : PORTS, section->name,
		kind == CONF_GLOBAL ? "" : " x");

	for (unsigned int k = 0; k < section->n_keys; k++) {
		const struct conf_key *key = &section->keys[k];

		n += snprintf(text + n, size - (size_t)n, "%s = %s\n", key->name,
			(int)k == i ? other_value(key, value, sizeof(value)) : first_value(key));
	}
}

static void each_key(void **state)
{
	char before[2048], after[2048];

	(void)state;
	for (int kind = 0; kind < CONF_N_SECTIONS; kind++) {
		const struct conf_section *section = &conf_sections[kind];

		file_with(kind, -1, before, sizeof(before));
		for (unsigned int i = 0; i < section->n_keys; i++) {
			const struct conf_key *key = &section->keys[i];
			const unsigned int head = kind == CONF_PORT ? 1 : 5;
			const bool live = key->reload == CONF_LIVE;

			assert_true(live || key->reload == CONF_RESTART);
			file_with(kind, (int)i, after, sizeof(after));
			assert_int_equal(diff(before, after), !live);
			assert_int_equal(n_told, 1);
			assert_string_equal(told[0].key, key->name);
			assert_int_equal(told[0].live, live);
			assert_string_not_equal(told[0].from, told[0].to);
			assert_int_equal(told[0].line, kind == CONF_FLOWTABLE ? head : head + 1 + i);
			// taken, there is no difference left, unless it needs a restart
			conf_take(&now, &next);
			n_told = 0;
			assert_int_equal(conf_diff(&now, &next, tell, NULL), !live);
			assert_int_equal(n_told, !live);
		}
	}
}

static void by_name(void **state)
{
	(void)state;
	assert_int_equal(diff(PORTS, "[port wan]\ndevice = net_tap1\npunt-new-pps = 500\n"
				     "[port lan]\ndevice = net_tap0\npromiscuous = no\n"),
		0);
	assert_int_equal(n_told, 2);
	check_told(0, "port wan", "punt-new-pps", "200000", "500", 3);
	check_told(1, "port lan", "promiscuous", "yes", "no", 6);
	conf_take(&now, &next);
	assert_string_equal(now.dp.port[0].name, "lan");
	assert_false(now.dp.port[0].promiscuous);
	assert_int_equal(now.dp.port[1].punt_pps[DP_PUNT_NEW], 500);
}

static void sections(void **state)
{
	(void)state;
	assert_int_equal(diff(PORTS, PORTS "[port dmz]\ndevice = net_tap2\n"), 1);
	check_told(0, "port dmz", NULL, "", "there", 5);
	assert_int_equal(diff(PORTS, "[port lan]\ndevice = net_tap0\n"), 1);
	check_told(0, "port wan", NULL, "there", "", 0);
	assert_int_equal(diff(PORTS, PORTS "[flowtable f]\ndevices = lan wan\nmark = 1/1\n"), 0);
	check_told(0, "flowtable f", NULL, "", "there", 5);
	conf_take(&now, &next);
	assert_int_equal(now.n_flowtables, 1);
	assert_int_equal(diff(PORTS "[flowtable f]\ndevices = lan wan\nmark = 1/1\n", PORTS), 0);
	check_told(0, "flowtable f", NULL, "there", "", 0);
	assert_int_equal(diff(PORTS "[flowtable f]\ndevices = lan wan\nmark = 1/1\n",
				 PORTS "[flowtable f]\ndevices = wan, lan\nmark = 0x2/0xf\n"),
		0);
	assert_int_equal(n_told, 1); // the order of devices says nothing
	check_told(0, "flowtable f", "mark", "0x1/0x1", "0x2/0xf", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),
		cmocka_unit_test(each_key),
		cmocka_unit_test(by_name),
		cmocka_unit_test(sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
