// SPDX-License-Identifier: BSD-3-Clause
#include "twin.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

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

// A persistent tap that nobody has open has no carrier.
static bool has_carrier(const char *name)
{
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
	struct ifreq ifr = {.ifr_data = (void *)&link};

	return netdev_ioctl(name, SIOCETHTOOL, &ifr) == 0 && link.data != 0;
}

// Opens a queue of the tap; its descriptor.
static int tap_open(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE};
	const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -1;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static int tap_persist(const char *name, unsigned long persist)
{
	const int fd = tap_open(name);
	int ret;

	if (fd < 0)
		return -1;
	ret = ioctl(fd, TUNSETPERSIST, persist);
	close(fd);
	return ret;
}

// One daemon for each twin of a network namespace: an abstract socket's name is taken as long as
// the process lives, leaves nothing behind, and belongs to the namespace as the device does.
static bool twin_lock(const char *name)
{
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const int n = snprintf(
		addr.sun_path + 1, sizeof(addr.sun_path) - 1, "dpdk-nftoffload/twin/%s", name);

	if (fd >= 0
		&& bind(fd, (struct sockaddr *)&addr,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n))
			   == 0)
		return true; // kept open for the process's life
	if (fd >= 0)
		close(fd);
	return false;
}

static int tap_prepare(const char *name, struct twin *twin, char *err, size_t err_size)
{
	struct ifreq ifr = {.ifr_flags = 0};

	twin->created = if_nametoindex(name) == 0;
	if (!twin_lock(name)) {
		snprintf(err, err_size,
			"twin \"%s\" belongs to another dpdk-nftoffload that is running, expected "
			"a "
			"name of its own for each",
			name);
		return -1;
	}
	if (!twin->created && has_carrier(name)) {
		snprintf(err, err_size,
			"interface \"%s\" exists and is in use, expected a free name or an idle "
			"tap; "
			"is another dpdk-nftoffload running?",
			name);
		return -1;
	}
	if (tap_persist(name, 1) < 0) {
		if (errno == EINVAL)
			snprintf(err, err_size,
				"interface \"%s\" exists and is no multi-queue tap, expected a "
				"free name",
				name);
		else
			snprintf(err, err_size,
				"cannot make tap \"%s\": %s (it needs /dev/net/tun and "
				"CAP_NET_ADMIN)",
				name, strerror(errno));
		return -1;
	}
	twin->was_up = netdev_ioctl(name, SIOCGIFFLAGS, &ifr) == 0 && (ifr.ifr_flags & IFF_UP);
	return 0;
}

int twin_open(const char *name, unsigned int index, const struct rte_ether_addr *mac,
	struct twin *twin, char *err, size_t err_size)
{
	char vdev[RTE_ETH_NAME_MAX_LEN], devargs[256];
	int ret;

	if (tap_prepare(name, twin, err, err_size) < 0)
		return -1;
	snprintf(vdev, sizeof(vdev), "net_tap_twin%u", index);
	snprintf(devargs, sizeof(devargs), "%s,iface=%s,mac=" RTE_ETHER_ADDR_PRT_FMT, vdev, name,
		RTE_ETHER_ADDR_BYTES(mac));
	ret = rte_dev_probe(devargs);
	if (ret == 0)
		ret = rte_eth_dev_get_port_by_name(vdev, &twin->ethdev);
	if (ret == 0)
		return 0;
	snprintf(err, err_size, "cannot open tap \"%s\": %s", name, strerror(-ret));
	if (twin->created)
		twin_unpersist(name);
	return -1;
}

void twin_restore_flags(const char *name, const struct twin *twin)
{
	struct ifreq ifr = {.ifr_flags = 0};

	if (twin->was_up || netdev_ioctl(name, SIOCGIFFLAGS, &ifr) < 0)
		return;
	ifr.ifr_flags &= (short)~IFF_UP;
	netdev_ioctl(name, SIOCSIFFLAGS, &ifr);
}

void twin_unpersist(const char *name)
{
	tap_persist(name, 0);
}
