# kms: see README.md.  "make help" lists the targets.

# The tree.  "make -f TREE/Makefile" and "make -f TREE/Makefile VPATH=TREE"
# build it in the current directory, and change nothing in the tree.
ifndef VPATH
VPATH := $(dir $(lastword $(MAKEFILE_LIST)))
endif
override srcdir := $(patsubst %/,%,$(VPATH))
ifneq (1,$(words $(CURDIR)))
$(error make cannot build in "$(CURDIR)", because the path has a space)
endif
ifeq (,$(wildcard $(srcdir)/kms.control))
$(error "$(srcdir)" is not the tree of kms; its path must not have a space)
endif

# $(call files,PATTERN): the files of the tree that match, relative to it.
files = $(patsubst $(srcdir)/%,%,$(sort $(wildcard $(srcdir)/$(1))))
# The same, but not without any.
sources = $(or $(call files,$(1)),$(error there is no $(srcdir)/$(1)))

EXTENSION = kms
MODULE_big = kms
DATA := $(call sources,sql/kms--*.sql)
PGFILEDESC = "kms - asymmetric keys for client devices"

# The version is named only in kms.control.
KMS_VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(srcdir)/kms.control)

LAYERS = crypto pg shmem store keys api worker
SOURCES := $(foreach layer,$(LAYERS),$(call sources,src/$(layer)/*.c)) \
	$(call sources,src/kms.c)
OBJS = $(SOURCES:.c=.o)
BITCODE = $(OBJS:.o=.bc)

# Files that run without a server, for unit tests and fuzzers.
PURE := $(call sources,src/crypto/*.c) $(addprefix src/shmem/,event.c ring.c crc32c.c tally.c counters.c attempts.c anchor.c slow_clock.c) src/store/histogram.c src/worker/pace.c
PURE_OBJS = $(PURE:.c=.o)
# Adapters to PostgreSQL that run without a server as well, on its library for programs.
ADAPTERS = src/pg/json.c src/pg/jwe_text.c

# A program that reads the rings of servers that do not run.
SCRIPTS_built = build/kms_ring
SCRIPTS = packaging/kms-master-key
RING_OBJS = src/tools/kms_ring.o $(addprefix src/shmem/,event.o ring.o tally.o crc32c.o) src/crypto/status.o

# "make installcheck" runs what the configuration of the server allows.
SQL_TESTS = $(call files,test/sql/*.sql)
SPECS = $(call files,test/specs/*.spec)
runnable = $(or $(shell PATH="$(bindir):$$PATH" $(srcdir)/test/runnable $(addprefix $(srcdir)/,$(1))),$(error no test can run))
REGRESS = $(call runnable,$(SQL_TESTS))
ISOLATION = $(call runnable,$(SPECS))
REGRESS_PREP = link-tests
PROVE_TESTS = $(call files,test/t/*/*.pl)
# The extension exists when a test starts, so each test can run alone.
TEST_DATABASE = --encoding=UTF8 --no-locale --load-extension=kms
REGRESS_OPTS = --inputdir=test $(TEST_DATABASE)
ISOLATION_OPTS = --inputdir=test --outputdir=. $(TEST_DATABASE)
ifneq ($(PROVE_TESTS),)
TAP_TESTS = 1
endif

EXTRA_CLEAN = build tmp_check tmp_check_iso output_iso results log \
	regression.diffs regression.out $(SOURCES:.c=.d) $(RING_OBJS) $(RING_OBJS:.o=.d) \
	$(addprefix bench/,load.o load.d no_event.o no_event.d lanes lanes.o lanes.d)

# "make WERROR=" builds even if a newer compiler has new warnings.
WERROR = -Werror
WARNINGS = -Wall -Wextra $(WERROR) $(WARNINGS_OF_CC) $(WARNINGS_OF_LAYER)
# Because of unused arguments of fmgr functions and hooks, and "= {0}".
WARNINGS_OF_LAYER = -Wno-unused-parameter -Wno-missing-field-initializers
$(PURE_OBJS) $(RING_OBJS): WARNINGS_OF_LAYER =

# The bytes of a build do not depend on where it is made.  gcc takes the last of
# the maps that fit.
PREFIX_MAPS = -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(srcdir)/=
# gcc takes the directory from there: not the name of a link to it.
export PWD := $(CURDIR)

PG_CONFIG ?= pg_config
PG_CPPFLAGS = -I$(srcdir)/src -isystem $(shell $(PG_CONFIG) --includedir-server) \
	-DKMS_VERSION='"$(KMS_VERSION)"' $(PREFIX_MAPS)
PG_CFLAGS = -std=gnu99
# CRC-32C and, for tests, JSON for programs; the extension uses the server's.
LIBPGPORT = -L$(pkglibdir) -lpgport
TEST_LIBS = -L$(pkglibdir) -lpgcommon -lpgport -lcrypto -lcrypt
# The benchmark links one more object (bench/run).
SHLIB_LINK = $(BENCH_OBJS) $(LANES_LIB) -lcrypto -lcrypt -lpthread

# Multi-buffer RSA (docs/design/lanes.md) needs Intel's crypto_mb.  "make
# MULTI_BUFFER=no" builds without it even if it is there.
MULTI_BUFFER ?= $(shell $(CC) -E -include crypto_mb/rsa.h -x c /dev/null \
	>/dev/null 2>&1 && echo yes || echo no)
LANES_OBJS = $(addprefix src/crypto/,crypto_mb.o lanes.o montgomery.o)

# The bitcode with which a query's JIT could inline functions of kms would gain
# nothing, and needs the clang of the server.  "make with_llvm=yes" builds it.
override with_llvm := $(or $(with_llvm),no)

# The default target.
all:

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(or $(PGXS),$(error $(PG_CONFIG) does not run: set PG_CONFIG))

ifeq ($(with_llvm)$(CLANG),yes)
$(error this PostgreSQL was built without LLVM: leave out with_llvm)
endif

# Only sources are found in the tree, because VPATH would also find what was
# built there, maybe for another PostgreSQL.
override VPATH :=
vpath %.c $(srcdir)
vpath %.control $(srcdir)

# pg_config hands clang the flags of the gcc that built PostgreSQL.
ifneq (,$(findstring clang,$(shell $(CC) --version)))
WARNINGS_OF_CC = -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif

ifeq ($(MULTI_BUFFER),yes)
LANES_FLAGS = -DKMS_MULTI_BUFFER
LANES_LIB = -lcrypto_mb
else ifneq ($(MULTI_BUFFER),no)
$(error MULTI_BUFFER must be yes or no)
endif
$(LANES_OBJS) $(LANES_OBJS:.o=.bc): override CPPFLAGS += $(LANES_FLAGS)

all: say-multi-buffer
say-multi-buffer:
	@echo "multi-buffer RSA (crypto_mb): $(MULTI_BUFFER)"

# Compile again for another PostgreSQL, and after a change of MULTI_BUFFER.
$(OBJS) $(BITCODE) $(RING_OBJS): build/postgresql
$(LANES_OBJS) $(LANES_OBJS:.o=.bc): build/multi-buffer
build/postgresql: CHOICE = $(VERSION)
build/multi-buffer: CHOICE = $(MULTI_BUFFER)
build/postgresql build/multi-buffer: say-multi-buffer
	@$(MKDIR_P) $(@D)
	@echo $(CHOICE) | cmp -s - $@ || echo $(CHOICE) >$@

PG_PROVE_FLAGS += -I test/perl

# Rebuild objects and bitcode when an included header changes.
%.o: %.c
	@$(MKDIR_P) $(@D)
	$(CC) $(CFLAGS) $(WARNINGS) $(CPPFLAGS) \
		-MMD -MP -MT $@ -MT $(@:.o=.bc) -c -o $@ $<

%.bc: %.c
	@$(MKDIR_P) $(@D)
	$(COMPILE.c.bc) -o $@ $<

$(OBJS) $(BITCODE) $(RING_OBJS): $(srcdir)/Makefile $(srcdir)/kms.control
-include $(SOURCES:.c=.d) $(RING_OBJS:.o=.d)

build/kms_ring: $(RING_OBJS)
	@$(MKDIR_P) $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBPGPORT)

