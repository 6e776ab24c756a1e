// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

const (
	installedShim  = "/opt/wazero/" + harness.ShimBinary
	restartPending = "/opt/wazero/restart-pending"
	installerName  = "wazero-installer"
)

// TestInstaller takes nodes from a plain containerd to Wasm pods and back.
func TestInstaller(t *testing.T) {
	versions := []string{"4"}
	if harness.Full() {
		versions = []string{"2", "3", "4"}
	}
	for _, version := range versions {
		t.Run("config version "+version, func(t *testing.T) {
			i := newInstaller(t, version)
			t.Run("too old", i.tooOld)
			t.Run("life", i.life)
			t.Run("killed", i.killed)
			if harness.Full() {
				t.Run("killed anywhere", i.killedAnywhere)
			}
		})
	}
}

// installer is a cluster on whose node the installer is let loose.
type installer struct {
	c      *cluster.Cluster
	before map[string]string // containerd's configuration
}

func newInstaller(t *testing.T, version string) *installer {
	t.Helper()
	harness.Hide(t, "/opt", "/etc/containerd")
	c := cluster.New(t, harness.WithPlainConfig(version))
	pause := harness.BusyboxImage(t) // runc runs it for the installer's own pod
	pause.Name, pause.Config.Entrypoint = harness.Pause, []string{"/bin/sleep", "1d"}
	pause.Config.Cmd = nil
	c.Node.ImportCRI(t, pause, harness.GuestsImage(t), webImage(t))
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"dev", "next"} {
		file := filepath.Join(t.TempDir(), "image.tar")
		pack := exec.Command("hack/image.sh", file, "localhost/"+installerName+":"+version, harness.Architecture())
		pack.Dir, pack.Env = root, append(os.Environ(), "VERSION="+version)
		harness.Execute(t, pack).Exits(0)
		c.Node.Ctr(t, "images", "import", file).Exits(0)
	}
	c.Node.ImportCRI(t, bare(t))
	return &installer{c: c, before: files(t, "/etc/containerd")}
}

// bare is the image of an architecture that has no shim.
func bare(t *testing.T) image.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), installerName)
	build := exec.Command("go", "build", "-o", path, "containerd-shim-wazero/deploy/installer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	harness.Execute(t, build).Exits(0)
	file, err := image.Copy(installerName, path)
	if err != nil {
		t.Fatal(err)
	}
	return image.Image{Name: "localhost/" + installerName + ":bare", OS: "linux", Arch: harness.Architecture(),
		Files: []image.File{file}, Config: v1.ImageConfig{Entrypoint: []string{"/" + installerName}}}
}

// life is from an installation through an upgrade to the removal.
func (i *installer) life(t *testing.T) {
	ns := i.c.Namespace(t)
	i.apply(t, "deploy", "bare")
	i.settled(t, "unsupported-architecture")
	i.says(t, ns, "this node cannot run wazero")
	if now := files(t, "/etc/containerd"); !maps.Equal(now, i.before) {
		t.Errorf("a node that cannot was configured: %q", now)
	}
	ns.Apply(pod("waits", once, box("app", "", "echo", "hi")))
	scheduled := "jsonpath={.status.conditions[?(@.type=='PodScheduled')]."
	ns.Until(scheduled+"reason}", "Unschedulable", "pod/waits")
	if why := ns.Ask("get", "pod", "waits", "-o", scheduled+"message}"); !contains(why, "node affinity/selector") {
		t.Errorf("a pod of the class waits for another reason: %s", why)
	}
	i.refuses(t, ns)
	ns.Until(phase, "Succeeded", "pod/waits")
	ns.Apply(pod("web", "", container("app", web, "")))
	ns.Ready("web")
	i.account(t)
	i.overhead(t, ns)
	i.withdrawn(t, ns)

	containerd, app, shim := i.c.Node.Pid(), ns.Pid("web", "app"), contents(t, installedShim)
	// An upgrade.
	i.apply(t, "deploy", "next")
	i.settled(t, "ready")
	if contents(t, installedShim) == shim {
		t.Error("the upgrade left the binary as it was")
	}
	if now := i.c.Node.Pid(); now != containerd {
		t.Error("containerd was restarted though its configuration is as it was")
	}
	if now := ns.Pid("web", "app"); now != app {
		t.Errorf("the pod's process was %s and is %s", app, now)
	}
	ns.Kubectl("exec", "web", "--", "/box.wasm", "echo", "hi").Exits(0)
	ns.Apply(pod("newer", once, box("app", "", "echo", "hi")))
	ns.Until(phase, "Succeeded", "pod/newer")

	i.apply(t, "deploy/remove", "next")
	i.labelled(t, ns, "in-use")
	i.says(t, ns, "refused as yet: wazero pods run on this node (1)")
	contents(t, installedShim)
	if maps.Equal(files(t, "/etc/containerd"), i.before) {
		t.Error("a refused removal changed the configuration")
	}
	ns.Kubectl("delete", "pod", "web").Exits(0)
	i.removed(t)
}

