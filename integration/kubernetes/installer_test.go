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
	i.refuses(t, ns)
	ns.Apply(pod("web", "", container("app", web, "")) + pod("once", once, box("app", "", "echo", "hi")))
	ns.Ready("web")
	ns.Until(phase, "Succeeded", "pod/once")
	i.account(t)
	i.overhead(t)

	containerd, app, shim := i.c.Node.Pid(), ns.Pid("web", "app"), contents(t, installedShim)
	// The installer ends, and comes again.
	i.kubectl(t, "delete", "pod", "-l", "app="+installerName, "--grace-period=0", "--force").Exits(0)
	i.settled(t, "ready")
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
	ns.Eventually("the removal is refused", func() bool { return i.label(t) == "in-use" }, func() string { return i.label(t) })
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
	ns.Eventually("the node is labelled failed", func() bool { return i.label(t) == "failed" }, func() string { return i.label(t) })
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

// account is what the installer's account may do.
func (i *installer) account(t *testing.T) {
	t.Helper()
	pod := i.kubectl(t, "get", "pods", "-o", "name").Exits(0).Stdout
	pod = strings.TrimPrefix(strings.TrimSpace(pod), "pod/")
	bound := i.kubectl(t, "create", "token", installerName, "--bound-object-kind", "Pod", "--bound-object-name", pod).Exits(0).Stdout
	loose := i.kubectl(t, "create", "token", installerName).Exits(0).Stdout
	i.patch(t, "", "other", "", "").Exits(0) // the administrator makes another node
	defer i.kubectl(t, "delete", "node", "other")
	mine := `, labels: {"io.containerd.wazero.v1/node": ready}`
	for _, try := range []struct {
		name, token, node, metadata, spec, refusal string
	}{
		{"its label", bound, cluster.NodeName, mine, "", ""},
		{"another node", bound, "other", mine, "", "only the node that its pod is on"},
		{"a token of no pod", loose, cluster.NodeName, mine, "", "only the node that its pod is on"},
		{"another label", bound, cluster.NodeName, `, labels: {tier: gold}`, "", "only its own label"},
		{"an annotation", bound, cluster.NodeName, `, annotations: {tier: gold}`, "", "nothing of a node but"},
		{"a taint", bound, cluster.NodeName, "", "{unschedulable: true}", "nothing of a node but"},
		{"a new node", bound, "third", mine, "", "forbidden"},
	} {
		r := i.patch(t, strings.TrimSpace(try.token), try.node, try.metadata, try.spec)
		if try.refusal == "" {
			r.Exits(0)
		} else if r.Status == 0 || !strings.Contains(r.Stderr, try.refusal) {
			t.Errorf("%s: status %d, %s", try.name, r.Status, r.Stderr)
		}
	}
	if r := i.kubectl(t, "--token", strings.TrimSpace(bound), "get", "nodes"); r.Status == 0 {
		t.Error("the account may list nodes")
	}
}

// patch changes a node as the owner of a token, or as the administrator, in one
// request.
func (i *installer) patch(t *testing.T, token, node, metadata, spec string) *harness.Result {
	t.Helper()
	args := []string{"apply", "--server-side", "--force-conflicts", "--validate=false", "--field-manager=test-" + node, "-f", "-"}
	if token != "" {
		args = append(args, "--token", token)
	}
	cmd := i.c.Command(t, args...)
	text := fmt.Sprintf("apiVersion: v1\nkind: Node\nmetadata: {name: %s%s}\n", node, metadata)
	if spec != "" {
		text += "spec: " + spec + "\n"
	}
	cmd.Stdin = strings.NewReader(text)
	return harness.Execute(t, cmd)
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

// says waits for a sentence in the log of the installer's pod.
func (i *installer) says(t *testing.T, ns *cluster.Namespace, text string) {
	t.Helper()
	log := func() string { return i.kubectl(t, "logs", "daemonset/"+installerName).Stdout }
	ns.Eventually("the log says "+text, func() bool { return strings.Contains(log(), text) }, log)
}

// overhead compares what the class adds to a pod with what its shim and its pause
// container hold.
func (i *installer) overhead(t *testing.T) {
	t.Helper()
	stated := i.kubectl(t, "get", "runtimeclass", harness.Handler, "-o", "jsonpath={.overhead.podFixed.memory}").Exits(0).Stdout
	var most, sum float64
	if n, err := fmt.Sscanf(stated, "%fMi", &most); n != 1 {
		t.Fatalf("the overhead is %q: %v", stated, err)
	}
	harness.EachPss(t, func(pid int, program string, kB float64) {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		pause := program == "/bin/sleep" && filepath.Base(exe) != "busybox" // and not runc's, of the installer's pod
		if program == installedShim || pause {
			t.Logf("%s, %s: %.0f kB", program, exe, kB)
			sum += kB
		}
	})
	if sum == 0 || sum > most*1024 {
		t.Errorf("the shim and the pause container hold %.0f kB, and the class says %s", sum, stated)
	}
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
