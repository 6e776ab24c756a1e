// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"
)

// Snapshotter is the one that all nodes use.
const Snapshotter = "overlayfs"

// Container describes a container that is to be; its methods add to it.
type Container struct {
	node *Node
	t    testing.TB

	ID       string
	Image    string
	Runtime  string
	args     []string
	options  any    // for the runtime, nil for none
	raw      []byte // in place of the spec
	artifact bool   // the image is a module and has no files
	opts     []oci.SpecOpts
	mapping  []specs.LinuxIDMapping // of the files' owners, nil for none
	labels   map[string]string
	streams
}

// streams is where a process's stdio goes.
type streams struct {
	stdin          io.Reader // nil for none
	stdout, stderr io.Writer
	typed          io.WriteCloser // the other end of stdin, where Interactive made it
	terminal       bool
	creator        cio.Creator // replaces all that
}

var ids atomic.Int64

// Guest is a container of the shim under test that runs the named guest of
// integration/guests with these arguments.
func (n *Node) Guest(t testing.TB, guest string, args ...string) *Container {
	t.Helper()
	return n.Container(t, Guests, append([]string{"/" + guest + ".wasm"}, args...)...)
}

// Linux is a container of runc's shim that runs busybox: the oracle.
func (n *Node) Linux(t testing.TB, args ...string) *Container {
	t.Helper()
	c := n.Container(t, Busybox, args...)
	c.Runtime = RuncRuntime
	return c
}

// Container is a container of the shim under test with this image and argv;
// without arguments the image's own.
func (n *Node) Container(t testing.TB, image string, args ...string) *Container {
	t.Helper()
	n.watch(t)
	return &Container{
		node: n, t: t, Image: image, Runtime: Runtime, args: args,
		ID: fmt.Sprintf("c%d", ids.Add(1)),
	}
}

// Named sets the container's id.
func (c *Container) Named(id string) *Container {
	c.ID = id
	return c
}

// Options hands runtime options to the shim.
func (c *Container) Options(options any) *Container {
	c.options = options
	return c
}

// With adds containerd's own spec options.
func (c *Container) With(opts ...oci.SpecOpts) *Container {
	c.opts = append(c.opts, opts...)
	return c
}

// Spec changes the bundle's spec in any way.
func (c *Container) Spec(change func(*specs.Spec)) *Container {
	return c.With(func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		change(s)
		return nil
	})
}

// Raw has these bytes for a config.json, whatever they are.
func (c *Container) Raw(config []byte) *Container {
	c.raw = config
	return c
}

// Env adds to the environment ("KEY=value").
func (c *Container) Env(env ...string) *Container { return c.With(oci.WithEnv(env)) }

// Cwd sets the working directory.
func (c *Container) Cwd(path string) *Container { return c.With(oci.WithProcessCwd(path)) }

// User sets the user and the group, and more groups.
func (c *Container) User(uid, gid uint32, more ...uint32) *Container {
	return c.Spec(func(s *specs.Spec) {
		s.Process.User = specs.User{UID: uid, GID: gid, AdditionalGids: more}
	})
}

// Mount adds a mount.
func (c *Container) Mount(m specs.Mount) *Container {
	return c.Spec(func(s *specs.Spec) { s.Mounts = append(s.Mounts, m) })
}

// Bind adds a recursive bind mount with these options ("ro", "rprivate" …).
func (c *Container) Bind(source, destination string, options ...string) *Container {
	return c.Mount(specs.Mount{
		Type: "bind", Source: source, Destination: destination, Options: append([]string{"rbind"}, options...),
	})
}

// Annotation adds an annotation to the bundle.
func (c *Container) Annotation(key, value string) *Container {
	return c.With(oci.WithAnnotations(map[string]string{key: value}))
}

// UserNamespace gives the container a user namespace with this mapping of
// users and groups, and its files to the mapped owners.
func (c *Container) UserNamespace(mapping specs.LinuxIDMapping) *Container {
	c.mapping = []specs.LinuxIDMapping{mapping}
	return c.With(oci.WithUserNamespace(c.mapping, c.mapping))
}

