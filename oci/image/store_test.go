// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// node is a containerd that says what a test wants it to: also what a real one
// never would. The real one is asked in the tests under integration/.
type node struct {
	container *containers.Container
	images    map[string]*types.Descriptor
	parents   map[string]string // snapshotter/key to parent
	blobs     map[string][]byte
	labelled  map[string][]string // filter to digests
	lying     func(*content.ReadContentResponse)
	broken    string // snapshotter/key that cannot be looked up
	// asked, if not nil, has the container wait for a question about a snapshot.
	asked chan struct{}
}

// add stores a document and returns its descriptor.
func (n *node) add(mediaType, text string) *types.Descriptor {
	sum := sha256.Sum256([]byte(text))
	d := &types.Descriptor{MediaType: mediaType, Digest: digestOf(sum[:]), Size: int64(len(text))}
	n.blobs[d.Digest] = []byte(text)
	return d
}

func entry(d *types.Descriptor, os, arch string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":%q,"architecture":%q}}`, d.MediaType, d.Digest, d.Size, os, arch)
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

// image stores an image of one layer that exposes one port.
func (n *node) image(layer, port string) *types.Descriptor {
	c := n.add("application/vnd.oci.image.config.v1+json", `{"config":{"ExposedPorts":{"`+port+`":{}}},"rootfs":{"diff_ids":["`+layer+`"]}}`)
	n.labelled[`labels."containerd.io/gc.ref.snapshot.overlayfs"=="`+layer+`"`] = append(n.labelled[`labels."containerd.io/gc.ref.snapshot.overlayfs"=="`+layer+`"`], c.Digest)
	return n.add(manifestType, fmt.Sprintf(`{"config":{"mediaType":%q,"digest":%q,"size":%d}}`, c.MediaType, c.Digest, c.Size))
}

func newNode(image string) *node {
	return &node{
		container: &containers.Container{ID: "c1", Image: image, Snapshotter: "overlayfs", SnapshotKey: "c1"},
		images:    map[string]*types.Descriptor{},
		parents:   map[string]string{},
		blobs:     map[string][]byte{},
		labelled:  map[string][]string{},
	}
}

var errNone = status.Error(codes.NotFound, "not found")

type containersServer struct {
	containers.UnimplementedContainersServer
	*node
}

func (s containersServer) Get(ctx context.Context, r *containers.GetContainerRequest) (*containers.GetContainerResponse, error) {
	if md, _ := metadata.FromIncomingContext(ctx); !reflect.DeepEqual(md.Get(namespaceHeader), []string{"ns"}) {
		return nil, status.Error(codes.Internal, "another namespace")
	}
	if s.asked != nil {
		select {
		case <-s.asked:
		case <-ctx.Done():
		}
	}
	if s.container == nil || s.container.ID != r.ID {
		return nil, errNone
	}
	return &containers.GetContainerResponse{Container: s.container}, nil
}

type imagesServer struct {
	images.UnimplementedImagesServer
	*node
}

func (s imagesServer) Get(_ context.Context, r *images.GetImageRequest) (*images.GetImageResponse, error) {
	d, ok := s.images[r.Name]
	if !ok {
		return nil, errNone
	}
	return &images.GetImageResponse{Image: &images.Image{Name: r.Name, Target: d}}, nil
}

type snapshotsServer struct {
	snapshots.UnimplementedSnapshotsServer
	*node
}

func (s snapshotsServer) Stat(_ context.Context, r *snapshots.StatSnapshotRequest) (*snapshots.StatSnapshotResponse, error) {
	if s.asked != nil {
		close(s.asked)
	}
	if s.broken == r.Snapshotter+"/"+r.Key {
		return nil, status.Error(codes.Unavailable, "broken")
	}
	parent, ok := s.parents[r.Snapshotter+"/"+r.Key]
	if !ok {
		return nil, errNone
	}
	return &snapshots.StatSnapshotResponse{Info: &snapshots.Info{Name: r.Key, Parent: parent}}, nil
}

type contentServer struct {
	content.UnimplementedContentServer
	*node
}

func (s contentServer) Read(r *content.ReadContentRequest, stream content.Content_ReadServer) error {
	data, ok := s.blobs[r.Digest]
	if !ok {
		return errNone
	}
	for at := 0; at < len(data); at += 1000 {
		chunk := &content.ReadContentResponse{Offset: int64(at), Data: data[at:min(at+1000, len(data))]}
		if s.lying != nil {
			s.lying(chunk)
		}
		if err := stream.Send(chunk); err != nil {
			return err
		}
	}
	return nil
}

func (s contentServer) List(r *content.ListContentRequest, stream content.Content_ListServer) error {
	for _, filter := range r.Filters {
		for _, d := range s.labelled[filter] {
			if err := stream.Send(&content.ListContentResponse{Info: []*content.Info{{Digest: d, Size: int64(len(s.blobs[d]))}}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// open serves a node and connects to it.
func open(t *testing.T, n *node) *Store {
	t.Helper()
	address := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	containers.RegisterContainersServer(server, containersServer{node: n})
	images.RegisterImagesServer(server, imagesServer{node: n})
	snapshots.RegisterSnapshotsServer(server, snapshotsServer{node: n})
	content.RegisterContentServer(server, contentServer{node: n})
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	s, err := Open(t.Context(), address, "ns")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		server.Stop()
		<-done
	})
	return s
}

func TestLookup(t *testing.T) {
	ports := func(p ...string) Facts { return Facts{ExposedPorts: p} }
	for name, c := range map[string]struct {
		make func() *node
		want Facts
		says string
	}{
		"no container": {make: func() *node { n := newNode("i"); n.container = nil; return n }},
		"no image":     {make: func() *node { return newNode("i") }},
		"no name":      {make: func() *node { return newNode("") }},
		"manifest": {want: ports("80/tcp"), make: func() *node {
			n := newNode("i")
			n.images["i"] = n.image(digestA, "80/tcp")
			return n
		}},
		"index, layers unknown": {want: ports("81/tcp"), make: func() *node {
			n := newNode("i")
			n.images["i"] = n.add(indexType, `{"manifests":[`+entry(n.image(digestA, "80/tcp"), "linux", "amd64")+","+
				entry(n.image(digestB, "81/tcp"), "wasi", "wasm")+`]}`)
			return n
		}},
		"index, layers of another platform": {want: ports("80/tcp"), make: func() *node {
			n := newNode("i")
			n.images["i"] = n.add(indexType, `{"manifests":[`+entry(n.image(digestA, "80/tcp"), "linux", "wasm")+","+
				entry(n.image(digestB, "81/tcp"), "wasi", "wasm")+`]}`)
			n.parents["overlayfs/c1"] = digestA
			return n
		}},
		"index of what was not pulled": {make: func() *node {
			n := newNode("i")
			n.images["i"] = n.add(indexType, `{"manifests":[`+entry(&types.Descriptor{MediaType: manifestType, Digest: digestA, Size: 5}, "wasi", "wasm")+`]}`)
			return n
		}},
		"index in an index": {want: ports("80/tcp"), make: func() *node {
			n := newNode("i")
			inner := n.add(indexType, `{"manifests":[`+entry(n.image(digestA, "80/tcp"), "wasi", "wasm")+`]}`)
			n.images["i"] = n.add(indexType, `{"manifests":[`+entry(inner, "wasi", "wasm")+`]}`)
			return n
		}},
		"indexes without end": {make: func() *node {
			n := newNode("i")
			d := n.image(digestA, "80/tcp")
			for range 5 {
				d = n.add(indexType, `{"manifests":[`+entry(d, "wasi", "wasm")+`]}`)
			}
			n.images["i"] = d
			return n
		}},
		"dockerd": {want: ports("80/tcp"), make: func() *node { // no snapshot in the record, a layer of its own
			n := newNode("i")
			n.container.Snapshotter, n.container.SnapshotKey = "", ""
			n.images["i"] = n.image(digestA, "80/tcp")
			n.parents["overlayfs/c1"], n.parents["overlayfs/c1-init"] = "c1-init", digestA
			return n
		}},
		"the snapshot is asked for beside the container": {want: ports("80/tcp"), make: func() *node {
			n := newNode("")
			n.asked = make(chan struct{})
			n.image(digestA, "80/tcp")
			n.parents["overlayfs/c1"] = digestA
			return n
		}},
		"a snapshot of another name": {want: ports("80/tcp"), make: func() *node {
			n := newNode("")
			n.container.SnapshotKey = "k"
			n.image(digestA, "80/tcp")
			n.image(digestB, "81/tcp")
			n.parents["overlayfs/k"], n.parents["overlayfs/c1"] = digestA, digestB
			return n
		}},
		"a snapshot of another name, and the container's is broken": {want: ports("80/tcp"), make: func() *node {
			n := newNode("")
			n.container.SnapshotKey, n.broken = "k", "overlayfs/c1"
			n.image(digestA, "80/tcp")
			n.parents["overlayfs/k"] = digestA
			return n
		}},
		"a broken snapshot": {says: `look up the snapshot "c1"`, make: func() *node {
			n := newNode("i")
			n.images["i"], n.broken = n.image(digestA, "80/tcp"), "overlayfs/c1"
			return n
		}},
		"the tag has moved": {want: ports("80/tcp"), make: func() *node {
			n := newNode("i")
			n.image(digestA, "80/tcp")
			n.images["i"] = n.image(digestB, "81/tcp")
			n.parents["overlayfs/c1"] = digestA
			return n
		}},
		"the tag has moved to an artifact": {want: ports("80/tcp"), make: func() *node {
			n := newNode("i")
			n.image(digestA, "80/tcp")
			n.images["i"] = n.add(manifestType, `{"layers":[{"mediaType":"application/wasm","digest":"`+digestC+`","size":9}]}`)
			n.parents["overlayfs/c1"] = digestA
			return n
		}},
		"the tag is gone": {want: ports("80/tcp"), make: func() *node {
			n := newNode("")
			n.image(digestA, "80/tcp")
			n.parents["overlayfs/c1"] = digestA
			return n
		}},
		"several images of these layers": {make: func() *node {
			n := newNode("")
			n.image(digestA, "80/tcp")
			n.image(digestA, "81/tcp")
			n.parents["overlayfs/c1"] = digestA
			return n
		}},
		"snapshots in a circle": {make: func() *node {
			n := newNode("")
			n.parents["overlayfs/c1"] = "c1"
			return n
		}},
		"artifact": {want: Facts{Module: &Blob{digestC, 9}}, make: func() *node {
			n := newNode("i")
			n.images["i"] = n.add(manifestType, `{"config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"`+digestA+`","size":2},"layers":[{"mediaType":"application/wasm","digest":"`+digestC+`","size":9}]}`)
			n.parents["overlayfs/c1"] = ""
			return n
		}},
		"another kind of content": {make: func() *node {
			n := newNode("i")
			n.images["i"] = n.add("application/vnd.example", `{}`)
			return n
		}},
		"no JSON": {says: `image "i": image manifest: `, make: func() *node {
			n := newNode("i")
			n.images["i"] = n.add(manifestType, `hello`)
			return n
		}},
		"damaged": {says: "is damaged", make: func() *node {
			n := newNode("i")
			n.images["i"] = n.image(digestA, "80/tcp")
			n.blobs[n.images["i"].Digest] = []byte("{}")
			return n
		}},
		"huge by its own word": {says: "are allowed", make: func() *node {
			n := newNode("i")
			n.images["i"] = n.image(digestA, "80/tcp")
			n.images["i"].Size = maxDocument + 1
			return n
		}},
		"huge": {says: "more than", make: func() *node {
			n := newNode("i")
			n.images["i"] = n.add(manifestType, strings.Repeat(" ", maxDocument+1))
			n.images["i"].Size = 5
			return n
		}},
		"no digest": {says: "no sha256 digest", make: func() *node {
			n := newNode("i")
			n.images["i"] = &types.Descriptor{MediaType: manifestType, Digest: "x"}
			return n
		}},
		"chunks out of order": {says: "instead of", make: func() *node {
			n := newNode("i")
			n.images["i"] = n.image(digestA, "80/tcp")
			n.lying = func(r *content.ReadContentResponse) { r.Offset++ }
			return n
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, c.make()).Lookup(t.Context(), "c1")
			says(t, err, c.says)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestCopy(t *testing.T) {
	n := newNode("")
	text := strings.Repeat("wasm", 5000)
	d := n.add("application/wasm", text)
	s := open(t, n)
	blob := Blob{d.Digest, d.Size}
	var buf bytes.Buffer
	if err := s.Copy(t.Context(), blob, &buf, d.Size); err != nil || buf.String() != text {
		t.Errorf("%d bytes, %v", buf.Len(), err)
	}
	says(t, s.Copy(t.Context(), blob, &buf, d.Size-1), "this machine's settings allow 19999")
	says(t, s.Copy(t.Context(), Blob{d.Digest, 1}, &buf, d.Size-1), "more than 19999 bytes")
	says(t, s.Copy(t.Context(), Blob{digestA, 1}, &buf, 10), "not found")
	says(t, s.Copy(t.Context(), blob, failing{}, d.Size), "disk full")
	n.blobs[d.Digest][7] ^= 1
	says(t, s.Copy(t.Context(), blob, &buf, d.Size), "is damaged")
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestNoContainerd(t *testing.T) {
	_, err := Open(t.Context(), "unix://"+filepath.Join(t.TempDir(), "none"), "ns")
	says(t, err, "connect to containerd")
}
