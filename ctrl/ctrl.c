// SPDX-License-Identifier: GPL-2.0-or-later
#include "ctrl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <linux/netfilter.h>

#include "cmd.h"
#include "flows.h"
#include "loop.h"
#include "mirror.h"
#include "nl.h"
#include "problems.h"
#include "reload.h"
#include "rtnl.h"
#include "sock.h"
#include "twins.h"

enum { POLLS_PER_TURN = 64 }; // of a worker that shares the lcore

struct ctrl {
	const char *version;
	struct reload reload; // with the configuration that runs
	int hup;              // signalfd of SIGHUP
	struct loop_fd *hup_watch;
	struct loop *loop;
	struct rtnl *rtnl;
	struct twins *twins;
	struct mirror *mirror;
	struct problems *problems; // NULL with static flows, which need little of the kernel
	struct sock *sock;
	struct cmd_ctx cmd;
	struct nft_flowtable stand_in[CONF_MAX_FLOWTABLES];
	char (*stand_in_devices)[CONF_MAX_DEVICES][NFO_NAME_LEN];
	struct flows flows; // 'file' is NULL without --flows
};

struct ctrl *ctrl_create(const char *version)
{
	struct ctrl *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->version = version;
	c->hup = -1;
	c->loop = loop_create();
	if (c->loop != NULL)
		return c;
	free(c);
	return NULL;
}

void ctrl_destroy(struct ctrl *c)
{
	if (c == NULL)
		return;
	ctrl_end(c);
	flows_fini(&c->flows);
	loop_destroy(c->loop);
	free(c);
}

int ctrl_load_flows(
	struct ctrl *c, const char *path, const struct conf *conf, char *err, size_t err_size)
{
	flows_fini(&c->flows);
	return flows_load(path, &conf->dp, &c->flows, err, err_size);
}

int ctrl_install_flows(const struct ctrl *c, char *err, size_t err_size)
{
	return flows_install(&c->flows, err, err_size);
}

static void rtnl_changed(void *arg, const struct rtnl_event *event)
{
	struct ctrl *c = arg;

	if (event->change == RTNL_LINK && !event->gone && c->twins != NULL)
		twins_link_changed(c->twins, event->link);
	if (c->mirror != NULL)
		mirror_rtnl_changed(c->mirror, event);
}

// Conntrack tells of a connection only if it was made with events on; the default (2) makes those
// that are older than the first listener mute.
static void set_ct_events(void)
{
	static const char path[] = "/proc/sys/net/netfilter/nf_conntrack_events";
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	char now = 0;

	if (fd < 0) {
		log_info("ctrl", "%s: %s; connections made before this start tell no events", path,
			strerror(errno));
		return;
	}
	if (read(fd, &now, 1) == 1 && now != '1') {
		if (pwrite(fd, "1\n", 2, 0) == 2)
			log_notice("ctrl", "nf_conntrack_events was %c, is 1 now", now);
		else
			log_warning("ctrl", "%s is %c, expected 1: %s", path, now, strerror(errno));
	}
	close(fd);
}

static void fill_stand_in(struct ctrl *c, const struct conf *conf)
{
	for (unsigned int i = 0; i < conf->n_flowtables; i++) {
		const struct conf_flowtable *from = &conf->flowtable[i];
		struct nft_flowtable *ft = &c->stand_in[i];

		*ft = (struct nft_flowtable){
			.family = NFPROTO_INET,
			.n_devices = from->n_devices,
			.devices = c->stand_in_devices[i],
			.from_config = true,
			.mark_value = from->mark_value,
			.mark_mask = from->mark_mask,
		};
		snprintf(ft->name, sizeof(ft->name), "%s", from->name);
		memcpy(ft->devices, from->device, sizeof(from->device));
	}
}

static struct mirror_conf mirror_conf(const struct ctrl *c)
{
	const struct conf *conf = c->reload.conf;
	struct mirror_conf mc = {
		.max_connections = conf->dp.max_connections,
		.dump_interval_ms = conf->dump_interval_ms,
		.tcp_idle_s = conf->tcp_idle_s,
		.udp_idle_s = conf->udp_idle_s,
		.stand_in = c->stand_in,
		.n_stand_in = conf->n_flowtables,
		.n_ports = conf->dp.n_ports,
		.no_sources = c->flows.file != NULL,
	};

	for (unsigned int i = 0; i < mc.n_ports; i++)
		memcpy(mc.port[i], conf->dp.port[i].name, NFO_NAME_LEN);
	return mc;
}

static int start_mirror(struct ctrl *c)
{
	const struct mirror_conf mc = mirror_conf(c);

	c->stand_in_devices = calloc(CONF_MAX_FLOWTABLES, sizeof(*c->stand_in_devices));
	if (c->stand_in_devices == NULL)
		return -ENOMEM;
	fill_stand_in(c, c->reload.conf);
	c->mirror = mirror_create(c->loop, c->rtnl, &mc);
	return c->mirror != NULL ? 0 : -errno;
}

