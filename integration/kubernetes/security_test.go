// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// owned is a folder of the node for one user and one group.
func owned(t *testing.T, uid, gid int, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

func hostPath(name, path string) string {
	return "{name: " + name + ", hostPath: {path: " + path + ", type: Directory}}"
}

// field is one of /proc/PID/status of a pod's container.
func field(t *testing.T, ns *cluster.Namespace, pod, container, name string) string {
	t.Helper()
	status, err := os.ReadFile("/proc/" + ns.Pid(pod, container) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, is := strings.CutPrefix(line, name+":"); is {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("no %s in %s", name, status)
	return ""
}

// security is what a securityContext asks about users and the pod, by what the
// kernel shows of the process and by what the guest can do and cannot.
func security(t *testing.T, ns *cluster.Namespace) {
	team := owned(t, 0, 4000, 0o770)
	ns.Apply(pod("user", once+`, securityContext: {runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true, fsGroup: 3000,
      supplementalGroups: [4000], sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "81"}]},
    volumes: [{name: data, emptyDir: {}}, `+hostPath("team", team)+`]`,
		box("app", `securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}},
    volumeMounts: [{name: data, mountPath: /data}, {name: team, mountPath: /team}]`,
			"try", "write", "/tmp/x", "x", ",", "write", "/data/mine", "x", ",", "write", "/team/ours", "x", ",",
			"try", "cat", "/home/private", ",", "sleep", "600000")) +
		pod("other", once+", securityContext: {runAsUser: 1000, runAsGroup: 1000}, volumes: ["+hostPath("team", team)+"]",
			box("app", "volumeMounts: [{name: team, mountPath: /team}]", "try", "write", "/team/theirs", "x")) +
		pod("refused", once+", securityContext: {runAsNonRoot: true}", box("app", "", "true")))
	ns.Ready("user")
	ns.Logs("box: /tmp/x: Read-only file system", "user")
	ns.Logs("box: /home/private: Permission denied", "user")
	for name, want := range map[string]string{
		"Uid": "1000 1000 1000 1000", "Gid": "1000 1000 1000 1000", "CapEff": "0000000000000000", "CapBnd": "0000000000000000",
	} {
		if got := field(t, ns, "user", "app", name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	groups := strings.Fields(field(t, ns, "user", "app", "Groups"))
	for _, group := range []string{"3000", "4000"} {
		if !slices.Contains(groups, group) {
			t.Errorf("group %s is not among %v", group, groups)
		}
	}
	ns.Until(phase, "Succeeded", "pod/other")
	ns.Logs("box: /team/theirs: Permission denied", "other")
	volume := filepath.Join("/var/lib/kubelet/pods", ns.Ask("get", "pod", "user", "-o", "jsonpath={.metadata.uid}"),
		"volumes/kubernetes.io~empty-dir/data/mine")
	if info, err := os.Stat(volume); err != nil || info.Sys().(*syscall.Stat_t).Gid != 3000 {
		t.Errorf("the file in the volume is not of the group that the pod asks for: %+v, %v", info, err)
	}
	harness.Execute(t, exec.Command("nsenter", "-t", ns.Pid("user", "app"), "-n", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start")).Is(0, "81\n")
	ns.Until("jsonpath={.status.containerStatuses[0].state.waiting.reason}", "CreateContainerConfigError", "pod/refused")
}

// capabilities are those that WASI has a use for: root's, taken and given, and a
// privileged container's, which the host's devices come with.
func capabilities(t *testing.T, ns *cluster.Namespace) {
	volumes := "volumes: [" + hostPath("others", owned(t, 1234, 1234, 0o700)) + "]"
	asks := func(name, context, path string) string {
		return box(name, "securityContext: {"+context+"}, volumeMounts: [{name: others, mountPath: /others}]",
			"try", "create", path, ",", "try", "stat", path, ",", "try", "stat", "/dev/kmsg", ",", "sleep", "600000")
	}
	ns.Apply(pod("app", volumes,
		asks("usual", "runAsUser: 0", "/others/usual"),
		asks("none", "capabilities: {drop: [ALL]}", "/others/none"),
		asks("some", "capabilities: {drop: [ALL], add: [DAC_OVERRIDE, NET_BIND_SERVICE, SYS_ADMIN]}", "/others/some"),
		asks("user", "runAsUser: 1000, capabilities: {add: [DAC_OVERRIDE]}", "/others/user"),
		asks("privileged", "privileged: true", "/others/privileged")))
	ns.Ready("app")
	const refused, written = ": Permission denied", " file 0 1"
	for name, want := range map[string]struct{ set, file string }{
		"usual": {"000000000000041a", written}, "none": {"0000000000000000", refused},
		"some": {"0000000000000402", written}, "user": {"0000000000000000", refused}, // as a Linux program has it after execve(2)
		"privileged": {"000000000000041e", written},
	} {
		if got := field(t, ns, "app", name, "CapEff"); got != want.set {
			t.Errorf("the capabilities of %s are %s, want %s", name, got, want.set)
		}
		device := "box: /dev/kmsg: No such file"
		if name == "privileged" {
			device = "/dev/kmsg character device"
		}
		ns.Logs("/others/"+name+want.file, "app", "-c", name)
		ns.Logs(device, "app", "-c", name)
	}
}

// seccomp: a profile of the node's holds for the guest beside the filter that every
// guest runs under, which is there without a profile too, as is no_new_privs.
func seccomp(t *testing.T, ns *cluster.Namespace) {
	const profiles = "/var/lib/kubelet/seccomp"
	if err := os.MkdirAll(profiles, 0o755); err != nil {
		t.Fatal(err)
	}
	profile := filepath.Join(profiles, "no-folders.json")
	if err := os.WriteFile(profile, []byte(`{"defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(profile) })
	asks := func(name, context string) string {
		return box(name, "securityContext: {"+context+"}", "try", "mkdir", "/tmp/d", ",", "try", "stat", "/tmp/d", ",", "sleep", "600000")
	}
	ns.Apply(pod("app", "",
		asks("local", "seccompProfile: {type: Localhost, localhostProfile: no-folders.json}"),
		asks("default", "seccompProfile: {type: RuntimeDefault}"),
		asks("unconfined", "seccompProfile: {type: Unconfined}, allowPrivilegeEscalation: true")))
	ns.Ready("app")
	ns.Logs("box: /tmp/d: No space left on device\nbox: /tmp/d: No such file", "app", "-c", "local")
	for _, name := range []string{"default", "unconfined"} {
		ns.Logs("/tmp/d directory", "app", "-c", name)
	}
	for _, name := range []string{"local", "default", "unconfined"} {
		if mode, no := field(t, ns, "app", name, "Seccomp"), field(t, ns, "app", name, "NoNewPrivs"); mode != "2" || no != "1" {
			t.Errorf("%s runs with seccomp %s and no_new_privs %s", name, mode, no)
		}
	}
}
