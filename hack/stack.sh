#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Builds the named parts of the real stack from Go modules, each into
# build/stack/NAME/bin. What is there already, of the same version, stays.
#
#   hack/stack.sh containerd-2.4 runc
#   hack/stack.sh --list
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/hack/tools
stack=${STACK_DIR:-$root/build/stack}
names="containerd-2.4 containerd-2.3 containerd-2.2 containerd-2.0 containerd-1.7
runc crictl critest docker kubernetes conformance nerdctl rootless lint"

# fresh NAME MODULE says whether NAME is built as this script says, from the versions
# that MODULE pins and programs of its own. It sets name, module, bin and stamp for the
# builders below.
fresh() {
	name=$1 module=$2
	bin=$stack/$name/bin
	stamp=$( (go version; cat "$root/hack/stack.sh" "$module/go.mod" "$module"/*/main.go 2>/dev/null) | sha256sum | cut -d' ' -f1)
	[ "$(cat "$stack/$name/stamp" 2>/dev/null)" = "$stamp" ]
}

# compile OUTPUT PACKAGE [BUILD FLAG]... builds one program of $module and installs
# it. What Go's linker has written by a memory mapping lies in the page cache in small
# pages, and is slower to start than a file that was copied, as every installed one is.
compile() {
	output=$1 package=$2
	shift 2
	echo "building $name: $output" >&2
	go build -C "$module" -mod=readonly -buildvcs=false -trimpath "$@" -o "$stack/$name/linked" "$package"
	install "$stack/$name/linked" "$bin/$output"
	rm "$stack/$name/linked"
}

# The static programs carry no symbol tables, as distributions ship them.
stripped() {
	compile "$@" -ldflags "-s -w"
}

containerd() {
	prefix=$1
	for program in containerd ctr containerd-shim-runc-v2; do
		CGO_ENABLED=0 stripped $program "$prefix/cmd/$program"
	done
}

docker() {
	v=29.9.3
	moby=github.com/moby/moby/v2
	CGO_ENABLED=1 compile dockerd $moby/cmd/dockerd -ldflags "-s -w -X $moby/dockerversion.Version=$v"
	CGO_ENABLED=0 stripped docker-proxy $moby/cmd/docker-proxy
	# A module without a go.mod is compiled as Go 1.16 unless told otherwise.
	CGO_ENABLED=0 compile docker github.com/docker/cli/cmd/docker \
		-gcflags=github.com/docker/cli/...=-lang=go1.26 \
		-ldflags "-s -w -X github.com/docker/cli/cli/version.Version=$v"
	# Compose builds by a buildx that tells a version it knows.
	buildx=github.com/docker/buildx
	v=$(go list -C "$module" -mod=readonly -m -f '{{.Version}}' $buildx)
	CGO_ENABLED=0 compile docker-buildx $buildx/cmd/buildx -ldflags "-s -w -X $buildx/version.Version=$v"
	CGO_ENABLED=0 stripped docker-compose github.com/docker/compose/v5/cmd
}

kubernetes() {
	v=v1.37.2
	version="-X k8s.io/component-base/version.gitVersion=$v -X k8s.io/client-go/pkg/version.gitVersion=$v"
	for program in cluster coredns; do
		CGO_ENABLED=0 compile $program ./$program -ldflags "-s -w $version"
	done
	CGO_ENABLED=0 compile kubectl k8s.io/kubernetes/cmd/kubectl -ldflags "-s -w $version"
	for server in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet metrics-server; do
		ln -s cluster "$bin/$server"
	done
}

# The suite is a package of tests alone.
critest() {
	echo "building $name: critest" >&2
	CGO_ENABLED=0 go test -C "$module" -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w" \
		-c -o "$bin/critest" sigs.k8s.io/cri-tools/cmd/critest
}

# Kubernetes' end-to-end tests, with what runs several at once, two programs of
# the tests' images and a certificate of theirs.
conformance() {
	images=k8s.io/kubernetes/test/images
	for package in $images/agnhost $images/nonewprivs github.com/onsi/ginkgo/v2/ginkgo; do
		CGO_ENABLED=0 stripped "$(basename "$package")" "$package"
	done
	install -m 644 "$(go list -C "$module" -f '{{.Dir}}' $images/agnhost)"/porter/localhost.* "$bin"
	echo "building $name: e2e.test" >&2
	CGO_ENABLED=0 go test -C "$module" -vet=off -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w" \
		-c -o "$bin/e2e.test" k8s.io/kubernetes/test/e2e
}

rootless() {
	CGO_ENABLED=0 stripped rootlesskit github.com/rootless-containers/rootlesskit/v2/cmd/rootlesskit
	moby=$(go list -C "$tools/docker" -m -f '{{.Dir}}' github.com/moby/moby/v2)
	install -m 755 "$moby/contrib/dockerd-rootless.sh" "$bin"
}

# nerdctl's command imports helpers of its tests, and these a module that is only
# in its repository: it is built from a copy without them.
nerdctl() {
	source=$stack/nerdctl/source helpers=cmd/nerdctl/helpers
	go mod download -C "$module"
	cp -r "$(go list -C "$module" -m -f '{{.Dir}}' github.com/containerd/nerdctl/v2)" "$source"
	chmod -R u+w "$source"
	rm "$source/$helpers/testing.go" "$source/$helpers/testing_linux.go"
	tigron=github.com/containerd/nerdctl/mod/tigron
	go mod edit -droprequire $tigron -dropreplace $tigron@v0.0.0 "$source/go.mod"
	module=$source
	CGO_ENABLED=0 stripped nerdctl ./cmd/nerdctl
	rm -rf "$source"
}

# build NAME builds one part unless its stamp says that it is there.
build() {
	case $1 in
	containerd-2.4 | runc | crictl) fresh "$1" "$tools" && return ;;
	*)
		if [ ! -f "$tools/$1/go.mod" ]; then
			echo "stack.sh: no part named \"$1\"; there are: $(echo "$names" | tr '\n' ' ')" >&2
			exit 2
		fi
		fresh "$1" "$tools/$1" && return
		;;
	esac
	rm -rf "${stack:?}/$name"
	mkdir -p "$bin"
	case $name in
	containerd-1.7) containerd github.com/containerd/containerd ;;
	containerd-*) containerd github.com/containerd/containerd/v2 ;;
	runc) CGO_ENABLED=1 stripped runc github.com/opencontainers/runc -tags seccomp ;;
	crictl) CGO_ENABLED=0 stripped crictl sigs.k8s.io/cri-tools/cmd/crictl ;;
	lint) CGO_ENABLED=0 stripped staticcheck honnef.co/go/tools/cmd/staticcheck ;;
	critest) critest ;;
	docker) docker ;;
	rootless) rootless ;;
	kubernetes) kubernetes ;;
	conformance) conformance ;;
	nerdctl) nerdctl ;;
	esac
	echo "$stamp" >"$stack/$name/stamp"
}

if [ "${1:-}" = --list ]; then
	echo "$names" | tr ' ' '\n'
	exit
fi
[ $# -gt 0 ] || set -- containerd-2.4 runc
mkdir -p "$stack"
exec 9>"$stack/.lock" # one builder at a time; others wait and find it done
flock 9
for part in "$@"; do
	build "$part"
done
