// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

func bind(source, destination string, flags uintptr) config.Mount {
	return config.Mount{Type: "bind", Source: source, Destination: destination, Flags: unix.MS_BIND | unix.MS_REC | flags}
}

// source is a folder on the host with a file in it.
func source(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "f"), []byte("host\n"), 0o666))
	must(t, os.Chmod(filepath.Join(dir, "f"), 0o666))
	return dir
}

func TestMounts(t *testing.T) {
	src := source(t)
	for _, tc := range []struct {
		name   string
		mounts []config.Mount
		args   string
		out    string
	}{
		{"bind a directory", []config.Mount{bind(src, "/data", 0)}, "cat /data/f , write /data/g x , ls /data", "host\nf\ng\n"},
		{"bind into missing directories", []config.Mount{bind(src, "/a/b/c", 0)}, "cat /a/b/c/f", "host\n"},
		{"bind a file", []config.Mount{bind(src+"/f", "/etc/hosts", 0)}, "cat /etc/hosts", "host\n"},
		{"read-only", []config.Mount{bind(src, "/data", unix.MS_RDONLY)}, "try write /data/h x , cat /data/f", "box: /data/h: Read-only file system\nhost\n"},
		{"recursively read-only", []config.Mount{{Type: "bind", Source: src, Destination: "/data",
			Flags: unix.MS_BIND | unix.MS_REC, RecursiveSet: unix.MOUNT_ATTR_RDONLY}}, "try write /data/h x", "box: /data/h: Read-only file system\n"},
		{"tmpfs", []config.Mount{{Type: "tmpfs", Source: "tmpfs", Destination: "/run", Flags: unix.MS_NOSUID, Data: "mode=755,size=64k"}},
			"write /run/x y , ls /run , try fill /run/big 1", "x\nbox: /run/big: No space left on device\n"},
		{"tmpfs with what it covers", []config.Mount{{Type: "tmpfs", Destination: "/covered", CopyUp: true}},
			"cat /covered/dir/f , readlink /covered/link , rm /covered/dir/f", "below\ndir/f\n"},
		{"mqueue", []config.Mount{{Type: "mqueue", Source: "mqueue", Destination: "/dev/mqueue"}}, "ls /dev/mqueue", ""},
		{"a mount in a mount", []config.Mount{{Type: "tmpfs", Destination: "/m"}, bind(src, "/m/in/side", 0)}, "cat /m/in/side/f", "host\n"},
		{"over the former", []config.Mount{{Type: "tmpfs", Destination: "/m"}, bind(src, "/m", 0)}, "cat /m/f", "host\n"},
		{"private", []config.Mount{{Type: "bind", Source: src, Destination: "/p", Flags: unix.MS_BIND,
			Propagation: []uintptr{unix.MS_PRIVATE | unix.MS_REC}}}, "cat /p/f", "host\n"},
		{"id mapped", []config.Mount{{Type: "bind", Source: src, Destination: "/p", Flags: unix.MS_BIND, IDMap: &config.IDMap{
			UID: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 10}},
			GID: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 10}}}}}, "cat /p/f", "host\n"},
		{"through a link", []config.Mount{bind(src, "/link/sub", 0)}, "cat /target/sub/f", "host\n"},
		{"through a link that leads nowhere", []config.Mount{bind(src+"/f", "/nowhere", 0)}, "cat /not/yet/there", "host\n"},
		{"through a link that leads out", []config.Mount{bind(src, "/out/escaped", 0)}, "cat /escaped/f", "host\n"},
		{"through an absolute link", []config.Mount{bind(src+"/f", "/abs", 0)}, "cat /sandbox-test-made", "host\n"},
		{"climbing", []config.Mount{bind(src, "/../../../climbed", 0)}, "cat /climbed/f", "host\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBox(t, strings.Fields(tc.args)...)
			root := b.config.Root.Path
			must(t, os.MkdirAll(root+"/covered/dir", 0o700))
			must(t, os.WriteFile(root+"/covered/dir/f", []byte("below\n"), 0o600))
			must(t, os.Symlink("dir/f", root+"/covered/link"))
			must(t, os.MkdirAll(root+"/target", 0o755))
			must(t, os.Symlink("target", root+"/link"))
			must(t, os.Symlink("not/yet/there", root+"/nowhere"))
			must(t, os.Symlink("../../../../../..", root+"/out"))
			must(t, os.Symlink("/sandbox-test-made", root+"/abs"))
			b.config.Mounts = tc.mounts
			status, out := b.run()
			if status != 0 || out != tc.out {
				t.Errorf("status %d, stdout %q, want %q; stderr %q", status, out, tc.out, b.stderr.all(t))
			}
			for _, made := range []string{"/sandbox-test-made", "/escaped", "/climbed"} {
				if _, err := os.Lstat(made); err == nil {
					t.Errorf("%s was made on the host", made)
				}
			}
		})
	}
	if b, err := os.ReadFile(src + "/g"); err != nil || string(b) != "x" && string(b) != "x\n" {
		t.Errorf("what was written does not show on the host: %q, %v", b, err)
	}
}

