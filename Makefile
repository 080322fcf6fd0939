# Two commands matter: `make demo` and `make test`. Each installs what the machine lacks, says what
# it does, and needs no third step.

CARGO ?= cargo
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test setup web web-test clean

help:
	@echo 'make demo   run the whole path on real input: CAN log to invoice (ARGS="--exit-when-done" to end by itself)'
	@echo 'make test   run every test'
	@echo
	@echo 'also: make setup (what the build needs), make web (the console), make clean (all build output)'

demo:
	@echo '[1/4] looking for what the build needs (scripts/setup)'
	@scripts/setup
	@scripts/build-web '[2/4]'
	@echo '[3/4] building roadlake (the first time up to half an hour on two cores, later seconds)'
	@$(CARGO) build --locked -p roadlake
	@echo '[4/4] starting the demo'
	@$(CARGO) run --locked --quiet -p roadlake -- demo $(ARGS)

test:
	@echo '[1/4] looking for what the build needs (scripts/setup)'
	@scripts/setup
	@scripts/build-web '[2/4]'
	@echo '[3/4] testing the console'
	@cd web && npm test --silent
	@echo '[4/4] testing the workspace (the first time up to half an hour on two cores)'
	@$(CARGO) test --locked --workspace

setup:
	@scripts/setup

web:
	@scripts/setup --web
	@scripts/build-web

web-test: web
	@cd web && npm test --silent && npm run --silent check

clean:
	rm -rf web/dist web/node_modules
	$(CARGO) clean
