// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// Deadlines of a look-up in all and of copying a module. containerd answers in
// milliseconds; it is itself waiting for the shim.
const (
	lookupTimeout = 10 * time.Second
	copyTimeout   = time.Minute
)

// namespaceHeader says to containerd which of its namespaces is meant.
const namespaceHeader = "containerd-namespace"

// Store is a connection to containerd in one of its namespaces.
type Store struct {
	conn      *grpc.ClientConn
	namespace string
}

// Open makes a store of the containerd that listens at address, the path of a
// Unix socket. Nothing is connected before the first look-up.
func Open(address, namespace string) (*Store, error) {
	path := strings.TrimPrefix(address, "unix://")
	conn, err := grpc.NewClient("passthrough:///containerd",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", path, err)
	}
	return &Store{conn: conn, namespace: namespace}, nil
}

// maxMessage is containerd's own limit of a message, in bytes.
const maxMessage = 16 << 20

// Close ends the connection.
func (s *Store) Close() error { return s.conn.Close() }

func (s *Store) context(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx = metadata.AppendToOutgoingContext(ctx, namespaceHeader, s.namespace)
	return context.WithTimeout(ctx, timeout)
}

// read reads a small piece of content and checks it against its digest.
func (s *Store) read(ctx context.Context, b Blob) ([]byte, error) {
	if b.Size > maxDocument {
		return nil, fmt.Errorf("content %s has %d bytes: %d are allowed", b.Digest, b.Size, maxDocument)
	}
	var buf bytes.Buffer
	if err := s.copy(ctx, b, &buf, maxDocument); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Copy writes a piece of content of at most limit bytes to w and checks it
// against its digest: on an error what was written is not to be used.
func (s *Store) Copy(ctx context.Context, b Blob, w io.Writer, limit int64) error {
	if b.Size > limit {
		return fmt.Errorf("the image's module has %d bytes: this machine's settings allow %d", b.Size, limit)
	}
	ctx, cancel := s.context(ctx, copyTimeout)
	defer cancel()
	return s.copy(ctx, b, w, limit)
}

func (s *Store) copy(ctx context.Context, b Blob, w io.Writer, limit int64) error {
	if err := b.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx) // ends the stream on each way out
	defer cancel()
	stream, err := content.NewContentClient(s.conn).Read(ctx, &content.ReadContentRequest{Digest: b.Digest})
	if err != nil {
		return fmt.Errorf("read %s: %w", b.Digest, errgrpc.ToNative(err))
	}
	sum := sha256.New()
	var n int64
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", b.Digest, errgrpc.ToNative(err))
		}
		if chunk.Offset != n {
			return fmt.Errorf("read %s: byte %d came instead of %d", b.Digest, chunk.Offset, n)
		}
		if n += int64(len(chunk.Data)); n > limit {
			return fmt.Errorf("read %s: more than %d bytes", b.Digest, limit)
		}
		sum.Write(chunk.Data)
		if _, err := w.Write(chunk.Data); err != nil {
			return fmt.Errorf("write %s: %w", b.Digest, err)
		}
	}
	if got := digestOf(sum.Sum(nil)); got != b.Digest {
		return fmt.Errorf("content %s is damaged: its digest is %s", b.Digest, got)
	}
	return nil
}

// target is the content that an image's name stands for, nil for none.
func (s *Store) target(ctx context.Context, name string) (*Blob, string, error) {
	if name == "" {
		return nil, "", nil
	}
	r, err := images.NewImagesClient(s.conn).Get(ctx, &images.GetImageRequest{Name: name})
	if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("look up the image %.200q: %w", name, err)
	}
	t := r.GetImage().GetTarget()
	return &Blob{Digest: t.GetDigest(), Size: t.GetSize()}, t.GetMediaType(), nil
}

// container is a container's record, nil for none.
func (s *Store) container(ctx context.Context, id string) (*containers.Container, error) {
	r, err := containers.NewContainersClient(s.conn).Get(ctx, &containers.GetContainerRequest{ID: id})
	if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up the container %.100q: %w", id, err)
	}
	return r.GetContainer(), nil
}

// maxParents is how many snapshots may lie between a container's own and its
// image's last layer: dockerd puts one there.
const maxParents = 3

// layers is the chain id of the image layers below a container's snapshot: the
// first parent whose name is a digest. It is "" where that cannot be learned.
func (s *Store) layers(ctx context.Context, snapshotter, key string) (string, error) {
	client := snapshots.NewSnapshotsClient(s.conn)
	for range maxParents {
		r, err := client.Stat(ctx, &snapshots.StatSnapshotRequest{Snapshotter: snapshotter, Key: key})
		if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("look up the snapshot %.100q: %w", key, err)
		}
		key = r.GetInfo().GetParent()
		if isDigest(key) || key == "" {
			break
		}
	}
	if !isDigest(key) {
		return "", nil
	}
	return key, nil
}

// configOf finds the one image configuration whose layers end in a chain id, by
// the label with which containerd keeps its snapshot; nil if there is none, or
// several.
func (s *Store) configOf(ctx context.Context, snapshotter, chain string) (*Blob, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	filter := fmt.Sprintf("labels.%q==%q", "containerd.io/gc.ref.snapshot."+snapshotter, chain)
	stream, err := content.NewContentClient(s.conn).List(ctx, &content.ListContentRequest{Filters: []string{filter}})
	if err != nil {
		return nil, fmt.Errorf("look up image layers %s: %w", chain, errgrpc.ToNative(err))
	}
	var found *Blob
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("look up image layers %s: %w", chain, errgrpc.ToNative(err))
		}
		for _, info := range r.GetInfo() {
			if found != nil {
				return nil, nil
			}
			found = &Blob{Digest: info.GetDigest(), Size: info.GetSize()}
		}
	}
}
