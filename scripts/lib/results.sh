# shellcheck shell=bash
# Sourced by the scripts that run tests: how many passed, how many failed.

# sum_of WORD FILE: adds up what the lines `test result:` say.
sum_of() {
	sed -n "s/.*test result: .* \([0-9][0-9]*\) $1.*/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'
}

# count_results NAME STATUS FILE: sets $good and $bad from what tests printed
# into a file before they ended with that status. Tests that could not run, and
# a run without a test, are a failure.
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

# show_failures FILE...: the lines that say what failed, each once: one looks
# for them at the end of what may be thousands.
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
