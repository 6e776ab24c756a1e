// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
)

var (
	digestA = "sha256:" + strings.Repeat("a", 64)
	digestB = "sha256:" + strings.Repeat("b", 64)
	digestC = "sha256:" + strings.Repeat("c", 64)
)

// says reports a test's failure unless the error has the words, or is none
// where there are none.
func says(t *testing.T, err error, words string) {
	t.Helper()
	switch {
	case words == "" && err != nil:
		t.Errorf("error %v", err)
	case words != "" && (err == nil || !strings.Contains(err.Error(), words)):
		t.Errorf("error %v, want %q", err, words)
	}
}

func TestParseIndex(t *testing.T) {
	entry := func(os, arch string) string {
		return `{"digest":"` + os + "/" + arch + `","platform":{"os":"` + os + `","architecture":"` + arch + `"}}`
	}
	host := entry(runtime.GOOS, runtime.GOARCH)
	for name, c := range map[string]struct {
		entries []string
		want    []string
	}{
		"nothing":       {nil, nil},
		"wasm first":    {[]string{host, entry("linux", "wasm"), entry("wasip1", "wasm"), entry("wasi", "wasm")}, []string{"wasi/wasm", "wasip1/wasm", "linux/wasm", runtime.GOOS + "/" + runtime.GOARCH}},
		"not for here":  {[]string{entry("linux", "s390x"), entry("windows", "amd64"), entry("unknown", "unknown")}, nil},
		"no platform":   {[]string{`{"digest":"plain"}`, host}, []string{runtime.GOOS + "/" + runtime.GOARCH, "plain"}},
		"more than one": {slices.Repeat([]string{host}, 100), slices.Repeat([]string{runtime.GOOS + "/" + runtime.GOARCH}, maxCandidates)},
	} {
		got, err := parseIndex([]byte(`{"manifests":[` + strings.Join(c.entries, ",") + `]}`))
		says(t, err, "")
		var digests []string
		for _, d := range got {
			digests = append(digests, string(d.Digest))
		}
		if !slices.Equal(digests, c.want) {
			t.Errorf("%s: %q, want %q", name, digests, c.want)
		}
	}
	_, err := parseIndex([]byte(`[]`))
	says(t, err, "image index: ")
}

func TestParseManifest(t *testing.T) {
	layer := func(mediaType, digest, size string) string {
		return `{"mediaType":"` + mediaType + `","digest":"` + digest + `","size":` + size + `}`
	}
	const ordinary = "application/vnd.oci.image.layer.v1.tar+gzip"
	for name, c := range map[string]struct {
		layers []string
		want   *Blob
		says   string
	}{
		"image":     {[]string{layer(ordinary, digestA, "1")}, nil, ""},
		"wasm":      {[]string{layer("application/wasm", digestA, "7")}, &Blob{digestA, 7}, ""},
		"content":   {[]string{layer(ordinary, digestA, "1"), layer("application/vnd.wasm.content.layer.v1+wasm", digestB, "0")}, &Blob{digestB, 0}, ""},
		"component": {[]string{layer("application/vnd.bytecodealliance.wasm.component.layer.v0+wasm", digestB, "3")}, &Blob{digestB, 3}, ""},
		"two":       {[]string{layer("application/wasm", digestA, "1"), layer("application/wasm", digestB, "1")}, nil, "several modules"},
		"no digest": {[]string{layer("application/wasm", "sha512:ab", "1")}, nil, "no sha256 digest"},
		"a path":    {[]string{layer("application/wasm", "sha256:../../"+strings.Repeat("a", 58), "1")}, nil, "no sha256 digest"},
		"negative":  {[]string{layer("application/wasm", digestA, "-1")}, nil, "the size -1"},
		"no layers": {nil, nil, ""},
		"not one":   {[]string{"7"}, nil, "image manifest: "},
	} {
		t.Run(name, func(t *testing.T) {
			configuration, module, err := parseManifest([]byte(`{"config":{"digest":"` + digestC + `"},"layers":[` + strings.Join(c.layers, ",") + `]}`))
			says(t, err, c.says)
			if err == nil && (!reflect.DeepEqual(module, c.want) || string(configuration.Digest) != digestC) {
				t.Errorf("%+v, %+v", configuration, module)
			}
		})
	}
}

func TestParseConfig(t *testing.T) {
	ports, chain, err := parseConfig([]byte(`{"config":{"ExposedPorts":{"8080/tcp":{},"53/udp":{}}},"rootfs":{"diff_ids":["` + digestA + `"]}}`))
	if err != nil || !slices.Equal(ports, []string{"53/udp", "8080/tcp"}) || chain != digestA {
		t.Errorf("%q %q %v", ports, chain, err)
	}
	if ports, chain, err := parseConfig([]byte(`{"layerDigests":[]}`)); err != nil || len(ports) != 0 || chain != "" {
		t.Errorf("another's configuration: %q %q %v", ports, chain, err)
	}
	_, _, err = parseConfig([]byte(`{"config":7}`))
	says(t, err, "image configuration: ")
}

// TestChainID compares with the image specification's own package.
func TestChainID(t *testing.T) {
	ids := []string{digestA, digestB, digestC}
	for n := range len(ids) + 1 {
		var list []digest.Digest
		for _, id := range ids[:n] {
			list = append(list, digest.Digest(id))
		}
		if got, want := chainID(ids[:n]), string(identity.ChainID(list)); got != want {
			t.Errorf("of %d: %s, want %s", n, got, want)
		}
	}
}

// FuzzManifest: whatever a document is, it is understood or refused.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"digest":"` + digestA + `","size":1,"platform":{"os":"wasi","architecture":"wasm"}}]}`))
	f.Add([]byte(`{"config":{"digest":"` + digestA + `"},"layers":[{"mediaType":"application/wasm","digest":"` + digestB + `","size":2}]}`))
	f.Add([]byte(`{"config":{"ExposedPorts":{"80/tcp":{}}},"rootfs":{"diff_ids":["` + digestA + `","` + digestB + `"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, err := parseIndex(data); err == nil && len(list) > maxCandidates {
			t.Errorf("%d candidates", len(list))
		}
		if _, module, err := parseManifest(data); err == nil && module != nil && module.check() != nil {
			t.Errorf("module %+v", module)
		}
		if ports, _, err := parseConfig(data); err == nil && !slices.IsSorted(ports) {
			t.Errorf("ports %q", ports)
		}
	})
}
