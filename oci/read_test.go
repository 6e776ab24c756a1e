// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestDecodesAsTheSpecification: only what is said of other systems is left out.
func TestDecodesAsTheSpecification(t *testing.T) {
	names, err := filepath.Glob("testdata/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d specifications (%v)", len(names), err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := new(specs.Spec)
		if err := json.Unmarshal(data, want); err != nil {
			t.Fatal(err)
		}
		more := `{"WINDOWS":{"layerFolders":["x"]},"vm":{"kernel":{"path":"k"}},"solaris":null,` + strings.TrimSpace(string(data))[1:]
		for _, text := range []string{string(data), more} {
			if got, err := decode([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
	}
	if spec, err := decode([]byte(`{"Hostname":"h","LINUX":{"cgroupspath":"p"}}`)); err != nil || spec.Hostname != "h" || spec.Linux.CgroupsPath != "p" {
		t.Errorf("names in other letters: %+v, %v", spec, err)
	}
}

// TestOtherSystems: the parts that are left out are those that the
// specification marks for other systems.
func TestOtherSystems(t *testing.T) {
	left := reflect.TypeFor[configuration]()
	spec := reflect.TypeFor[specs.Spec]()
	others := 0
	for i := range spec.NumField() {
		f := spec.Field(i)
		systems := f.Tag.Get("platform")
		if systems == "" || strings.Contains(systems, "linux") {
			continue
		}
		others++
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if own, ok := left.FieldByName(f.Name); !ok || len(own.Index) != 1 || own.Tag.Get("json") != name {
			t.Errorf("%s of %s is prepared for", f.Name, systems)
		}
	}
	if others != left.NumField()-1 {
		t.Errorf("%d parts are left out, %d are of other systems", left.NumField()-1, others)
	}
}
