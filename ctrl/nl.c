// SPDX-License-Identifier: GPL-2.0-or-later
#include "nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { REQUEST_MS = 2000 };

static size_t events_bytes; // 0: each socket's preset

static int set_rcvbuf(int fd, size_t bytes)
{
	int value = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;

	if (!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof(value)))
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value));
}

int nl_open(struct nl *nl, int bus, size_t rcvbuf_bytes)
{
	int err;

	*nl = (struct nl){.sock = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK)};
	if (!nl->sock)
		return -errno;
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		goto fail;
	if (rcvbuf_bytes && set_rcvbuf(nl_fd(nl), rcvbuf_bytes) < 0)
		goto fail;
	nl->portid = mnl_socket_get_portid(nl->sock);
	nl->seq = (uint32_t)time(NULL);
	return 0;
fail:
	err = -errno;
	nl_close(nl);
	return err;
}

int nl_open_events(struct nl *nl, int bus, size_t preset_bytes)
{
	return nl_open(nl, bus, events_bytes ? events_bytes : preset_bytes);
}

void nl_set_events_bytes(size_t bytes)
{
	events_bytes = bytes;
}

void nl_close(struct nl *nl)
{
	if (nl->sock)
		mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

int nl_fd(const struct nl *nl)
{
	return mnl_socket_get_fd(nl->sock);
}

int nl_option(struct nl *nl, int option, int value)
{
	return mnl_socket_setsockopt(nl->sock, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int nl_join(struct nl *nl, const unsigned int *groups, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		int err = nl_option(nl, NETLINK_ADD_MEMBERSHIP, (int)groups[i]);
		if (err)
			return err;
	}
	return 0;
}

int nl_send(struct nl *nl, void *messages, size_t bytes)
{
	struct nlmsghdr *nlh = messages;
	int left = (int)bytes;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		nlh->nlmsg_seq = ++nl->seq;
	return mnl_socket_sendto(nl->sock, messages, bytes) < 0 ? -errno : 0;
}

int nl_recv(struct nl *nl, union nl_buf *buf)
{
	struct sockaddr_nl from = {0};
	socklen_t from_len = sizeof(from);
	ssize_t n;

	do {
		n = recvfrom(nl_fd(nl), buf, sizeof(*buf), MSG_TRUNC, (struct sockaddr *)&from,
			&from_len);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != ENOBUFS)
		return -errno;
	if (n < 0 || (size_t)n > sizeof(*buf)) {
		nl->overruns++;
		return n < 0 ? -ENOBUFS : -EMSGSIZE;
	}
	return from.nl_pid == 0 ? (int)n : 0;
}

// mnl_nlmsg_ok() takes a length beyond INT_MAX for a negative one, and so for one that fits.
void nl_walk(const void *messages, size_t bytes, nl_fn fn, void *arg)
{
	const char *at = messages;

	while (bytes >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *nlh = (const void *)at;
		const size_t len = nlh->nlmsg_len;
		if (len < sizeof(*nlh) || len > bytes)
			return;
		fn(arg, nlh);
		if (MNL_ALIGN(len) >= bytes)
			return;
		at += MNL_ALIGN(len);
		bytes -= MNL_ALIGN(len);
	}
}

int nl_drain(struct nl *nl, unsigned int max, nl_fn fn, void *arg)
{
	union nl_buf buf;

	for (unsigned int i = 0; i < max; i++) {
		int n = nl_recv(nl, &buf);
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return n;
		nl_walk(&buf, (size_t)n, fn, arg);
	}
	return 1;
}

// A request under way.
struct answer {
	uint32_t first_seq, last_seq;
	bool done, interrupted;
	int err;
	nl_fn fn;
	void *arg;
};

// The acknowledgement and the end of a dump both begin with a negative errno or 0.
static void answer_end(struct answer *a, const struct nlmsghdr *nlh)
{
	int32_t err = 0;

	if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(err))
		memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
	if (err || nlh->nlmsg_seq == a->last_seq)
		a->done = true;
	a->err = err;
}

static void answer_message(void *arg, const struct nlmsghdr *nlh)
{
	struct answer *a = arg;

	if (nlh->nlmsg_seq - a->first_seq > a->last_seq - a->first_seq || a->done)
		return; // left over from a request that timed out
	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		a->interrupted = true;
	if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE)
		answer_end(a, nlh);
	else if (nlh->nlmsg_type >= NLMSG_MIN_TYPE && a->fn)
		a->fn(a->arg, nlh);
}

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int wait_readable(const struct nl *nl, int64_t until_ms)
{
	struct pollfd pfd = {.fd = nl_fd(nl), .events = POLLIN};
	int64_t left = until_ms - monotonic_ms();

	if (left <= 0)
		return -ETIMEDOUT;
	return poll(&pfd, 1, (int)left) < 0 && errno != EINTR ? -errno : 0;
}