// refuses has the installer find another's handler, which is then removed.
func (i *installer) refuses(t *testing.T, ns *cluster.Namespace) {
	t.Helper()
	plain := contents(t, harness.PlainConfig)
	foreign := plain + "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.wazero]\n" +
		"[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.wazero]\n"
	if err := os.WriteFile(harness.PlainConfig, []byte(foreign), 0o644); err != nil {
		t.Fatal(err)
	}
	i.apply(t, "deploy", "dev")
	i.labelled(t, ns, "failed")
	i.says(t, ns, "has a handler \"wazero\" that this installer did not add: remove it")
	if now := contents(t, harness.PlainConfig); now != foreign {
		t.Errorf("a refused installation changed the configuration to %q", now)
	}
	if err := os.WriteFile(harness.PlainConfig, []byte(plain), 0o644); err != nil {
		t.Fatal(err)
	}
	i.kubectl(t, "delete", "pod", "-l", "app="+installerName).Exits(0)
	i.settled(t, "ready")
}

// withdrawn has the installer go, with its DaemonSet, and come again: neither changes
// anything on the node, and pods run meanwhile.
func (i *installer) withdrawn(t *testing.T, ns *cluster.Namespace) {
	t.Helper()
	containerd, before := i.c.Node.Pid(), i.onNode(t)
	unchanged := func(when string) {
		t.Helper()
		if now := i.onNode(t); !maps.Equal(now, before) {
			t.Errorf("%s: there was\n%.4000q\nand is\n%.4000q", when, before, now)
		}
		if now := i.c.Node.Pid(); now != containerd || i.label(t) != "ready" {
			t.Errorf("%s: containerd is %d and was %d, the label is %q", when, now, containerd, i.label(t))
		}
	}
	i.kubectl(t, "delete", "daemonset", installerName, "--cascade=foreground").Exits(0)
	if left := strings.TrimSpace(i.kubectl(t, "get", "pods", "-o", "name").Exits(0).Stdout); left != "" {
		t.Fatalf("the installer runs: %s", left)
	}
	unchanged("without the installer")
	ns.Apply(pod("meanwhile", once, box("app", "", "echo", "hi")))
	ns.Until(phase, "Succeeded", "pod/meanwhile")
	i.apply(t, "deploy", "dev")
	i.settled(t, "ready")
	unchanged("with it again")
}

// killed has the installer killed between its changes and the restart.
func (i *installer) killed(t *testing.T) {
	ns := i.c.Namespace(t)
	i.apply(t, "deploy", "dev")
	i.kill(t)
	i.settled(t, "ready")
	ns.Apply(pod("once", once, box("app", "", "echo", "hi")))
	ns.Until(phase, "Succeeded", "pod/once")
	i.apply(t, "deploy/remove", "dev")
	i.kill(t)
	i.removed(t)
}

// killedAnywhere has installers and removers killed at random points.
func (i *installer) killedAnywhere(t *testing.T) {
	const times, longest = 12, 8 * time.Second // a life takes about as long
	ns := i.c.Namespace(t)
	for range times {
		dir := []string{"deploy", "deploy/remove"}[rand.IntN(2)]
		i.apply(t, dir, "dev")
		after := rand.N(longest)
		t.Logf("%s is killed after %s", dir, after)
		time.Sleep(after)
		i.kubectl(t, "delete", "pods", "-l", "app="+installerName, "--grace-period=0", "--force").Exits(0)
	}
	i.apply(t, "deploy", "dev")
	i.settled(t, "ready")
	ns.Apply(pod("once", once, box("app", "", "echo", "hi")))
	ns.Until(phase, "Succeeded", "pod/once")
	ns.Kubectl("delete", "pod", "once").Exits(0)
	i.apply(t, "deploy/remove", "dev")
	i.removed(t)
}

// kill kills the installer while containerd has not read its configuration yet.
func (i *installer) kill(t *testing.T) {
	t.Helper()
	harness.Eventually(t, "the installer is half-way", func() bool {
		_, err := os.Stat(restartPending)
		return err == nil
	})
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, name := range names {
		if comm, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(comm)) != "wazero-installe" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			t.Fatal(err)
		}
		if unix.Kill(pid, unix.SIGKILL) == nil {
			killed++
		}
	}
	if _, err := os.Stat(restartPending); err != nil || killed == 0 {
		t.Fatalf("%d killed, %v", killed, err)
	}
}

// apply applies a kustomization of the repository with an image of that tag.
func (i *installer) apply(t *testing.T, dir, tag string) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(root, dir)
	if tag == "dev" { // as the kustomization has it
		i.c.Kubectl(t, "apply", "-k", dir).Exits(0)
		return
	}
	text := i.c.Kubectl(t, "kustomize", dir).Exits(0).Stdout
	cmd := i.c.Command(t, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.Replace(text, "image: localhost/"+installerName+":dev", "image: localhost/"+installerName+":"+tag, 1))
	harness.Execute(t, cmd).Exits(0)
}

