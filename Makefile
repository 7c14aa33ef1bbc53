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

LIBS_PC := libcjson yaml-0.1 libsodium zlib libzstd
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
PC_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(LIBS_PC) libcurl openblas)
PC_LIBS = $(shell $(PKG_CONFIG) --libs $(LIBS_PC))
LIBS = $(PC_LIBS) -lm -ldl -pthread

LIB_SRC := $(sort $(wildcard lib/*.c lib/*/*.c))
CMD_SRC := $(filter-out cmd/gen.c,$(sort $(wildcard cmd/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
CMD_OBJ := $(CMD_SRC:%.c=$(B)/%.o)

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

.PHONY: check check-unit check-cli check-fuzz
check-unit: $(B)/unit
	$(B)/unit --jobs 2
check-cli: all
	LLMR=$(abspath $(B)/llmr) sh tests/cli/run.sh
check-fuzz: $(FUZZ_BIN)
	sh tests/fuzz/replay.sh $(B)/fuzz
check: check-unit check-fuzz check-cli

-include $(UNIT_OBJ:.o=.d)
