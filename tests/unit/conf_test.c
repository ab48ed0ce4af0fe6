// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/conf.c ctrl/conf_key.c ctrl/ini.c ctrl/log.c
// CONFIG_REFERENCE is the path of config/config.ini.
#include "conf.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf_key.h"

static struct conf conf;
static char err[512];

static int parse(const char *text, size_t len)
{
	return conf_parse("c", text, len, &conf, err, sizeof(err));
}

#define PORT "[port lan]\ndevice = net_tap0\n"

static void defaults(void **state)
{
	static const char text[] = PORT;

	(void)state;
	assert_int_equal(parse(text, strlen(text)), 0);
	assert_string_equal(conf.file, "c");
	assert_ptr_equal(conf.dp.file, conf.file);
	assert_string_equal(conf.socket, "/run/dpdk-nftoffload/ctl.sock");
	assert_int_equal(conf.log_level, LOG_INFO);
	assert_int_equal(conf.dp.max_connections, 65536);
	assert_int_equal(conf.dp.mbufs, 0);
	assert_int_equal(conf.dp.idle_sleep_us, 50);
	assert_int_equal(conf.dump_interval_ms, 1000);
	assert_int_equal(conf.tcp_idle_s, 0);
	assert_int_equal(conf.udp_idle_s, 0);
	assert_int_equal(conf.netlink_buffer_kb, 0);
	assert_int_equal(conf.n_flowtables, 0);
	assert_int_equal(conf.dp.n_ports, 1);
	assert_string_equal(conf.dp.port[0].name, "lan");
	assert_string_equal(conf.dp.port[0].device, "net_tap0");
	assert_int_equal(conf.dp.port[0].twin, DP_TWIN_AUTO);
	assert_true(conf.dp.port[0].persist);
	assert_true(conf.dp.port[0].promiscuous);
	assert_int_equal(conf.dp.port[0].mtu, 0);
	assert_int_equal(conf.dp.port[0].rx_desc, 512);
	assert_int_equal(conf.dp.port[0].tx_desc, 512);
	assert_int_equal(conf.dp.port[0].rx_queues, 0);
	assert_int_equal(conf.dp.port[0].line, 1);
	assert_int_equal(conf.dp.port[0].device_line, 2);
	conf_fini(&conf);
}

