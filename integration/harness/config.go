// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"path/filepath"
	"strings"
)

// config is containerd's configuration file. Its versions moved the sockets
// (2.3) and the CRI plugin (2.0).
func (n *Node) config() []byte {
	sections := []string{n.configBase(), n.configSockets()}
	if n.cri {
		sections = append(sections, n.configCRI(), n.configPulls())
		if n.plain == "" {
			sections = append(sections, n.configHandler())
		}
	}
	text := strings.Join(sections, "")
	return []byte(strings.NewReplacer("$ROOT", n.root, "$STATE", n.state).Replace(text))
}

// configFile is where the node has its configuration.
func (n *Node) configFile() string {
	if n.plain != "" {
		return PlainConfig
	}
	return filepath.Join(n.root, "config.toml")
}

// configVersion is the newest version of the file that the node understands, or
// the one that was asked for.
func (n *Node) configVersion() string {
	if n.plain != "" {
		return n.plain
	}
	switch n.Version {
	case "1.7":
		return "2"
	case "2.0", "2.2":
		return "3"
	}
	return "4"
}

func (n *Node) configBase() string {
	disabled := []string{"snapshotter.v1.btrfs", "snapshotter.v1.zfs", "snapshotter.v1.blockfile",
		"snapshotter.v1.devmapper", "snapshotter.v1.aufs", "snapshotter.v1.erofs"}
	if !n.cri {
		disabled = append(disabled, "grpc.v1.cri", "cri.v1.images", "cri.v1.runtime", "podsandbox.controller")
	}
	var imports string
	if n.plain > "2" { // as `containerd config default` has it
		imports = `imports = ["/etc/containerd/conf.d/*.toml"]` + "\n"
	}
	return `version = ` + n.configVersion() + `
` + imports + `root = "$ROOT/root"
state = "$STATE/state"
disabled_plugins = ["io.containerd.` + strings.Join(disabled, `", "io.containerd.`) + `"]
[plugins."io.containerd.internal.v1.opt"]
  path = "$ROOT/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
`
}

func (n *Node) configSockets() string {
	if n.configVersion() == "4" {
		return `[plugins."io.containerd.server.v1.grpc"]
  address = "$STATE/containerd.sock"
[plugins."io.containerd.server.v1.ttrpc"]
  address = "$STATE/containerd.sock.ttrpc"
`
	}
	return `[grpc]
  address = "$STATE/containerd.sock"
[ttrpc]
  address = "$STATE/containerd.sock.ttrpc"
`
}

func (n *Node) configCRI() string {
	if n.configVersion() == "2" {
		return `[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/pause:local"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$ROOT/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "` + RuncRuntime + `"
`
	}
	var more string
	if n.byDefault {
		more = `[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "` + Handler + `"
`
	}
	return more + `[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "docker.io/library/pause:local"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  ` + n.cniBin() + `
  conf_dir = "$ROOT/cni"
`
}

// configPulls is how CRI pulls images.
func (n *Node) configPulls() string {
	images := `[plugins."io.containerd.cri.v1.images"`
	if n.configVersion() == "2" {
		images = `[plugins."io.containerd.grpc.v1.cri"`
	}
	var text string
	if n.local {
		text = images + "]\n  use_local_image_pull = true\n"
	}
	if n.mirror != "" {
		text += images + ".registry]\n  config_path = \"$ROOT/certs.d\"\n"
	}
	return text
}

// configHandler is the runtime's.
func (n *Node) configHandler() string {
	if n.configVersion() == "2" {
		return `[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.wazero]
  runtime_type = "` + Runtime + `"
  pod_annotations = ["` + Runtime + `/*"]
  container_annotations = ["` + Runtime + `/*"]
`
	}
	return `[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.wazero]
  runtime_type = "` + Runtime + `"
  sandboxer = "` + n.sandboxer + `"
  pod_annotations = ["` + Runtime + `/*"]
  container_annotations = ["` + Runtime + `/*"]
`
}

// cniBin is the place of the network plugins, a list since 2.2.
func (n *Node) cniBin() string {
	if n.Version == "2.0" {
		return `bin_dir = "/usr/lib/cni"`
	}
	return `bin_dirs = ["/usr/lib/cni"]`
}
