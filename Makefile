# Meson does the building; this file names what one does here: `make help`.
#
# Each variant has its own directory: build/ (default), build-asan/,
# build-tsan/, build-fuzz/ (clang, libFuzzer).

JOBS         ?= $(shell nproc)
PREFIX       ?= /usr/local
DESTDIR      ?=
FUZZ_SECONDS ?= $(if $(CI),8,60)
SECONDS      ?= 600
PYTEST_ARGS  ?=

# Warnings are errors in CI only, so that a newer compiler stops nobody.
OPTIONS := --prefix=$(PREFIX) -Dwerror=$(if $(CI),true,false)

.PHONY: all help deps demo test unit asan tsan fuzz bench soak lint format install clean

all: build/build.ninja
	tools/build build -j$(JOBS)

help:
	@echo 'make           build/bearerd, build/bearerctl, build/bearer-sim, build/bearer-load'
	@echo 'make demo      install what is missing, build, relay one message, show what happened'
	@echo 'make test      install what is missing, build, run unit tests and black-box tests'
	@echo 'make unit      unit tests only'
	@echo 'make asan      the whole suite under AddressSanitizer and UBSan'
	@echo 'make tsan      what has threads, under ThreadSanitizer'
	@echo 'make fuzz      each fuzzer for FUZZ_SECONDS ($(FUZZ_SECONDS))'
	@echo 'make bench     the benchmarks'
	@echo 'make soak      80 % load with random faults for SECONDS ($(SECONDS))'
	@echo 'make lint      formatter, static analysis and the project'"'"'s own rules'
	@echo 'make format    let the formatter rewrite the sources'
	@echo 'make deps      install what is missing (apt-get), nothing else'
	@echo 'make deps-oidc an authorization server for some of the tests (npm, node 20 or later)'
	@echo 'make install   DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)'
	@echo 'Arguments for the black-box tests: make test PYTEST_ARGS="-k smuggling -x"'

# --- set-up ---------------------------------------------------------------

deps:
	@tools/install-deps build test lint

.PHONY: deps-build deps-test deps-lint deps-oidc
deps-build:
	@tools/install-deps build
deps-test:
	@tools/install-deps build test
deps-lint:
	@tools/install-deps build lint
# A real authorization server; without it, the tests that want one are skipped.
deps-oidc:
	cd tests/oidc && npm ci --ignore-scripts --no-audit --no-fund

build/build.ninja:
	@tools/install-deps --check build
	meson setup $(OPTIONS) build

build-asan/build.ninja:
	meson setup $(OPTIONS) -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false build-asan

build-tsan/build.ninja:
	meson setup $(OPTIONS) -Doptimization=1 -Db_sanitize=thread -Db_lundef=false build-tsan

build-fuzz/build.ninja:
	CC=clang meson setup $(OPTIONS) -Doptimization=1 -Dfuzz=true \
	    -Db_sanitize=address,undefined -Db_lundef=false build-fuzz

# --- running --------------------------------------------------------------

demo: deps-build
	@tools/install-deps demo
	@$(MAKE) --no-print-directory all
	@tools/demo build

test: deps-test
	@$(MAKE) --no-print-directory all
	@tools/run-tests build $(PYTEST_ARGS)

unit: all
	meson test -C build --no-rebuild --print-errorlogs

asan: deps-test
	@$(MAKE) --no-print-directory build-asan/build.ninja
	tools/build build-asan -j$(JOBS)
	@tools/run-tests build-asan $(PYTEST_ARGS)

tsan: deps-test
	@$(MAKE) --no-print-directory build-tsan/build.ninja
	tools/build build-tsan -j$(JOBS)
	@tools/run-tests build-tsan -m tsan $(PYTEST_ARGS)

fuzz: deps-lint
	@$(MAKE) --no-print-directory build-fuzz/build.ninja
	tools/build build-fuzz -j$(JOBS)
	@tools/run-fuzzers build-fuzz $(FUZZ_SECONDS)

bench: all
	meson test -C build --no-rebuild --benchmark --verbose

soak: all
	bench/soak --build build --seconds $(SECONDS)

lint: deps-lint
	@$(MAKE) --no-print-directory build/build.ninja
	@tools/lint build

format:
	@tools/lint --format

install: all
	DESTDIR=$(DESTDIR) meson install -C build --no-rebuild

clean:
	rm -rf build build-asan build-tsan build-fuzz
