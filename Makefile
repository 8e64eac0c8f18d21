# Thin callers of the commands that CI and the documents use.

version := $(shell git describe --tags --always --dirty 2>/dev/null)
tool = go tool -modfile=tools/$(1)/go.mod $(1)

.PHONY: build test lint mutation integration bench lab docs mixin kubernetes ci

build: ## the program, with its version
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X github.com/prometheus/common/version.Version=$(version)" .

test: ## unit tests: need nothing but Go
	go test ./...

lint: ## golangci-lint and actionlint
	$(call tool,golangci-lint) run ./...
	$(call tool,actionlint)

mutation: ## mutation testing of one package: make mutation PACKAGE=./probe/dane
	$(call tool,gremlins) unleash $(PACKAGE) --workers 2 --timeout-coefficient 10

integration: ## against other software: needs root and the Debian packages of .ci/install
	go test -tags integration -count=1 -timeout 30m ./internal/integration/... ./probe/tlsa

bench: ## cost of a probe, compared with the bare handshake and blackbox_exporter
	go run ./internal/bench

lab: ## serve metrics of the lab's domains on port 10125
	go run . lab

docs: ## write the generated parts of docs/ and of the Helm chart
	go test ./internal/repocheck ./deploy/helm -run TestGenerated -update

mixin: ## write the rules and dashboards that are generated from deploy/mixin
	$(call tool,jsonnet) -S -c -m deploy deploy/mixin/build.jsonnet

kubernetes: ## write deploy/kubernetes, which is rendered from the Helm chart
	cd deploy/validate && go test -count=1 -run TestManifests -update

ci: ## every check that a change must pass: needs root on Debian
	.ci/run
