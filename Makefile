# Sockeye: `make help` says what there is.

PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
BINDIR  ?= $(PREFIX)/bin
INCDIR  ?= $(PREFIX)/include
MANDIR  ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share
DESTDIR ?=
CARGO   ?= cargo
CC      ?= cc
INSTALL ?= install
OBJCOPY ?= objcopy

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# The name programs are linked to: it changes when the interface does. build.rs has it too.
SONAME  := libsockeye.so.0
# The name glibc knows the preload library by; ldconfig would make the link too. preload/build.rs has it.
NSSNAME := libnss_sockeye.so.2
TARGET  := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release
# Where each shell looks for them, below DATADIR.
COMPLETIONS := bash-completion/completions/sockeye zsh/site-functions/_sockeye fish/vendor_completions.d/sockeye.fish
EXAMPLES := $(patsubst examples/%.c,$(TARGET)/examples/%,$(wildcard examples/*.c))

export CARGO

.PHONY: all release packetdrill examples test mutants faults fuzz soak demo bench built install install-strip
.PHONY: install-debug uninstall
.PHONY: clean help
.DELETE_ON_ERROR:

all: release

# Cargo knows best what is out of date.
release:
	.ci/tools build
	$(CARGO) build --release
	$(CARGO) build --profile preload --package sockeye-preload
	cp $(TARGET)/preload/libsockeye_preload.so $(RELEASE)/libsockeye_preload.so
	ln -sf libsockeye.so $(RELEASE)/$(SONAME)
	@$(call pc,$(abspath .),$(abspath $(RELEASE)),$(abspath include),-Wl$(comma)-rpath$(comma)$(abspath $(RELEASE))) > $(RELEASE)/sockeye.pc

# The stack that the original packetdrill loads (docs/packetdrill.md).
packetdrill:
	.ci/tools build
	$(CARGO) build --release --package sockeye-packetdrill

comma := ,
# The pkg-config file for a prefix, a library directory, an include directory, and further linker flags.
pc = sed -e 's|@PREFIX@|$(1)|' -e 's|@LIBDIR@|$(2)|' -e 's|@INCLUDEDIR@|$(3)|' -e 's|@LDFLAGS@|$(4)|' -e 's|@VERSION@|$(VERSION)|' sockeye.pc.in

examples: release $(EXAMPLES)

$(TARGET)/examples/%: examples/%.c include/sockeye.h | release
	@mkdir -p $(@D)
	$(CC) -O2 -Wall -Wextra -std=gnu99 -Iinclude -o $@ $< -L$(RELEASE) -lsockeye -Wl,-rpath,$(abspath $(RELEASE))

test:
	.ci/tools build test
	.ci/tests

mutants:
	tests/mutants/run.sh

# What goes wrong at random, so many times; those of one seed again: make faults SEED=7.
ROUNDS ?= 1000
SEED ?=
faults:
	.ci/tools build test
	SOCKEYE_TEST_ROUNDS=$(ROUNDS) SOCKEYE_TEST_SEED=$(SEED) $(CARGO) test --package sockeye --test faults -- --nocapture _device

# Minutes a target, two at a time; some of them: make fuzz TARGETS="frames dns".
MINUTES ?= 60
fuzz:
	.ci/tools build fuzz
	FUZZ_SECONDS=$$(( $(MINUTES) * 60 )) fuzz/run.sh $(TARGETS)

# Hours, or a part of one.
HOURS ?= 1
soak:
	SOAK_HOURS=$(HOURS) tests/soak/run.sh

demo:
	demo/run.sh

bench:
	benches/run.sh

# Installing copies, and builds nothing: as root there may be no cargo, and what is built must not become root's.
BUILT := $(addprefix $(RELEASE)/,sockeye libsockeye.so libsockeye.a libsockeye_preload.so)
# What has debug information worth keeping: where it was built, and where it goes.
INSTALLED_SO  := $(DESTDIR)$(LIBDIR)/libsockeye.so.$(VERSION)
INSTALLED_PRE := $(DESTDIR)$(LIBDIR)/libsockeye_preload.so
INSTALLED_BIN := $(DESTDIR)$(BINDIR)/sockeye
INSTALLED_A   := $(DESTDIR)$(LIBDIR)/libsockeye.a

built:
	@for file in $(BUILT); do \
	  [ -e "$$file" ] || { echo "$$file is not there: run make first, as yourself; then install" >&2; exit 1; }; \
	done

install: built
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCDIR) $(DESTDIR)$(MANDIR)/man7
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 $(addprefix $(DESTDIR)$(DATADIR)/,$(dir $(COMPLETIONS)))
	$(INSTALL) -m 755 $(RELEASE)/sockeye $(INSTALLED_BIN)
	$(INSTALL) -m 644 docs/sockeye.1 $(DESTDIR)$(MANDIR)/man1/sockeye.1
	$(RELEASE)/sockeye completions bash > $(DESTDIR)$(DATADIR)/bash-completion/completions/sockeye
	$(RELEASE)/sockeye completions zsh > $(DESTDIR)$(DATADIR)/zsh/site-functions/_sockeye
	$(RELEASE)/sockeye completions fish > $(DESTDIR)$(DATADIR)/fish/vendor_completions.d/sockeye.fish
	$(INSTALL) -m 755 $(RELEASE)/libsockeye.so $(INSTALLED_SO)
	ln -sf libsockeye.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libsockeye.so
	$(INSTALL) -m 644 $(RELEASE)/libsockeye.a $(INSTALLED_A)
	$(INSTALL) -m 755 $(RELEASE)/libsockeye_preload.so $(INSTALLED_PRE)
	ln -sf libsockeye_preload.so $(DESTDIR)$(LIBDIR)/$(NSSNAME)
	$(INSTALL) -m 644 include/sockeye.h $(DESTDIR)$(INCDIR)/sockeye.h
	$(INSTALL) -d $(DESTDIR)$(DATADIR)/sockeye/demo
	$(INSTALL) -m 755 demo/run.sh $(DESTDIR)$(DATADIR)/sockeye/demo/run.sh
	$(INSTALL) -m 644 demo/source.c $(DESTDIR)$(DATADIR)/sockeye/demo/source.c
	$(INSTALL) -m 644 docs/sockeye.7 $(DESTDIR)$(MANDIR)/man7/sockeye.7
	$(call pc,$(PREFIX),$(LIBDIR),$(INCDIR),) > $(DESTDIR)$(LIBDIR)/pkgconfig/sockeye.pc
	@$(ldconfig)

# The same without debug information, in which addresses of a back trace have no lines.
install-strip: install
	$(OBJCOPY) --strip-debug $(INSTALLED_A)
	$(OBJCOPY) --strip-unneeded $(INSTALLED_SO)
	$(OBJCOPY) --strip-unneeded $(INSTALLED_PRE)
	$(OBJCOPY) --strip-unneeded $(INSTALLED_BIN)

# The same with it apart, in .debug beside each file: where gdb and the back traces of a panic look first.
install-debug: install-strip
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/.debug $(DESTDIR)$(BINDIR)/.debug
	$(call apart,$(RELEASE)/libsockeye.so,$(INSTALLED_SO))
	$(call apart,$(RELEASE)/libsockeye_preload.so,$(INSTALLED_PRE))
	$(call apart,$(RELEASE)/sockeye,$(INSTALLED_BIN))

# Keeps the debug information of a built file beside an installed one, which names it. The second step takes the name
# from the folder it is done in.
define apart
$(OBJCOPY) --only-keep-debug $(1) $(dir $(2)).debug/$(notdir $(2)).debug
cd $(dir $(2)).debug && $(OBJCOPY) --add-gnu-debuglink=$(notdir $(2)).debug ../$(notdir $(2))
endef

ldconfig = if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

uninstall:
	rm -f $(INSTALLED_SO) $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libsockeye.so
	rm -f $(INSTALLED_A) $(INSTALLED_PRE) $(DESTDIR)$(LIBDIR)/$(NSSNAME)
	rm -f $(DESTDIR)$(LIBDIR)/.debug/libsockeye.so.$(VERSION).debug $(DESTDIR)$(LIBDIR)/.debug/libsockeye_preload.so.debug
	rm -f $(DESTDIR)$(BINDIR)/.debug/sockeye.debug
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/sockeye.pc
	rm -f $(INSTALLED_BIN) $(DESTDIR)$(MANDIR)/man1/sockeye.1 $(addprefix $(DESTDIR)$(DATADIR)/,$(COMPLETIONS))
	rm -f $(DESTDIR)$(INCDIR)/sockeye.h $(DESTDIR)$(MANDIR)/man7/sockeye.7
	rm -rf $(DESTDIR)$(DATADIR)/sockeye/demo
	rmdir $(DESTDIR)$(DATADIR)/sockeye $(DESTDIR)$(LIBDIR)/.debug $(DESTDIR)$(BINDIR)/.debug 2>/dev/null || true
	@$(ldconfig)

clean:
	$(CARGO) clean

help:
	@echo "make             builds the library, $(RELEASE)/libsockeye.so and .a, and the program $(RELEASE)/sockeye"
	@echo "make demo        shows it at work, in a network namespace of its own (root or user namespaces)"
	@echo "make test        installs what the tests need and runs all of them (root: they make namespaces and TAPs)"
	@echo "make bench       measures it beside the kernel's own stack, about a minute (root)"
	@echo "make mutants     breaks lines of TCP one at a time and lists those no test notices, about an hour (cargo-mutants)"
	@echo "make faults      kills, stops and starves programs and hosts at random, ROUNDS=1000 times, those of SEED=... again (root)"
	@echo "make fuzz        fuzzes frames, calls, settings, DNS answers, captures, scripts and requests, MINUTES=60 each; TARGETS=\"frames dns\""
	@echo "make soak        lets programs and stacks work for HOURS=1 and fails when one of them grows (root)"
	@echo "make packetdrill builds $(RELEASE)/libsockeye_packetdrill.so, which the original packetdrill takes as its stack"
	@echo "make examples    builds examples/*.c into $(TARGET)/examples"
	@echo "make install     installs libraries, header, pkg-config file, program, man pages and completions that make has built; PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)"
	@echo "make install-strip  the same without debug information; make install-debug: with it apart, in .debug beside each"
	@echo "make uninstall   removes all of them again"
	@echo "make clean       removes what was built"
