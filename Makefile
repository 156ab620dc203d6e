# Each target runs a script of scripts/.

PREFIX ?= /usr/local
DESTDIR ?=
KERNEL ?=
KERNELS ?=

CARGO ?= cargo
RUNNING := $(shell uname -r)
TARGET := $(or $(CARGO_TARGET_DIR),target)
SHARE := $(DESTDIR)$(PREFIX)/share/diagnose-tools
EXTRA := $(DESTDIR)/lib/modules/$(RUNNING)/extra

.DEFAULT_GOAL := all
.PHONY: all build module module-if-possible setup demo test test-host test-vm test-scripts \
	test-matrix test-sanitized smoke smoke-sanitized check audit fuzz bench bench-publish bench-figures install uninstall clean help

all: build module-if-possible ## build the controller, and the module for the running kernel

build: ## build the controller
	$(CARGO) build --release --locked

module: ## build the module for KERNEL=RELEASE (default: the newest Debian 6.1) and print its path
	@scripts/build-module $(KERNEL)

module-if-possible:
	@if [ -e /lib/modules/$(RUNNING)/build/Makefile ]; then \
		scripts/build-module $(RUNNING); \
	else \
		echo "no module: the headers of the running kernel $(RUNNING) are not installed" \
			"(apt-get install linux-headers-$(RUNNING))"; \
	fi

setup: ## install what building and testing needs (Debian 12, root)
	@scripts/setup

demo: ## demonstrate the tool in a virtual machine, with nginx and real clients
	@scripts/demo

test: ## run all tests; the last line is `N passed, N failed`
	@scripts/test

test-host: ## run the tests that need no virtual machine
	@scripts/test host

test-vm: ## run the tests in the virtual machine
	@scripts/test vm

test-scripts: ## run the tests of the project's own tools
	@scripts/test scripts

test-matrix: ## run the scenarios on all kernels of scripts/kernels, or KERNELS="NAME..."
	@scripts/test-matrix $(KERNELS)

test-sanitized: ## run the scenarios on kernels that find faults: docs/hardening.md
	@scripts/test-matrix --sanitized $(KERNELS)

smoke: ## run a quick selection of scenarios on the oldest, the newest and the -rt kernel
	@scripts/test-matrix --smoke

smoke-sanitized: ## run a quick selection, and a sample of injected faults, on the kernel with KASAN
	@scripts/test-matrix --smoke kasan

check: ## rustfmt, clippy, imports, docs, sparse, W=1, checkpatch, shellcheck, ABI, dependencies
	@scripts/check

fuzz: setup ## fuzz all parsers and readers: docs/hardening.md
	@scripts/fuzz

audit: ## look for known vulnerabilities in the dependencies (needs the network)
	@scripts/audit

bench: setup ## measure cost and speed, beside other tools: docs/benchmarks.md
	@$(CARGO) bench --bench full

bench-publish: setup ## the same, into docs/benchmarks.md and docs/bench
	@$(CARGO) bench --bench full -- --publish

bench-figures: setup ## measure the costs that CI compares with
	@DIAGNOSE_TOOLS_NEW_FIGURES=1 $(CARGO) bench --bench cost

# Root may have no Rust: install what `make` built.
install: ## install what `make` built into PREFIX (default /usr/local), below DESTDIR
	@[ -e $(TARGET)/release/diagnose-tools ] || { echo "nothing is built yet: run make first" >&2; exit 1; }
	install -D -m 755 $(TARGET)/release/diagnose-tools $(DESTDIR)$(PREFIX)/bin/diagnose-tools
	install -d $(SHARE)
	rm -rf $(SHARE)/kmod $(SHARE)/include
	cp -r kmod include $(SHARE)/
	chmod -R u=rwX,go=rX $(SHARE)
	install -m 644 etc/tcpstates.toml $(SHARE)/tcpstates.toml
	install -m 755 scripts/periodic-report $(DESTDIR)$(PREFIX)/bin/diagnose-tools-periodic-report
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(TARGET)/release/diagnose-tools completions bash \
		>$(DESTDIR)$(PREFIX)/share/bash-completion/completions/diagnose-tools
	$(TARGET)/release/diagnose-tools completions zsh \
		>$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_diagnose-tools
	$(TARGET)/release/diagnose-tools completions fish \
		>$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/diagnose-tools.fish
	@if [ -e /lib/modules/$(RUNNING)/build/Makefile ]; then \
		echo "install -D -m 644 tcpstates.ko $(EXTRA)/tcpstates.ko" && \
		install -D -m 644 "$$(scripts/build-module $(RUNNING))" $(EXTRA)/tcpstates.ko && \
		{ [ -n "$(DESTDIR)" ] || depmod $(RUNNING); }; \
	fi

uninstall: ## remove what install copied
	rm -f $(DESTDIR)$(PREFIX)/bin/diagnose-tools $(DESTDIR)$(PREFIX)/bin/diagnose-tools-periodic-report \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/diagnose-tools \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_diagnose-tools \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/diagnose-tools.fish
	rm -rf $(SHARE)
	@if [ -e $(EXTRA)/tcpstates.ko ]; then \
		echo "rm $(EXTRA)/tcpstates.ko" && rm $(EXTRA)/tcpstates.ko && \
		{ [ -n "$(DESTDIR)" ] || depmod $(RUNNING); }; \
	fi

clean: ## remove what was built
	$(CARGO) clean --quiet
	rm -rf "$${DIAGNOSE_TOOLS_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/diagnose-tools}/build"

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 16
