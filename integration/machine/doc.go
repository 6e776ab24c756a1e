// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package machine holds the tests of the user's machine: cgroup v2, systemd
// as init and as the cgroup driver, AppArmor, dockerd with its own profile around
// every container, and CRI with those of a pod. They need the build tag "cgroup2" and
// run in the guest of hack/qemu.sh: make test-cgroup2.
package machine
