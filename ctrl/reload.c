// SPDX-License-Identifier: GPL-2.0-or-later
#include "reload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf_key.h"
#include "log.h"
#include "rtnl.h"

enum { LINE_BYTES = 512 };

// One reload.
struct job {
	struct reload *r;
	struct conf was;
	uint16_t mtu[NFO_MAX_PORTS]; // of the ports, which need not be that of 'was'
	bool other_flowtables;
	conf_change_fn tell;
	void *arg;
	char *err;
	size_t err_size;
};

static void __attribute__((format(printf, 2, 3))) refuse(struct job *j, const char *fmt, ...)
{
	const size_t used = strlen(j->err);
	char line[LINE_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	log_error("reload", "%s", line);
	snprintf(j->err + used, j->err_size - used, "%s%s", used != 0 ? "; " : "", line);
}

static const char *what(const struct conf_change *change, char text[LINE_BYTES])
{
	if (change->key == NULL)
		snprintf(text, LINE_BYTES, "[%s] %s", change->section,
			change->from[0] == '\0' ? "is new" : "is gone");
	else
		snprintf(text, LINE_BYTES, "[%s] %s: %s -> %s", change->section, change->key,
			change->from, change->to);
	return text;
}

static void check_change(void *arg, const struct conf_change *change)
{
	struct job *j = arg;
	char text[LINE_BYTES], line[16] = "";

	j->other_flowtables |= change->kind == CONF_FLOWTABLE;
	if (change->live)
		return;
	if (change->line != 0)
		snprintf(line, sizeof(line), ":%u", change->line);
	refuse(j, "%s%s: %s%s needs a restart", j->r->conf->file, line, what(change, text),
		change->key == NULL ? ", which" : "");
}

static void tell_change(void *arg, const struct conf_change *change)
{
	const struct job *j = arg;
	char text[LINE_BYTES];

	log_notice("reload", "%s", what(change, text));
	j->tell(j->arg, change);
}

static int refuse_port(struct job *j, unsigned int port, const char *key, int error)
{
	const struct conf_section *section = &conf_sections[CONF_PORT];
	const struct conf *conf = j->r->conf;

	refuse(j, "%s:%u: [port %s] %s: the port refuses it (%s), which may need a restart", conf->file,
		conf->port_lines[port].key[conf_key_find(section, key) - section->keys],
		conf->dp.port[port].name, key, strerror(-error));
	return -1;
}

// Of the port first, which may refuse it, then of its twin: what the kernel tells of that is no news then.
static int set_mtu(const struct reload *r, unsigned int port, uint16_t mtu)
{
	const struct rtnl_link *twin = rtnl_link_by_name(r->rtnl, r->conf->dp.port[port].name);
	struct dp_port_info info;
	int ret = twin != NULL ? dp_port_info(port, &info) : -ENODEV;

	if (ret < 0)
		return ret;
	if (mtu == 0)
		mtu = info.device_mtu;
	if (mtu != info.mtu)
		ret = dp_port_set_mtu(port, mtu);
	if (ret < 0)
		return ret;
	ret = rtnl_link_set_mtu(r->rtnl, twin->ifindex, mtu);
	if (ret < 0 && mtu != info.mtu)
		dp_port_set_mtu(port, info.mtu);
	return ret;
}

static void restore_port(const struct job *j, unsigned int i, bool mtu_too)
{
	const struct dp_port_conf *was = &j->was.dp.port[i], *next = &j->r->conf->dp.port[i];
	int ret = 0, mtu_ret = 0;

	if (next->promiscuous != was->promiscuous)
		ret = dp_port_set_promiscuous(i, was->promiscuous);
	if (mtu_too && next->mtu != was->mtu)
		mtu_ret = set_mtu(j->r, i, j->mtu[i]);
	if (ret < 0 || mtu_ret < 0)
		log_error("reload", "port %s cannot go back to what it was (%s): it needs a restart",
			was->name, strerror(ret < 0 ? -ret : -mtu_ret));
}

// Refused, it is as it was.
static int change_port(struct job *j, unsigned int i)
{
	const struct dp_port_conf *was = &j->was.dp.port[i], *next = &j->r->conf->dp.port[i];
	struct dp_port_info info;
	int ret = 0;

	if (next->promiscuous != was->promiscuous)
		ret = dp_port_set_promiscuous(i, next->promiscuous);
	if (ret < 0)
		return refuse_port(j, i, "promiscuous", ret);
	j->mtu[i] = dp_port_info(i, &info) == 0 ? info.mtu : 0;
	if (next->mtu != was->mtu)
		ret = set_mtu(j->r, i, next->mtu);
	if (ret == 0)
		return 0;
	restore_port(j, i, false);
	return refuse_port(j, i, "mtu", ret);
}

// Ports alone may refuse a change. Then those before get back what they had.
static int change_ports(struct job *j)
{
	for (unsigned int i = 0; i < j->r->conf->dp.n_ports; i++) {
		if (change_port(j, i) == 0)
			continue;
		while (i-- > 0)
			restore_port(j, i, true);
		return -1;
	}
	return 0;
}

static int change(struct job *j, const struct conf *next)
{
	struct reload *r = j->r;

	if (conf_diff(r->conf, next, check_change, j) != 0)
		return -1;
	j->was = *r->conf;
	conf_take(r->conf, next);
	if (change_ports(j) < 0) {
		*r->conf = j->was;
		return -1;
	}
	// from here on nothing fails
	if (!r->log_level_fixed)
		log_set_level(r->conf->log_level);
	dp_set_idle_sleep(r->conf->dp.idle_sleep_us);
	for (unsigned int i = 0; i < r->conf->dp.n_ports; i++)
		dp_port_set_punt(i, r->conf->dp.port[i].punt_pps);
	r->follow(r->arg, j->other_flowtables);
	conf_diff(&j->was, next, tell_change, j);
	return 0;
}

int reload_file(struct reload *r, conf_change_fn tell, void *arg, char *err, size_t err_size)
{
	struct job j = {.r = r, .tell = tell, .arg = arg, .err = err, .err_size = err_size};
	struct conf next;
	int ret;

	err[0] = '\0';
	ret = conf_load(r->conf->file, &next, err, err_size);
	if (ret < 0) {
		log_error("reload", "%s", err);
	} else {
		if (r->log_level_fixed)
			next.log_level = r->conf->log_level;
		ret = change(&j, &next);
		conf_fini(&next);
	}
	if (ret < 0)
		log_error("reload", "nothing is changed");
	else
		log_notice("reload", "%s was read again", r->conf->file);
	return ret;
}
