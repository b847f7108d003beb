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

.PHONY: all release packetdrill examples test mutants demo bench install uninstall clean help
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

demo:
	demo/run.sh

bench:
	benches/run.sh

install: release
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCDIR) $(DESTDIR)$(MANDIR)/man7
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 $(addprefix $(DESTDIR)$(DATADIR)/,$(dir $(COMPLETIONS)))
	$(INSTALL) -m 755 $(RELEASE)/sockeye $(DESTDIR)$(BINDIR)/sockeye
	$(INSTALL) -m 644 docs/sockeye.1 $(DESTDIR)$(MANDIR)/man1/sockeye.1
	$(RELEASE)/sockeye completions bash > $(DESTDIR)$(DATADIR)/bash-completion/completions/sockeye
	$(RELEASE)/sockeye completions zsh > $(DESTDIR)$(DATADIR)/zsh/site-functions/_sockeye
	$(RELEASE)/sockeye completions fish > $(DESTDIR)$(DATADIR)/fish/vendor_completions.d/sockeye.fish
	$(INSTALL) -m 755 $(RELEASE)/libsockeye.so $(DESTDIR)$(LIBDIR)/libsockeye.so.$(VERSION)
	ln -sf libsockeye.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libsockeye.so
	$(INSTALL) -m 644 $(RELEASE)/libsockeye.a $(DESTDIR)$(LIBDIR)/libsockeye.a
	$(INSTALL) -m 755 $(RELEASE)/libsockeye_preload.so $(DESTDIR)$(LIBDIR)/libsockeye_preload.so
	ln -sf libsockeye_preload.so $(DESTDIR)$(LIBDIR)/$(NSSNAME)
	$(INSTALL) -m 644 include/sockeye.h $(DESTDIR)$(INCDIR)/sockeye.h
	$(INSTALL) -d $(DESTDIR)$(DATADIR)/sockeye/demo
	$(INSTALL) -m 755 demo/run.sh $(DESTDIR)$(DATADIR)/sockeye/demo/run.sh
	$(INSTALL) -m 644 demo/source.c $(DESTDIR)$(DATADIR)/sockeye/demo/source.c
	$(INSTALL) -m 644 docs/sockeye.7 $(DESTDIR)$(MANDIR)/man7/sockeye.7
	$(call pc,$(PREFIX),$(LIBDIR),$(INCDIR),) > $(DESTDIR)$(LIBDIR)/pkgconfig/sockeye.pc
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/libsockeye.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libsockeye.so
	rm -f $(DESTDIR)$(LIBDIR)/libsockeye.a $(DESTDIR)$(LIBDIR)/libsockeye_preload.so $(DESTDIR)$(LIBDIR)/$(NSSNAME)
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/sockeye.pc
	rm -f $(DESTDIR)$(BINDIR)/sockeye $(DESTDIR)$(MANDIR)/man1/sockeye.1 $(addprefix $(DESTDIR)$(DATADIR)/,$(COMPLETIONS))
	rm -f $(DESTDIR)$(INCDIR)/sockeye.h $(DESTDIR)$(MANDIR)/man7/sockeye.7
	rm -rf $(DESTDIR)$(DATADIR)/sockeye/demo
	-rmdir $(DESTDIR)$(DATADIR)/sockeye 2>/dev/null

clean:
	$(CARGO) clean

help:
	@echo "make             builds the library, $(RELEASE)/libsockeye.so and .a, and the program $(RELEASE)/sockeye"
	@echo "make demo        shows it at work, in a network namespace of its own (root or user namespaces)"
	@echo "make test        installs what the tests need and runs all of them (root: they make namespaces and TAPs)"
	@echo "make bench       measures it beside the kernel's own stack, about a minute (root)"
	@echo "make mutants     breaks lines of TCP one at a time and lists those no test notices, about an hour (cargo-mutants)"
	@echo "make packetdrill builds $(RELEASE)/libsockeye_packetdrill.so, which the original packetdrill takes as its stack"
	@echo "make examples    builds examples/*.c into $(TARGET)/examples"
	@echo "make install     installs libraries, header, pkg-config file, program, man pages and completions; PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)"
	@echo "make uninstall   removes them again"
	@echo "make clean       removes what was built"