// Every key with another value than its default; all forms of comments and white space.
static void all_values(void **state)
{
	static const char all[] = "; comment\r\n"
				  "  [ global ]  # comment\r\n"
				  "socket=/tmp/x#y\n"
				  "log-level = debug\n"
				  "\t max-connections\t=\t16777216\t# comment\n"
				  "mbufs = 1024\n"
				  "idle-sleep-us = 0\n"
				  "dump-interval-ms = 60000\n"
				  "tcp-idle-s = 32768\n"
				  "udp-idle-s = 1\n"
				  "netlink-buffer-kb = 4\n"
				  "[flowtable a]\n"
				  "mark = 0xF0/255\n"
				  "devices = lan ,wan\n"
				  "[port lan]\n"
				  "\n"
				  "device = net_tap0,iface=x\n"
				  "twin = virtio-user\n"
				  "persist = no\n"
				  "promiscuous = no\n"
				  "mtu = 9710\n"
				  "rx-desc = 64\n"
				  "tx-desc = 32768\n"
				  "rx-queues = 64\n"
				  "punt-control-pps = 100\n"
				  "punt-new-pps = 0\n"
				  "punt-rest-pps = 10000000\n"
				  "[port wan]\n"
				  "device = 0000:03:00.0";

	(void)state;
	assert_int_equal(parse(all, strlen(all)), 0);
	assert_string_equal(conf.socket, "/tmp/x#y");
	assert_int_equal(conf.log_level, LOG_DEBUG);
	assert_int_equal(conf.dp.max_connections, 16777216);
	assert_int_equal(conf.dp.mbufs, 1024);
	assert_int_equal(conf.dp.idle_sleep_us, 0);
	assert_int_equal(conf.dump_interval_ms, 60000);
	assert_int_equal(conf.tcp_idle_s, 32768);
	assert_int_equal(conf.udp_idle_s, 1);
	assert_int_equal(conf.netlink_buffer_kb, 4);
	assert_int_equal(conf.dp.n_ports, 2);
	assert_string_equal(conf.dp.port[0].device, "net_tap0,iface=x");
	assert_int_equal(conf.dp.port[0].twin, DP_TWIN_VIRTIO_USER);
	assert_int_equal(conf.dp.port[0].twin_line, 18);
	assert_int_equal(conf.dp.port[1].twin_line, 0);
	assert_int_equal(conf.dp.port[1].twin, DP_TWIN_AUTO);
	assert_int_equal(conf.dp.port[0].punt_pps[DP_PUNT_CONTROL], 100);
	assert_int_equal(conf.dp.port[0].punt_pps[DP_PUNT_NEW], 0);
	assert_int_equal(conf.dp.port[0].punt_pps[DP_PUNT_REST], 10000000);
	assert_int_equal(conf.dp.port[1].punt_pps[DP_PUNT_CONTROL], 20000);
	assert_int_equal(conf.dp.port[1].punt_pps[DP_PUNT_NEW], 200000);
	assert_int_equal(conf.dp.port[1].punt_pps[DP_PUNT_REST], 0);
	assert_false(conf.dp.port[0].persist);
	assert_false(conf.dp.port[0].promiscuous);
	assert_int_equal(conf.dp.port[0].mtu, 9710);
	assert_int_equal(conf.dp.port[0].rx_desc, 64);
	assert_int_equal(conf.dp.port[0].tx_desc, 32768);
	assert_int_equal(conf.dp.port[0].rx_queues, 64);
	assert_int_equal(conf.dp.port[0].line, 15);
	assert_int_equal(conf.dp.port[0].device_line, 17);
	assert_string_equal(conf.dp.port[1].device, "0000:03:00.0");
	assert_int_equal(conf.n_flowtables, 1);
	assert_string_equal(conf.flowtable[0].name, "a");
	assert_int_equal(conf.flowtable[0].n_devices, 2);
	assert_string_equal(conf.flowtable[0].device[0], "lan");
	assert_string_equal(conf.flowtable[0].device[1], "wan");
	assert_int_equal(conf.flowtable[0].mark_value, 0xf0);
	assert_int_equal(conf.flowtable[0].mark_mask, 0xff);
	assert_int_equal(conf.flowtable[0].line, 12);
	conf_fini(&conf);
}

struct bad {
	const char *text;
	const char *err;
};

#define SECTIONS "[global], [port NAME] or [flowtable NAME]"
#define PORT_NAME                                                                              \
	"expected an interface name: 1 to 15 characters without '/', ':', ',', '%' and white " \
	"space, not '.' or '..'"
#define MARK "expected VALUE/MASK with a mask that is not 0 and a value within it, such as 0x1/0x1"
#define FT(line) PORT "[flowtable f]\n" line "\n"