func TestMountErrors(t *testing.T) {
	src := source(t)
	for _, tc := range []struct {
		name  string
		mount config.Mount
		words string
	}{
		{"no source", bind("/nonexistent-source", "/x", 0), "bind /nonexistent-source: no such file or directory"},
		{"no file system", config.Mount{Type: "nosuchfs", Destination: "/x"}, `file system "nosuchfs": no such device`},
		{"bad option", config.Mount{Type: "tmpfs", Destination: "/x", Data: "size=1m,nonsense=1"}, `option "nonsense=1"`},
		{"on the root", bind(src, "/", 0), "mount on /"},
		{"a directory on a file", bind(src, "/box.wasm", 0), "a directory on a file: not a directory"},
		{"below a file", bind(src, "/box.wasm/x", 0), "not a directory"},
		{"a loop of links", bind(src, "/loop", 0), "too many levels of symbolic links"},
		{"no id mapping", config.Mount{Type: "bind", Source: src, Destination: "/x", Flags: unix.MS_BIND, IDMap: &config.IDMap{}}, "user namespace"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBox(t, "true")
			must(t, os.Symlink("loop", b.config.Root.Path+"/loop"))
			b.config.Mounts = []config.Mount{tc.mount}
			b.fails(tc.words)
		})
	}
}

func TestRootReadonly(t *testing.T) {
	b := newBox(t, strings.Fields("try write /x y , write /run/x y , try write /sub/f z , ls /sub")...)
	must(t, os.Mkdir(b.config.Root.Path+"/sub", 0o777))
	b.config.Root.Readonly = true
	b.config.Process.Cwd = "/made/before"
	b.config.Mounts = []config.Mount{{Type: "tmpfs", Destination: "/run"}}
	status, out := b.run()
	want := "box: /x: Read-only file system\nbox: /sub/f: Read-only file system\n"
	if status != 0 || out != want {
		t.Errorf("status %d, stdout %q, want %q, stderr %q", status, out, want, b.stderr.all(t))
	}
}

// TestReadonlyFile: a file that is bound in writable cannot be written to, nor
// put away, once its path is read-only; what the host writes still shows.
func TestReadonlyFile(t *testing.T) {
	src := source(t)
	b := newBox(t, strings.Fields("try write /etc/hosts x , try rm /etc/hosts , cat /etc/hosts")...)
	b.config.Mounts = []config.Mount{bind(src+"/f", "/etc/hosts", 0)}
	b.config.ReadonlyPaths = []string{"/etc/hosts", "/etc/resolv.conf"}
	b.create()
	must(t, os.WriteFile(src+"/f", []byte("later\n"), 0o666))
	must(t, b.init.Start(testContext(t)))
	status, out := wait(t, b.init), b.stdout.all(t)
	want := "box: /etc/hosts: Read-only file system\nbox: /etc/hosts: Resource busy\nlater\n"
	if status != 0 || out != want {
		t.Errorf("status %d, stdout %q, want %q, stderr %q", status, out, want, b.stderr.all(t))
	}
}

