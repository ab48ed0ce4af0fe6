// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/flows.c
#include "flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ETH "eth-src=02:00:00:00:00:02 eth-dst=fe:DC:ba:00:00:22 "
#define UDP "in=lan out=wan proto=udp from=10.0.1.2:40000 to=10.0.2.2:80 " ETH

static const struct dp_conf ports = {.n_ports = 2, .port = {{.name = "lan"}, {.name = "wan"}}};
static struct flows flows;
static char err[512];

// --- the dataplane ---

static struct {
	struct nfo_flow flow[4];
	uint32_t sibling[4], cookie[4];
	unsigned int n;
	int answer; // to the last of them
} added;

int dp_flow_add(const struct nfo_flow *flow, uint32_t sibling, uint32_t cookie, uint32_t *idx)
{
	assert_true(added.n < 4);
	added.flow[added.n] = *flow;
	added.sibling[added.n] = sibling;
	added.cookie[added.n] = cookie;
	*idx = 100 + added.n++;
	return added.n == flows.n ? added.answer : 0;
}

// --- tests ---

static int parse(const char *text)
{
	return flows_parse("f", text, strlen(text), &ports, &flows, err, sizeof(err));
}

static void assert_addr(const union nfo_addr *addr, int family, const char *text)
{
	union nfo_addr wanted = {.bytes = {0}};

	assert_int_equal(inet_pton(family, text, wanted.bytes), 1);
	assert_memory_equal(addr, &wanted, sizeof(wanted));
}

static void assert_mac(const uint8_t mac[NFO_ETH_ALEN], const char *wanted)
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
	assert_string_equal(text, wanted);
}

static void defaults(void **state)
{
	const struct nfo_flow *f;

	(void)state;
	assert_int_equal(parse(UDP), 0);
	assert_int_equal(flows.n, 1);
	assert_string_equal(flows.file, "f");
	f = &flows.lines[0].flow;
	assert_int_equal(flows.lines[0].number, 1);
	assert_false(flows.lines[0].reply);
	assert_int_equal(f->in_port, 0);
	assert_int_equal(f->out_port, 1);
	assert_int_equal(f->mtu, 1500);
	assert_int_equal(f->match.family, NFO_IPV4);
	assert_int_equal(f->match.proto, NFO_UDP);
	assert_addr(&f->match.src, AF_INET, "10.0.1.2");
	assert_addr(&f->match.dst, AF_INET, "10.0.2.2");
	assert_int_equal(f->match.sport_be, htons(40000));
	assert_int_equal(f->match.dport_be, htons(80));
	assert_memory_equal(&f->out, &f->match, sizeof(f->out));
	assert_mac(f->eth_src, "02:00:00:00:00:02");
	assert_mac(f->eth_dst, "fe:dc:ba:00:00:22");
	for (int i = 0; i < NFO_MAX_VLANS; i++)
		assert_true(f->in_vlan[i].tpid_be == 0 && f->out_vlan[i].tpid_be == 0);
	flows_fini(&flows);
}

static void all_values(void **state)
{
	static const char text[] = "# comment\r\n"
				   "\n"
				   "\t mtu=9000  vlan-out=ad:200,100\tproto=tcp to=[fd00::2]:0 "
				   "from=[fd00::1]:65535 new-to=[fd00::4]:2 new-from=[fd00::3]:1 "
				   "in=wan out=wan vlan-in=4094 " ETH "# comment x=y reply\n"
				   "reply proto=gre from=192.0.2.1 to=192.0.2.2 new-to=192.0.2.3 "
				   "in=lan out=wan " ETH;
	const struct nfo_flow *f;

	(void)state;
	assert_int_equal(parse(text), 0);
	assert_int_equal(flows.n, 2);
	f = &flows.lines[0].flow;
	assert_int_equal(flows.lines[0].number, 3);
	assert_int_equal(f->in_port, 1);
	assert_int_equal(f->mtu, 9000);
	assert_int_equal(f->match.family, NFO_IPV6);
	assert_int_equal(f->match.proto, NFO_TCP);
	assert_addr(&f->match.src, AF_INET6, "fd00::1");
	assert_addr(&f->match.dst, AF_INET6, "fd00::2");
	assert_addr(&f->out.src, AF_INET6, "fd00::3");
	assert_addr(&f->out.dst, AF_INET6, "fd00::4");
	assert_int_equal(f->match.sport_be, 0xffff);
	assert_int_equal(f->match.dport_be, 0);
	assert_int_equal(f->out.sport_be, htons(1));
	assert_int_equal(f->out.dport_be, htons(2));
	assert_int_equal(f->in_vlan[0].tpid_be, htons(0x8100));
	assert_int_equal(f->in_vlan[0].vid, 4094);
	assert_int_equal(f->in_vlan[1].tpid_be, 0);
	assert_int_equal(f->out_vlan[0].tpid_be, htons(0x88a8));
	assert_int_equal(f->out_vlan[0].vid, 200);
	assert_int_equal(f->out_vlan[1].tpid_be, htons(0x8100));
	assert_int_equal(f->out_vlan[1].vid, 100);
	f = &flows.lines[1].flow;
	assert_true(flows.lines[1].reply);
	assert_int_equal(f->match.proto, NFO_GRE);
	assert_int_equal(f->match.sport_be, 0);
	assert_addr(&f->out.src, AF_INET, "192.0.2.1");
	assert_addr(&f->out.dst, AF_INET, "192.0.2.3");
	flows_fini(&flows);
}

