// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster runs tests against a real Kubernetes cluster of one node in a
// clean room: etcd, the API server, its controllers and scheduler, kube-proxy,
// CoreDNS, metrics-server and a kubelet on a containerd with the shim under
// test, driven by kubectl.
//
//	c := cluster.New(t)
//	ns := c.Namespace(t)
//	ns.Apply(manifest)
//	ns.Kubectl("wait", "--for=condition=Ready", "pod/web").Exits(0)
//
// Whatever a namespace leaves on the node after its deletion fails its test.
package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

const (
	// NodeName is the node's, and room.Bridge its address.
	NodeName   = "node1"
	domain     = "cluster.local"
	services   = "10.96.0.0/16"
	apiService = "10.96.0.1"
	dnsService = "10.96.0.10"
	apiPort    = "6443"
)

// Cluster is a running cluster.
type Cluster struct {
	Node *harness.Node

	dir     string // certificates, configurations, logs
	servers map[string]*exec.Cmd
	args    map[string][]string
}

// Main is the body of a package's TestMain.
func Main(m *testing.M, parts ...string) {
	harness.Main(m, append([]string{"kubernetes", "crictl"}, parts...)...)
}

// New starts a cluster for one test and waits until its node is ready.
func New(t testing.TB, options ...harness.Option) *Cluster {
	t.Helper()
	if err := furnish(); err != nil {
		t.Fatal(err)
	}
	node := harness.New(t, harness.DefaultVersion, append([]harness.Option{harness.WithCRI(), harness.WithRoutedPods()}, options...)...)
	c := &Cluster{Node: node, dir: t.TempDir(), servers: map[string]*exec.Cmd{}, args: map[string][]string{}}
	t.Cleanup(c.stop)
	if err := c.writeFiles(); err != nil {
		t.Fatal(err)
	}
	c.start(t, "etcd", "--unsafe-no-fsync", "--data-dir", c.file("etcd-data"),
		"--listen-client-urls", etcdURL, "--advertise-client-urls", etcdURL, "--listen-peer-urls", "http://127.0.0.1:2380")
	c.start(t, "kube-apiserver", c.apiServerArgs()...)
	harness.Eventually(t, "the API server answers", func() bool { return c.Kubectl(t, "get", "--raw", "/readyz").Status == 0 })
	c.start(t, "kube-controller-manager", "--kubeconfig", c.file("admin.conf"), "--leader-elect=false",
		"--service-account-private-key-file", c.file("accounts.key"), "--root-ca-file", c.file("ca.crt"),
		"--use-service-account-credentials=true", "--controllers=*,bootstrapsigner,tokencleaner",
		"--horizontal-pod-autoscaler-sync-period=5s")
	c.start(t, "kube-scheduler", "--kubeconfig", c.file("admin.conf"), "--leader-elect=false")
	c.start(t, "kubelet", "--config", c.file("kubelet.yaml"), "--kubeconfig", c.file("kubelet.conf"),
		"--hostname-override", NodeName, "--node-ip", room.Bridge, "--root-dir", "/var/lib/kubelet", "--cert-dir", c.file("kubelet"))
	c.start(t, "kube-proxy", "--kubeconfig", c.file("admin.conf"), "--hostname-override", NodeName,
		"--proxy-mode=nftables", "--cluster-cidr", harness.PodNetwork+"0/24",
		"--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s")
	c.start(t, "coredns", "-conf", c.file("Corefile"))
	c.apply(t, "", base)
	ready := "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
	harness.Eventually(t, "the node is ready", func() bool {
		return c.Kubectl(t, "get", "node", NodeName, "-o", ready).Stdout == "True"
	})
	c.startMetrics(t)
	return c
}

const etcdURL = "http://127.0.0.1:2379"

