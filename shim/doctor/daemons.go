// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/shim/version"
)

// binary is the name under which containerd looks for the shim.
const binary = "containerd-shim-wazero-v1"

// containerd reports on each running containerd: its version, and whether it
// finds the shim on its own PATH.
func containerd(ctx context.Context) []Finding {
	var all []Finding
	for _, d := range running("containerd") {
		const subject = "containerd"
		program, err := open(filepath.Join("/proc", strconv.Itoa(d.pid)))
		if err != nil {
			all = append(all, Finding{Note, subject, fmt.Sprintf("process %d is not looked at: %v", d.pid, err), ""})
			continue
		}
		all = append(all, containerdVersion(ctx, subject, program))
		program.Close()
		if shim := lookPath(d.env["PATH"], binary); shim == "" {
			all = append(all, Finding{Missing, subject, fmt.Sprintf("process %d does not find %s on its PATH (%s)", d.pid, binary, d.env["PATH"]),
				"install the shim into one of these folders, for example /usr/local/bin"})
		} else {
			all = append(all, fine(subject, "process %d uses %s", d.pid, shim))
		}
	}
	if all == nil {
		all = append(all, Finding{Missing, "containerd", "is not running", "start it (systemctl start containerd), or run this as root"})
	}
	return all
}

// open opens the program of a process, which is then run as this user. As anybody can
// give a process any name, it must be root's or this user's, outside of containers,
// and its file one that nobody else writes.
func open(process string) (*os.File, error) {
	status, err := os.ReadFile(filepath.Join(process, "status"))
	if err != nil {
		return nil, err
	}
	_, ids, _ := strings.Cut(string(status), "\nUid:")
	var uid int // the real one
	if _, err := fmt.Sscan(ids, &uid); err != nil || uid != 0 && uid != os.Geteuid() {
		return nil, fmt.Errorf("it is another user's")
	}
	theirs, err := os.Readlink(filepath.Join(process, "ns/mnt"))
	if err != nil {
		return nil, err
	}
	if ours, err := os.Readlink("/proc/self/ns/mnt"); err != nil || theirs != ours {
		return nil, fmt.Errorf("it is in a mount namespace of its own, as a container's is")
	}
	// By the link it is found also when its file has been replaced.
	f, err := os.Open(filepath.Join(process, "exe"))
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Uid != 0 && int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		f.Close()
		return nil, fmt.Errorf("others may write to its program")
	}
	return f, nil
}

func containerdVersion(ctx context.Context, subject string, program *os.File) Finding {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3", "--version")
	cmd.ExtraFiles = []*os.File{program} // descriptor 3
	out, err := cmd.Output()
	if err != nil {
		return Finding{Note, subject, fmt.Sprintf("its version cannot be had: %v", err), ""}
	}
	return containerdSupported(subject, string(bytes.TrimSpace(out)))
}

// containerdSupported reads "containerd github.com/containerd/containerd/v2 v2.4.2 revision".
func containerdSupported(subject, text string) Finding {
	var major, minor int
	for _, word := range strings.Fields(text) {
		if n, _ := fmt.Sscanf(strings.TrimPrefix(word, "v"), "%d.%d", &major, &minor); n == 2 {
			break
		}
	}
	if major == 0 || major > 1 || minor >= 7 {
		return fine(subject, "%s", text)
	}
	return Finding{Missing, subject, text, "use containerd 1.7 or later"}
}

// kubernetes tells whether a handler of containerd's CRI plugin is the shim.
func kubernetes(context.Context) []Finding {
	const file = "/etc/containerd/config.toml"
	data, err := os.ReadFile(file)
	switch {
	case os.IsNotExist(err):
		return nil
	case err != nil:
		return []Finding{{Note, "Kubernetes", err.Error(), ""}}
	case bytes.Contains(data, []byte(version.Name)):
		return []Finding{fine("Kubernetes", "%s has a handler of the type %s", file, version.Name)}
	}
	return []Finding{{Note, "Kubernetes", fmt.Sprintf("%s has no handler of the type %s", file, version.Name),
		"needed for Kubernetes alone: add a runtime with that runtime_type, and restart containerd"}}
}

// daemon is a running process.
type daemon struct {
	pid  int
	args []string
	env  map[string]string
}

// running lists the processes of that name.
func running(name string) []daemon {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []daemon
	for _, e := range entries {
		d := daemon{env: make(map[string]string)}
		if n, _ := fmt.Sscanf(e.Name(), "%d", &d.pid); n != 1 {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		if comm, err := os.ReadFile(filepath.Join(dir, "comm")); err != nil || strings.TrimSpace(string(comm)) != name {
			continue
		}
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil {
			continue
		}
		args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		d.args = strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")
		for kv := range strings.SplitSeq(string(env), "\x00") {
			if k, v, ok := strings.Cut(kv, "="); ok {
				d.env[k] = v
			}
		}
		all = append(all, d)
	}
	return all
}

// lookPath finds an executable in a list of folders.
func lookPath(list, name string) string {
	for _, dir := range filepath.SplitList(list) {
		file := filepath.Join(dir, name)
		if executable(file) {
			return file
		}
	}
	return ""
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
