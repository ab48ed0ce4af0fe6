// SPDX-License-Identifier: GPL-2.0-or-later
// reload.h: every key that is said to be applied is; and whatever is wrong with the file or refused by a
// port leaves everything as it was. The dataplane, the twins and the mirror are played here.
#include "reload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf_values.h"
#include "log.h"
#include "rtnl.h"

#define PORT(name) "[port " #name "]\ndevice = net_" #name "\n"
#define PORTS PORT(lan) PORT(wan)

enum { DEVICE_MTU = 1500 };

// What runs: all that a reload may touch.
static struct world {
	enum log_level level;
	uint32_t idle_sleep_us, dump_interval_ms, tcp_idle_s, udp_idle_s;
	unsigned int n_flowtables;
	struct conf_flowtable flowtable[CONF_MAX_FLOWTABLES];
	struct {
		bool promiscuous;
		uint16_t mtu;
		uint32_t twin_mtu;
		uint32_t punt_pps[DP_N_PUNT_CLASSES];
	} port[2];
} world;

// The call that fails: 0 for none. Each kind counts by itself.
static struct {
	unsigned int promiscuous, mtu, twin;
} fails;
static bool no_twin;
static bool flowtables_told;
static unsigned int n_changes, n_logged;
static char path[] = "/tmp/nfo-reload-test.XXXXXX", err[2048];
static struct conf conf;

static bool failing(unsigned int *step)
{
	return *step != 0 && --*step == 0;
}

int dp_port_info(unsigned int port, struct dp_port_info *info)
{
	*info = (struct dp_port_info){.mtu = world.port[port].mtu, .device_mtu = DEVICE_MTU};
	return 0;
}

int dp_port_set_promiscuous(unsigned int port, bool on)
{
	if (failing(&fails.promiscuous))
		return -ENOTSUP;
	world.port[port].promiscuous = on;
	return 0;
}

int dp_port_set_mtu(unsigned int port, uint16_t mtu)
{
	if (failing(&fails.mtu))
		return -EBUSY; // a driver may have to stop for it
	world.port[port].mtu = mtu;
	return 0;
}

void dp_port_set_punt(unsigned int port, const uint32_t pps[DP_N_PUNT_CLASSES])
{
	memcpy(world.port[port].punt_pps, pps, sizeof(world.port[port].punt_pps));
}

void dp_set_idle_sleep(uint32_t us)
{
	world.idle_sleep_us = us;
}

const struct rtnl_link *rtnl_link_by_name(const struct rtnl *rtnl, const char *name)
{
	static struct rtnl_link link[2];
	const int i = strcmp(name, "wan") == 0;

	(void)rtnl;
	link[i].ifindex = i + 1;
	return no_twin ? NULL : &link[i];
}

int rtnl_link_set_mtu(struct rtnl *rtnl, int ifindex, uint32_t mtu)
{
	(void)rtnl;
	if (failing(&fails.twin))
		return -EPERM;
	world.port[ifindex - 1].twin_mtu = mtu;
	return 0;
}

void log_set_level(enum log_level level)
{
	world.level = level;
}

void log_line(enum log_level level, const char *area, const char *fmt, ...)
{
	(void)area;
	(void)fmt;
	n_logged += level == LOG_ERROR;
}

// No more of the configuration than the mirror is given.
static void follow(void *arg, bool other_flowtables)
{
	const struct conf *c = arg;

	flowtables_told = other_flowtables;
	world.dump_interval_ms = c->dump_interval_ms;
	world.tcp_idle_s = c->tcp_idle_s;
	world.udp_idle_s = c->udp_idle_s;
	world.n_flowtables = c->n_flowtables;
	memcpy(world.flowtable, c->flowtable, sizeof(world.flowtable));
	for (unsigned int i = 0; i < CONF_MAX_FLOWTABLES; i++)
		world.flowtable[i].line = 0;
}

static struct reload r = {.conf = &conf, .follow = follow, .arg = &conf};

static void count(void *arg, const struct conf_change *change)
{
	(void)arg;
	(void)change;
	n_changes++;
}

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int reload(const char *text)
{
	write_file(text);
	n_changes = n_logged = 0;
	flowtables_told = false;
	return reload_file(&r, count, NULL, err, sizeof(err));
}

