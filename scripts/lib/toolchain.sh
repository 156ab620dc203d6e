# shellcheck shell=bash
# shellcheck disable=SC2034 # used by those who source this
# Sourced by scripts/build-module: choose the compiler for a kernel, and unpack a
# newer one if this system's is too old.

# Debian builds its kernels since 6.12 with this compiler. A folder of the cache contains this
# suite, with just enough packages to build modules.
TOOLCHAIN_SUITE=trixie
TOOLCHAIN_GCC=14
TOOLCHAIN_PACKAGES=gcc-14,make,pahole,libelf1t64,libssl3t64,zlib1g
TOOLCHAIN=$CACHE/toolchain-$TOOLCHAIN_SUITE-gcc-$TOOLCHAIN_GCC

# choose_compiler HEADERS: set $make to the command that builds with a suitable compiler.
choose_compiler() {
	local headers=$1 version host
	version=$(sed -n 's/^CONFIG_GCC_VERSION=\([0-9]*\)[0-9]\{4\}$/\1/p' "$headers/.config")
	host=$(gcc -dumpversion | cut -d. -f1)
	if command -v "gcc-$version" >/dev/null; then
		make=(make)
	elif ((version <= host)); then
		make=(make CC=gcc)
	elif ((version <= TOOLCHAIN_GCC)); then
		# in a subshell, which releases the lock at its end
		[[ -d $TOOLCHAIN ]] || (make_toolchain) || exit 1
		make=(in_toolchain make)
	else
		die "the kernel of $headers was built with gcc $version: install gcc-$version"
	fi
}

# The folder gets its final name once it is complete.
make_toolchain() {
	local log=$CACHE/debootstrap.log
	take_lock toolchain
	[[ ! -d $TOOLCHAIN ]] || return 0
	((EUID == 0)) || die "gcc $TOOLCHAIN_GCC has to be unpacked, which takes root"
	note "unpacking Debian $TOOLCHAIN_SUITE with gcc $TOOLCHAIN_GCC into the cache: about a minute"
	rm -rf "$TOOLCHAIN.new"
	unshare --mount debootstrap --variant=minbase --force-check-gpg --keyring="$KEYRING" \
		--include="$TOOLCHAIN_PACKAGES" "$TOOLCHAIN_SUITE" "$TOOLCHAIN.new" "$(mirror debian)" \
		>"$log" 2>&1 </dev/null || die "debootstrap failed: $(tail -n 1 "$log") (full log: $log)"
	rm -rf "$TOOLCHAIN.new"/var/{cache/apt/archives,lib/apt/lists}
	mv "$TOOLCHAIN.new" "$TOOLCHAIN"
}

# in_toolchain COMMAND...: run as root in that folder, with the cache at its usual path. The mounts
# are removed when the command ends.
in_toolchain() {
	# shellcheck disable=SC2016 # for the other shell
	unshare --mount sh -ec '
		root=$1 cache=$2
		shift 2
		mkdir -p "$root$cache"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount --bind "$cache" "$root$cache"
		exec chroot "$root" env -i PATH=/usr/bin:/usr/sbin "$@"
	' sh "$TOOLCHAIN" "$CACHE" "$@"
}
