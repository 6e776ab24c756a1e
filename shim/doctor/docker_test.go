// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEngineVersion(t *testing.T) {
	for text, want := range map[string]Level{
		"29.9.3": Fine, "30.0.0-rc.1": Fine, "28.5.2": Note, "9.1": Note, "dev": Fine,
	} {
		if got := engineVersion(text); got.Level != want || (got.Remedy == "") != (want == Fine) {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestDockerSocket(t *testing.T) {
	for host, want := range map[string]string{"unix:///a/b.sock": "/a/b.sock", "tcp://localhost:2375": "", "ssh://host": ""} {
		t.Setenv("DOCKER_HOST", host)
		if path, _, err := dockerSocket(); path != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", host, path, err)
		}
	}
}

func TestConfigFile(t *testing.T) {
	for _, row := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{want: "/etc/docker/daemon.json"},
		{args: []string{"dockerd", "--config-file", "/a.json"}, want: "/a.json"},
		{args: []string{"dockerd", "--debug", "--config-file=/b.json"}, want: "/b.json"},
		{env: map[string]string{"ROOTLESSKIT_STATE_DIR": "/run/x", "HOME": "/home/u"}, want: "/home/u/.config/docker/daemon.json"},
		{env: map[string]string{"ROOTLESSKIT_STATE_DIR": "/run/x", "XDG_CONFIG_HOME": "/c"}, want: "/c/docker/daemon.json"},
	} {
		if got := configFile(daemon{args: row.args, env: row.env}); got != row.want {
			t.Errorf("%+v: %s", row, got)
		}
	}
}

func TestRegistered(t *testing.T) {
	dir := t.TempDir()
	shim, good, bad := filepath.Join(dir, binary), filepath.Join(dir, "good.toml"), filepath.Join(dir, "bad.toml")
	for file, text := range map[string]string{shim: "", good: "[ceiling]\nlisten = \"none\"\n", bad: "celing = 1\n"} {
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		entry string // of daemon.json, as the runtime x
		read  bool   // by dockerd
		want  Level
		text  string
	}{
		{`{"runtimeType": "io.containerd.wazero.v1"}`, true, Fine, "io.containerd.wazero.v1"},
		{`{"runtimeType": "io.containerd.wazero.v1"}`, false, Missing, "has not read"},
		{`{"runtimeType": "` + shim + `"}`, true, Fine, shim},
		{`{"runtimeType": "` + shim + `.none"}`, true, Missing, "no program"},
		{`{"runtimeType": "io.containerd.wazero.v2"}`, true, Missing, "wazero.v2"},
		{`{"path": "` + shim + `"}`, true, Missing, "path"},
		{`{"runtimeType": "io.containerd.wazero.v1", "options": {"ConfigPath": "` + good + `"}}`, true, Fine, good},
		{`{"runtimeType": "io.containerd.wazero.v1", "options": {"ConfigPath": "` + bad + `"}}`, true, Missing, "celing"},
		{`{"runtimeType": "io.containerd.wazero.v1", "options": {"ConfigPath": "` + good + `.none"}}`, true, Missing, "does not exist"},
		{`{"runtimeType": "io.containerd.kata.v2"}`, true, Fine, "no name"},
		{`[]`, true, Note, "cannot unmarshal"},
	} {
		var e engine
		if row.read {
			e.Runtimes = map[string]json.RawMessage{"runc": nil, "x": nil}
		}
		got := e.registered(dockerConfig{}, []byte(`{"runtimes": {"x": `+row.entry+`}}`))
		if len(got) != 1 || got[0].Level != row.want || !strings.Contains(got[0].Text, row.text) || (got[0].Remedy == "") != (row.want == Fine) {
			t.Errorf("%s: %+v", row.entry, got)
		}
	}
	if got := new(engine).registered(dockerConfig{}, nil); len(got) != 1 || got[0].Level != Fine {
		t.Errorf("no daemon.json: %+v", got)
	}
}
