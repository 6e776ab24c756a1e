// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/sandbox/wasi/policy"
)

func TestParse(t *testing.T) {
	with := func(change func(*Settings)) *Settings {
		s := Default()
		change(s)
		return s
	}
	for name, c := range map[string]struct {
		text string
		want *Settings
		says string
	}{
		"empty": {"", Default(), ""},
		"all": {`
log_level = "debug"
[cache]
dir = "/srv/cache"
max_size = "10 GB"
[module]
max_size = "1MiB"
[ceiling]
listen = "tcp:8080"
connect = "none"
timeout = "1h"
cpu_timeout = "10m"
`, &Settings{LogLevel: "debug", CacheDir: "/srv/cache", CacheMaxSize: 10e9, ModuleMaxSize: 1 << 20, Ceiling: Ceiling{
			Listen: []policy.ListenRule{{Proto: policy.TCP, Port: 8080}}, Connect: []policy.ConnectRule{}, Timeout: time.Hour, CPUTimeout: 10 * time.Minute}}, ""},
		"nothing to listen on": {"ceiling.listen = 'none'", with(func(s *Settings) { s.Ceiling.Listen = []policy.ListenRule{} }), ""},
		"bytes":                {"module.max_size = '5B'", with(func(s *Settings) { s.ModuleMaxSize = 5 }), ""},
		"unknown key":          {"\n[cache]\nsize = '1GB'", nil, "line 3: unknown key cache.size"},
		"unknown table":        {"[limits]\nx = 1", nil, "unknown key limits"},
		"other type":           {"log_level = 7", nil, "line 1: "},
		"not TOML":             {"= = =", nil, "line 1: "},
		"unknown level":        {"log_level = 'loud'", nil, `log_level "loud" is none of`},
		"relative folder":      {"cache.dir = 'x'", nil, `cache.dir "x" is not an absolute path`},
		"no unit":              {"cache.max_size = '5'", nil, `cache.max_size "5" is not a size like 256MiB or 4GB`},
		"no number":            {"cache.max_size = 'GB'", nil, "is not a size"},
		"nothing":              {"module.max_size = '0B'", nil, "is not a size"},
		"negative":             {"module.max_size = '-1MB'", nil, "is not a size"},
		"overflow":             {"module.max_size = '10000000TiB'", nil, "is not a size"},
		"bad listen":           {"ceiling.listen = '80'", nil, "ceiling.listen: "},
		"bad connect":          {"ceiling.connect = 'x'", nil, "ceiling.connect: "},
		"bad timeout":          {"ceiling.timeout = '1'", nil, "ceiling.timeout: "},
		"bad CPU timeout":      {"ceiling.cpu_timeout = '0s'", nil, "ceiling.cpu_timeout: "},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(c.text))
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Fatalf("error %v, want %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %v", err)
			}
			if err == nil && !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	name := filepath.Join(t.TempDir(), "config.toml")
	if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a named file that is missing: %v", err)
	}
	if _, err := Load("config.toml"); err == nil || !strings.Contains(err.Error(), "not an absolute path") {
		t.Errorf("a relative name: %v", err)
	}
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log_level = 'warn'")
	if s, err := Load(name); err != nil || s.LogLevel != "warn" {
		t.Errorf("%+v, %v", s, err)
	}
	write("x = 1")
	if _, err := Load(name); err == nil || !strings.Contains(err.Error(), name+": line 1: unknown key x") {
		t.Errorf("an unknown key: %v", err)
	}
	write(strings.Repeat("#", maxFile+1))
	if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("a huge file: %v", err)
	}
	if _, err := os.Stat(DefaultFile); os.IsNotExist(err) {
		if s, err := Load(""); err != nil || !reflect.DeepEqual(s, Default()) {
			t.Errorf("no file: %+v, %v", s, err)
		}
	}
}

// TestReference: each setting has its line in docs/capabilities.md.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("../../docs/capabilities.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys(reflect.TypeFor[file](), "") {
		if !strings.Contains(string(data), "\n| `"+key+"` |") {
			t.Errorf("%s has no line", key)
		}
	}
}

func keys(table reflect.Type, prefix string) (out []string) {
	for field := range table.Fields() {
		key := prefix + field.Tag.Get("toml")
		if field.Type.Kind() == reflect.Struct {
			out = append(out, keys(field.Type, key+".")...)
		} else {
			out = append(out, key)
		}
	}
	return out
}

// FuzzSettings: whatever the file holds, there are settings or a sentence.
func FuzzSettings(f *testing.F) {
	f.Add([]byte("log_level = 'debug'\n[cache]\ndir = '/x'\nmax_size = '1GB'\n[module]\nmax_size = '1MiB'\n"))
	f.Add([]byte("[ceiling]\nlisten = 'tcp:80'\nconnect = 'none'\ntimeout = '1h'\ncpu_timeout = '1m'\n"))
	f.Add([]byte("[[cache]]\nx = {y = 1}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		if s.CacheMaxSize <= 0 || s.ModuleMaxSize <= 0 || !filepath.IsAbs(s.CacheDir) || s.Ceiling.Timeout < 0 {
			t.Errorf("settings %+v", s)
		}
	})
}
