// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// The mount jail alone: a process that is staged as a sandbox is, but that uses
// plain openat(2) where the WASI host would use openat2(2), and no filter of
// system calls. The test binary is executed again to be that process.

const (
	jailEnv   = "MOUNT_TEST_JAIL"   // the root file system
	volumeEnv = "MOUNT_TEST_VOLUME" // what is bound at /volume
	secretEnv = "MOUNT_TEST_SECRET" // a file of the host
	openEnv   = "MOUNT_TEST_OPEN"   // set: nothing is staged, to see the attacks succeed
)

const secret = "the host's secret"

func TestMain(m *testing.M) {
	if root := os.Getenv(jailEnv); root != "" {
		if err := prisoner(root); err != nil {
			fmt.Println("prisoner:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestJail(t *testing.T) {
	if out := imprison(t, false); out != "" {
		t.Errorf("the prisoner got out:\n%s", out)
	}
}

// TestJailCanFail: without the jail the same process gets out in each way that
// TestJail tries.
func TestJailCanFail(t *testing.T) {
	out := imprison(t, true)
	for _, way := range []string{"read abs", "read rel", "read climb", "parent of", "read dir with ..", "/proc is there"} {
		if !strings.Contains(out, way) {
			t.Errorf("%q does not get out where there is no jail", way)
		}
	}
}

// imprison makes a root, has a process attack from within, and returns what that
// has to tell of the outside.
func imprison(t *testing.T, open bool) string {
	t.Helper()
	old := unix.Umask(0) // whoever the prisoner is, modes are not what holds it
	defer unix.Umask(old)
	top, err := os.MkdirTemp("", "jail")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(top) })
	must(t, os.Chmod(top, 0o777))
	root, volume, outside := filepath.Join(top, "root"), filepath.Join(top, "volume"), filepath.Join(top, "outside")
	for _, d := range []string{root, volume, outside, root + "/dir", root + "/dir/deep", root + "/volume", volume + "/moved"} {
		must(t, os.Mkdir(d, 0o777))
	}
	hidden := filepath.Join(outside, "secret")
	must(t, os.WriteFile(hidden, []byte(secret), 0o666))
	for name, target := range map[string]string{
		"abs": hidden, "rel": "../outside/secret", "climb": strings.Repeat("../", 40) + hidden,
		"absdir": outside, "host": "/proc/1/root", "self": "/proc/self/root", "cwd": "/proc/self/cwd",
	} {
		must(t, os.Symlink(target, filepath.Join(root, name)))
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{jailEnv + "=" + root, volumeEnv + "=" + volume, secretEnv + "=" + hidden, "TEST_FULL=" + os.Getenv("TEST_FULL")}
	if open {
		cmd.Env = append(cmd.Env, openEnv+"=1")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewReader(stdout)
	// The prisoner holds a directory of its volume, which now leaves the volume.
	line, err := lines.ReadString('\n')
	if err == nil && line == "holding\n" {
		must(t, os.Rename(volume+"/moved", outside+"/moved"))
	} else {
		t.Errorf("the prisoner says %q (%v)", line, err)
	}
	stdin.Close()
	out, err := io.ReadAll(lines)
	must(t, err)
	must(t, cmd.Wait())
	if b, err := os.ReadFile(hidden); err != nil || !open && string(b) != secret {
		t.Errorf("the secret became %q (%v)", b, err)
	}
	return string(out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// prisoner is the process: it stages itself, becomes nobody, and tries.
func prisoner(root string) error {
	if os.Getenv(openEnv) == "" {
		if err := stageJail(root); err != nil {
			return err
		}
	} else if err := os.Chdir(root); err != nil {
		return err
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setgid(65534); err != nil {
		return err
	}
	if err := syscall.Setuid(65534); err != nil {
		return err
	}
	return escape()
}

// stageJail is what a sandbox process does of a container's mounts.
func stageJail(path string) error {
	c := config.Root{Path: path}
	tree, err := OpenRoot(c)
	if err != nil {
		return err
	}
	bound := config.Mount{Type: "bind", Source: os.Getenv(volumeEnv), Destination: "/volume", Flags: unix.MS_BIND | unix.MS_REC}
	volume, err := Tree(&bound, false, nil)
	if err != nil {
		return err
	}
	root, err := NewRoot(c, int(tree.Fd()))
	if err != nil {
		return err
	}
	if err := root.Attach(&Plan{Mount: bound, Tree: true}, int(volume.Fd())); err != nil {
		return err
	}
	if err := root.Enter(false); err != nil {
		return err
	}
	// The sandbox process closes these, and its trees, before the guest runs.
	return unix.CloseRange(3, ^uint(0)>>33, unix.CLOSE_RANGE_CLOEXEC)
}

// escape tries every way out and prints each that leads there.
func escape() error {
	start := "/"
	if os.Getenv(openEnv) != "" {
		start = "."
	}
	base, err := unix.Open(start, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	held, err := unix.Openat(base, "volume/moved", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil && start == "/" {
		return err
	}
	fmt.Println("holding")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	hidden := os.Getenv(secretEnv)
	for name, path := range map[string]string{
		"abs": "abs", "rel": "rel", "climb": "climb", "host": "host" + hidden, "self": "self" + hidden, "cwd": "cwd/../outside/secret",
		"dir with ..": "dir/deep/../../../outside/secret", "path": hidden, "up": strings.Repeat("../", 40) + hidden,
	} {
		try(base, name, path)
	}
	try(held, "moved volume", "../secret")
	if fd, err := unix.Openat(base, "absdir/new", unix.O_WRONLY|unix.O_CREAT, 0o666); err == nil {
		fmt.Println("create absdir/new")
		unix.Close(fd)
	}
	for _, path := range []string{"/proc", "/sys", "/dev"} {
		if unix.Access(path, unix.F_OK) == nil {
			fmt.Println(path, "is there")
		}
	}
	if err := climb(base); err != nil {
		return err
	}
	return race(base)
}

// try reads what lies at a path, for the secret.
func try(dir int, name, path string) {
	fd, err := unix.Openat(dir, path, unix.O_RDWR, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	buf := make([]byte, len(secret))
	if n, _ := unix.Read(fd, buf); string(buf[:max(n, 0)]) == secret {
		fmt.Println("read", name)
	}
}

// climb opens `..` again and again, from the root and from a directory that is
// renamed meanwhile: it stays the root.
func climb(base int) error {
	var root unix.Stat_t
	if err := unix.Fstat(base, &root); err != nil {
		return err
	}
	deep, err := unix.Openat(base, "dir/deep", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	if err := unix.Renameat(base, "dir/deep", base, "deep"); err != nil {
		return err
	}
	for from, fd := range map[string]int{"the root": base, "a renamed directory": deep} {
		for range 5 {
			up, err := unix.Openat(fd, "..", unix.O_PATH|unix.O_DIRECTORY, 0)
			if err != nil {
				return err
			}
			fd = up
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		if st.Ino != root.Ino || st.Dev != root.Dev {
			fmt.Println("parent of", from)
		}
	}
	return nil
}

// race opens a name that is a directory and a link to the outside by turns, and
// `..` of directories that are moved up and down.
func race(base int) error {
	rounds := 5_000
	if os.Getenv("TEST_FULL") != "" {
		rounds = 500_000
	}
	if err := unix.Mkdirat(base, "swap", 0o777); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range rounds {
			_ = unix.Renameat2(base, "swap", base, "absdir", unix.RENAME_EXCHANGE)
			_ = unix.Renameat(base, "deep", base, "dir/deep")
			_ = unix.Renameat(base, "dir/deep", base, "deep")
		}
	}()
	for {
		select {
		case <-done:
			return nil
		default:
			try(base, "swapped link", "swap/secret")
			try(base, "moving directory", "dir/deep/../../../outside/secret")
			try(base, "moving directory", "deep/../../outside/secret")
		}
	}
}