# PGXS would leave the program, and bitcode that this make does not build.
# PGXS looks for programs by their paths in the tree.
uninstall: uninstall-programs uninstall-bitcode
uninstall-programs:
	rm -f $(foreach program,$(SCRIPTS_built) $(SCRIPTS),'$(DESTDIR)$(bindir)/$(notdir $(program))')
uninstall-bitcode:
	$(call uninstall_llvm_module,$(MODULE_big))

# A server must not inline the bitcode of an older kms.
ifneq ($(with_llvm),yes)
install: uninstall-bitcode
endif

# ---- Tests against a server of their own, never as root ------------------

# Results are left in build/regress and build/isolation.
TEMP = $(CURDIR)/build
PGXS_TESTS = $(dir $(PGXS))../test
temp_instance = \
	--temp-instance=$(TEMP)/$(1)/instance --temp-config=$(TEMP)/$(1)/kms.conf \
	--bindir='$(bindir)' --inputdir=test --outputdir=$(TEMP)/$(1) \
	$(TEST_DATABASE) $(EXTRA_REGRESS_OPTS)

# The tests and what they include are named as seen from the tree.
link-tests:
	@for dir in expected test; do \
		[ -d $$dir ] || ln -sf $(abspath $(srcdir))/$$dir .; \
	done

