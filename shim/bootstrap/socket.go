// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	defaultSocketDir = "/run/containerd/s"
	// addressFile in a bundle names the shim's socket: containerd 1.7 finds its
	// shims through it after a restart, `delete` the socket of a dead one.
	addressFile = "address"
	unixScheme  = "unix://"
	// maxSpec bounds what `start` reads of a config.json.
	maxSpec = 16 << 20
)

// groupAnnotations name a group of containers that share a shim. The pod's id
// comes first, so that no pod's author picks a group.
var groupAnnotations = [...]string{
	"io.kubernetes.cri.sandbox-id",
	"io.containerd.runc.v2.group",
}

// group returns the container's group by its bundle, or its own id. A bundle
// without a readable spec is a group of its own: Create says what is wrong.
func group(bundle, id string) string {
	f, err := os.Open(path.Join(bundle, "config.json"))
	if err != nil {
		return id
	}
	defer f.Close()
	var spec struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxSpec)).Decode(&spec); err != nil {
		return id
	}
	for _, key := range groupAnnotations {
		if g := spec.Annotations[key]; g != "" {
			return g
		}
	}
	return id
}

// socketPath is where a group's shim listens: a name for containerd's address,
// the namespace and the group together.
func socketPath(dir, address, namespace, group string) (string, error) {
	if dir == "" {
		dir = defaultSocketDir
	}
	sum := sha256.Sum256([]byte("wazero\x00" + address + "\x00" + namespace + "\x00" + group))
	name := path.Join(dir, hex.EncodeToString(sum[:16]))
	if max := len(unix.RawSockaddrUnix{}.Path) - 1; len(name) > max {
		return "", fmt.Errorf("the socket path %s is longer than %d bytes: choose a shorter socket_dir", name, max)
	}
	return name, nil
}

// listen binds the group's socket and returns the listening descriptor, or nil
// when a shim already answers there.
func listen(socket string) (*os.File, error) {
	dir := path.Dir(socket)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	f, err := bind(socket)
	if !errors.Is(err, unix.EADDRINUSE) {
		return f, err
	}
	if answers(socket) {
		return nil, nil
	}
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return bind(socket)
}

// lock locks the folder of sockets until it is closed. A socket does not answer between
// bind and listen: with the lock nobody takes one that `start` has just bound for a
// dead shim's.
func lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

func bind(socket string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), socket)
	// The folder is root's own (0700); the umask keeps others off the socket
	// also in one that is not.
	old := unix.Umask(0o177)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: socket})
	unix.Umask(old)
	if err == nil {
		err = unix.Listen(fd, 4096)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("bind %s: %w", socket, err)
	}
	return f, nil
}

// answers reports whether somebody listens on the socket.
func answers(socket string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
	return err == nil || errors.Is(err, unix.EAGAIN) // a full backlog has a listener
}

// removeDeadSocket unlinks the socket that the bundle names, unless it answers.
func removeDeadSocket(bundle string) {
	data, err := os.ReadFile(path.Join(bundle, addressFile))
	if err != nil {
		return
	}
	socket, ok := strings.CutPrefix(string(data), unixScheme)
	if !ok {
		return
	}
	var st unix.Stat_t
	if unix.Lstat(socket, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return
	}
	lock, err := lock(path.Dir(socket))
	if err != nil {
		return
	}
	defer lock.Close()
	if !answers(socket) {
		_ = os.Remove(socket)
	}
}
