// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == shimProgram {
		serve()
	}
	os.Exit(m.Run())
}

// serve is a shim for runc that takes its time, and leaves a file when it has ended
// as it was asked to.
func serve() {
	const long = 200 * time.Millisecond
	var mu sync.Mutex
	containers := map[string]bool{}
	handle := func(do func(id string) error) ttrpc.Method {
		return func(_ context.Context, unmarshal func(any) error) (any, error) {
			var req taskapi.DeleteRequest // of all methods here the id is the first field
			if err := unmarshal(&req); err != nil {
				return nil, err
			}
			return &emptypb.Empty{}, do(req.ID)
		}
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		panic(err)
	}
	server.RegisterService(taskServices[0], &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
		"Connect": handle(func(string) error { return nil }),
		"Create": handle(func(id string) error {
			mu.Lock()
			defer mu.Unlock()
			containers[id] = true
			return nil
		}),
		"Delete": handle(func(id string) error {
			mu.Lock()
			defer mu.Unlock()
			if !containers[id] {
				return status.Error(codes.NotFound, "container not created")
			}
			time.Sleep(long)
			delete(containers, id)
			return nil
		}),
		"Shutdown": handle(func(string) error {
			time.AfterFunc(long, func() {
				_ = os.WriteFile("ended", nil, 0o600)
				os.Exit(0)
			})
			return nil
		}),
	}})
	listener, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		panic(err)
	}
	panic(server.Serve(context.Background(), listener))
}

// install puts a program in the place of the shim for runc.
func install(t *testing.T, program string) (s *Shim, bundle string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(program, filepath.Join(dir, shimProgram)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	return New(Config{
		Namespace: "n", Bundle: dir, Socket: filepath.Join(dir, "s"),
		Died: func() { t.Error("it has died") },
	}), dir
}

// TestDelete has the first caller of Delete not wait for its end.
func TestDelete(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, bundle := install(t, self)
	if _, err := s.Create(t.Context(), &taskapi.CreateTaskRequest{ID: "c", Bundle: bundle}, &specs.Spec{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Delete(ctx, &taskapi.DeleteRequest{ID: "c"}); err == nil || s.Bundle("c") != bundle {
		t.Errorf("a Delete that was not waited for: %v, %q", err, s.Bundle("c"))
	}
	if _, err := s.Delete(t.Context(), &taskapi.DeleteRequest{ID: "c"}); status.Code(err) != codes.NotFound {
		t.Errorf("the second Delete: %v", err)
	}
	if s.Has("c") || !s.Empty() {
		t.Error("the container is still known")
	}
	s.End(t.Context())
	if _, err := os.Stat(filepath.Join(bundle, folder, "ended")); err != nil {
		t.Errorf("the shim for runc was not let end: %v", err)
	}
}

// TestCreateFails has a shim for runc that ends at once.
func TestCreateFails(t *testing.T) {
	s, bundle := install(t, "/bin/false")
	begin := time.Now()
	_, err := s.Create(t.Context(), &taskapi.CreateTaskRequest{ID: "c", Bundle: bundle}, &specs.Spec{})
	if err == nil || !strings.Contains(err.Error(), "does not answer") || !s.Empty() {
		t.Errorf("%v", err)
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("it took %s", took)
	}
}