static const struct bad bad[] = {
	// lines
	{"[global\n", "c:1: no ']' after '[', expected [section] or [section NAME]"},
	{"[global] x\n", "c:1: text after ']', expected [section] or [section NAME]"},
	{"\n[]\n", "c:2: an empty section name, expected [section] or [section NAME]"},
	{PORT "mtu\n", "c:3: 'mtu', expected 'key = value', [section] or a comment"},
	{PORT "= 5\n", "c:3: nothing before '=', expected 'key = value'"},
	{PORT "mtu = # 5\n", "c:3: 'mtu' without a value, expected 'mtu = value'"},
	{PORT "mtu = \x01\n", "c:3: a control character (0x01), expected text and tabs"},
	{PORT "# \x7f\n", "c:3: a control character (0x7f), expected text and tabs"},
	{"#\r\r\n", "c:1: a control character (0x0d), expected text and tabs"},
	// sections
	{"", "c:1: the file ends without a [port NAME], expected at least one"},
	{"[global]\n\n# end\n", "c:3: the file ends without a [port NAME], expected at least one"},
	{"[ports]\n", "c:1: unknown section [ports], expected " SECTIONS},
	{"[global a]\n", "c:1: [global a], expected [global] without a name"},
	{"[port]\n", "c:1: [port] without a name, expected [port NAME]"},
	{"[flowtable ]\n", "c:1: [flowtable] without a name, expected [flowtable NAME]"},
	{"[global]\n[global]\n", "c:2: [global] again after line 1, expected it once"},
	{PORT "[port lan]\n", "c:3: [port lan] again after line 1, expected it once"},
	{FT("devices = lan\nmark = 1/1") "[flowtable f]\n",
		"c:6: [flowtable f] again after line 3, expected it once"},
	{"[port a/b]\n", "c:1: port name 'a/b', " PORT_NAME},
	{"[port .]\n", "c:1: port name '.', " PORT_NAME},
	{"[port ..]\n", "c:1: port name '..', " PORT_NAME},
	{"[port a b]\n", "c:1: port name 'a b', " PORT_NAME},
	{"[port a,b]\n", "c:1: port name 'a,b', " PORT_NAME},
	{"[port sixteen-letters-]\n", "c:1: port name 'sixteen-letters-', " PORT_NAME},
	{"[flowtable a b]\n",
		"c:1: flowtable name 'a b', expected 1 to 63 characters without white space"},
	{"[port lan]\n[port wan]\n",
		"c:1: [port lan] without 'device', expected 'device = a DPDK device of at most "
		"511 bytes, such as 0000:03:00.0'"},
	{FT("devices = lan"), "c:3: [flowtable f] without 'mark', expected 'mark = VALUE/MASK with "
			      "a mask that is not 0 and a value within it, such as 0x1/0x1'"},
	{FT("mark = 1/1"), "c:3: [flowtable f] without 'devices', expected 'devices = names of "
			   "[port] sections, such as 'lan, wan''"},
	// keys
	{"mtu = 5\n", "c:1: key 'mtu' outside of a section, expected " SECTIONS " before it"},
	{"[global]\nmax-connection = 5\n",
		"c:2: unknown key 'max-connection' in [global], expected 'max-connections'?"},
	{PORT "rxdesc = 64\n", "c:3: unknown key 'rxdesc' in [port], expected 'rx-desc'?"},
	{PORT "colour = 64\n", "c:3: unknown key 'colour' in [port], expected one of device, twin, "
			       "persist, promiscuous, mtu, rx-desc, tx-desc, rx-queues, "
			       "punt-control-pps, punt-new-pps, punt-rest-pps"},
	{PORT "mtu = 68\nmtu = 68\n",
		"c:4: 'mtu' again after line 3, expected it once in a section"},
	// values
	{"[global]\nmax-connections = 0\n",
		"c:2: max-connections = '0', expected a number from 1 to 16777216"},
	{"[global]\nmax-connections = 16777217\n",
		"c:2: max-connections = '16777217', expected a number from 1 to 16777216"},
	{"[global]\nmax-connections = lots\n",
		"c:2: max-connections = 'lots', expected a number from 1 to 16777216"},
	{"[global]\nmax-connections = -1\n",
		"c:2: max-connections = '-1', expected a number from 1 to 16777216"},
	{"[global]\nmax-connections = 5k\n",
		"c:2: max-connections = '5k', expected a number from 1 to 16777216"},
	{"[global]\nmax-connections = 4294967297\n",
		"c:2: max-connections = '4294967297', expected a number from 1 to 16777216"},
	{"[global]\nmax-connections = 99999999999999999999\n",
		"c:2: max-connections = '99999999999999999999', expected a number from 1 to "
		"16777216"},
	{"[global]\nmbufs = 1023\n",
		"c:2: mbufs = '1023', expected 0 or a number from 1024 to 16777215"},
	{"[global]\nidle-sleep-us = 10001\n",
		"c:2: idle-sleep-us = '10001', expected a number from 0 to 10000"},
	{"[global]\ndump-interval-ms = 99\n",
		"c:2: dump-interval-ms = '99', expected a number from 100 to 60000"},
	{"[global]\ntcp-idle-s = 32769\n",
		"c:2: tcp-idle-s = '32769', expected a number from 0 to 32768"},
	{"[global]\nudp-idle-s = 32769\n",
		"c:2: udp-idle-s = '32769', expected a number from 0 to 32768"},
	{"[global]\nnetlink-buffer-kb = 3\n",
		"c:2: netlink-buffer-kb = '3', expected 0 or a number from 4 to 1048576"},
	{"[global]\nlog-level = Info\n",
		"c:2: log-level = 'Info', expected error, warning, notice, info or debug"},
	{"[global]\nsocket = ctl.sock\n",
		"c:2: socket = 'ctl.sock', expected an absolute path of at most 107 bytes"},
	{PORT "twin = veth\n", "c:3: twin = 'veth', expected auto, tap or virtio-user"},
	{PORT "persist = true\n", "c:3: persist = 'true', expected no or yes"},
	{PORT "promiscuous = 1\n", "c:3: promiscuous = '1', expected no or yes"},
	{PORT "mtu = 67\n", "c:3: mtu = '67', expected 0 or a number from 68 to 9710"},
	{PORT "mtu = 65537\n", "c:3: mtu = '65537', expected 0 or a number from 68 to 9710"},
	{PORT "punt-new-pps = 99\n",
		"c:3: punt-new-pps = '99', expected 0 or a number from 100 to 10000000"},
	{PORT "rx-desc = 63\n", "c:3: rx-desc = '63', expected a number from 64 to 32768"},
	{PORT "tx-desc = 32769\n", "c:3: tx-desc = '32769', expected a number from 64 to 32768"},
	{PORT "rx-queues = 65\n", "c:3: rx-queues = '65', expected a number from 0 to 64"},
	{FT("mark = 1"), "c:4: mark = '1', " MARK},
	{FT("mark = 1/0"), "c:4: mark = '1/0', " MARK},
	{FT("mark = 0/0"), "c:4: mark = '0/0', " MARK},
	{FT("mark = 2/1"), "c:4: mark = '2/1', " MARK},
	{FT("mark = 1/1/1"), "c:4: mark = '1/1/1', " MARK},
	{FT("mark = 0x/1"), "c:4: mark = '0x/1', " MARK},
	{FT("devices = ,"),
		"c:4: devices = ',', expected names of [port] sections, such as 'lan, wan'"},
	{FT("devices = lan lan"), "c:4: 'lan' twice in devices, expected each name once"},
	// between sections
	{FT("mark = 1/1\ndevices = lan, wan"),
		"c:5: unknown device 'wan', expected the name of a [port]"},
	{PORT "[port wan]\nmtu = 68\ndevice = net_tap0,iface=y\n",
		"c:5: device 'net_tap0,iface=y' is that of [port lan] on line 2, expected another"},
	{"[port a]\ndevice = 0000:0a:00.0\n[port b]\ndevice = 0A:00.0\n",
		"c:4: device '0A:00.0' is that of [port a] on line 2, expected another"},
};