// Memory sets the limit in bytes.
func (c *Container) Memory(limit uint64) *Container { return c.With(oci.WithMemoryLimit(limit)) }

// Terminal gives the container a tty.
func (c *Container) Terminal() *Container {
	c.terminal = true
	return c.With(oci.WithTTY)
}

// Stdin is what the guest reads; its end is passed on.
func (c *Container) Stdin(r io.Reader) *Container {
	c.stdin = r
	return c
}

// Interactive lets the test type.
func (c *Container) Interactive() *Container {
	c.interactive()
	return c
}

func (s *streams) interactive() { s.stdin, s.typed = io.Pipe() }

// Stdout sends the output elsewhere; the result's Stdout is then empty.
func (c *Container) Stdout(w io.Writer) *Container {
	c.stdout = w
	return c
}

// Stderr is the same for the other output.
func (c *Container) Stderr(w io.Writer) *Container {
	c.stderr = w
	return c
}

// IO replaces the stdio by a creator of package cio (a log URI, for one).
func (c *Container) IO(creator cio.Creator) *Container {
	c.creator = creator
	return c
}

// Run creates, starts, awaits and deletes.
func (c *Container) Run() *Result {
	c.t.Helper()
	task := c.Start()
	result := task.Wait()
	task.Delete()
	return result
}

// Start creates and starts.
func (c *Container) Start() *Task {
	c.t.Helper()
	task := c.Create()
	task.Start()
	return task
}

// Create creates the container and its task.
func (c *Container) Create() *Task {
	c.t.Helper()
	task, err := c.TryCreate()
	if err != nil {
		c.t.Fatalf("create %s: %v", c, err)
	}
	return task
}

// Refused creates the task, which must fail, and answers with the error's
// text; it fails the test unless every text is in it.
func (c *Container) Refused(texts ...string) string {
	c.t.Helper()
	_, err := c.TryCreate()
	if err == nil {
		c.t.Errorf("create %s succeeded, want a refusal with %q", c, texts)
		return ""
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			c.t.Errorf("create %s: %q, want %q in it", c, err, text)
		}
	}
	return err.Error()
}

// TryCreate creates the container and its task, or answers with the task's
// error; the container is gone then.
func (c *Container) TryCreate() (*Task, error) {
	c.t.Helper()
	image := c.node.image(c.t, c.Image)
	ctx, cancel := c.node.ctx()
	defer cancel()
	spec := append([]oci.SpecOpts{c.base(image), c.exactly}, c.opts...)
	container, err := c.node.Client.NewContainer(ctx, c.ID,
		client.WithImage(image),
		client.WithSnapshotter(Snapshotter),
		c.snapshot(image),
		client.WithRuntime(c.Runtime, c.options),
		client.WithContainerLabels(c.labels),
		client.WithNewSpec(spec...),
		c.replaceSpec,
	)
	if err != nil {
		c.t.Fatalf("container %s: %v", c, err)
	}
	task := newTask(c, container)
	c.t.Cleanup(task.remove)
	if err := task.create(ctx); err != nil {
		task.remove()
		return nil, err
	}
	return task, nil
}

// snapshot makes the container's root file system.
func (c *Container) snapshot(image client.Image) client.NewContainerOpts {
	if c.artifact {
		return emptySnapshot
	}
	if c.mapping != nil {
		return client.WithUserNSRemappedSnapshot(c.ID, image, c.mapping, c.mapping)
	}
	return client.WithNewSnapshot(c.ID, image)
}

// exactly sets the arguments as they are, also where the image has some.
func (c *Container) exactly(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	if len(c.args) > 0 {
		s.Process.Args = c.args
	}
	return nil
}

func (c *Container) replaceSpec(_ context.Context, _ *client.Client, record *containers.Container) error {
	if c.raw != nil {
		record.Spec = &anypb.Any{TypeUrl: record.Spec.GetTypeUrl(), Value: c.raw}
	}
	return nil
}

// String names the container in messages.
func (c *Container) String() string {
	return fmt.Sprintf("%s (%s %s)", c.ID, c.Runtime, strings.Join(c.args, " "))
}