static void each_error(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"lan", "f:1: 'lan', expected KEY=VALUE or 'reply' once"},
		{"reply reply", "f:1: 'reply', expected KEY=VALUE or 'reply' once"},
		{"\nspeed=1",
			"f:2: unknown key 'speed', expected in, out, proto, from, to, new-from, "
			"new-to, vlan-in, vlan-out, eth-src, eth-dst or mtu"},
		{"in=lan in=lan", "f:1: 'in' again, expected it once in a line"},
		{"in=lan", "f:1: no 'out', expected out=..."},
		{"reply", "f:1: no 'in', expected in=..."},
		{UDP "reply", "f:1: 'reply' to nothing, expected it behind the line of the other "
			      "direction"},
		{UDP "\n" UDP "reply\n" UDP "reply",
			"f:3: 'reply' to nothing, expected it behind the line of the other "
			"direction"},
		{UDP "mtu=67", "f:1: mtu=67, expected 68 to 65535 bytes"},
		{UDP "mtu=65536", "f:1: mtu=65536, expected 68 to 65535 bytes"},
		{UDP "mtu=+99", "f:1: mtu=+99, expected 68 to 65535 bytes"},
		{UDP "vlan-in=", "f:1: vlan-in=, expected one VLAN id or two, outermost first: "
				 "100, ad:100 or ad:200,100"},
		{UDP "vlan-in=1,", "f:1: vlan-in=1,, expected one VLAN id or two, outermost "
				   "first: 100, ad:100 or ad:200,100"},
		{UDP "vlan-out=1,2,3", "f:1: vlan-out=1,2,3, expected one VLAN id or two, "
				       "outermost first: 100, ad:100 or ad:200,100"},
		{UDP "vlan-out=0", "f:1: vlan-out=0, expected one VLAN id or two, outermost "
				   "first: 100, ad:100 or ad:200,100"},
		{UDP "vlan-out=4095", "f:1: vlan-out=4095, expected one VLAN id or two, "
				      "outermost first: 100, ad:100 or ad:200,100"},
		{UDP "new-from=[fd00::1]:1",
			"f:1: new-from=[fd00::1]:1, expected an address of the same family as "
			"'from'"},
		{UDP "new-from=10.0.0.1", "f:1: new-from=10.0.0.1, expected 10.0.0.1:80 or "
					  "[fd00::1]:80"},
		{UDP "new-to=10.0.0.1:65536",
			"f:1: new-to=10.0.0.1:65536, expected 10.0.0.1:80 or [fd00::1]:80"},
		{UDP "new-to=fd00::1:80", "f:1: new-to=fd00::1:80, expected 10.0.0.1:80 or "
					  "[fd00::1]:80"},
		{UDP "new-to=[fd00::1:80", "f:1: new-to=[fd00::1:80, expected 10.0.0.1:80 or "
					   "[fd00::1]:80"},
		{"in=dmz out=wan proto=udp from=1 to=1 " ETH,
			"f:1: in=dmz, expected the name of a [port] of the configuration"},
		{"in=lan out=wan proto=icmp from=1 to=1 " ETH,
			"f:1: proto=icmp, expected tcp, udp or gre"},
		{"in=lan out=wan proto=gre from=10.0.0.1:1 to=10.0.0.2 " ETH,
			"f:1: from=10.0.0.1:1, expected 10.0.0.1 or [fd00::1]"},
		{"in=lan out=wan proto=gre from=10.0.0.1 to=10.0.0.2 eth-src=1 eth-dst=1",
			"f:1: eth-src=1, expected a MAC address: 02:00:00:00:00:01"},
		{"in=lan out=wan proto=gre from=10.0.0.1 to=10.0.0.2 "
		 "eth-src=02:00:00:00:00:02 eth-dst=02:00:00:00:00:021",
			"f:1: eth-dst=02:00:00:00:00:021, expected a MAC address: "
			"02:00:00:00:00:01"},
		{"\x01", "f:1: a control character (0x01), expected text and tabs"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(parse(cases[i].text), -1);
		assert_string_equal(err, cases[i].message);
		assert_null(flows.file);
		assert_null(flows.lines);
	}
}

