# The two commands of the README under their usual names; `make` itself is not needed for them.
CARGO ?= cargo
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-can setup web web-test lint clean

help:
	@echo 'make demo   run the whole path on real input: CAN log to invoice (ARGS="--exit-when-done" to end by itself)'
	@echo 'make test   run every test'
	@echo
	@echo 'also: make setup (what the build needs), make web (the console), make lint, make test-can (the agent on a kernel'
	@echo 'with CAN, in QEMU; as root on Debian), make clean (all build output)'

demo:
	@scripts/demo $(ARGS)

test:
	@scripts/test $(ARGS)

test-can:
	@scripts/test-can

setup:
	@scripts/setup

web:
	@scripts/setup --web
	@scripts/build-web

web-test: web
	@cd web && npm test --silent && npm run --silent check

lint:
	@scripts/lint

clean:
	rm -rf web/dist web/node_modules
	$(CARGO) clean
