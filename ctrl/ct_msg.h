// SPDX-License-Identifier: GPL-2.0-or-later
// The messages of ctnetlink, read and written. Pure: no socket, no state.
#pragma once

#include <stdint.h>

#include <linux/netlink.h>

#include "ct.h"

enum { CT_MSG_MAX = 256 }; // no message that is written here is longer

// The connection that a refused update (NLMSG_ERROR with the request behind it) was for.
// 0, or what ct_decode() would say.
int ct_decode_error(const struct nlmsghdr *nlh, struct nfo_tuple *orig, uint16_t *zone);

// Each writes one request to 'buf', which has CT_MSG_MAX bytes.
struct nlmsghdr *ct_put_request(void *buf, uint8_t type);
struct nlmsghdr *ct_put_dump(void *buf, const struct ct_filter *filter); // NULL: everything
struct nlmsghdr *ct_put_get(void *buf, const struct ct_conn *conn);
struct nlmsghdr *ct_put_liberal(void *buf, const struct ct_conn *conn);
