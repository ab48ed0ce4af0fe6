// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MLD_V2_REPORT = 143 }; // RFC 3810

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

uint64_t wire_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool enter(const char *namespace)
{
	char path[128];
	bool entered;
	int fd;

	snprintf(path, sizeof(path), "/var/run/netns/%s", namespace);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	entered = setns(fd, CLONE_NEWNET) == 0;
	close(fd);
	return entered;
}

// Of the end named NAMESPACE/DEVICE; -1 with errno.
static int open_end(const char *text)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	const int on = 1, room = 8 << 20;
	char namespace[64];
	int fd;

	if (sscanf(text, "%63[^/]/", namespace) != 1 || strchr(text, '/') == NULL) {
		errno = EINVAL;
		return -1;
	}
	if (!enter(namespace))
		return -1;
	addr.sll_ifindex = (int)if_nametoindex(strchr(text, '/') + 1);
	if (addr.sll_ifindex == 0)
		return -1;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on));
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool wire_add(struct wires *wires, const char *text)
{
	struct wire *w = &wires->w[wires->n];
	char end[ROUTERS][80];
	unsigned int mac[6];
	int used = 0;

	if (wires->n == WIRE_PORTS_MAX
		|| sscanf(text, "%15[^=]=%79[^,],%79[^,],%x:%x:%x:%x:%x:%x,%hu%n", w->name, end[0],
			   end[1], &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], &w->mtu,
			   &used)
			   != 10
		|| text[used] != '\0') {
		fprintf(stderr,
			"--port %s: expected NAME=NAMESPACE/DEVICE,NAMESPACE/DEVICE,MAC,MTU, at "
			"most "
			"%d times\n",
			text, WIRE_PORTS_MAX);
		return false;
	}
	for (int i = 0; i < 6; i++)
		w->mac[i] = (uint8_t)mac[i];
	for (int r = 0; r < ROUTERS; r++) {
		w->fd[r] = open_end(end[r]);
		if (w->fd[r] < 0) {
			fprintf(stderr, "--port %s: %s: %s\n", text, end[r], strerror(errno));
			return false;
		}
	}
	wires->n++;
	return true;
}

int wire_find(const struct wires *wires, const char *name)
{
	for (unsigned int i = 0; i < wires->n; i++)
		if (strcmp(wires->w[i].name, name) == 0)
			return (int)i;
	return -1;
}

void frames_add(struct frames *frames, uint8_t port, const uint8_t *bytes, size_t len)
{
	struct frame *f;

	if (frames->n == WIRE_FRAMES_MAX)
		return;
	f = calloc(1, sizeof(*f) + len);
	if (f == NULL)
		abort();
	f->port = port;
	f->len = (uint16_t)len;
	memcpy(f->b, bytes, len);
	frames->f[frames->n++] = f;
}

void frames_clear(struct frames *frames)
{
	for (size_t i = 0; i < frames->n; i++)
		free(frames->f[i]);
	frames->n = 0;
}

// A full queue of the device empties itself.
static bool send_one(int fd, const struct frame *frame)
{
	const uint64_t end = wire_now_ms() + 1000;

	while (send(fd, frame->b, frame->len, 0) < 0) {
		if ((errno != ENOBUFS && errno != EAGAIN) || wire_now_ms() > end)
			return false;
		usleep(500);
	}
	return true;
}

bool wire_send(struct wires *wires, const struct frame *frame)
{
	const struct wire *w = &wires->w[frame->port];

	if (!send_one(w->fd[ROUTER_K], frame)) {
		wires->unsendable++;
		return false;
	}
	if (!send_one(w->fd[ROUTER_G], frame))
		fprintf(stderr,
			"%s of the gateway does not take %u bytes that the kernel's does: %s\n",
			w->name, frame->len, strerror(errno));
	return true;
}

