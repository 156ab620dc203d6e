# shellcheck shell=bash
# shellcheck disable=SC2034 # used by those who source this
# Sourced by all scripts here: paths, messages, locks, kernels.

TREE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
CACHE=${DIAGNOSE_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/diagnose-tools}
VIRTME_VERSION=1.42
VIRTME_ENV=$CACHE/virtme-ng-$VIRTME_VERSION
# Where scripts/setup unpacks QEMU if the system's is too old.
QEMU_ROOT=$CACHE/qemu

# depmod and others are not on every user's path.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

usage_error() {
	printf '%s: %s (try --help)\n' "${0##*/}" "$*" >&2
	exit 2
}

note() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# The comment at the start of a script is its manual.
print_help() {
	sed -n '2,/^$/ s/^# \{0,1\}//p' "$0"
}

# Paths of the cache are used on the command lines of QEMU and make, which cannot
# quote all characters.
check_cache_path() {
	[[ $CACHE == /* ]] || die "the cache folder '$CACHE' is not an absolute path: set DIAGNOSE_TOOLS_CACHE"
	[[ $CACHE =~ ^[A-Za-z0-9/._+@-]+$ ]] ||
		die "the cache folder '$CACHE' has characters that QEMU and make cannot take: set DIAGNOSE_TOOLS_CACHE"
	mkdir -p "$CACHE" || die "cannot create the cache folder '$CACHE': set DIAGNOSE_TOOLS_CACHE"
}

# take_lock NAME: take a lock of the cache, and hold it until the script ends.
take_lock() {
	local fd
	mkdir -p "$CACHE/locks"
	exec {fd}>"$CACHE/locks/$1"
	flock "$fd" || die "cannot take the lock $CACHE/locks/$1"
}

# kernel_root RELEASE: print the folder that has boot/, lib/modules/ and usr/src/
# of a kernel: / if it is installed, else where fetch-kernel unpacked it.
kernel_root() {
	if [[ -e /boot/vmlinuz-$1 && -d /lib/modules/$1 ]]; then
		echo /
	elif [[ -e $CACHE/kernels/$1/boot/vmlinuz-$1 ]]; then
		echo "$CACHE/kernels/$1"
	else
		return 1
	fi
}

# kernel_headers RELEASE: print the folder in which its modules are built.
kernel_headers() {
	local dir
	for dir in "/lib/modules/$1/build" "/usr/src/linux-headers-$1" \
		"$CACHE/kernels/$1/usr/src/linux-headers-$1"; do
		if [[ -e $dir/Makefile ]]; then
			echo "$dir"
			return
		fi
	done
	return 1
}

# Print the newest Debian 6.1 kernel of the plain flavour that has an image and
# headers: the default kernel of all tests.
default_kernel() {
	local image release
	for image in /boot/vmlinuz-6.1.*-amd64 "$CACHE"/kernels/6.1.*-amd64/boot/vmlinuz-6.1.*-amd64; do
		release=${image##*/vmlinuz-}
		[[ $release =~ ^6\.1\.[0-9.-]+-amd64$ ]] || continue
		kernel_root "$release" >/dev/null || continue
		kernel_headers "$release" >/dev/null || continue
		echo "$release"
	done | sort -V | tail -n 1
}