int nl_request_batch(struct nl *nl, void *messages, size_t bytes, nl_fn fn, void *arg)
{
	struct answer a = {.first_seq = nl->seq + 1, .fn = fn, .arg = arg};
	int64_t until_ms = monotonic_ms() + REQUEST_MS;
	int err = nl_send(nl, messages, bytes);

	a.last_seq = nl->seq;
	while (!err && !a.done) {
		err = nl_drain(nl, 1, answer_message, &a);
		if (err == 1)
			err = 0; // one datagram was read
		else if (err == 0)
			err = wait_readable(nl, until_ms);
	}
	if (err || a.err)
		return err ? err : a.err;
	return a.interrupted ? -EINTR : 0;
}

int nl_request(struct nl *nl, struct nlmsghdr *nlh, nl_fn fn, void *arg)
{
	bool dump = (nlh->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;

	nlh->nlmsg_flags |= dump ? NLM_F_REQUEST : NLM_F_REQUEST | NLM_F_ACK;
	return nl_request_batch(nl, nlh, nlh->nlmsg_len, fn, arg);
}

bool nl_has_header(const struct nlmsghdr *nlh, size_t size)
{
	return nlh->nlmsg_len >= MNL_NLMSG_HDRLEN + MNL_ALIGN(size);
}

static void sort_attr(const struct nlattr *attr, const struct nlattr **tb, uint16_t max)
{
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= max)
		tb[type] = attr;
}

// mnl_attr_for_each() would round the message's length up, and so read beyond the last one of a
// buffer when that is cut short.
void nl_parse(const struct nlmsghdr *nlh, size_t header, const struct nlattr **tb, uint16_t max)
{
	const size_t offset = MNL_NLMSG_HDRLEN + MNL_ALIGN(header);
	const char *payload = (const char *)nlh + offset;
	const struct nlattr *attr;

	memset(tb, 0, sizeof(*tb) * (max + 1u));
	if (nlh->nlmsg_len < offset)
		return;
	mnl_attr_for_each_payload((void *)payload, nlh->nlmsg_len - offset)
		sort_attr(attr, tb, max);
}

void nl_parse_nested(const struct nlattr *nest, const struct nlattr **tb, uint16_t max)
{
	const struct nlattr *attr;

	memset(tb, 0, sizeof(*tb) * (max + 1u));
	if (!nest)
		return;
	mnl_attr_for_each_nested(attr, nest) sort_attr(attr, tb, max);
}

bool nl_get(const struct nlattr *attr, void *value, size_t size)
{
	if (!attr || mnl_attr_get_payload_len(attr) < size)
		return false;
	memcpy(value, mnl_attr_get_payload(attr), size);
	return true;
}

bool nl_get_be16(const struct nlattr *attr, uint16_t *value)
{
	uint16_t be;

	if (!nl_get(attr, &be, sizeof(be)))
		return false;
	*value = ntohs(be);
	return true;
}

bool nl_get_be32(const struct nlattr *attr, uint32_t *value)
{
	uint32_t be;

	if (!nl_get(attr, &be, sizeof(be)))
		return false;
	*value = ntohl(be);
	return true;
}

bool nl_get_name(const struct nlattr *attr, char *name, size_t size)
{
	size_t len;

	if (!attr)
		return false;
	len = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
	if (len == 0 || len >= size)
		return false;
	memset(name, 0, size);
	memcpy(name, mnl_attr_get_payload(attr), len);
	return true;
}
