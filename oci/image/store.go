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
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"containerd-shim-wazero/oci/wire"
)

// Deadlines of a look-up in all and of copying a module. containerd answers in
// milliseconds; it is itself waiting for the shim.
const (
	lookupTimeout = 10 * time.Second
	copyTimeout   = time.Minute
)

// namespaceHeader says to containerd which of its namespaces is meant.
const namespaceHeader = "containerd-namespace"

// maxMessage is containerd's own limit of a message, in bytes.
const maxMessage = 16 << 20

// The methods of containerd's services that are called.
const (
	getContainer = "containerd.services.containers.v1.Containers/Get"
	getImage     = "containerd.services.images.v1.Images/Get"
	statSnapshot = "containerd.services.snapshots.v1.Snapshots/Stat"
	readContent  = "containerd.services.content.v1.Content/Read"
	listContent  = "containerd.services.content.v1.Content/List"
)

// Store is a connection to containerd in one of its namespaces.
type Store struct{ rpc *rpc }

// Open connects to the containerd that listens at address, the path of a Unix
// socket.
func Open(ctx context.Context, address, namespace string) (*Store, error) {
	path := strings.TrimPrefix(address, "unix://")
	if path == "" {
		return nil, fmt.Errorf("the address of containerd's socket is not known: %w", errdefs.ErrInvalidArgument)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	rpc, err := dial(ctx, path, namespace)
	if err != nil {
		return nil, fmt.Errorf("connect to containerd: %w", err)
	}
	return &Store{rpc}, nil
}

// Close ends the connection.
func (s *Store) Close() error { return s.rpc.close() }

// get calls a method that answers with one message, of which it returns the
// message that is its first field: each of these methods answers so.
func (s *Store) get(ctx context.Context, method string, request []byte) (found []byte, err error) {
	err = s.rpc.call(ctx, method, request, func(message []byte) (err error) {
		found, err = wire.Find(message, 1)
		return err
	})
	return found, err
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
	ctx, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	return s.copy(ctx, b, w, limit)
}

func (s *Store) copy(ctx context.Context, b Blob, w io.Writer, limit int64) error {
	if err := b.check(); err != nil {
		return err
	}
	sum := sha256.New()
	var n int64
	err := s.rpc.call(ctx, readContent, wire.AppendString(nil, 1, b.Digest), func(message []byte) error {
		offset, data, err := chunk(message)
		switch {
		case err != nil:
			return err
		case offset != n:
			return fmt.Errorf("byte %d came instead of %d", offset, n)
		}
		if n += int64(len(data)); n > limit {
			return fmt.Errorf("more than %d bytes", limit)
		}
		sum.Write(data)
		if _, err := w.Write(data); err != nil {
			return fmt.Errorf("write it: %w", err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", b.Digest, err)
	}
	if got := digestOf(sum.Sum(nil)); got != b.Digest {
		return fmt.Errorf("content %s is damaged: its digest is %s", b.Digest, got)
	}
	return nil
}

// chunk reads a ReadContentResponse.
func chunk(message []byte) (offset int64, data []byte, err error) {
	err = wire.Fields(message, func(f wire.Field) {
		switch f.Number {
		case 1:
			offset = int64(f.Varint)
		case 2:
			data = f.Bytes
		}
	})
	return offset, data, err
}

// blob reads digest and size of a message whose fields have these numbers.
func blob(message []byte, digest, size int) (b Blob, err error) {
	err = wire.Fields(message, func(f wire.Field) {
		switch int(f.Number) {
		case digest:
			b.Digest = string(f.Bytes)
		case size:
			b.Size = int64(f.Varint)
		}
	})
	return b, err
}

// target is the content that an image's name stands for, nil for none.
func (s *Store) target(ctx context.Context, name string) (*Blob, string, error) {
	if name == "" {
		return nil, "", nil
	}
	image, err := s.get(ctx, getImage, wire.AppendString(nil, 1, name))
	if errdefs.IsNotFound(err) {
		return nil, "", nil
	}
	var target, mediaType []byte
	if err == nil {
		target, err = wire.Find(image, 3) // a Descriptor: media type, digest, size
	}
	if err == nil {
		mediaType, err = wire.Find(target, 1)
	}
	var b Blob
	if err == nil {
		b, err = blob(target, 2, 3)
	}
	if err != nil {
		return nil, "", fmt.Errorf("look up the image %.200q: %w", name, err)
	}
	return &b, string(mediaType), nil
}

// container is what a container's record tells of its image.
type container struct{ image, snapshotter, snapshotKey string }

// container is a container's record, nil for none.
func (s *Store) container(ctx context.Context, id string) (*container, error) {
	record, err := s.get(ctx, getContainer, wire.AppendString(nil, 1, id))
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	var c container
	if err == nil {
		err = wire.Fields(record, func(f wire.Field) {
			switch f.Number {
			case 3:
				c.image = string(f.Bytes)
			case 6:
				c.snapshotter = string(f.Bytes)
			case 7:
				c.snapshotKey = string(f.Bytes)
			}
		})
	}
	if err != nil {
		return nil, fmt.Errorf("look up the container %.100q: %w", id, err)
	}
	return &c, nil
}

// maxParents is how many snapshots may lie between a container's own and its
// image's last layer: dockerd puts one there.
const maxParents = 3

// snapshot names a snapshot.
type snapshot struct{ snapshotter, key string }

// layers is the chain id of the image layers below a container's snapshot: the
// first parent whose name is a digest. It is "" where that cannot be learned.
func (s *Store) layers(ctx context.Context, at snapshot) (string, error) {
	for range maxParents {
		parent, err := s.parent(ctx, at)
		if err != nil || parent == "" || isDigest(parent) {
			return parent, err
		}
		at.key = parent
	}
	return "", nil
}

// parent is the key of the snapshot below one, "" where there is none.
func (s *Store) parent(ctx context.Context, of snapshot) (string, error) {
	info, err := s.get(ctx, statSnapshot, wire.AppendString(wire.AppendString(nil, 1, of.snapshotter), 2, of.key))
	if errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) {
		return "", nil
	}
	var parent []byte
	if err == nil {
		parent, err = wire.Find(info, 2)
	}
	if err != nil {
		return "", fmt.Errorf("look up the snapshot %.100q: %w", of.key, err)
	}
	return string(parent), nil
}

// configOf finds the one image configuration whose layers end in a chain id, by
// the label with which containerd keeps its snapshot; nil if there is none, or
// several.
func (s *Store) configOf(ctx context.Context, snapshotter, chain string) (*Blob, error) {
	filter := fmt.Sprintf("labels.%q==%q", "containerd.io/gc.ref.snapshot."+snapshotter, chain)
	var infos []Blob
	err := s.rpc.call(ctx, listContent, wire.AppendString(nil, 1, filter), func(message []byte) (err error) {
		ferr := wire.Fields(message, func(f wire.Field) {
			info, ierr := blob(f.Bytes, 1, 2)
			infos, err = append(infos, info), errors.Join(err, ierr)
		})
		return errors.Join(err, ferr)
	})
	if err != nil {
		return nil, fmt.Errorf("look up image layers %s: %w", chain, err)
	}
	if len(infos) != 1 {
		return nil, nil
	}
	return &infos[0], nil
}
