# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What the tools and the tests share: the packages they need and how to get them. To be sourced.

# shellcheck disable=SC2034 # the arrays are for those who source this
build_packages=(gcc meson ninja-build pkg-config dpdk dpdk-dev libdpdk-dev libmnl-dev libnftnl-dev
	 libjansson-dev libcmocka-dev)
lab_packages=(nftables conntrack conntrackd iproute2 iperf3 iputils-arping iputils-ping ethtool socat
	python3)
vm_packages=(qemu-system-x86 busybox-static cpio kmod lz4 zstd xz-utils)
all_packages=("${build_packages[@]}" "${lab_packages[@]}" "${vm_packages[@]}")

# Where the kernels of the virtual machine are kept.
vm_cache() {
	echo "${XDG_CACHE_HOME:-$HOME/.cache}/dpdk-nftoffload/vm"
}

# missing_packages NAME...: those that are not installed.
missing_packages() {
	local name
	for name in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
			echo "$name"
	done
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=900 -o Acquire::Retries=3 "$@"
}

# install_packages NAME...: installs what is missing. Asks nobody and leaves apt alone when nothing
# is. Returns 1 with a message where something is missing still.
install_packages() {
	local missing
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "please install (as root): ${missing[*]}" >&2
		return 1
	fi
	echo "installing ${missing[*]}" >&2
	if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
		apt_get update >&2 || true
	fi
	apt_get install -y --no-install-recommends "${missing[@]}" >&2 || {
		# The lists may be older than the mirror.
		apt_get update >&2 || true
		apt_get install -y --no-install-recommends "${missing[@]}" >&2
	}
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -eq 0 ] || {
		echo "could not install: ${missing[*]}" >&2
		return 1
	}
}

# build_programs LOG [TARGET...]: builds in build/ of the present folder, its output goes to LOG.
build_programs() {
	local log=$1
	shift
	{ [ -e build/build.ninja ] || meson setup build; } >"$log" 2>&1 &&
		ninja -C build "$@" >>"$log" 2>&1
}
