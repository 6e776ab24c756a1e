// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package conformance

import (
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

func TestMain(m *testing.M) {
	if harness.Full() {
		cluster.Main(m, "conformance")
	}
	cluster.Main(m)
}

var (
	focus   = flag.String("focus", "", "only the specs whose names match, a regular expression")
	longest = flag.Duration("longest", 50*time.Minute, "when a run of the specs is ended that has not come to its end")
)

// specs are those of nodes, but for features that are off unless asked for.
const specs = "NodeConformance && !Alpha && !BetaOffByDefault"

// TestNodeConformance runs Kubernetes' own tests of nodes, all of whose pods are
// the runtime's. What fails is tried by runc, by which every pod of a second
// cluster is run: what runc passes must pass.
func TestNodeConformance(t *testing.T) {
	if !harness.Full() {
		t.Skip("an hour; set TEST_FULL")
	}
	passed, failed := suite{handler: []harness.Option{harness.WithDefaultHandler()}}.run(t, "wazero")
	if len(passed) == 0 {
		t.Fatal("nothing passed")
	}
	if len(failed) == 0 {
		return
	}
	runc, both := suite{only: slices.Sorted(maps.Keys(failed))}.run(t, "runc")
	for _, name := range slices.Sorted(maps.Keys(both)) {
		t.Logf("fails by runc as well: %s: %s", name, firstLine(both[name]))
	}
	if len(runc) == 0 {
		return
	}
	// Under load a test may fail that does not otherwise: once more.
	_, again := suite{handler: []harness.Option{harness.WithDefaultHandler()}, only: slices.Sorted(maps.Keys(runc))}.run(t, "wazero again")
	for _, name := range slices.Sorted(maps.Keys(again)) {
		t.Errorf("passes by runc and not here: %s: %s", name, firstLine(again[name]))
	}
}

// suite is a run of the tests.
type suite struct {
	handler []harness.Option
	only    []string // specs by their whole name, all unless given
}

// run answers with the specs that passed, and those that did not with what they said.
func (s suite) run(t *testing.T, name string) (passed, failed map[string]string) {
	t.Run(name, func(t *testing.T) {
		c := cluster.New(t, s.handler...)
		dir := t.TempDir()
		list := filepath.Join(dir, "images.yaml")
		if err := os.WriteFile(list, []byte(repoList), 0o644); err != nil {
			t.Fatal(err)
		}
		env := []string{"KUBE_TEST_REPO_LIST=" + list}
		s.images(t, c, env)
		cmd := s.command(t, c, dir)
		cmd.Env = append(append(os.Environ(), c.Command(t).Env...), env...)
		out, err := os.Create(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
		runErr := cmd.Run() // not zero if a spec fails
		passed, failed, _ = harness.Specs(t, filepath.Join(dir, "report.json"))
		if len(passed)+len(failed) == 0 {
			said, _ := os.ReadFile(out.Name())
			t.Fatalf("%v: %s", runErr, said[max(0, len(said)-8000):])
		}
		t.Logf("%d specs passed, %d failed", len(passed), len(failed))
	})
	return passed, failed
}

// images brings those that could be made to the node, and says which could not.
func (s suite) images(t *testing.T, c *cluster.Cluster, env []string) {
	t.Helper()
	made := makeImages(t)
	pause := made["pause"]
	pause.Name = harness.Pause
	c.Node.ImportCRI(t, pause)
	var missing []string
	for _, name := range listed(t, env) {
		img, ok := made[base(name)]
		if !ok || !strings.HasPrefix(name, registry+"/") {
			missing = append(missing, name)
			continue
		}
		img.Name = name
		c.Node.ImportCRI(t, img)
	}
	t.Logf("images that are not there: %v", missing)
}

func (s suite) command(t *testing.T, c *cluster.Cluster, dir string) *exec.Cmd {
	built := func(name string) string { return harness.Built(t, "stack", "conformance", "bin", name) }
	args := []string{"run", "--procs=16", "--no-color", "--timeout=" + longest.String(), "--poll-progress-after=0",
		"--json-report=report.json", "--output-dir=" + dir}
	if len(s.only) > 0 {
		var names []string
		for _, name := range s.only {
			names = append(names, regexp.QuoteMeta(name))
		}
		args = append(args, "--focus=("+strings.Join(names, "|")+")$")
	} else {
		args = append(args, "--label-filter="+specs, "--focus="+*focus)
		if !lowersOOMScore() {
			t.Log("left out: resizing, whose specs want an oom_score_adj that root may not set here")
			args = append(args, "--skip=(?i)resize")
		}
	}
	args = append(args, built("e2e.test"), "--", "--provider=skeleton", "--kubeconfig="+c.Kubeconfig(),
		"--kubectl-path="+harness.Built(t, "stack", "kubernetes", "bin", "kubectl"), "--num-nodes=1",
		"--allowed-not-ready-nodes=0", "--dump-logs-on-failure=false", "--disable-log-dump=true")
	cmd := exec.Command(built("ginkgo"), args...)
	cmd.Dir = dir
	return cmd
}

// lowersOOMScore says that containers may be killed later than others.
func lowersOOMScore() bool {
	const file = "/proc/self/oom_score_adj"
	old, err := os.ReadFile(file)
	if err != nil || os.WriteFile(file, []byte("-997"), 0) != nil {
		return false
	}
	return os.WriteFile(file, old, 0) == nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
