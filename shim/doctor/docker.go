// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// minEngine is the oldest Docker Engine that the tests run on.
const minEngine = 29

// engine is what a Docker Engine says of itself.
type engine struct {
	socket       string
	version      string
	DriverStatus [][2]string
	// Runtimes has the names of daemon.json as dockerd has read it; of a
	// containerd runtime it tells no more than the name.
	Runtimes map[string]json.RawMessage
}

// docker asks the Docker Engine, where there is one.
func docker(ctx context.Context) []Finding {
	socket, chosen, err := dockerSocket()
	if err != nil {
		return []Finding{{Note, "Docker", err.Error(), "run this where dockerd runs, with DOCKER_HOST=unix://… if it is named at all"}}
	}
	e := engine{socket: socket}
	var v struct{ Version string }
	err = e.ask(ctx, "/version", &v)
	if err == nil {
		e.version = v.Version
		err = e.ask(ctx, "/info", &e)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !chosen:
		return nil // no Docker on this machine
	case err != nil:
		return []Finding{{Note, "Docker", fmt.Sprintf("does not answer: %v", err), "needed for Docker alone: start it (systemctl start docker)"}}
	}
	config := e.config()
	all := []Finding{engineVersion(e.version), e.store(config)}
	text, err := os.ReadFile(config.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return append(all, Finding{Note, "runtimes", err.Error(), ""})
	}
	return append(all, e.registered(config, text)...)
}

// dockerSocket is where docker would ask, and whether somebody chose it.
func dockerSocket() (path string, chosen bool, err error) {
	const system = "/var/run/docker.sock"
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		path, ok := strings.CutPrefix(host, "unix://")
		if !ok {
			return "", true, fmt.Errorf("DOCKER_HOST=%s is no socket of this machine, and not asked", host)
		}
		return path, true, nil
	}
	// A rootless Docker's, where the system has none.
	if user := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "docker.sock"); filepath.IsAbs(user) {
		if _, err := os.Stat(system); err != nil {
			return user, false, nil
		}
	}
	return system, false, nil
}

func engineVersion(text string) Finding {
	var major int
	if n, _ := fmt.Sscanf(text, "%d.", &major); n == 1 && major < minEngine {
		return Finding{Note, "Docker", fmt.Sprintf("Engine %s is older than any that is tested", text), fmt.Sprintf("use Docker Engine %d or later", minEngine)}
	}
	return fine("Docker", "Engine %s", text)
}

// store tells whether Docker keeps images in containerd.
func (e *engine) store(config dockerConfig) Finding {
	for _, s := range e.DriverStatus {
		if s[0] == "driver-type" && strings.HasPrefix(s[1], "io.containerd.snapshotter") {
			return fine("images", "Docker keeps them in containerd, and takes those for wasi/wasm")
		}
	}
	return Finding{Note, "images", "Docker keeps them in its own store, which takes none for wasi/wasm",
		fmt.Sprintf(`set "features": {"containerd-snapshotter": true} in %s and restart Docker`, config.shown)}
}

func (e *engine) ask(ctx context.Context, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", e.socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// dockerConfig is where dockerd reads daemon.json: its own path of it, and one
// that leads there from here.
type dockerConfig struct{ shown, path string }

// config is that of the dockerd that listens on the socket, which may have
// mounts of its own, as a rootless one has. Where an init system listens for it,
// it is the one of this machine.
func (e *engine) config() dockerConfig {
	listens := listener(e.socket)
	file := configFile(daemon{})
	for _, d := range running("dockerd") {
		process := filepath.Join("/proc", strconv.Itoa(d.pid))
		if d.pid == listens {
			file = configFile(d)
			return dockerConfig{file, filepath.Join(process, "root", file)}
		}
		// Anybody's process may have the name.
		if program, err := open(process); err == nil {
			program.Close()
			file = configFile(d)
		}
	}
	return dockerConfig{file, file}
}

// configFile is the file that a dockerd reads by its arguments, or by default.
func configFile(d daemon) string {
	for i, arg := range d.args {
		if file, ok := strings.CutPrefix(arg, "--config-file="); ok {
			return file
		}
		if arg == "--config-file" && i+1 < len(d.args) {
			return d.args[i+1]
		}
	}
	dir := "/etc"
	if d.env["ROOTLESSKIT_STATE_DIR"] != "" {
		if dir = d.env["XDG_CONFIG_HOME"]; dir == "" {
			dir = filepath.Join(d.env["HOME"], ".config")
		}
	}
	return filepath.Join(dir, "docker", "daemon.json")
}

// listener is the process that listens on a socket, or 0.
func listener(socket string) (pid int) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}
