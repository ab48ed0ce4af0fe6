// SPDX-License-Identifier: BSD-3-Clause
#include "twin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>

#include "twin_kind.h"

const char *twin_word(enum dp_twin kind)
{
	static const char *const words[] = {
		[DP_TWIN_AUTO] = "auto",
		[DP_TWIN_TAP] = "tap",
		[DP_TWIN_VIRTIO_USER] = "virtio-user",
	};

	return words[kind];
}

bool twin_possible(enum dp_twin kind, char *why, size_t why_size)
{
	why[0] = '\0';
	if (kind != DP_TWIN_VIRTIO_USER || twin_virtio_possible())
		return true;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		snprintf(why, why_size, "no /dev/vhost-net");
	else
		snprintf(why, why_size, "/dev/vhost-net: %s", strerror(errno));
	return false;
}

static int netdev_ioctl(const char *name, unsigned long request, struct ifreq *ifr)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -1;
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	ret = ioctl(fd, request, ifr);
	close(fd);
	return ret;
}

// A tap that nobody has open has no carrier.
static bool has_carrier(const char *name)
{
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
	struct ifreq ifr = {.ifr_data = (void *)&link};

	return netdev_ioctl(name, SIOCETHTOOL, &ifr) == 0 && link.data != 0;
}

// One daemon for each twin of a network namespace: an abstract socket's name is taken as long as it
// is open, leaves nothing behind, and belongs to the namespace as the device does.
static int twin_lock(const char *name)
{
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const int n = snprintf(
		addr.sun_path + 1, sizeof(addr.sun_path) - 1, "dpdk-nftoffload/twin/%s", name);
	const size_t size = offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n;

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, (socklen_t)size) == 0)
		return fd;
	close(fd);
	return -1;
}

// The first queue makes the device, or takes it over with the flags given here.
static int open_queue(struct twin *t)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE};
	const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int error;

	if (fd < 0)
		return -1;
	if (t->kind == DP_TWIN_VIRTIO_USER)
		ifr.ifr_flags |= IFF_VNET_HDR | IFF_NAPI; // NAPI: the kernel merges (GRO)
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", t->name);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0) {
		t->fd[t->n_queues++] = fd;
		return 0;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

// A device that has its MAC address keeps its static neighbours, which a change would end.
static int set_mac(const char *name, const struct rte_ether_addr *mac)
{
	struct ifreq ifr = {.ifr_flags = 0};

	if (netdev_ioctl(name, SIOCGIFHWADDR, &ifr) == 0
		&& memcmp(ifr.ifr_hwaddr.sa_data, mac, RTE_ETHER_ADDR_LEN) == 0)
		return 0;
	ifr = (struct ifreq){.ifr_hwaddr.sa_family = ARPHRD_ETHER};
	memcpy(ifr.ifr_hwaddr.sa_data, mac, RTE_ETHER_ADDR_LEN);
	return netdev_ioctl(name, SIOCSIFHWADDR, &ifr);
}

static int set_up(const struct twin *t, const struct twin_conf *conf)
{
	struct ifreq ifr = {.ifr_mtu = conf->mtu};

	if (set_mac(t->name, conf->mac) < 0 || netdev_ioctl(t->name, SIOCSIFMTU, &ifr) < 0)
		return -1;
	return ioctl(t->fd[0], TUNSETPERSIST, conf->persist ? 1ul : 0ul);
}

static void close_queues(struct twin *t)
{
	for (unsigned int q = 0; q < t->n_queues; q++) {
		twin_virtio_close(t, q);
		close(t->fd[q]);
		rte_pktmbuf_free(t->spare[q]);
		t->spare[q] = NULL;
	}
	t->n_queues = 0;
}

// A device that was of the other kind may offer, and have sent already, what a tap cannot take.
static int whole_frames_only(const struct twin *t)
{
	uint8_t byte;

	if (ioctl(t->fd[0], TUNSETOFFLOAD, 0ul) < 0)
		return -1;
	for (unsigned int q = 0; q < t->n_queues && !t->created; q++)
		while (read(t->fd[q], &byte, sizeof(byte)) > 0)
			;
	return 0;
}

static int open_queues(struct twin *t, unsigned int n)
{
	const bool virtio = t->kind == DP_TWIN_VIRTIO_USER;

	for (unsigned int q = 0; q < n; q++)
		if (open_queue(t) < 0 || (virtio && twin_virtio_open(t, q) < 0))
			return -1;
	return virtio ? 0 : whole_frames_only(t);
}

static int open_kind(struct twin *t, const struct twin_conf *conf)
{
	t->kind = conf->kind;
	if (conf->kind != DP_TWIN_AUTO)
		return open_queues(t, conf->queues);
	t->kind = DP_TWIN_VIRTIO_USER;
	if (twin_possible(t->kind, t->why, sizeof(t->why))) {
		if (open_queues(t, conf->queues) == 0)
			return 0;
		snprintf(t->why, sizeof(t->why), "vhost-net: %s", strerror(errno));
		close_queues(t);
	}
	t->kind = DP_TWIN_TAP;
	return open_queues(t, conf->queues);
}

static int open_all(struct twin *t, const struct twin_conf *conf)
{
	return open_kind(t, conf) < 0 ? -1 : set_up(t, conf);
}

int twin_open(struct twin *t, const struct twin_conf *conf, char *err, size_t size)
{
	*t = (struct twin){.pool = conf->pool, .created = if_nametoindex(conf->name) == 0};
	snprintf(t->name, sizeof(t->name), "%s", conf->name);
	t->lock = twin_lock(t->name);
	if (t->lock < 0) {
		snprintf(err, size,
			"interface \"%s\" is in use by another dpdk-nftoffload, expected a name of "
			"its "
			"own for each",
			t->name);
		return -1;
	}
	if (!t->created && has_carrier(t->name))
		snprintf(err, size,
			"interface \"%s\" exists and is in use, expected a free name or an idle "
			"tap",
			t->name);
	else if (open_all(t, conf) == 0)
		return 0;
	else if (errno == EINVAL && t->n_queues == 0)
		snprintf(err, size,
			"interface \"%s\" exists and is no multi-queue tap, expected a free name",
			t->name);
	else
		snprintf(err, size,
			"cannot make twin \"%s\" (%s) with %u queues and MTU %u: %s (it needs "
			"/dev/net/tun and CAP_NET_ADMIN)",
			t->name, twin_word(t->kind), conf->queues, conf->mtu, strerror(errno));
	twin_close(t, !t->created);
	return -1;
}

void twin_close(struct twin *t, bool keep)
{
	if (t->name[0] == '\0')
		return;
	if (!keep && t->n_queues > 0)
		ioctl(t->fd[0], TUNSETPERSIST, 0ul);
	close_queues(t);
	close(t->lock);
	*t = (struct twin){.n_queues = 0};
}

unsigned int twin_rx(struct twin *t, unsigned int queue, struct rte_mbuf **frames, unsigned int n)
{
	return t->kind == DP_TWIN_VIRTIO_USER ? twin_virtio_rx(t, queue, frames, n)
					      : twin_tap_rx(t, queue, frames, n);
}

unsigned int twin_room(struct twin *t, unsigned int queue)
{
	return t->kind == DP_TWIN_VIRTIO_USER ? twin_virtio_room(t, queue) : UINT_MAX;
}

unsigned int twin_tx(struct twin *t, unsigned int queue, struct rte_mbuf **frames, unsigned int n)
{
	return t->kind == DP_TWIN_VIRTIO_USER ? twin_virtio_tx(t, queue, frames, n)
					      : twin_tap_tx(t, queue, frames, n);
}