static void each_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i].text, strlen(bad[i].text)), -1);
		assert_string_equal(err, bad[i].err);
		assert_null(conf.file);
	}
}

static void nul_byte(void **state)
{
	static const char text[] = PORT "mtu = 6\0008\n";

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1), -1);
	assert_string_equal(err, "c:3: a control character (0x00), expected text and tabs");
}

static void line_length(void **state)
{
	char text[2000] = PORT "#";
	size_t len = strlen(text) - 1;

	(void)state;
	memset(text + len, '#', 1001);
	assert_int_equal(parse(text, len + 1000), 0);
	conf_fini(&conf);
	assert_int_equal(parse(text, len + 1001), -1);
	assert_string_equal(err, "c:3: a line of 1001 bytes, expected at most 1000");
}

// However long what it quotes, a message says what was expected.
static void long_quotes_are_cut(void **state)
{
	static const char *const forms[] = {"%s", "%s =", "[%s]", "[port %s]", "[global]\n%s = 1",
		"[flowtable %s]", "[global]\nmark = 1\nsocket = %s", "%s = 1"};
	char text[1200], word[950];

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const char *at = strstr(forms[i], "%s");

		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - forms[i]), forms[i], word,
			at + 2);
		assert_int_equal(parse(text, strlen(text)), -1);
		assert_non_null(strstr(err, "expected"));
	}
}

