# shellcheck shell=bash
# shellcheck disable=SC2034 # used by those who source this
# Sourced by scripts that download packages: which apt to use.

# Options for all calls of apt-get and apt-cache.
APT_OPTIONS=(-q -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=300)

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# mirror ARCHIVE: print the address of `debian` or `debian-security` that the
# system's own apt uses.
mirror() {
	local address
	# shellcheck disable=SC2016 # for apt to expand
	address=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null |
		grep -m 1 -E "^https?://.*/$1/?$") || true
	echo "${address:-http://deb.debian.org/$1}"
}

sources_of() {
	local suite=$1
	echo "deb [signed-by=$KEYRING] $(mirror debian) $suite main"
	case $suite in
	*-* | sid | unstable | experimental) ;;
	*) echo "deb [signed-by=$KEYRING] $(mirror debian-security) $suite-security main" ;;
	esac
}

# use_suite SUITE: from now on apt uses only the packages of this suite, and does not know which
# ones are installed. It writes only to the cache.
use_suite() {
	local dir=$CACHE/apt/$1
	[[ -e $KEYRING ]] || die "$KEYRING is missing: apt-get install debian-archive-keyring"
	mkdir -p "$dir/cache/archives/partial" "$dir/state/lists/partial"
	sources_of "$1" >"$dir/sources.list"
	: >"$dir/state/status"
	APT_OPTIONS+=(
		-o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
		-o "Dir::State=$dir/state" -o "Dir::State::Status=$dir/state/status" -o "Dir::Cache=$dir/cache"
		-o APT::Default-Release= -o APT::Update::Error-Mode=any -o Acquire::Languages=none
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
	)
	[[ -n $(find "$dir/updated" -mmin -1440 2>/dev/null) ]] || {
		refresh_lists
		touch "$dir/updated"
	}
}

# The package lists may be missing, or older than the newest kernel.
refresh_lists() {
	note "reading the package lists"
	run_apt update
}

# The last line that names an error is the useful one.
run_apt() {
	local log=$CACHE/apt.log
	if ! DEBIAN_FRONTEND=noninteractive apt-get "${APT_OPTIONS[@]}" "$@" >"$log" 2>&1 </dev/null; then
		! grep -q NO_PUBKEY "$log" ||
			die "$KEYRING is too old for these packages: upgrade debian-archive-keyring (full log: $log)"
		die "apt-get $1 failed: $(grep '^E:' "$log" | tail -n 1) (full log: $log)"
	fi
}
