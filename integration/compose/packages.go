// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package compose tests the example stack, examples/compose, under the real
// Docker Engine and Compose. Nothing is pulled: PostgreSQL and Redis come from
// the machine's own packages.
package compose

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/image"
)

// start does what the public image's own script does with these settings.
const start = `#!/bin/sh
set -eu
export PGDATA=/var/lib/postgresql/data
if [ ! -s $PGDATA/PG_VERSION ]; then
	mkdir -p $PGDATA && chown postgres:postgres $PGDATA && chmod 700 $PGDATA
	tr -d '\n' <"$POSTGRES_PASSWORD_FILE" >/tmp/password && chmod 644 /tmp/password
	su postgres -s /bin/sh -c "initdb -U $POSTGRES_USER --pwfile=/tmp/password -A scram-sha-256 --locale=C --encoding=UTF8 --no-sync"
	rm /tmp/password
	echo "host all all all scram-sha-256" >>$PGDATA/pg_hba.conf
	echo "CREATE DATABASE $POSTGRES_DB;" | su postgres -s /bin/sh -c "postgres --single -j postgres"
fi
exec su postgres -s /bin/sh -c "exec postgres -D $PGDATA -c listen_addresses='*' -c unix_socket_directories=/tmp"
`

// tree collects files of the machine for an image, each once.
type tree struct {
	files []image.File
	have  map[string]bool
}

func newTree() *tree {
	t := &tree{have: map[string]bool{}}
	t.add(image.Dir("tmp", 0o777|os.ModeSticky))
	return t
}

// add adds an entry and the folders above it.
func (t *tree) add(file image.File) {
	if t.have[file.Path] {
		return
	}
	t.have[file.Path] = true
	if dir := filepath.Dir(file.Path); dir != "." {
		t.add(image.Dir(dir, 0o755))
	}
	t.files = append(t.files, file)
}

func (t *tree) copy(to, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	body, err := os.ReadFile(from)
	t.add(image.File{Path: to, Body: body, Mode: info.Mode().Perm()})
	return err
}

// program copies a program to /usr/bin with the libraries that it is linked to.
func (t *tree) program(path string) error {
	if err := t.copy("usr/bin/"+filepath.Base(path), path); err != nil {
		return err
	}
	return t.libraries(path)
}

func (t *tree) libraries(path string) error {
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", path, err)
	}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			if err := t.copy(word[1:], word); err != nil {
				return err
			}
		}
	}
	return nil
}

// folder copies a folder to where it is on the machine.
func (t *tree) folder(path string) error {
	return filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return t.copy(name[1:], name)
	})
}

func (t *tree) image(name string, config v1.ImageConfig) image.Image {
	config.Env = append(config.Env, "PATH=/usr/bin:/bin")
	return image.Image{Name: "docker.io/library/" + name + ":test", OS: "linux", Arch: runtime.GOARCH,
		Files: t.files, Config: config}
}

// PostgresImage is the newest PostgreSQL that is installed, with the settings
// and the folder of the public image.
func PostgresImage() (image.Image, error) {
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(versions) == 0 {
		return image.Image{}, fmt.Errorf("PostgreSQL is not installed: run hack/packages.sh")
	}
	bin := filepath.Dir(versions[len(versions)-1])
	lib := filepath.Join(filepath.Dir(bin), "lib")
	version := filepath.Base(filepath.Dir(bin))

	t := newTree()
	t.add(image.Text("etc/passwd", "root:x:0:0:root:/:/bin/sh\npostgres:x:999:999:postgres:/:/bin/sh\n"))
	t.add(image.Text("etc/group", "root:x:0:\npostgres:x:999:\n"))
	t.add(image.File{Path: "start", Body: []byte(start), Mode: 0o755})
	if err := t.copy("bin/busybox", "/bin/busybox"); err != nil {
		return image.Image{}, err
	}
	for _, name := range []string{"sh", "su", "mkdir", "chown", "chmod", "tr", "rm"} {
		t.add(image.Link("bin/"+name, "busybox"))
	}
	// They look for their libraries and shared files relative to themselves.
	for _, name := range []string{"postgres", "initdb", "pg_isready", "psql"} {
		path := filepath.Join(bin, name)
		if err := t.copy(path[1:], path); err != nil {
			return image.Image{}, err
		}
		if err := t.libraries(path); err != nil {
			return image.Image{}, err
		}
		t.add(image.Link("usr/bin/"+name, path))
	}
	for _, name := range []string{"dict_snowball.so", "plpgsql.so", "libpqwalreceiver.so"} {
		if err := t.copy(filepath.Join(lib, name)[1:], filepath.Join(lib, name)); err != nil {
			return image.Image{}, err
		}
	}
	for _, folder := range []string{"/usr/share/postgresql/" + version, "/usr/share/zoneinfo/Etc"} {
		if err := t.folder(folder); err != nil {
			return image.Image{}, err
		}
	}
	return t.image("postgres", v1.ImageConfig{Cmd: []string{"/start"}, StopSignal: "SIGINT"}), nil
}

// RedisImage is the installed Redis.
func RedisImage() (image.Image, error) {
	t := newTree()
	for _, name := range []string{"/usr/bin/redis-server", "/usr/bin/redis-cli"} {
		if err := t.program(name); err != nil {
			return image.Image{}, err
		}
	}
	return t.image("redis", v1.ImageConfig{Cmd: []string{"redis-server"}}), nil
}

// WasmImage is one module of build/example.
func WasmImage(name, module string) (image.Image, error) {
	file, err := image.Copy(name+".wasm", module)
	return image.Image{Name: "docker.io/library/tasks-" + name + ":test", Files: []image.File{file},
		Config: v1.ImageConfig{Entrypoint: []string{"/" + name + ".wasm"}}}, err
}
