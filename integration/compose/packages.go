// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package compose tests the example stack, examples/compose, under the real
// Docker Engine and Compose. Nothing is pulled: PostgreSQL and Redis come from
// the machine's own packages. The images and the client of the api serve the tests
// of examples/kubernetes too.
package compose

import (
	"fmt"
	"path/filepath"
	"runtime"

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

// packaged is an image of what was collected.
func packaged(t *image.Tree, name string, config v1.ImageConfig) image.Image {
	config.Env = append(config.Env, "PATH=/usr/bin:/bin")
	return image.Image{Name: "docker.io/library/" + name + ":test", OS: "linux", Arch: runtime.GOARCH,
		Files: t.Files, Config: config}
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

	t := image.NewTree()
	t.Add(image.Text("etc/passwd", "root:x:0:0:root:/:/bin/sh\npostgres:x:999:999:postgres:/:/bin/sh\n"))
	t.Add(image.Text("etc/group", "root:x:0:\npostgres:x:999:\n"))
	t.Add(image.File{Path: "start", Body: []byte(start), Mode: 0o755})
	if err := t.Copy("bin/busybox", "/bin/busybox"); err != nil {
		return image.Image{}, err
	}
	for _, name := range []string{"sh", "su", "mkdir", "chown", "chmod", "tr", "rm", "sleep"} {
		t.Add(image.Link("bin/"+name, "busybox"))
	}
	// They look for their libraries and shared files relative to themselves.
	for _, name := range []string{"postgres", "initdb", "pg_isready", "psql"} {
		path := filepath.Join(bin, name)
		if err := t.Copy(path[1:], path); err != nil {
			return image.Image{}, err
		}
		if err := t.Libraries(path); err != nil {
			return image.Image{}, err
		}
		t.Add(image.Link("usr/bin/"+name, path))
	}
	for _, name := range []string{"dict_snowball.so", "plpgsql.so", "libpqwalreceiver.so"} {
		if err := t.Copy(filepath.Join(lib, name)[1:], filepath.Join(lib, name)); err != nil {
			return image.Image{}, err
		}
	}
	for _, folder := range []string{"/usr/share/postgresql/" + version, "/usr/share/zoneinfo/Etc"} {
		if err := t.Folder(folder); err != nil {
			return image.Image{}, err
		}
	}
	return packaged(t, "postgres", v1.ImageConfig{Cmd: []string{"/start"}, StopSignal: "SIGINT"}), nil
}

// RedisImage is the installed Redis.
func RedisImage() (image.Image, error) {
	t := image.NewTree()
	for _, name := range []string{"/usr/bin/redis-server", "/usr/bin/redis-cli"} {
		if err := t.Program(name); err != nil {
			return image.Image{}, err
		}
	}
	return packaged(t, "redis", v1.ImageConfig{Cmd: []string{"redis-server"}}), nil
}

// WasmImage is one module of build/example.
func WasmImage(name, module string) (image.Image, error) {
	file, err := image.Copy(name+".wasm", module)
	return image.Image{Name: "docker.io/library/tasks-" + name + ":test", Files: []image.File{file},
		Config: v1.ImageConfig{Entrypoint: []string{"/" + name + ".wasm"}}}, err
}