// settled waits until the installer has done what it was asked, with that result.
func (i *installer) settled(t *testing.T, label string) {
	t.Helper()
	r := i.kubectl(t, "rollout", "status", "daemonset/"+installerName, "--timeout", (2 * harness.Patience).String())
	if r.Status != 0 || i.label(t) != label {
		t.Fatalf("the label is %q and not %q\n%s%s\n%s\n%s", i.label(t), label, r.Stdout, r.Stderr,
			i.kubectl(t, "logs", "daemonset/"+installerName).Stdout, i.kubectl(t, "describe", "pods").Stdout)
	}
}

// labelled waits for a label that the installer does not come to rest with.
func (i *installer) labelled(t *testing.T, ns *cluster.Namespace, label string) {
	t.Helper()
	ns.Eventually("the node is labelled "+label, func() bool { return i.label(t) == label }, func() string { return i.label(t) })
}

// onNode is all that the installer may change on its node.
func (i *installer) onNode(t *testing.T) map[string]string {
	t.Helper()
	all := files(t, "/etc/containerd")
	maps.Copy(all, files(t, "/opt/wazero"))
	return all
}

// says waits for a sentence in the log of the installer's pod.
func (i *installer) says(t *testing.T, ns *cluster.Namespace, text string) {
	t.Helper()
	log := func() string { return i.kubectl(t, "logs", "daemonset/"+installerName).Stdout }
	ns.Eventually("the log says "+text, func() bool { return strings.Contains(log(), text) }, log)
}

// overhead has the class add to a pod what it says, and compares that with what the
// shim and the pause container of the one pod hold.
func (i *installer) overhead(t *testing.T, ns *cluster.Namespace) {
	t.Helper()
	fixed := i.kubectl(t, "get", "runtimeclass", harness.Handler, "-o", "jsonpath={.overhead.podFixed}").Exits(0).Stdout
	ns.Until("jsonpath={.spec.overhead}", fixed, "pod/web")
	stated := i.kubectl(t, "get", "runtimeclass", harness.Handler, "-o", "jsonpath={.overhead.podFixed.memory}").Exits(0).Stdout
	var most float64
	if n, err := fmt.Sscanf(stated, "%fMi", &most); n != 1 {
		t.Fatalf("the overhead is %q: %v", stated, err)
	}
	var shims, pauses []float64
	ns.Eventually("one pod of the class is left", func() bool {
		shims, pauses = held(t)
		return len(shims) == 1 && len(pauses) == 1
	}, func() string { return fmt.Sprintf("shims %v, pause containers %v", shims, pauses) })
	t.Logf("the shim holds %.0f kB, the pause container %.0f kB", shims[0], pauses[0])
	if sum := shims[0] + pauses[0]; sum > most*1024 {
		t.Errorf("the shim and the pause container hold %.0f kB, and the class says %s", sum, stated)
	}
}

// held is what the shims and the pause containers of the class hold, in kB each.
func held(t *testing.T) (shims, pauses []float64) {
	t.Helper()
	harness.EachPss(t, func(pid int, program string, kB float64) {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		switch {
		case program == installedShim:
			shims = append(shims, kB)
		case program == "/bin/sleep" && filepath.Base(exe) != "busybox": // and not runc's, of the installer's pod
			pauses = append(pauses, kB)
		}
	})
	return shims, pauses
}

// removed waits for the end of a removal, and looks for what is left.
func (i *installer) removed(t *testing.T) {
	t.Helper()
	i.settled(t, "")
	if after := files(t, "/etc/containerd"); !maps.Equal(after, i.before) {
		t.Errorf("containerd's configuration was\n%q\nand is\n%q", i.before, after)
	}
	if left := files(t, "/opt/wazero"); len(left) > 1 { // the folder itself, which the kubelet made
		t.Errorf("left: %v", left)
	}
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	i.c.Kubectl(t, "delete", "-k", filepath.Join(root, "deploy/remove"), "--timeout", (2 * harness.Patience).String()).Exits(0)
}

func (i *installer) label(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(i.c.Kubectl(t, "get", "node", cluster.NodeName, "-o",
		`jsonpath={.metadata.labels.io\.containerd\.wazero\.v1/node}`).Stdout)
}

func (i *installer) kubectl(t *testing.T, args ...string) *harness.Result {
	t.Helper()
	return i.c.Kubectl(t, append([]string{"-n", "wazero-system"}, args...)...)
}

// files is everything below a folder: the mode, and what a file holds.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		found[path] = info.Mode().String()
		if info.Mode().IsRegular() {
			found[path] += contents(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
