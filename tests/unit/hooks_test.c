// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/hooks.c ctrl/hooks_decode.c ctrl/nft_decode.c ctrl/nl.c ctrl/loop.c ctrl/log.c
#include "hooks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "live.h"
#include "nl.h"
#include "recorded/hooks.h"

// The names told, each with a blank after it.
struct names {
	char text[256];
};

static void on_name(void *arg, const char *name)
{
	struct names *n = arg;
	size_t len = strlen(n->text);

	snprintf(n->text + len, sizeof(n->text) - len, "%s ", name);
}

static void assert_chain(const uint8_t *msg, const char *names)
{
	struct names n = {""};

	hooks_decode_chain(recorded_msg(msg), on_name, &n);
	assert_string_equal(n.text, names);
}

static void chains(void **state)
{
	(void)state;
	assert_chain(hooks_chain_ingress, "c0 c0 ");
	assert_chain(hooks_chain_inet, "s0 s0 ");
	assert_chain(hooks_chain_forward, "");
	assert_chain(hooks_chain_regular, "");
	assert_chain(hooks_qdisc_tbf, "");
	assert_chain(hooks_link_xdp, "");
}

static void chain_of_two_devices(void **state)
{
	struct names n = {""};

	(void)state;
	hooks_decode_chain(recorded_msg(hooks_chain_egress), on_name, &n);
	assert_non_null(strstr(n.text, "c0 "));
	assert_non_null(strstr(n.text, "s0 "));
	n.text[0] = '\0';
	hooks_decode_chain(recorded_msg(hooks_chain_dump), on_name, &n);
	assert_non_null(strstr(n.text, "s0 "));
}

static void qdiscs(void **state)
{
	int ifindex = 0;

	(void)state;
	assert_int_equal(hooks_decode_qdisc(recorded_msg(hooks_qdisc_clsact), &ifindex), HOOKS_TC);
	assert_true(ifindex > 0);
	assert_int_equal(hooks_decode_qdisc(recorded_msg(hooks_qdisc_ingress), &ifindex), HOOKS_TC);
	assert_int_equal(hooks_decode_qdisc(recorded_msg(hooks_qdisc_tbf), &ifindex), HOOKS_QDISC);
	assert_int_equal(hooks_decode_qdisc(recorded_msg(hooks_qdisc_htb), &ifindex), HOOKS_QDISC);
	assert_int_equal(hooks_decode_qdisc(recorded_msg(hooks_qdisc_pfifo), &ifindex), 0);
	assert_int_equal(hooks_decode_qdisc(recorded_msg(hooks_qdisc_default), &ifindex), 0);
	assert_int_equal(hooks_decode_qdisc(recorded_msg(hooks_link_xdp), &ifindex), 0);
}

// A shaping qdisc counts if someone has put it there, not as the system's default.
static void default_of_a_kind_that_counts(void **state)
{
	uint8_t msg[sizeof(hooks_qdisc_tbf)] RECORDED_ALIGNED;
	struct tcmsg *tcm = (void *)(msg + NLMSG_HDRLEN);
	int ifindex;

	(void)state;
	memcpy(msg, hooks_qdisc_tbf, sizeof(msg));
	assert_true(tcm->tcm_handle != 0);
	tcm->tcm_handle = 0;
	assert_int_equal(hooks_decode_qdisc(recorded_msg(msg), &ifindex), 0);
}

static void links(void **state)
{
	char name[NFO_NAME_LEN];
	unsigned int what;
	int ifindex;

	(void)state;
	assert_true(hooks_decode_link(recorded_msg(hooks_link_xdp), &ifindex, name, &what));
	assert_string_equal(name, "s0");
	assert_int_equal(what, HOOKS_XDP);
	assert_true(hooks_decode_link(recorded_msg(hooks_link_plain), &ifindex, name, &what));
	assert_string_equal(name, "c0");
	assert_int_equal(what, 0);
	assert_true(ifindex > 0);
	assert_false(hooks_decode_link(recorded_msg(hooks_qdisc_tbf), &ifindex, name, &what));
}

