# shellcheck shell=bash
# Sourced by the scripts that run tests: count passed and failed tests.

# sum_of WORD FILE: add up the numbers of the lines `test result:`.
sum_of() {
	sed -n "s/.*test result: .* \([0-9][0-9]*\) $1.*/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'
}

# count_results NAME STATUS FILE: set $good and $bad from the output of tests that
# ended with that status. Tests that could not run, and a run without a test,
# count as a failure.
count_results() {
	good=$(sum_of passed "$3")
	bad=$(sum_of failed "$3")
	if (($2 != 0 && bad == 0)); then
		echo "== $1: could not run (status $2)"
		bad=1
	elif ((good + bad == 0)); then
		echo "== $1: no test ran"
		bad=1
	fi
}

# show_failures FILE...: print the lines that name failures, each once, so that
# they are at the end of a long output.
show_failures() {
	awk '
		/^failures:$/ { listing = 1; next }
		listing && /^    [a-z0-9_:]+$/ { say($0); next }
		/^test result:/ { listing = 0 }
		/panicked at / { say($0); more = 1; next }
		/^(FAIL|FAILED|error(\[[^]]*\])?:|vm:) / || /^== [^:]*: (could not run|no test ran)/ ||
		/^the virtual machine of the group / { say($0); next }
		more || /^ *(left|right): / { say($0) }
		{ more = 0 }
		function say(line) {
			if (!(line in said) && ++nr <= 60)
				print substr(line, 1, 300)
			said[line]
		}
	' "$@"
}