clean: unlink-tests
unlink-tests:
	@for dir in expected test; do \
		[ ! -L $$dir ] || rm $$dir; \
	done

# Make a master key and a configuration that names it.  Also link expected/,
# because pg_regress looks for it in its output directory.
define temp_config
	rm -rf $(TEMP)/$(1)
	$(MKDIR_P) $(TEMP)/$(1)
	ln -s $(abspath $(srcdir))/expected $(TEMP)/$(1)/expected
	umask 077 && openssl rand -hex 32 >$(TEMP)/$(1)/master.key
	cat $(srcdir)/test/kms.conf >$(TEMP)/$(1)/kms.conf
	echo "kms.master_key_file = '$(TEMP)/$(1)/master.key'" \
		>>$(TEMP)/$(1)/kms.conf
endef

check-regress: link-tests
	$(call temp_config,regress)
	$(PGXS_TESTS)/regress/pg_regress $(call temp_instance,regress) \
		--dbname=contrib_regression $(notdir $(SQL_TESTS:.sql=))

check-isolation: link-tests
	$(call temp_config,isolation)
	$(PGXS_TESTS)/isolation/pg_isolation_regress \
		$(call temp_instance,isolation) \
		--dbname=isolation_regression $(notdir $(SPECS:.spec=))

# "make installcheck" on a server that is configured as docs/install.md says.
check-installcheck:
	$(srcdir)/test/with-server $(TEMP)/installcheck \
		$(MAKE) -s -f $(srcdir)/Makefile installcheck TAP_TESTS=

check-tap:
ifneq ($(PROVE_TESTS),)
	$(prove_installcheck)
endif

# A server whose kms has the stand-in for crypto_mb, for test 210; prints its
# pg_config.  It is installed nowhere else.
STAND_IN_FLAGS = -DKMS_MULTI_BUFFER -I$(srcdir)/test/lanes
LANES_KMS = build/lanes/kms.so

build/lanes/%.o: %.c $(srcdir)/Makefile
	@$(MKDIR_P) $(@D)
	$(CC) $(CFLAGS) $(WARNINGS) $(CPPFLAGS) $(STAND_IN_FLAGS) -MMD -MP -c -o $@ $<

$(LANES_KMS): $(filter-out $(LANES_OBJS),$(OBJS)) $(addprefix build/lanes/,$(LANES_OBJS) test/lanes/stand_in.o)
	$(CC) $(CFLAGS) -shared -o $@ $^ $(LDFLAGS) $(LDFLAGS_SL) -lcrypto -lcrypt -lpthread