// Each message cut at each place: the sanitizers see what reads beyond.
static void cut_short(void **state)
{
	char name[NFO_NAME_LEN];
	unsigned int what;
	int ifindex;

	(void)state;
	for (size_t i = 0; i < sizeof(recorded_hooks) / sizeof(*recorded_hooks); i++)
		for (size_t bytes = 16; bytes < recorded_hooks[i].bytes; bytes++) {
			struct names n = {""};
			struct nlmsghdr *nlh = recorded_cut(&recorded_hooks[i], bytes);
			hooks_decode_chain(nlh, on_name, &n);
			hooks_decode_qdisc(nlh, &ifindex);
			hooks_decode_link(nlh, &ifindex, name, &what);
			free(nlh);
		}
}

// --- with the running kernel ---

static void count(void *arg)
{
	++*(unsigned int *)arg;
}

static void assert_text(const struct hooks *h, const char *ifname, const char *text)
{
	assert_true(hooks_on(h, ifname));
	assert_string_equal(hooks_text(h, ifname), text);
}

// Whether the kernel takes a command; without what it needs a test is skipped.
static bool can(const char *command)
{
	char quiet[256];

	snprintf(quiet, sizeof(quiet), "%s 2>/dev/null", command);
	if (system(quiet) == 0)
		return true;
	print_message("this kernel refuses: %s\n", command);
	return false;
}

static void live_chains(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct hooks *h;

	live_run("ip link add c0 type veth peer s0");
	h = hooks_create(loop, count, &changes);
	assert_non_null(h);
	assert_false(hooks_on(h, "c0"));
	assert_null(hooks_text(h, "c0"));
	live_run("nft 'add table netdev t; add chain netdev t c "
		 "{ type filter hook ingress device c0 priority 0; }'");
	live_until(loop, hooks_on(h, "c0"));
	assert_text(h, "c0", "nftables chain");
	assert_false(hooks_on(h, "s0"));
	assert_int_equal(changes, 1);
	live_run("nft 'add table inet x; add chain inet x c "
		 "{ type filter hook ingress device s0 priority 0; }'");
	live_until(loop, hooks_on(h, "s0"));
	live_run("nft delete table netdev t");
	live_until(loop, !hooks_on(h, "c0"));
	assert_true(hooks_on(h, "s0"));
	live_run("nft flush ruleset");
	live_until(loop, !hooks_on(h, "s0"));
	assert_int_equal(changes, 4);
	hooks_destroy(h);
}

static void live_egress_chain(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct hooks *h;

	live_run("ip link add c0 type veth peer s0");
	if (!can("nft 'add table netdev t; add chain netdev t c "
		 "{ type filter hook egress device c0 priority 0; }'"))
		skip();
	h = hooks_create(loop, count, &changes);
	assert_non_null(h);
	assert_text(h, "c0", "nftables chain"); // from before
	live_turns(loop, 20);
	assert_int_equal(changes, 0);
	hooks_destroy(h);
}

// nf_tables tells nothing of it; older kernels list the chain with the new name, newer ones with the
// name it was made for.
static void live_rename(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct hooks *h;

	live_run("ip link add c0 type veth peer s0");
	live_run("tc qdisc replace dev c0 root tbf rate 1gbit burst 1mb latency 10ms");
	live_run("nft 'add table netdev t; add chain netdev t c "
		 "{ type filter hook ingress device s0 priority 0; }'");
	h = hooks_create(loop, count, &changes);
	assert_non_null(h);
	assert_text(h, "c0", "qdisc");
	assert_true(hooks_on(h, "s0"));
	live_run("ip link set c0 name other; ip link set s0 name else");
	live_until(loop, hooks_on(h, "other"));
	assert_false(hooks_on(h, "c0"));
	if (can("nft list ruleset | grep -qw else"))
		live_until(loop, hooks_on(h, "else"));
	hooks_destroy(h);
}

static void live_other_rules(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct hooks *h;

	live_run("ip link add c0 type veth peer s0");
	h = hooks_create(loop, count, &changes);
	assert_non_null(h);
	live_run("nft 'add table inet t; add chain inet t f "
		 "{ type filter hook forward priority 0; }; add rule inet t f iifname c0 drop'");
	live_run("ip link set c0 mtu 1400");
	live_turns(loop, 50);
	assert_false(hooks_on(h, "c0"));
	assert_int_equal(changes, 0);
	hooks_destroy(h);
}

