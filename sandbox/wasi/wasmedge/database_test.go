// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"bytes"
	"fmt"
	stdnet "net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"containerd-shim-wazero/sandbox/wasi/policy"
)

// containerRoot makes a root directory with an /etc/hosts.
func containerRoot(t testing.TB, hosts string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/hosts"), []byte(hosts), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

// program finds a server's binary. Without it the test is skipped, but for the
// project's own checks, which must not miss it.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, pattern := range []string{"/usr/bin/" + name, "/usr/lib/postgresql/*/bin/" + name} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no %s: install the packages redis-server and postgresql", name)
	}
	t.Skipf("SKIPPED: no %s: install the packages redis-server and postgresql", name)
	return ""
}

// serve starts a server and waits until it accepts connections.
func serve(t testing.TB, cmd *exec.Cmd, addr string) {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := stdnet.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not answer: %v\n%s", cmd.Path, err, output.String())
		}
	}
}

func TestRedisClient(t *testing.T) {
	addr := freePort(t)
	_, port, _ := stdnet.SplitHostPort(addr)
	cmd := exec.Command(program(t, "redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	serve(t, cmd, addr)
	h := host{
		Wasm: build(t, "redis", "getaddrinfo"), Args: []string{"redis", "redis:" + port}, Grants: policy.Free(),
		Root: containerRoot(t, "127.0.0.1 redis\n"),
	}
	if out, errs, code := run(t, h); code != 0 || out != "counted 1000\n" {
		t.Errorf("%q, %q, exit %d", out, errs, code)
	}
}

func TestPostgreSQLClient(t *testing.T) {
	initdb, postgres := program(t, "initdb"), program(t, "postgres")
	addr := freePort(t)
	_, port, _ := stdnet.SplitHostPort(addr)
	// The server refuses to run as root, so where the tests do it gets its own
	// user and a folder that this user can reach.
	home, err := os.MkdirTemp("", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	data, password := filepath.Join(home, "data"), filepath.Join(home, "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	attr := asPostgres(t, home)
	cmd := exec.Command(initdb, "-D", data, "-U", "guest", "--auth=scram-sha-256", "--pwfile="+password, "--no-sync", "--locale=C", "-E", "UTF8")
	cmd.SysProcAttr, cmd.Dir = attr(), home
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	cmd = exec.Command(postgres, "-D", data, "-p", port, "-h", "127.0.0.1", "-k", home, "-F")
	cmd.SysProcAttr, cmd.Dir = attr(), home
	serve(t, cmd, addr)
	h := host{
		Wasm: build(t, "postgres", "getaddrinfo"), Grants: policy.Free(),
		Args: []string{"postgres", fmt.Sprintf("postgres://guest:secret@postgres:%s/postgres?sslmode=disable", port)},
		Root: containerRoot(t, "127.0.0.1 postgres\n"),
	}
	if out, errs, code := run(t, h); code != 0 || out != "rows 9990 length 88830\n" {
		t.Errorf("%q, %q, exit %d", out, errs, code)
	}
}

func asPostgres(t testing.TB, dir string) func() *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return func() *syscall.SysProcAttr { return new(syscall.SysProcAttr) }
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
}