-include $(addprefix build/lanes/,$(LANES_OBJS:.o=.d) test/lanes/stand_in.d)

lanes-installation: $(LANES_KMS)
	@pg_config=$$($(srcdir)/test/private-installation $(TEMP)/lanes/pg $(PG_CONFIG)) && \
	cp $(addprefix $(srcdir)/,kms.control $(DATA)) "$$($$pg_config --sharedir)/extension" && \
	cp $(LANES_KMS) "$$($$pg_config --pkglibdir)" && \
	echo "$$pg_config"

# Not one of them, since it needs the languages of the clients.
CLIENT_TESTS = test/clients/*.pl

check-clients:
	rm -rf $(TEMP)/clients
	$(MKDIR_P) $(TEMP)/clients
	cd $(srcdir) && TESTDIR='$(TEMP)/clients' PATH="$(bindir):$$PATH" \
		PGPORT='6$(DEF_PGPORT)' PG_REGRESS=$(PGXS_TESTS)/regress/pg_regress \
		$(PROVE) $(PG_PROVE_FLAGS) $(PROVE_FLAGS) $(CLIENT_TESTS)

# The lanes without a server, for the benchmark.
bench/lanes: bench/lanes.o $(filter src/crypto/%,$(PURE_OBJS))
	$(CC) $(CFLAGS) -o $@ $^ $(LANES_LIB) -lcrypto -lcrypt -lm

# ---- Tests of the pure layer ---------------------------------------------

PURE_FLAGS = -std=gnu99 -D_GNU_SOURCE -I$(srcdir)/src -I$(srcdir)/test/unit \
	-isystem $(includedir_server) -g -O1 \
	-fno-omit-frame-pointer -fno-sanitize-recover=all \
	-Wall -Wextra $(WERROR) -MMD -MP
UNIT_CC = gcc
UNIT_FLAGS = $(PURE_FLAGS) -fsanitize=address,undefined
UNIT_TESTS := $(call files,test/unit/test_*.c)
UNIT_PROGRAMS = $(UNIT_TESTS:test/unit/%.c=build/unit/%)
# Link the files of test/unit that are no tests to each test.
UNIT_SHARED = $(filter-out $(UNIT_TESTS),$(call files,test/unit/*.c)) test/lanes/stand_in.c
UNIT_OBJS = $(PURE:%.c=build/unit/%.o) $(ADAPTERS:%.c=build/unit/%.o) $(UNIT_SHARED:%.c=build/unit/%.o)

$(ADAPTERS:%.c=build/unit/%.o) $(ADAPTERS:%.c=build/fuzz/%.o): PURE_FLAGS += -DFRONTEND -Wno-unused-parameter

# The lanes are tested on a stand-in for crypto_mb.
STAND_IN_OBJS = $(LANES_OBJS) test/lanes/stand_in.o test/unit/test_lanes.o
$(addprefix build/unit/,$(STAND_IN_OBJS)) $(addprefix build/fuzz/,$(STAND_IN_OBJS)): PURE_FLAGS += $(STAND_IN_FLAGS)

build/unit/%.o: %.c $(srcdir)/Makefile
	@$(MKDIR_P) $(@D)
	$(UNIT_CC) $(UNIT_FLAGS) -c -o $@ $<

build/unit/test_%: build/unit/test/unit/test_%.o $(UNIT_OBJS)
	$(UNIT_CC) $(UNIT_FLAGS) -o $@ $^ $(TEST_LIBS) -lm

unit: $(UNIT_PROGRAMS)
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 \
	UBSAN_OPTIONS=print_stacktrace=1 \
		$(PROVE) --verbose --merge $(PROVE_FLAGS) --exec '' $(UNIT_PROGRAMS)

FUZZ_CC = clang
FUZZ_FLAGS = $(PURE_FLAGS) -fsanitize=fuzzer-no-link,address,undefined
FUZZ_SECONDS ?= 10
FUZZ_TESTS := $(call files,test/fuzz/fuzz_*.c)
FUZZ_PROGRAMS = $(FUZZ_TESTS:test/fuzz/%.c=build/fuzz/%)
FUZZ_OBJS = $(PURE:%.c=build/fuzz/%.o) $(ADAPTERS:%.c=build/fuzz/%.o) $(UNIT_SHARED:%.c=build/fuzz/%.o)

build/fuzz/%.o: %.c $(srcdir)/Makefile
	@$(MKDIR_P) $(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) -c -o $@ $<

build/fuzz/fuzz_%: build/fuzz/test/fuzz/fuzz_%.o $(FUZZ_OBJS)
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ $(TEST_LIBS)

# The fuzzers keep new inputs in build/fuzz/corpus, and crashing ones in build/fuzz.
fuzz: $(FUZZ_PROGRAMS)
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(srcdir)/test/fuzz-all $(FUZZ_PROGRAMS)

# Keep these objects; without this line make would delete them.
.SECONDARY: $(UNIT_OBJS) $(FUZZ_OBJS) \
	$(UNIT_TESTS:%.c=build/unit/%.o) $(FUZZ_TESTS:%.c=build/fuzz/%.o)
-include $(UNIT_OBJS:.o=.d) $(FUZZ_OBJS:.o=.d) \
	$(UNIT_TESTS:%.c=build/unit/%.d) $(FUZZ_TESTS:%.c=build/fuzz/%.d)

# ---- Packages ------------------------------------------------------------

# A list of what this build is linked with, as CycloneDX.  The same build
# gives the same bytes; its time is SOURCE_DATE_EPOCH, if that is set.
sbom: all
	@$(MKDIR_P) build
	$(srcdir)/packaging/sbom $(KMS_VERSION) kms$(DLSUFFIX) $(PG_CONFIG) $(CC) $(CPPFLAGS) >build/kms.cdx.json.new
	@mv build/kms.cdx.json.new build/kms.cdx.json
	@echo build/kms.cdx.json

# The archive for PGXN, from the last commit.
dist:
	@$(srcdir)/packaging/dist

# ---- The house -----------------------------------------------------------

CHECKS = $(call files,test/check/*)

# A check that cannot run on this machine says why and exits with 77.
check-house:
	@cd $(srcdir); n=0; failed=0; \
	for check in $(CHECKS); do \
		n=$$((n + 1)); \
		$$check; \
		case $$? in \
			0) echo "ok $$n - $$check" ;; \
			77) echo "ok $$n - $$check # SKIP cannot run on this machine" ;; \
			*) echo "not ok $$n - $$check"; failed=1 ;; \
		esac; \
	done; \
	echo "1..$$n"; exit $$failed

# To indent only some files: make indent FILES='src/api/sql_issue.c'
indent:
	$(srcdir)/test/check/typedefs --write
	$(srcdir)/test/check/indent --write $(FILES)

help:
	@echo "all install uninstall clean   as in PGXS: PG_CONFIG, DESTDIR, VPATH; with_llvm=yes"
	@echo "installcheck                  regress and isolation, on a running server (PGHOST, PGPORT)"
	@echo "                              that preloads kms and has a master key, as docs/install.md"
	@echo "                              says, by a superuser; then TAP, on servers that the tests"
	@echo "                              start, so not as root (TAP_TESTS= leaves it out)"
	@echo "check-regress check-isolation check-tap check-installcheck check-clients"
	@echo "                              the same on temporary servers"
	@echo "unit fuzz                     the pure layer under sanitizers"
	@echo "check-house indent            rules of the source tree; its layout"
	@echo "sbom dist                     list of what the build is linked with; archive for PGXN"
	@echo "everything at once            test/run"

.PHONY: say-multi-buffer uninstall-programs uninstall-bitcode link-tests unlink-tests lanes-installation check-regress check-isolation check-tap check-installcheck check-clients unit fuzz \
	sbom dist check-house indent help
