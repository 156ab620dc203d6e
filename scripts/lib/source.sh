# shellcheck shell=bash
# Sourced by scripts that need the kernel's source.

SOURCE_PACKAGE=linux-source-6.1

# source_version: print the version of the package that apt would download.
source_version() {
	local version
	version=$(apt-cache "${APT_OPTIONS[@]}" show "$SOURCE_PACKAGE" 2>/dev/null |
		sed -n 's/^Version: //p' | sort -V | tail -n 1)
	[[ -n $version ]] || die "apt has no $SOURCE_PACKAGE: apt-get update"
	echo "$version"
}

# source_archive VERSION: write the tar archive of the source to stdout, from the
# one package that the cache keeps.
source_archive() {
	local dir=$CACHE/source
	if [[ ! -e $dir/$1/complete ]]; then
		note "downloading $SOURCE_PACKAGE $1 (140 MB)"
		rm -rf "$dir"
		mkdir -p "$dir/$1"
		(cd "$dir/$1" && run_apt download "$SOURCE_PACKAGE=$1") || exit 1
		touch "$dir/$1/complete"
	fi
	dpkg-deb --fsys-tarfile "$dir/$1"/*.deb | tar -xO "./usr/src/$SOURCE_PACKAGE.tar.xz" | xz -dcT0
}