func TestHiddenPaths(t *testing.T) {
	b := newBox(t, strings.Fields("ls /secret , cat /file , try write /ro/f x , try write /masked-dir/f x")...)
	root := b.config.Root.Path
	for _, d := range []string{"secret", "ro", "masked-dir"} {
		must(t, os.Mkdir(root+"/"+d, 0o777))
		must(t, os.WriteFile(root+"/"+d+"/f", []byte("s"), 0o666))
	}
	must(t, os.WriteFile(root+"/file", []byte("s"), 0o666))
	b.config.MaskedPaths = []string{"/secret", "/file", "/not/there", "/masked-dir"}
	b.config.ReadonlyPaths = []string{"/ro", "/neither"}
	status, out := b.run()
	want := "box: /ro/f: Read-only file system\nbox: /masked-dir/f: Read-only file system\n"
	if status != 0 || out != want {
		t.Errorf("status %d, stdout %q, want %q, stderr %q", status, out, want, b.stderr.all(t))
	}
}

func devices() []config.Device {
	return []config.Device{
		{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: 0o666},
		{Path: "/dev/zero", Type: "c", Major: 1, Minor: 5, FileMode: 0o666, UID: 1000, GID: 1000},
	}
}

func TestDevices(t *testing.T) {
	for _, userns := range []bool{false, true} {
		b := newBox(t, strings.Fields("write /dev/null x , stat /dev/zero , sleep 100000")...)
		if userns {
			b.inUserNamespace()
		}
		b.config.Mounts = []config.Mount{{Type: "tmpfs", Destination: "/dev", Flags: unix.MS_NOSUID, Data: "mode=755"}}
		b.config.Devices = devices()
		b.start()
		eventually(t, "both are there", func() bool { return strings.Contains(b.stdout.now(), "\n") })
		var st unix.Stat_t
		must(t, unix.Stat(b.inside("/dev/zero"), &st))
		base := uint32(0)
		if userns {
			base = 100000
		}
		if st.Uid != base+1000 || st.Gid != base+1000 || st.Mode&0o777 != 0o666 || st.Rdev != unix.Mkdev(1, 5) {
			t.Errorf("user namespace %v: /dev/zero is %+v", userns, st)
		}
	}
}

// inside is a path of the container as the host can reach it.
func (b *box) inside(path string) string { return b.proc("root") + path }

func TestPropagation(t *testing.T) {
	// A mount that the host makes later reaches a slave, not a private mount.
	src := t.TempDir()
	must(t, unix.Mount("tmpfs", src, "tmpfs", 0, ""))
	defer unix.Unmount(src, unix.MNT_DETACH)
	must(t, unix.Mount("", src, "", unix.MS_SHARED, ""))
	must(t, os.Mkdir(src+"/sub", 0o755))
	b := newBox(t, "sleep", "100000")
	slave, private := bind(src, "/slave", 0), bind(src, "/private", 0)
	slave.Propagation = []uintptr{unix.MS_SLAVE | unix.MS_REC}
	private.Propagation = []uintptr{unix.MS_PRIVATE | unix.MS_REC}
	b.config.Mounts = []config.Mount{slave, private}
	b.start()
	must(t, unix.Mount("tmpfs", src+"/sub", "tmpfs", 0, ""))
	defer unix.Unmount(src+"/sub", unix.MNT_DETACH)
	must(t, os.WriteFile(src+"/sub/later", nil, 0o644))
	if _, err := os.Stat(b.inside("/slave/sub/later")); err != nil {
		t.Errorf("slave: %v", err)
	}
	if _, err := os.Stat(b.inside("/private/sub/later")); err == nil {
		t.Error("a private mount received the host's")
	}
	mounts, err := os.ReadFile(b.proc("mountinfo"))
	must(t, err)
	if strings.Contains(string(mounts), "shared:") {
		t.Errorf("the container shares mounts with the host:\n%s", mounts)
	}
}
