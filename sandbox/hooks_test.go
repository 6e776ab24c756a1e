// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// note is a hook that writes its kind, its state and what it can see of the
// container's file system into a file.
func note(file, kind string) []specs.Hook {
	script := `state=$(/bin/cat); inside=no; test -e ` + "/inside" + ` && inside=yes; ` +
		`echo "` + kind + ` $state inside=$inside env=$(/usr/bin/env | /usr/bin/grep -c .) user=$(/usr/bin/id -u)" >> ` + file
	return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"A=1"}}}
}

func TestHooks(t *testing.T) {
	b := newBox(t, "echo", "guest", ",", "spin")
	file := filepath.Join(b.config.Bundle, "hooks")
	b.config.Hooks = &specs.Hooks{
		//lint:ignore SA1019 bundles have them
		Prestart:        note(file, "prestart"),
		CreateRuntime:   note(file, "createRuntime"),
		CreateContainer: note(file, "createContainer"),
		Poststart:       note(file, "poststart"),
		Poststop:        note(file, "poststop"),
	}
	b.config.Annotations = map[string]string{"a": "b"}
	b.create()
	b.hasNotes(file, []string{"prestart", "creating"}, []string{"createRuntime", "creating"}, []string{"createContainer", `"pid":1,`})
	must(t, b.init.Start(testContext(t)))
	b.hasNotes(file, nil, nil, nil, []string{"poststart", "running", `"annotations":{"a":"b"}`})
	must(t, b.Delete(testContext(t)))
	b.hasNotes(file, nil, nil, nil, nil, []string{"poststop", "stopped"})
}

// hasNotes checks for words in each line of the file, and for their number.
func (b *box) hasNotes(file string, want ...[]string) {
	b.t.Helper()
	text, err := os.ReadFile(file)
	must(b.t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != len(want) {
		b.t.Fatalf("%d hooks have run, want %d:\n%s", len(lines), len(want), text)
	}
	for i, words := range want {
		for _, w := range append(words, "inside=no", b.config.ID) {
			if !strings.Contains(lines[i], w) {
				b.t.Errorf("hook %d lacks %q: %s", i, w, lines[i])
			}
		}
	}
}

// TestStartContainerHook: its program is the container's own, and gets nothing
// that the container's process would not have.
func TestStartContainerHook(t *testing.T) {
	for _, userns := range []bool{false, true} {
		b := newBox(t, "spin")
		if _, err := os.Stat("/bin/busybox"); err == nil {
			must(t, exec.Command("cp", "/bin/busybox", b.config.Root.Path+"/sh").Run())
		} else {
			out, err := exec.Command("sh", "-c", "cp /bin/sh "+b.config.Root.Path+"/sh; for l in $(ldd /bin/sh | grep -o '/[^ ]*'); do mkdir -p "+
				b.config.Root.Path+"$(dirname $l); cp -L $l "+b.config.Root.Path+"$l; done").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if userns {
			b.inUserNamespace()
		}
		b.config.Process.User = config.User{UID: 1000, GID: 1000, Groups: []uint32{7}}
		b.config.Process.Capabilities = 1 << unix.CAP_NET_BIND_SERVICE
		b.config.Mounts = []config.Mount{{Type: "proc", Source: "proc", Destination: "/proc"}}
		script := `while read l; do echo "$l"; done < /proc/self/status > /tmp/status; read s; echo "$s" > /tmp/state; echo > /etc-file || echo denied > /tmp/denied; echo $0 > /tmp/args`
		b.config.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/sh", Args: []string{"sh", "-c", script}}}}
		b.create()
		if _, err := os.Stat(b.inside("/tmp/status")); err == nil {
			t.Error("the hook ran at Create")
		}
		must(t, b.init.Start(testContext(t)))
		status, err := os.ReadFile(b.inside("/tmp/status"))
		must(t, err)
		for _, want := range []string{"Uid: 1000 1000 1000 1000", "Gid: 1000 1000 1000 1000", "Groups: 7", "CapPrm: 0000000000000000",
			"CapEff: 0000000000000000", "CapInh: 0000000000000000", "CapBnd: 0000000000000400", "NoNewPrivs: 1"} {
			if !strings.Contains(strings.Join(strings.Fields(string(status)), " "), want) {
				t.Errorf("user namespace %v: no %q in:\n%s", userns, want, status)
			}
		}
		if _, err := os.Stat(b.inside("/tmp/denied")); err != nil {
			t.Errorf("the hook could write to /: %v", err)
		}
		must(t, b.Delete(testContext(t)))
	}
}

func oldHooks(h []specs.Hook) *specs.Hooks {
	//lint:ignore SA1019 bundles have them
	return &specs.Hooks{Prestart: h}
}

func TestHooksThatFail(t *testing.T) {
	bad := []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo because >&2; exit 3"}}}
	for name, h := range map[string]*specs.Hooks{
		"prestart":        oldHooks(bad),
		"createRuntime":   {CreateRuntime: bad},
		"createContainer": {CreateContainer: bad},
	} {
		b := newBox(t, "true")
		b.config.Hooks = h
		b.fails(name + " hook /bin/sh: it failed with exit status 3: because")
	}
	for name, h := range map[string]*specs.Hooks{"poststart": {Poststart: bad}, "startContainer": {StartContainer: bad}} {
		b := newBox(t, "spin")
		b.config.Hooks = h
		b.create()
		if err := b.init.Start(testContext(t)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if status := wait(t, b.init); status != 137 {
			t.Errorf("%s: status %d", name, status)
		}
	}
	b := newBox(t, "true")
	b.config.Hooks = &specs.Hooks{Poststop: append(bad, note(filepath.Join(b.config.Bundle, "hooks"), "second")...)}
	b.run()
	must(t, b.Delete(testContext(t)))
	if !strings.Contains(b.log.String(), "poststop hook /bin/sh") {
		t.Errorf("no warning of a failing poststop hook: %s", b.log)
	}
	b.hasNotes(filepath.Join(b.config.Bundle, "hooks"), []string{"second"})
}
