// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers of /proc/sys/net, read anew each time: no event tells that one changed.
#pragma once

#include <stdint.h>

// 'name' is the path below /proc/sys/net: "ipv4/conf/lan/forwarding". 'otherwise' if the kernel has
// no such number.
uint32_t sysctl_net(const char *name, uint32_t otherwise);