static void say_sources(const struct ctrl *c, const struct conf *conf)
{
	const char *unsupported = mirror_nft_unsupported(c->mirror);
	struct ct_stats stats;

	if (c->flows.file != NULL) {
		log_notice("ctrl", "%zu flows come from %s, none from the kernel", c->flows.n,
			c->flows.file);
		return;
	}
	if (unsupported != NULL)
		log_warning("ctrl", "no flowtables from the kernel: %s", unsupported);
	for (unsigned int i = 0; i < mirror_flowtables(c->mirror); i++) {
		const struct nft_flowtable *ft = mirror_flowtable(c->mirror, i);

		log_notice("ctrl", "flowtable %s %s: %u devices",
			ft->from_config ? "of the configuration" : ft->table, ft->name,
			ft->n_devices);
	}
	if (mirror_ct_stats(c->mirror, &stats))
		log_notice("ctrl", "flows come from conntrack: events, and a dump every %u ms",
			conf->dump_interval_ms);
	else
		log_warning("ctrl", "no conntrack: all packets take the kernel's path");
}

// --- reload ---

void ctrl_fix_log_level(struct ctrl *c)
{
	c->reload.log_level_fixed = true;
}

static void follow_conf(void *arg, bool other_flowtables)
{
	struct ctrl *c = arg;
	struct mirror_conf mc;

	fill_stand_in(c, c->reload.conf);
	mc = mirror_conf(c);
	mirror_configure(c->mirror, &mc, other_flowtables);
}

int ctrl_reload(struct ctrl *c, conf_change_fn tell, void *arg, char *err, size_t err_size)
{
	return reload_file(&c->reload, tell, arg, err, err_size);
}

static void tell_nobody(void *arg, const struct conf_change *change)
{
	(void)arg;
	(void)change;
}

static void hup(void *arg, uint32_t epoll_events)
{
	struct ctrl *c = arg;
	struct signalfd_siginfo info;
	char err[RELOAD_ERR_BYTES];

	(void)epoll_events;
	if (read(c->hup, &info, sizeof(info)) == sizeof(info))
		ctrl_reload(c, tell_nobody, NULL, err, sizeof(err));
}

static int watch_hup(struct ctrl *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	c->hup = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (c->hup >= 0)
		c->hup_watch = loop_fd_add(c->loop, c->hup, EPOLLIN, hup, c);
	return c->hup_watch != NULL ? 0 : -errno;
}

// --- life ---

int ctrl_start(struct ctrl *c, struct conf *conf)
{
	int ret;

	c->reload.conf = conf;
	c->reload.follow = follow_conf;
	c->reload.arg = c;
	nl_set_events_bytes((size_t)conf->netlink_buffer_kb << 10);
	c->rtnl = rtnl_create(c->loop, rtnl_changed, c);
	if (c->rtnl == NULL) {
		ret = -errno;
		log_error("ctrl", "cannot follow rtnetlink: %s", strerror(errno));
		return ret;
	}
	c->reload.rtnl = c->rtnl;
	c->twins = twins_create(c->loop, c->rtnl);
	if (c->flows.file == NULL)
		set_ct_events(); // before connections are followed
	ret = c->twins != NULL ? watch_hup(c) : -errno;
	if (ret == 0)
		ret = start_mirror(c);
	if (ret < 0) {
		log_error("ctrl", "cannot start: %s", strerror(-ret));
		return ret;
	}
	say_sources(c, conf);
	if (c->flows.file == NULL)
		c->problems = problems_create(c->loop, c->rtnl, c->mirror);
	c->cmd = (struct cmd_ctx){.loop = c->loop,
		.mirror = c->mirror,
		.problems = c->problems,
		.ctrl = c,
		.version = c->version};
	c->sock = sock_create(c->loop, conf->socket, cmd_request, &c->cmd);
	if (c->sock == NULL) {
		ret = -errno;
		log_error("ctrl", "cannot listen at %s: %s%s", conf->socket, strerror(errno),
			errno == EADDRINUSE ? "; another dpdk-nftoffload answers there" : "");
		return ret;
	}
	log_notice("ctrl", "listening at %s", conf->socket);
	return 0;
}

void ctrl_end(struct ctrl *c)
{
	sock_destroy(c->sock);
	problems_destroy(c->problems);
	mirror_destroy(c->mirror);
	twins_destroy(c->twins);
	rtnl_destroy(c->rtnl);
	free(c->stand_in_devices);
	loop_fd_del(c->hup_watch);
	if (c->hup >= 0)
		close(c->hup);
	c->hup_watch = NULL;
	c->hup = -1;
	c->sock = NULL;
	c->problems = NULL;
	c->mirror = NULL;
	c->twins = NULL;
	c->rtnl = NULL;
	c->stand_in_devices = NULL;
}

static int run_shared(struct ctrl *c, int (*poll)(void))
{
	int ret = 0;

	while (!loop_stopped(c->loop) && ret == 0) {
		// an idle worker has slept: then it is control's turn
		for (unsigned int i = 0; i < POLLS_PER_TURN && poll() == 0; i++)
			;
		ret = loop_run_once(c->loop, 0);
	}
	return ret;
}

int ctrl_run(struct ctrl *c, int (*poll)(void))
{
	int ret = 0;

	if (poll != NULL)
		ret = run_shared(c, poll);
	else
		while (!loop_stopped(c->loop) && ret == 0)
			ret = loop_run_once(c->loop, UINT64_MAX);
	if (ret < 0)
		log_error("ctrl", "event loop: %s", strerror(-ret));
	else
		log_notice("ctrl", "stopping");
	return ret;
}

void ctrl_stop(struct ctrl *c)
{
	loop_stop(c->loop);
}