static void value_length(void **state)
{
	char text[1000], path[200];

	(void)state;
	memset(path, '/', sizeof(path));
	snprintf(text, sizeof(text), "[global]\nsocket = %.107s\n" PORT, path);
	assert_int_equal(parse(text, strlen(text)), 0);
	assert_int_equal(strlen(conf.socket), 107);
	conf_fini(&conf);
	snprintf(text, sizeof(text), "[global]\nsocket = %.108s\n" PORT, path);
	assert_int_equal(parse(text, strlen(text)), -1);
	assert_non_null(strstr(err, "c:2: socket = '"));
}

static char *append(char *at, const char *fmt, int i)
{
	return at + sprintf(at, fmt, i, i);
}

static void limits(void **state)
{
	char text[4000], *at = text;

	(void)state;
	for (int i = 0; i < NFO_MAX_PORTS; i++)
		at = append(at, "[port p%d]\ndevice = net_tap%d\n", i);
	assert_int_equal(parse(text, strlen(text)), 0);
	conf_fini(&conf);
	append(at, "[port more]\n", 0);
	assert_int_equal(parse(text, strlen(text)), -1);
	assert_string_equal(err, "c:65: too many [port]s, expected at most 32");
	for (int i = 0; i < CONF_MAX_FLOWTABLES; i++)
		at = append(at, "[flowtable f%d]\ndevices = p0\nmark = %d/0xff\n", i);
	assert_int_equal(parse(text, strlen(text)), 0);
	conf_fini(&conf);
	append(at, "[flowtable more]\n", 0);
	assert_int_equal(parse(text, strlen(text)), -1);
	assert_string_equal(err, "c:113: too many [flowtable]s, expected at most 16");
}

static void representors_share_a_device(void **state)
{
	static const char text[] = "[port a]\ndevice = 03:00.0,representor=[0]\n"
				   "[port b]\ndevice = 03:00.0,representor=[1]\n";

	(void)state;
	assert_int_equal(parse(text, strlen(text)), 0);
	conf_fini(&conf);
}

// However short the buffer, the message is terminated and nothing is written behind it.
static void short_buffers(void **state)
{
	static const char text[] = "[global]\nmax-connections = lots\n";

	(void)state;
	for (size_t size = 1; size < 70; size++) {
		char *buf = malloc(size);

		memset(buf, 'x', size);
		assert_int_equal(conf_parse("c", text, strlen(text), &conf, buf, size), -1);
		assert_in_range(strlen(buf), 0, size - 1);
		free(buf);
	}
}

static void unreadable_files(void **state)
{
	(void)state;
	assert_int_equal(conf_load("/nonexistent/x.ini", &conf, err, sizeof(err)), -1);
	assert_string_equal(err, "/nonexistent/x.ini: No such file or directory");
	conf_fini(&conf);
	assert_int_equal(conf_load("/", &conf, err, sizeof(err)), -1);
	assert_string_equal(err, "/: Is a directory");
	assert_int_equal(conf_load("/dev/zero", &conf, err, sizeof(err)), -1);
	assert_string_equal(err, "/dev/zero: too long, expected at most 1 MiB");
}

