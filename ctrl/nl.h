// SPDX-License-Identifier: GPL-2.0-or-later
// What the netlink modules share: a socket with its buffer and groups, requests with a time limit,
// bounded reading of events, and attribute access that never reads beyond a message.
// Errors are negative errno. Control thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libmnl/libmnl.h>

// The kernel makes dump messages as large as the reader's buffer, up to this.
enum { NL_BUF_BYTES = 32768 };

struct nl {
	struct mnl_socket *sock; // NULL: closed
	uint32_t portid;
	uint32_t seq; // of the last message sent
	uint64_t overruns; // times that messages to it were lost
};

// A buffer for one received datagram, aligned for its headers.
union nl_buf {
	struct nlmsghdr first;
	char bytes[NL_BUF_BYTES];
};

typedef void (*nl_fn)(void *arg, const struct nlmsghdr *nlh);

// Non-blocking, with a receive buffer of 'rcvbuf_bytes' (0: the system's), beyond rmem_max if
// allowed.
int nl_open(struct nl *nl, int bus, size_t rcvbuf_bytes);
// The same for events, with a buffer of 'preset_bytes' unless nl_set_events_bytes() said otherwise.
int nl_open_events(struct nl *nl, int bus, size_t preset_bytes);
// The buffers of all sockets for events that are opened from now on; 0: each its preset.
void nl_set_events_bytes(size_t bytes);
void nl_close(struct nl *nl); // closed or zeroed is legal
int nl_fd(const struct nl *nl);
int nl_join(struct nl *nl, const unsigned int *groups, unsigned int n);
int nl_option(struct nl *nl, int option, int value);

// Numbers the messages in the buffer, one or several, and sends them in one go.
int nl_send(struct nl *nl, void *messages, size_t bytes);
// One datagram of the kernel: its length, 0 for one to skip, -EAGAIN, -ENOBUFS (messages were
// lost), -EMSGSIZE (it did not fit: lost too).
int nl_recv(struct nl *nl, union nl_buf *buf);
// Hands each message of a datagram to 'fn', up to one that is cut short.
void nl_walk(const void *messages, size_t bytes, nl_fn fn, void *arg);
// Reads until the socket is empty or 'max' datagrams were read. Returns 0 when it is empty, 1 when
// there may be more, or the error that ended it.
int nl_drain(struct nl *nl, unsigned int max, nl_fn fn, void *arg);

// Sends a request and hands each message of its answer to 'fn', until the kernel's acknowledgement
// (NLM_F_ACK is added) or the end of the dump. Returns 0, the kernel's error, -EINTR for a dump
// that changed under way (NLM_F_DUMP_INTR; 'fn' saw all of it), -ETIMEDOUT after two seconds.
int nl_request(struct nl *nl, struct nlmsghdr *nlh, nl_fn fn, void *arg);
// The same for several messages that are one request: the first error counts, or the
// acknowledgement that the last message asks for.
int nl_request_batch(struct nl *nl, void *messages, size_t bytes, nl_fn fn, void *arg);

// True when the message holds a family header of 'size' bytes.
bool nl_has_header(const struct nlmsghdr *nlh, size_t size);
// Sorts attributes by type into 'tb' (tb[0..max]); a type beyond 'max' is skipped, the last of a
// type counts. nl_parse_nested(NULL) leaves 'tb' empty.
void nl_parse(const struct nlmsghdr *nlh, size_t header, const struct nlattr **tb, uint16_t max);
void nl_parse_nested(const struct nlattr *nest, const struct nlattr **tb, uint16_t max);
// Copy a value; false when the attribute is NULL or too short (a name: empty or too long).
bool nl_get(const struct nlattr *attr, void *value, size_t size);
bool nl_get_be16(const struct nlattr *attr, uint16_t *value);
bool nl_get_be32(const struct nlattr *attr, uint32_t *value);
bool nl_get_name(const struct nlattr *attr, char *name, size_t size);
