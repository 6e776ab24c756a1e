// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/engine/image"
)

// The machine code and the initial memory of a loaded module are the image's
// own pages: a wazero that reads its entries in another way would copy them,
// for each container anew.
func TestPagesAreShared(t *testing.T) {
	img := imageOf(t, testModule(t, "segments"))
	r := runImage(t, img, guestJob{Maps: true})
	if r.status != 33 {
		t.Fatalf("%+v", r)
	}
	name := regexp.QuoteMeta(img.Name())
	for _, want := range []string{
		`(?m) r-xp .* ` + name + `$`, // machine code
		`(?m) rw-p .* ` + name + `$`, // initial memory, private where it is written to
		`(?m) r--p .* ` + name + `$`, // the skeleton
	} {
		if !regexp.MustCompile(want).MatchString(r.stdout) {
			t.Errorf("no mapping like %q in\n%s", want, r.stdout)
		}
	}
	for line := range strings.Lines(r.stdout) {
		if strings.Contains(line, "rwx") {
			t.Errorf("writable and executable: %s", line)
		}
	}
}

// On a file system that nothing may be executed from the code is copied.
func TestNoexec(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_NOEXEC, "size=8m"); err != nil {
		t.Fatalf("mount a tmpfs: %v (run as root)", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	r := runImage(t, imageIn(t, dir, testModule(t, "segments")), guestJob{})
	if r.status != 33 || r.err != "" {
		t.Errorf("%+v", r)
	}
}

// Where the code cannot be mapped over what wazero has, it is copied: whatever
// the pieces that the entry is read in, it is the same.
func TestEntry(t *testing.T) {
	bin := testModule(t, "traps")
	caught := &capture{}
	rt, err := newRuntime(context.Background(), caught)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.CompileModule(context.Background(), bin); err != nil {
		t.Fatal(err)
	}
	for _, piece := range []int{1, 7, 4096, 1 << 20} {
		img := imageOf(t, bin)
		m, err := mapImage(int(img.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		e, ok, err := m.Get([32]byte{})
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		got, err := io.ReadAll(pieces{e, piece})
		if err != nil || !bytes.Equal(got, caught.entry) {
			t.Errorf("in pieces of %d: %d bytes, want %d (%v)", piece, len(got), len(caught.entry), err)
		}
		if _, ok, _ := m.Get([32]byte{}); ok {
			t.Error("the entry is served twice")
		}
		unix.Munmap(m.data)
	}
}

type pieces struct {
	io.Reader
	size int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.size)]) }

// An image that was damaged since the shim has looked at it is reported as
// such, so that it is compiled again.
func TestDamagedImage(t *testing.T) {
	for _, part := range []image.Part{image.Skeleton, image.Prefix, image.Code, image.Suffix} {
		img := imageOf(t, testModule(t, "traps"))
		h, _, err := image.Read(img)
		if err != nil {
			t.Fatal(err)
		}
		off, _ := h.Span(part)
		var b [1]byte
		if _, err := img.ReadAt(b[:], off+2); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0x55
		if _, err := img.WriteAt(b[:], off+2); err != nil {
			t.Fatal(err)
		}
		r := runImage(t, img, guestJob{})
		if r.status != notLoaded || !strings.Contains(r.err, image.ErrDamaged.Error()) {
			// traps has no _start: what is asked for first must not hide the damage
			r = runImage(t, img, job("unreachable"))
		}
		if r.status != notLoaded || !strings.Contains(r.err, image.ErrDamaged.Error()) {
			t.Errorf("part %d: %+v", part, r)
		}
	}
}