// Whether it is the machine's own, at a time of its own: neighbour discovery, MLD, or the complaint
// half a minute later that a fragment stayed alone. 'b' is the IPv6 packet.
static bool is_noise_v6(const uint8_t *b, size_t len)
{
	enum { HEADER_BYTES = 40, ALERT_BYTES = 8, NEXT_HEADER = 6 };
	size_t at = HEADER_BYTES;

	if (len < HEADER_BYTES + ALERT_BYTES + 2)
		return false;
	if (b[NEXT_HEADER] == IPPROTO_HOPOPTS && b[HEADER_BYTES] == IPPROTO_ICMPV6)
		at += ALERT_BYTES; // behind the router alert of MLD
	else if (b[NEXT_HEADER] != IPPROTO_ICMPV6)
		return false;
	return (b[at] >= MLD_LISTENER_QUERY && b[at] <= ND_REDIRECT) || b[at] == MLD_V2_REPORT
	       || (b[at] == ICMP6_TIME_EXCEEDED && b[at + 1] == ICMP6_TIME_EXCEED_REASSEMBLY);
}

static bool is_noise_v4(const uint8_t *b, size_t len)
{
	const size_t at = (size_t)(b[0] & 15) * 4;

	return len >= at + 2 && len > 20 && b[9] == IPPROTO_ICMP && b[at] == ICMP_TIME_EXCEEDED
	       && b[at + 1] == ICMP_EXC_FRAGTIME;
}

// Not of the flows, behind whatever tags.
static bool is_noise(const uint8_t *b, size_t len)
{
	enum { TAGS_MAX = 2 };
	size_t at = 12;
	uint16_t type = 0;

	for (int i = 0; i <= TAGS_MAX && len > at + 2; i++, at += 4) {
		type = (uint16_t)(b[at] << 8 | b[at + 1]);
		if (type != ETH_P_8021Q && type != ETH_P_8021AD)
			break;
	}
	at += 2;
	if (len <= at)
		return false;
	return type == ETH_P_ARP || (type == ETH_P_IP && is_noise_v4(b + at, len - at))
	       || (type == ETH_P_IPV6 && is_noise_v6(b + at, len - at));
}

// What the kernel took off the front of the frame; 0 without.
static uint32_t stripped_tag(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct tpacket_auxdata aux;

		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		if (aux.tp_status & TP_STATUS_VLAN_VALID)
			return (uint32_t)(aux.tp_vlan_tpid ? aux.tp_vlan_tpid : ETH_P_8021Q) << 16
			       | aux.tp_vlan_tci;
	}
	return 0;
}

// False when there is none.
static bool receive_one(struct wires *wires, unsigned int port, int router, struct frames *out)
{
	static uint8_t room[4 + 70000];
	uint8_t *at = room + 4, control[256];
	struct iovec iov = {at, 70000};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(wires->w[port].fd[router], &msg, MSG_DONTWAIT);
	uint32_t tag;

	if (n < 0)
		return false;
	tag = stripped_tag(&msg);
	if (tag != 0 && n >= 12) {
		memmove(room, at, 12);
		at = room;
		for (int i = 0; i < 4; i++)
			at[12 + i] = (uint8_t)(tag >> (24 - 8 * i));
		n += 4;
	}
	if (is_noise(at, (size_t)n))
		wires->ignored[router]++;
	else
		frames_add(out, (uint8_t)port, at, (size_t)n);
	return true;
}

bool wire_receive(struct wires *wires, struct frames out[ROUTERS], int ms)
{
	struct pollfd fds[WIRE_PORTS_MAX * ROUTERS];
	const size_t before = out[0].n + out[1].n;
	nfds_t n = 0;

	for (unsigned int i = 0; i < wires->n; i++)
		for (int r = 0; r < ROUTERS; r++)
			fds[n++] = (struct pollfd){.fd = wires->w[i].fd[r], .events = POLLIN};
	if (poll(fds, n, ms) <= 0)
		return false;
	for (nfds_t i = 0; i < n; i++)
		while ((fds[i].revents & POLLIN)
			&& receive_one(wires, (unsigned int)(i / ROUTERS), (int)(i % ROUTERS),
				&out[i % ROUTERS]))
			;
	return out[0].n + out[1].n > before;
}