// The reference as it is, and with all that it has switched off switched on.
static char *read_reference(bool all)
{
	char *text = calloc(1, 65536), line[1024], *at = text;
	FILE *file = fopen(CONFIG_REFERENCE, "r");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		bool off = line[0] == '#' && (islower((unsigned char)line[1]) || line[1] == '[');

		at = stpcpy(at, all && off ? line + 1 : line);
	}
	fclose(file);
	return text;
}

static bool mentions(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = strstr(text, key); p; p = strstr(p + 1, key)) {
		if ((p == text || p[-1] == '\n') && strncmp(p + len, " = ", 3) == 0)
			return true;
	}
	return false;
}

static void reference_has_every_key(void **state)
{
	char *text = read_reference(true);

	(void)state;
	assert_int_equal(parse(text, strlen(text)), 0);
	assert_int_equal(conf.n_flowtables, 1);
	conf_fini(&conf);
	for (int s = 0; s < CONF_N_SECTIONS; s++) {
		for (unsigned int i = 0; i < conf_sections[s].n_keys; i++) {
			if (!mentions(text, conf_sections[s].keys[i].name))
				fail_msg("%s is missing", conf_sections[s].keys[i].name);
		}
	}
	free(text);
}

// Each setting of the reference is the default, but for 'device'.
static void reference_has_the_defaults(void **state)
{
	static const char text[] = "[port lan]\ndevice=0000:03:00.0\n[port wan]\ndevice=03:00.1";
	struct conf ref;

	(void)state;
	assert_int_equal(conf_load(CONFIG_REFERENCE, &ref, err, sizeof(err)), 0);
	assert_int_equal(parse(text, strlen(text)), 0);
	assert_string_equal(ref.socket, conf.socket);
	assert_int_equal(ref.log_level, conf.log_level);
	assert_int_equal(ref.dp.max_connections, conf.dp.max_connections);
	assert_int_equal(ref.dp.mbufs, conf.dp.mbufs);
	assert_int_equal(ref.dp.idle_sleep_us, conf.dp.idle_sleep_us);
	assert_int_equal(ref.dump_interval_ms, conf.dump_interval_ms);
	assert_int_equal(ref.netlink_buffer_kb, conf.netlink_buffer_kb);
	assert_int_equal(ref.tcp_idle_s, conf.tcp_idle_s);
	assert_int_equal(ref.udp_idle_s, conf.udp_idle_s);
	assert_int_equal(ref.dp.n_ports, 2);
	ref.dp.port[0].line = conf.dp.port[0].line;
	ref.dp.port[0].device_line = conf.dp.port[0].device_line;
	ref.dp.port[0].twin_line = conf.dp.port[0].twin_line;
	assert_memory_equal(&ref.dp.port[0], &conf.dp.port[0], sizeof(ref.dp.port[0]));
	assert_int_equal(ref.n_flowtables, 0);
	conf_fini(&ref);
	conf_fini(&conf);
}

static void words_are_those_of_log(void **state)
{
	const struct conf_key *key = conf_key_find(&conf_sections[CONF_GLOBAL], "log-level");

	(void)state;
	for (int i = 0; i < LOG_N_LEVELS; i++)
		assert_int_equal(log_level_parse(key->words[i]), i);
	assert_null(key->words[LOG_N_LEVELS]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(all_values),
		cmocka_unit_test(each_error),
		cmocka_unit_test(nul_byte),
		cmocka_unit_test(line_length),
		cmocka_unit_test(long_quotes_are_cut),
		cmocka_unit_test(value_length),
		cmocka_unit_test(limits),
		cmocka_unit_test(representors_share_a_device),
		cmocka_unit_test(short_buffers),
		cmocka_unit_test(unreadable_files),
		cmocka_unit_test(reference_has_every_key),
		cmocka_unit_test(reference_has_the_defaults),
		cmocka_unit_test(words_are_those_of_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
