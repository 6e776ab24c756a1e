// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package critest

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// focus is what is run without Full: one part of each of the suite's files, the
// quick ones.
const focus = `runtime info|basic operations on container|basic operations on PodSandbox|` +
	`support RunAsUser|NamespaceOption|execSync|port mapping with only container port|Multiple Containers|` +
	`UserNamespaces|runtime should support starting container with volume|Image consistency`

// TestCritest has every spec that runc passes pass here, in both of containerd's
// ways to make a pod. There is no list of specs to skip.
func TestCritest(t *testing.T) {
	mirror := registry(t)
	node := harness.New(t, harness.DefaultVersion, harness.WithCRI(), harness.WithRoutedPods(), harness.WithMirror(mirror))
	oracle := suite(t, node, "runc")
	if len(oracle.passed) < 9*len(oracle.failed) {
		t.Fatalf("runc itself passes %d specs and fails %d: the suite finds no node as it should be",
			len(oracle.passed), len(oracle.failed))
	}
	t.Run("podsandbox", func(t *testing.T) {
		suite(t, node, harness.Handler).holds(t, oracle)
	})
	t.Run("shim", func(t *testing.T) {
		node := harness.New(t, harness.DefaultVersion, harness.WithCRI(), harness.WithRoutedPods(), harness.WithMirror(mirror), harness.WithSandboxer("shim"))
		suite(t, node, harness.Handler).holds(t, oracle)
	})
}

// registry serves the suite's images and answers where.
func registry(t *testing.T) (url string) {
	t.Helper()
	programs := t.TempDir()
	for _, name := range []string{"nginx", "nonewprivs"} {
		build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(programs, name), "./"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v: %s", name, err, out)
		}
	}
	images, err := images(programs)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := image.NewRegistry(images...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// A result is what one run of the suite says, spec by spec.
type result struct {
	passed, failed, skipped map[string]string // with what they said
}

// holds has everything pass that the oracle passed, and prints both, by name.
func (r result) holds(t *testing.T, oracle result) {
	t.Logf("runc passes %d and fails %d, %s passes %d and fails %d",
		len(oracle.passed), len(oracle.failed), harness.Handler, len(r.passed), len(r.failed))
	t.Logf("both pass:\n\t%s", strings.Join(common(r.passed, oracle.passed), "\n\t"))
	t.Logf("neither runs:\n\t%s", strings.Join(common(r.skipped, oracle.skipped), "\n\t"))
	for name := range oracle.passed {
		if _, ok := r.passed[name]; !ok {
			t.Errorf("runc passes, %s does not: %s: %s", harness.Handler, name, r.failed[name])
		}
	}
	for name, reason := range oracle.failed {
		_, ok := r.passed[name]
		t.Logf("runc does not pass: %s: %s; %s passes: %t", name, reason, harness.Handler, ok)
	}
}

// common are the names in both, sorted, with what the first has of them.
func common(a, b map[string]string) (names []string) {
	for name, said := range a {
		if _, both := b[name]; !both {
			continue
		}
		if said != "" {
			name += ": " + said
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// suite runs critest with a runtime handler.
func suite(t *testing.T, node *harness.Node, handler string) result {
	t.Helper()
	dir := t.TempDir()
	report := filepath.Join(dir, "report.json")
	endpoint := "unix://" + node.Address
	args := []string{
		"-config", filepath.Join(dir, "none.yaml"), "-runtime-endpoint", endpoint, "-image-endpoint", endpoint,
		"-runtime-handler", handler, "-ginkgo.json-report", report, "-ginkgo.seed", "1", "-ginkgo.no-color",
	}
	if !harness.Full() {
		args = append(args, "-ginkgo.focus", focus)
	}
	if err := os.WriteFile(filepath.Join(dir, "none.yaml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(harness.Built(t, "stack", "critest", "bin", "critest"), args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + node.Path(t), "HOME=" + dir}
	out, err := cmd.CombinedOutput() // it fails where a spec does
	var r result
	if r.passed, r.failed, r.skipped = harness.Specs(t, report); len(r.passed) == 0 {
		t.Fatalf("critest with %s ran no spec: %v: %s", handler, err, out[max(0, len(out)-4096):])
	}
	return r
}
