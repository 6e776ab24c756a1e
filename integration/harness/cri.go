// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/image"
)

const (
	// Handler is the runtime handler of a node with CRI.
	Handler = "wazero"
	// Pause is the sandbox image that the node's configuration names.
	Pause = "docker.io/library/pause:local"
	// PodNetwork is where the pods' addresses begin, PodBridge their bridge.
	PodNetwork = "10.88.0."
	PodBridge  = "cni0"

	criNamespace = "k8s.io" // containerd's, for all of CRI
)

// routed is a CNI configuration in which all of the pods' traffic goes through the
// host's network, as a service's addresses need.
const routed = `{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipam": {
      "type": "host-local",
      "ranges": [[{"subnet": "` + PodNetwork + `0/24"}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }, {"type": "portmap", "capabilities": {"portMappings": true}}]
}`

// bridged is a CNI configuration: a bridge without masquerading.
const bridged = `{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [{
    "type": "bridge", "bridge": "` + PodBridge + `", "isGateway": true,
    "ipam": {
      "type": "host-local",
      "ranges": [[{"subnet": "` + PodNetwork + `0/24"}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}`

// configureNetwork writes the configuration of the pods' network.
func (n *Node) configureNetwork() error {
	dir := filepath.Join(n.root, "cni")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	config := bridged
	if n.routed {
		config = routed
	}
	return os.WriteFile(filepath.Join(dir, "10-pods.conflist"), []byte(config), 0o644)
}

// configureMirror writes where images are pulled from.
func (n *Node) configureMirror() error {
	if n.mirror == "" {
		return nil
	}
	dir := filepath.Join(n.root, "certs.d", "_default")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	hosts := "[host.\"" + n.mirror + "\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
	return os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(hosts), 0o644)
}

// PauseImage is a sandbox image of this machine's platform with nothing that
// could be run: CRI asks that it names a program, and no more.
func PauseImage() image.Image {
	return image.Image{Name: Pause, OS: "linux", Arch: Architecture(),
		Files:  []image.File{image.Text("README", "nothing here is ever run\n")},
		Config: v1.ImageConfig{Entrypoint: []string{"/pause"}}}
}

// ImportCRI hands images to containerd and waits until CRI knows them.
func (n *Node) ImportCRI(t testing.TB, images ...image.Image) {
	t.Helper()
	for _, img := range images {
		n.Import(t, img)
		var answer *Result
		known := func() bool {
			answer = n.Crictl(t, "inspecti", img.Name)
			return answer.Status == 0
		}
		if !soon(Patience, known) {
			t.Fatalf("CRI does not know %s: %s", img.Name, answer.Stderr)
		}
	}
}

// Crictl runs crictl on the node.
func (n *Node) Crictl(t testing.TB, args ...string) *Result {
	t.Helper()
	return n.crictl(t, "", args)
}

// CrictlStdin is Crictl with something to read.
func (n *Node) CrictlStdin(t testing.TB, stdin string, args ...string) *Result {
	t.Helper()
	return n.crictl(t, stdin, args)
}

func (n *Node) crictl(t testing.TB, stdin string, args []string) *Result {
	t.Helper()
	n.watch(t)
	endpoint := "unix://" + n.Address
	cmd := exec.Command(Built(t, "stack", "crictl", "bin", "crictl"), append([]string{
		"--config", "/dev/null", "--runtime-endpoint", endpoint, "--image-endpoint", endpoint,
		"--timeout", Patience.String()}, args...)...)
	cmd.Env = []string{"PATH=" + n.Path(t), "HOME=/root"}
	cmd.Stdin = strings.NewReader(stdin)
	return Execute(t, cmd)
}

// CrictlJSON runs crictl, which must succeed, and reads its answer.
func (n *Node) CrictlJSON(t testing.TB, into any, args ...string) {
	t.Helper()
	r := n.Crictl(t, args...).Exits(0)
	if err := json.Unmarshal([]byte(r.Stdout), into); err != nil {
		t.Fatalf("crictl %v: %v: %q", args, err, clip(r.Stdout))
	}
}
