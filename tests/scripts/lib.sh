# shellcheck shell=bash
# shellcheck disable=SC2034 # used by those who source this
# Sourced by the tests of the scripts. Each of them ends with finish, whose last line scripts/test
# reads.

TREE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

passed=0
failed=0

pass() {
	echo "PASS $1"
	passed=$((passed + 1))
}

fail() {
	echo "FAIL $1${2:+: $2}"
	failed=$((failed + 1))
}

# is NAME EXPECTED FOUND
is() {
	if [[ $2 == "$3" ]]; then
		pass "$1"
	else
		fail "$1" "expected '$2', found '$3'"
	fi
}

# has NAME PATTERN FILE
has() {
	if grep -q -a -E -- "$2" "$3"; then
		pass "$1"
	else
		fail "$1" "no '$2' in: $(tail -n 5 "$3")"
	fi
}

finish() {
	local result=ok
	((failed == 0)) || result=FAILED
	echo "test result: $result. $passed passed; $failed failed"
	((failed == 0))
}