static void live_qdiscs(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct hooks *h;

	live_run("ip link add c0 type veth peer s0; ip link set c0 up; ip link set s0 up");
	h = hooks_create(loop, count, &changes);
	assert_non_null(h);
	assert_false(hooks_on(h, "c0"));
	live_run("tc qdisc add dev s0 clsact");
	live_until(loop, hooks_on(h, "s0"));
	assert_text(h, "s0", "tc");
	live_run("tc qdisc replace dev c0 root pfifo");
	live_turns(loop, 50);
	assert_false(hooks_on(h, "c0"));
	live_run("tc qdisc replace dev c0 root tbf rate 1gbit burst 1mb latency 10ms");
	live_until(loop, hooks_on(h, "c0"));
	assert_text(h, "c0", "qdisc");
	live_run("tc qdisc del dev c0 root; tc qdisc del dev s0 clsact");
	live_until(loop, !hooks_on(h, "c0") && !hooks_on(h, "s0"));
	hooks_destroy(h);
}

static void put_header(struct nlmsghdr *nlh, int ifindex)
{
	struct ifinfomsg *ifi;

	nlh->nlmsg_type = RTM_SETLINK;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = ifindex;
}

// Attaches a program that passes everything, or for -1 none. A negative errno.
static int set_xdp(const char *ifname, int prog)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *nest;
	struct nl nl;
	int err;

	put_header(nlh, (int)if_nametoindex(ifname));
	nest = mnl_attr_nest_start(nlh, IFLA_XDP);
	mnl_attr_put_u32(nlh, IFLA_XDP_FD, (uint32_t)prog);
	mnl_attr_put_u32(nlh, IFLA_XDP_FLAGS, XDP_FLAGS_SKB_MODE);
	mnl_attr_nest_end(nlh, nest);
	assert_int_equal(nl_open(&nl, NETLINK_ROUTE, 0), 0);
	err = nl_request(&nl, nlh, NULL, NULL);
	nl_close(&nl);
	return err;
}

static int load_xdp_pass(void)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insn_cnt = 2,
		.insns = (uintptr_t)code,
		.license = (uintptr_t) "GPL",
	};

	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static void live_xdp(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	const int prog = load_xdp_pass();
	struct hooks *h;

	if (prog < 0) {
		print_message("no BPF here: %s\n", strerror(errno));
		skip();
	}
	live_run("ip link add c0 type veth peer s0; ip link set c0 up");
	h = hooks_create(loop, count, &changes);
	assert_non_null(h);
	assert_int_equal(set_xdp("c0", prog), 0);
	live_until(loop, hooks_on(h, "c0"));
	assert_text(h, "c0", "XDP program");
	assert_int_equal(set_xdp("c0", -1), 0);
	live_until(loop, !hooks_on(h, "c0"));
	assert_int_equal(changes, 2);
	hooks_destroy(h);
	close(prog);
}

// More events than the buffers hold: counted, and the hooks are read all the same.
static void live_overrun(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct hooks *h;

	live_run("ip link add c0 type veth peer s0");
	nl_set_events_bytes(4096);
	h = hooks_create(loop, count, &changes);
	nl_set_events_bytes(0);
	assert_non_null(h);
	live_run("i=0; while [ $i -lt 100 ]; do echo link set c0 mtu $((1000 + i)); "
		 "i=$((i + 1)); done | ip -batch -; tc qdisc add dev s0 clsact");
	live_until(loop, hooks_on(h, "s0"));
	assert_true(hooks_overruns(h) > 0);
	hooks_destroy(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains),
		cmocka_unit_test(chain_of_two_devices),
		cmocka_unit_test(qdiscs),
		cmocka_unit_test(default_of_a_kind_that_counts),
		cmocka_unit_test(links),
		cmocka_unit_test(cut_short),
		cmocka_unit_test_setup_teardown(live_chains, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_egress_chain, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_rename, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_other_rules, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_qdiscs, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_xdp, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_overrun, live_setup, live_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