// As a start would: everything is what the file says.
static void start(const char *text)
{
	conf_fini(&conf);
	memset(&fails, 0, sizeof(fails));
	no_twin = false;
	write_file(text);
	if (conf_load(path, &conf, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	memset(&world, 0, sizeof(world));
	follow(&conf, true);
	world.level = conf.log_level;
	world.idle_sleep_us = conf.dp.idle_sleep_us;
	for (unsigned int i = 0; i < conf.dp.n_ports; i++) {
		const struct dp_port_conf *port = &conf.dp.port[i];

		world.port[i].promiscuous = port->promiscuous;
		world.port[i].mtu = port->mtu != 0 ? port->mtu : DEVICE_MTU;
		world.port[i].twin_mtu = world.port[i].mtu;
		dp_port_set_punt(i, port->punt_pps);
	}
}

// 'text' is refused because of 'why', and neither the world nor the configuration has changed.
static void refuses(const char *text, const char *why, unsigned int n_places)
{
	const struct world was = world;
	const struct conf was_conf = conf;

	assert_int_equal(reload(text), -1);
	assert_int_equal(n_changes, 0);
	assert_int_equal(n_logged, n_places + 1); // each, and that nothing is changed
	if (strstr(err, why) == NULL)
		fail_msg("'%s' without '%s'", err, why);
	assert_memory_equal(&world, &was, sizeof(was));
	assert_memory_equal(&conf, &was_conf, sizeof(was_conf));
}

// A file with the section, in which 'key' has another value than usual; NULL: none has.
static void file_with(int kind, const struct conf_key *key, char *text, size_t size)
{
	static const char *const usual[CONF_N_SECTIONS] = {
		[CONF_PORT] = "device = net_lan\n", [CONF_FLOWTABLE] = "devices = lan\nmark = 1/1\n"};
	const char *line = usual[kind] != NULL ? usual[kind] : "";
	int n = snprintf(text, size, "%s[%s%s]\n", kind == CONF_PORT ? "" : PORTS,
		conf_sections[kind].name, kind == CONF_GLOBAL ? "" : " lan");
	char value[16];

	for (; *line != '\0'; line = strchr(line, '\n') + 1)
		if (key == NULL || strncmp(line, key->name, strcspn(line, " ")) != 0)
			n += snprintf(text + n, size - (size_t)n, "%.*s\n", (int)strcspn(line, "\n"),
				line);
	if (key != NULL)
		n += snprintf(text + n, size - (size_t)n, "%s = %s\n", key->name,
			other_value(key, value, sizeof(value)));
	snprintf(text + n, size - (size_t)n, "%s", kind == CONF_PORT ? PORT(wan) : "");
}

static void each_key(void **state)
{
	char before[512], after[512], place[128];

	(void)state;
	for (int kind = 0; kind < CONF_N_SECTIONS; kind++) {
		file_with(kind, NULL, before, sizeof(before));
		for (unsigned int i = 0; i < conf_sections[kind].n_keys; i++) {
			const struct conf_key *key = &conf_sections[kind].keys[i];
			struct world was;

			file_with(kind, key, after, sizeof(after));
			start(before);
			was = world;
			if (key->reload == CONF_RESTART) {
				snprintf(place, sizeof(place), "] %s: ", key->name);
				refuses(after, place, 1);
				assert_non_null(strstr(err, " needs a restart"));
				continue;
			}
			assert_int_equal(reload(after), 0);
			assert_int_equal(n_changes, 1);
			assert_int_equal(flowtables_told, kind == CONF_FLOWTABLE);
			if (memcmp(&world, &was, sizeof(was)) == 0)
				fail_msg("%s is not applied", key->name);
			assert_int_equal(reload(after), 0);
			assert_int_equal(n_changes, 0);
			assert_int_equal(reload(before), 0); // and back
			assert_memory_equal(&world, &was, sizeof(was));
		}
	}
}

static void invalid(void **state)
{
	char place[128];

	(void)state;
	start(PORTS);
	snprintf(place, sizeof(place), "%s:6: punt-new-pps = 'x', expected", path);
	refuses(PORTS "promiscuous = no\npunt-new-pps = x\n", place, 1);
	refuses("[global]\nlog-level = debug\n", "without a [port NAME]", 1);
	refuses(PORTS "[flowtable f]\ndevices = dmz\nmark = 1/1\n", "unknown device 'dmz'", 1);
	unlink(path);
	assert_int_equal(reload_file(&r, count, NULL, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "No such file"));
}

// All that needs a restart is named, and what would not is not applied either.
static void restart(void **state)
{
	char text[512];

	(void)state;
	start(PORTS);
	snprintf(text, sizeof(text),
		"%s:2: [global] mbufs: 0 -> 2048 needs a restart; "
		"%s:5: [port lan] rx-desc: 512 -> 64 needs a restart; "
		"%s:8: [port dmz] is new, which needs a restart; "
		"%s: [port wan] is gone, which needs a restart",
		path, path, path, path);
	refuses("[global]\nmbufs = 2048\n"
		PORT(lan) "rx-desc = 64\npromiscuous = no\npunt-new-pps = 500\n"
		PORT(dmz), text, 4);
}

static void refused_by_ports(void **state)
{
	static const char other[] = PORT(lan) "mtu = 1400\npromiscuous = no\npunt-new-pps = 500\n"
		PORT(wan) "promiscuous = no\nmtu = 1300\n"
		"[global]\nidle-sleep-us = 1\ntcp-idle-s = 9\n";
	char place[128];

	(void)state;
	for (unsigned int port = 1; port <= 2; port++) {
		const char *const name = port == 1 ? "lan" : "wan";

		start(PORTS);
		fails.promiscuous = port;
		snprintf(place, sizeof(place), "%s:%u: [port %s] promiscuous: the port refuses it (",
			path, port == 1 ? 4 : 8, name);
		refuses(other, place, 1);
		fails.mtu = port;
		snprintf(place, sizeof(place), "%s:%u: [port %s] mtu: the port refuses it (Device or",
			path, port == 1 ? 3 : 9, name);
		refuses(other, place, 1);
		fails.twin = port;
		snprintf(place, sizeof(place), "[port %s] mtu: the port refuses it (Operation", name);
		refuses(other, place, 1);
	}
	no_twin = true;
	refuses(other, "[port lan] mtu: the port refuses it (No such device)", 1);
	no_twin = false;
	assert_int_equal(reload(other), 0); // and nothing stands in its way now
	assert_int_equal(n_changes, 7);
}

// Somebody has given a twin another MTU since: that is what a refusal goes back to.
static void mtu_of_twin(void **state)
{
	(void)state;
	start(PORTS);
	world.port[0].mtu = world.port[0].twin_mtu = 1200;
	fails.mtu = 2;
	refuses(PORT(lan) "mtu = 1400\n" PORT(wan) "mtu = 1300\n", "port wan", 1);
	assert_int_equal(reload(PORTS "punt-new-pps = 0\n"), 0);
	assert_int_equal(world.port[0].twin_mtu, 1200);
	assert_int_equal(reload(PORT(lan) "mtu = 1400\n" PORT(wan)), 0);
	assert_int_equal(world.port[0].twin_mtu, 1400);
	assert_int_equal(reload(PORTS), 0);
	assert_int_equal(world.port[0].twin_mtu, DEVICE_MTU);
}

// The order of ports in the file is nothing that their numbers depend on.
static void other_order(void **state)
{
	(void)state;
	start(PORTS);
	assert_int_equal(reload(PORT(wan) "promiscuous = no\n" PORT(lan) "punt-rest-pps = 700\n"), 0);
	assert_false(world.port[1].promiscuous);
	assert_true(world.port[0].promiscuous);
	assert_int_equal(world.port[0].punt_pps[DP_PUNT_REST], 700);
	assert_int_equal(world.port[1].punt_pps[DP_PUNT_REST], 0);
}

static void fixed_log_level(void **state)
{
	(void)state;
	start(PORTS);
	r.log_level_fixed = true;
	world.level = LOG_DEBUG; // by the command line
	assert_int_equal(reload(PORTS "[global]\nlog-level = error\n"), 0);
	assert_int_equal(n_changes, 0);
	assert_int_equal(world.level, LOG_DEBUG);
	r.log_level_fixed = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key),
		cmocka_unit_test(invalid),
		cmocka_unit_test(restart),
		cmocka_unit_test(refused_by_ports),
		cmocka_unit_test(mtu_of_twin),
		cmocka_unit_test(other_order),
		cmocka_unit_test(fixed_log_level),
	};
	const int fd = mkstemp(path);
	int ret;

	if (fd < 0)
		return 1;
	close(fd);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	conf_fini(&conf);
	return ret;
}
