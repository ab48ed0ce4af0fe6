// SPDX-License-Identifier: GPL-2.0-or-later
// nfo-ctfill COUNT DESTINATIONS MARK [FIRST]: connections for conntrack of this network namespace, as if
// their packets had passed: established UDP from 10.64.0.0 and following to the first DESTINATIONS
// addresses of 10.128.0.0/9, which live for an hour. They are numbered from FIRST (0) on. With 'delete' for
// MARK the same ones are deleted.
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

enum { BATCH_BYTES = 32768, PORTS = 50000, FIRST_PORT = 1024, TIMEOUT_S = 3600 };

struct end {
	uint32_t addr_be;
	uint16_t port_be;
};

static bool delete;

static void put_tuple(struct nlmsghdr *nlh, uint16_t type, const struct end *src, const struct end *dst)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, type);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);

	mnl_attr_put_u32(nlh, CTA_IP_V4_SRC, src->addr_be);
	mnl_attr_put_u32(nlh, CTA_IP_V4_DST, dst->addr_be);
	mnl_attr_nest_end(nlh, nest);
	nest = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, IPPROTO_UDP);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, src->port_be);
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, dst->port_be);
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_nest_end(nlh, tuple);
}

// The i-th connection into 'buf'; its bytes.
static size_t put_connection(void *buf, uint32_t i, uint32_t destinations, uint32_t mark)
{
	const struct end client = {htonl(0x0a400000 + i / PORTS), htons((uint16_t)(FIRST_PORT + i % PORTS))};
	const struct end server = {htonl(0x0a800000 + i % destinations), htons(53)};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | (delete ? IPCTNL_MSG_CT_DELETE : IPCTNL_MSG_CT_NEW);
	nlh->nlmsg_flags = NLM_F_REQUEST | (delete ? 0 : NLM_F_CREATE | NLM_F_EXCL);
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_INET;
	put_tuple(nlh, CTA_TUPLE_ORIG, &client, &server);
	if (delete)
		return nlh->nlmsg_len;
	put_tuple(nlh, CTA_TUPLE_REPLY, &server, &client);
	mnl_attr_put_u32(nlh, CTA_STATUS, htonl(IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED));
	mnl_attr_put_u32(nlh, CTA_TIMEOUT, htonl(TIMEOUT_S));
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(mark));
	return nlh->nlmsg_len;
}

// Answers are errors.
static int check_answers(struct mnl_socket *sock)
{
	char buf[8192] __attribute__((aligned(4)));
	ssize_t n = recv(mnl_socket_get_fd(sock), buf, sizeof(buf), MSG_DONTWAIT);
	const struct nlmsghdr *nlh = (void *)buf;
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);

	if (n < 0)
		return errno == EAGAIN ? 0 : errno;
	return nlh->nlmsg_type == NLMSG_ERROR ? -err->error : 0;
}

static int fill(struct mnl_socket *sock, uint32_t first, uint32_t count, uint32_t destinations, uint32_t mark)
{
	static char buf[BATCH_BYTES] __attribute__((aligned(4)));
	size_t bytes = 0;
	int err = 0;

	for (uint32_t i = 0; i < count && err == 0; i++) {
		bytes += put_connection(buf + bytes, first + i, destinations, mark);
		if (bytes + 512 < sizeof(buf) && i + 1 < count)
			continue;
		if (mnl_socket_sendto(sock, buf, bytes) < 0)
			return errno;
		bytes = 0;
		err = check_answers(sock);
	}
	return err;
}

int main(int argc, char **argv)
{
	struct mnl_socket *sock = mnl_socket_open(NETLINK_NETFILTER);
	uint32_t number[4] = {0};
	int err;

	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: nfo-ctfill COUNT DESTINATIONS MARK|delete [FIRST]\n");
		return 2;
	}
	delete = strcmp(argv[3], "delete") == 0;
	for (int i = 0; i + 1 < argc; i++)
		number[i] = (uint32_t)strtoul(argv[i + 1], NULL, 0);
	if (number[1] == 0 || number[1] > 1 << 23) {
		fprintf(stderr, "DESTINATIONS is %s, expected 1 to 8388608\n", argv[2]);
		return 2;
	}
	err = sock == NULL || mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0
		      ? errno
		      : fill(sock, number[3], number[0], number[1], number[2]);
	if (err != 0)
		fprintf(stderr, "conntrack: %s\n", strerror(err));
	return err != 0;
}