func (c *Cluster) apiServerArgs() []string {
	return []string{
		"--etcd-servers", etcdURL, "--service-cluster-ip-range", services,
		"--secure-port", apiPort, "--advertise-address", room.Bridge,
		"--tls-cert-file", c.file("api.crt"), "--tls-private-key-file", c.file("api.key"),
		"--client-ca-file", c.file("ca.crt"), "--token-auth-file", c.file("tokens.csv"),
		"--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction", "--allow-privileged=true",
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-signing-key-file", c.file("accounts.key"), "--service-account-key-file", c.file("accounts.key"),
		"--requestheader-client-ca-file", c.file("ca.crt"), "--requestheader-allowed-names", proxyName,
		"--requestheader-username-headers", "X-Remote-User", "--requestheader-group-headers", "X-Remote-Group",
		"--requestheader-extra-headers-prefix", "X-Remote-Extra-",
		"--proxy-client-cert-file", c.file("proxy.crt"), "--proxy-client-key-file", c.file("proxy.key"),
		"--kubelet-client-certificate", c.file("kubelets.crt"), "--kubelet-client-key", c.file("kubelets.key"),
		"--enable-aggregator-routing=true", "--kubelet-preferred-address-types", "InternalIP",
	}
}

// furnish prepares what the kubelet looks for in the room.
func furnish() error {
	// The kubelet sets these, which are the machine's: it finds them set.
	for name, value := range map[string]string{"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"} {
		file := filepath.Join(room.Dir(), "tmp", filepath.Base(name))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, "/proc/sys/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("hide %s: %w", name, err)
		}
	}
	// Its cgroups have a parent of their own, by which the room knows them.
	hierarchies, err := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	if err != nil {
		return err
	}
	for _, procs := range hierarchies {
		h := filepath.Dir(procs)
		if err := os.MkdirAll(filepath.Join(h, room.Name()), 0o755); err != nil {
			return err
		}
	}
	// A child of a cpuset without processors and memory could hold nothing.
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join("/sys/fs/cgroup/cpuset", name))
		if err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join("/sys/fs/cgroup/cpuset", room.Name(), name), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

// start starts a server of the cluster, which logs to a file of its name.
func (c *Cluster) start(t testing.TB, name string, args ...string) {
	t.Helper()
	log, err := os.OpenFile(c.file(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program(t, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"PATH=" + c.Node.Path(t), "HOME=/root", "TMPDIR=" + os.TempDir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.IsServer(name)
	c.servers[name], c.args[name] = cmd, args
}

// Crash kills a server; Restart starts it again as it was.
func (c *Cluster) Crash(name string) {
	cmd := c.servers[name]
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	delete(c.servers, name)
}

// Restart starts a server that was killed.
func (c *Cluster) Restart(t testing.TB, name string) {
	t.Helper()
	c.start(t, name, c.args[name]...)
}

func (c *Cluster) stop() {
	for name := range c.servers {
		c.Crash(name)
	}
}

func program(t testing.TB, name string) string {
	t.Helper()
	return harness.Built(t, "stack", "kubernetes", "bin", name)
}

// Kubectl runs kubectl as the cluster's administrator.
func (c *Cluster) Kubectl(t testing.TB, args ...string) *harness.Result {
	t.Helper()
	return harness.Execute(t, c.Command(t, args...))
}

// Command is Kubectl before it runs.
func (c *Cluster) Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(t, "kubectl"), args...)
	cmd.Env = []string{"KUBECONFIG=" + c.file("admin.conf"), "HOME=" + c.dir, "PATH=" + c.Node.Path(t)}
	return cmd
}

func (c *Cluster) apply(t testing.TB, namespace, manifest string) {
	t.Helper()
	args := []string{"apply", "-f", "-"}
	if namespace != "" {
		args = append(args, "-n", namespace)
	}
	cmd := c.Command(t, args...)
	cmd.Stdin = strings.NewReader(manifest)
	if harness.Execute(t, cmd).Exits(0); t.Failed() {
		t.FailNow()
	}
}

// Tail is the end of a server's log.
func (c *Cluster) Tail(name string) string {
	const most = 6000
	b, _ := os.ReadFile(c.file(name + ".log"))
	return string(b[max(0, len(b)-most):])
}

// Kubeconfig is the file of the administrator.
func (c *Cluster) Kubeconfig() string { return c.file("admin.conf") }
