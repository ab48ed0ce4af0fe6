// SPDX-License-Identifier: GPL-2.0-or-later
#include "xfrm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <libmnl/libmnl.h>
#include <linux/xfrm.h>

#include "log.h"
#include "loop.h"
#include "nl.h"

enum { EVENTS_A_TURN = 256, EVENT_BUF_BYTES = 1 << 20 };

struct xfrm {
	struct nl query, events;
	struct loop_fd *watch;
	bool policies;
	void (*changed)(void *arg);
	void *arg;
};

bool xfrm_decode_policy(const struct nlmsghdr *nlh)
{
	const struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type != XFRM_MSG_NEWPOLICY || !nl_has_header(nlh, sizeof(*info)))
		return false;
	return info->dir == XFRM_POLICY_OUT || info->dir == XFRM_POLICY_FWD;
}

static void on_policy(void *arg, const struct nlmsghdr *nlh)
{
	bool *any = arg;

	*any |= xfrm_decode_policy(nlh);
}

// Reading them anew at each event is simpler than to follow it, and policies are few.
static int read_policies(struct xfrm *x)
{
	struct {
		struct nlmsghdr nlh;
		struct xfrm_userpolicy_id id;
	} request = {.nlh = {
			     .nlmsg_len = sizeof(request),
			     .nlmsg_type = XFRM_MSG_GETPOLICY,
			     .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		     }};
	bool any = false;
	int err = nl_request(&x->query, &request.nlh, on_policy, &any);

	if (err == -EINTR) // changed under way: another event follows
		err = 0;
	if (!err)
		x->policies = any;
	return err;
}

static void ignore(void *arg, const struct nlmsghdr *nlh)
{
	(void)arg;
	(void)nlh;
}

static void readable(void *arg, uint32_t epoll_events)
{
	struct xfrm *x = arg;
	const bool before = x->policies;
	int err;

	(void)epoll_events;
	if (nl_drain(&x->events, EVENTS_A_TURN, ignore, NULL) < 0)
		log_warning_rarely("xfrm", "events were lost; reading the IPsec policies again");
	err = read_policies(x);
	if (err) {
		log_warning("xfrm", "cannot read IPsec policies: %s; taken to be there",
			strerror(-err));
		x->policies = true;
	}
	if (x->policies != before)
		x->changed(x->arg);
}

static int start(struct xfrm *x, struct loop *loop)
{
	const unsigned int group = XFRMNLGRP_POLICY;
	int err = nl_open(&x->query, NETLINK_XFRM, 0);

	if (err == -EPROTONOSUPPORT)
		return 0; // no XFRM, no policies
	if (!err)
		err = nl_open_events(&x->events, NETLINK_XFRM, EVENT_BUF_BYTES);
	if (!err)
		err = nl_join(&x->events, &group, 1);
	if (err)
		return err;
	x->watch = loop_fd_add(loop, nl_fd(&x->events), EPOLLIN, readable, x);
	if (!x->watch)
		return -errno;
	err = read_policies(x);
	return err == -EOPNOTSUPP || err == -EINVAL ? 0 : err;
}

struct xfrm *xfrm_create(struct loop *loop, void (*changed)(void *arg), void *arg)
{
	struct xfrm *x = calloc(1, sizeof(*x));
	int err;

	if (!x)
		return NULL;
	x->changed = changed;
	x->arg = arg;
	err = start(x, loop);
	if (!err)
		return x;
	xfrm_destroy(x);
	errno = -err;
	return NULL;
}

void xfrm_destroy(struct xfrm *x)
{
	if (!x)
		return;
	loop_fd_del(x->watch);
	nl_close(&x->events);
	nl_close(&x->query);
	free(x);
}

uint64_t xfrm_overruns(const struct xfrm *x)
{
	return x->events.overruns;
}

bool xfrm_policies(const struct xfrm *x)
{
	return x->policies;
}
