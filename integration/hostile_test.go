// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

// leastWays is how many ways out a hostile guest has to know.
const leastWays = 120

const hostToken = "what only the host has"

// hostSecret is a file of the host, and a folder beside it that is shared with
// a guest; links of the host's lie in it that lead out.
func hostSecret(t *testing.T) (secret, shared string) {
	t.Helper()
	dir := filepath.Join(room.Dir(), "tmp", "out-"+t.Name()[strings.LastIndex(t.Name(), "/")+1:])
	secret, shared = filepath.Join(dir, "secret"), filepath.Join(dir, "shared")
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, err := range []error{
		os.MkdirAll(shared, 0o777), os.Chmod(shared, 0o777), os.Chmod(dir, 0o777),
		os.WriteFile(secret, []byte(hostToken), 0o666), os.Chmod(secret, 0o666),
		os.Symlink("../secret", filepath.Join(shared, "out")), os.Symlink("..", filepath.Join(shared, "top")),
		os.Symlink(secret, filepath.Join(shared, "abs")), os.Symlink("/proc/1/root", filepath.Join(shared, "proc")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return secret, shared
}

// TestHostileGuests: none of the ways leads out of a container, for root and for
// another user, as first process and as exec.
func TestHostileGuests(t *testing.T) {
	node := harness.Shared(t)
	for name, uid := range map[string]uint32{"root": 0, "user": 1000} {
		t.Run(name, func(t *testing.T) {
			secret, shared := hostSecret(t)
			args := []string{secret, hostToken, "/shared"}
			held(t, node.Guest(t, "escape", args...).User(uid, uid).Bind(shared, "/shared").Run())
			task := node.Guest(t, "box", "wait").User(uid, uid).Bind(shared, "/shared").Interactive().Start()
			held(t, task.Exec("escape", args...).Run())
			task.CloseStdin()
			task.Wait().Exits(0)
			task.Delete()
			if body, err := os.ReadFile(secret); err != nil || string(body) != hostToken {
				t.Errorf("the host's file: %q, %v", body, err)
			}
			if left, _ := filepath.Glob(filepath.Dir(secret) + "/escaped*"); len(left) != 0 {
				t.Errorf("a guest made %q", left)
			}
		})
	}
}

var waysTried = regexp.MustCompile(`(?m)^(\d+) ways tried$`)

func held(t *testing.T, result *harness.Result) {
	t.Helper()
	result.Exits(0)
	match := waysTried.FindStringSubmatch(result.Stdout)
	if match == nil || strings.Contains(result.Stdout, "ESCAPED") {
		t.Fatalf("stdout %q", result.Stdout)
	}
	if n, _ := strconv.Atoi(match[1]); n < leastWays {
		t.Errorf("%d ways, want %d", n, leastWays)
	}
}

// TestHostileGuestsCanTell is the negative: what is granted they report.
func TestHostileGuestsCanTell(t *testing.T) {
	secret, shared := hostSecret(t)
	result := harness.Shared(t).Guest(t, "escape", secret, hostToken, "/shared").
		Bind(shared, "/shared").Bind(secret, secret).
		Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/run/docker.sock"}).Run().Exits(1)
	for _, way := range []string{"path from the root", "dot slash", "relative link", "it is there: run/docker.sock"} {
		if !strings.Contains(result.Stdout, "ESCAPED: "+way) {
			t.Errorf("%q is not told: %s", way, result.Stdout)
		}
	}
}

// TestHostileSockets: neither the host's abstract sockets nor its Unix sockets
// in a mount nor its loopback are reached, unless an annotation names the path.
func TestHostileSockets(t *testing.T) {
	node := harness.Shared(t)
	_, shared := hostSecret(t)
	tcp := serveOn(t, "tcp", "127.0.0.1:0").(*net.TCPAddr)
	serveOn(t, "unix", "@hostile-abstract")
	serveOn(t, "unix", filepath.Join(shared, "sock"))
	port := fmt.Sprint(tcp.Port)
	args := []string{"unix", "@hostile-abstract", ",", "unix", "/shared/sock", ",", "connect", "127.0.0.1", port}
	// Without a grant there is no such family; with one, no such name.
	none, abstract := "unix: Address family not supported by protocol\n", "unix: Invalid argument\n"
	node.Guest(t, "reach", args...).Bind(shared, "/shared").Run().
		Is(0, none+none+"connect: Connection refused\n")
	granted := node.Guest(t, "reach", args...).Bind(shared, "/shared").
		Annotation(harness.Runtime+"/connect", "unix:/shared/sock")
	granted.Run().Is(0, abstract+"unix: ok\nconnect: Permission denied\n")
	// In the host's network nothing is granted but what is named.
	host := func() *harness.Container {
		return node.Guest(t, "reach", append(args, ",", "listen", "127.0.0.1", "0")...).Bind(shared, "/shared").
			Spec(func(s *specs.Spec) {
				s.Linux.Namespaces = without(s.Linux.Namespaces, specs.NetworkNamespace)
			})
	}
	refused := "connect: Permission denied\nlisten: Permission denied\n"
	host().Run().Is(0, none+none+refused)
	host().Annotation(harness.Runtime+"/connect", "127.0.0.1/32:"+port).Run().
		Is(0, none+none+"connect: ok\nlisten: Permission denied\n")
}

func without(list []specs.LinuxNamespace, kind specs.LinuxNamespaceType) (rest []specs.LinuxNamespace) {
	for _, ns := range list {
		if ns.Type != kind {
			rest = append(rest, ns)
		}
	}
	return rest
}

// serveOn listens until the test ends.
func serveOn(t *testing.T, network, address string) net.Addr {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr()
}