static void line_length(void **state)
{
	char text[FLOWS_LINE_MAX + 2];

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, UDP, strlen(UDP));
	text[FLOWS_LINE_MAX] = '\0';
	assert_int_equal(parse(text), 0);
	flows_fini(&flows);
	text[FLOWS_LINE_MAX] = ' ';
	text[FLOWS_LINE_MAX + 1] = '\0';
	assert_int_equal(parse(text), -1);
	assert_string_equal(err, "f:1: a line of 1001 bytes, expected at most 1000");
}

static void many(void **state)
{
	char *text = calloc(1001, sizeof(UDP)), *end = text;

	(void)state;
	for (int i = 0; i < 1000; i++)
		end += sprintf(end, "%s\n", UDP);
	assert_int_equal(parse(text), 0);
	assert_int_equal(flows.n, 1000);
	assert_int_equal(flows.lines[999].number, 1000);
	flows_fini(&flows);
	free(text);
}

static void from_file(void **state)
{
	char path[] = "/tmp/flows_test.XXXXXX";
	const int fd = mkstemp(path);
	const size_t zeros = (1 << 16) - 1; // the file's end is a piece's
	char *text = malloc(zeros + 1);

	(void)state;
	memset(text, '\n', zeros);
	memcpy(text + zeros - strlen(UDP), UDP, strlen(UDP));
	text[zeros] = '\n';
	assert_int_equal(write(fd, text, zeros + 1), zeros + 1);
	assert_int_equal(flows_load(path, &ports, &flows, err, sizeof(err)), 0);
	assert_int_equal(flows.n, 1);
	flows_fini(&flows);
	unlink(path);
	close(fd);
	free(text);
	assert_int_equal(flows_load(path, &ports, &flows, err, sizeof(err)), -1);
	assert_non_null(strstr(err, ": No such file or directory"));
	assert_int_equal(flows_load("/", &ports, &flows, err, sizeof(err)), -1);
	assert_string_equal(err, "/: Is a directory");
}

static void install(void **state)
{
	(void)state;
	memset(&added, 0, sizeof(added));
	assert_int_equal(parse(UDP "\n" UDP "reply\n\n" UDP "mtu=99"), 0);
	assert_int_equal(flows_install(&flows, err, sizeof(err)), 0);
	assert_int_equal(added.n, 3);
	assert_int_equal(added.sibling[0], DP_FLOW_NONE);
	assert_int_equal(added.sibling[1], 100);
	assert_int_equal(added.sibling[2], DP_FLOW_NONE);
	assert_int_equal(added.cookie[0], 0);
	assert_int_equal(added.cookie[1], 0);
	assert_int_equal(added.cookie[2], 1);
	assert_int_equal(added.flow[2].mtu, 99);
	flows_fini(&flows);
}

static void install_errors(void **state)
{
	static const struct {
		int answer;
		const char *message;
	} cases[] = {
		{-EEXIST, "f:3: its packets are those of a line before, expected others"},
		{-ENOSPC, "f:3: the table is full, expected fewer lines or more 'max-connections' "
			  "in [global]"},
		{-EINVAL, "f:3: the dataplane cannot forward that, expected another flow"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		memset(&added, 0, sizeof(added));
		added.answer = cases[i].answer;
		assert_int_equal(parse(UDP "\n\n" UDP), 0);
		assert_int_equal(flows_install(&flows, err, sizeof(err)), -1);
		assert_string_equal(err, cases[i].message);
		flows_fini(&flows);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(all_values),
		cmocka_unit_test(each_error),
		cmocka_unit_test(line_length),
		cmocka_unit_test(many),
		cmocka_unit_test(from_file),
		cmocka_unit_test(install),
		cmocka_unit_test(install_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
