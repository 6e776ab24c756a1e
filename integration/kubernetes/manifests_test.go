// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
)

// manifest is what is read here of any object.
type manifest struct {
	Kind  string
	Rules []map[string][]string // of a ClusterRole
	Spec  struct {
		UpdateStrategy struct{ RollingUpdate struct{ MaxUnavailable any } }
		Template       struct{ Spec podSpec }
	}
}

type podSpec struct {
	HostPID, HostIPC, HostNetwork bool
	InitContainers, Containers    []struct {
		Args            []string
		SecurityContext json.RawMessage
		VolumeMounts    []struct{ Name, MountPath string }
	}
	Volumes []struct {
		Name     string
		HostPath *struct{ Path, Type string }
		EmptyDir *struct{}
	}
}

// installerSecurity is all that the installer's container may do, on every cluster.
const installerSecurity = `{
	"runAsUser": 0, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
	"seccompProfile": {"type": "RuntimeDefault"}, "appArmorProfile": {"type": "Unconfined"}, "seLinuxOptions": {"type": "spc_t"}
}`

// TestManifests has each folder of deploy/ ask for its cluster's two folders of the node
// and nothing wider.
func TestManifests(t *testing.T) {
	const (
		own  = "/etc/containerd"
		k3s  = "/var/lib/rancher/k3s/agent/etc/containerd"
		rke2 = "/var/lib/rancher/rke2/agent/etc/containerd"
	)
	for dir, want := range map[string]struct {
		config      string
		args        []string
		unavailable any
	}{
		"deploy":             {own, []string{"install"}, 1.0},
		"deploy/k3s":         {k3s, []string{"install", "-generated", "-config=" + k3s}, 1.0},
		"deploy/rke2":        {rke2, []string{"install", "-generated", "-config=" + rke2}, 1.0},
		"deploy/remove":      {own, []string{"remove"}, "100%"},
		"deploy/remove/k3s":  {k3s, []string{"remove", "-generated", "-config=" + k3s}, "100%"},
		"deploy/remove/rke2": {rke2, []string{"remove", "-generated", "-config=" + rke2}, "100%"},
	} {
		t.Run(dir, func(t *testing.T) {
			objects := kustomized(t, dir)
			kinds := slices.Sorted(maps.Keys(objects))
			if want := []string{"ClusterRole", "ClusterRoleBinding", "DaemonSet", "Namespace", "RuntimeClass",
				"ServiceAccount", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}; !slices.Equal(kinds, want) {
				t.Errorf("the objects are %v", kinds)
			}
			if rules := objects["ClusterRole"].Rules; !reflect.DeepEqual(rules,
				[]map[string][]string{{"apiGroups": {""}, "resources": {"nodes"}, "verbs": {"patch"}}}) {
				t.Errorf("the account may %v", rules)
			}
			set := objects["DaemonSet"].Spec
			if got := set.UpdateStrategy.RollingUpdate.MaxUnavailable; got != want.unavailable {
				t.Errorf("maxUnavailable is %v, want %v", got, want.unavailable)
			}
			set.Template.Spec.holds(t, want.config, want.args)
		})
	}
}

// holds wants one container with these arguments, and the two folders.
func (p podSpec) holds(t *testing.T, config string, args []string) {
	t.Helper()
	if len(p.Containers) != 1 || len(p.InitContainers) != 0 || p.HostNetwork || p.HostIPC || !p.HostPID {
		t.Fatalf("the pod is %+v", p)
	}
	c := p.Containers[0]
	if !slices.Equal(c.Args, args) {
		t.Errorf("the arguments are %q, want %q", c.Args, args)
	}
	var got, want any
	if err := errors.Join(json.Unmarshal(c.SecurityContext, &got), json.Unmarshal([]byte(installerSecurity), &want)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the security context is %v, want %v", got, want)
	}
	volumes := map[string]string{}
	for _, v := range p.Volumes {
		switch {
		case v.HostPath != nil:
			volumes[v.Name] = "of the host: " + v.HostPath.Path + " " + v.HostPath.Type
		case v.EmptyDir != nil:
			volumes[v.Name] = "empty"
		default:
			t.Errorf("volume %s is of another kind", v.Name)
		}
	}
	mounts := map[string]string{}
	for _, m := range c.VolumeMounts {
		mounts[m.MountPath] = volumes[m.Name]
	}
	if expected := map[string]string{
		"/opt/wazero":           "of the host: /opt/wazero DirectoryOrCreate",
		config:                  "of the host: " + config + " DirectoryOrCreate",
		"/run/wazero-installer": "empty",
	}; !maps.Equal(mounts, expected) || len(volumes) != len(expected) {
		t.Errorf("the mounts are %v, want %v", mounts, expected)
	}
}

// kustomized is what `kubectl apply -k` would send, by kind.
func kustomized(t *testing.T, dir string) map[string]manifest {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	kubectl := harness.Built(t, "stack", "kubernetes", "bin", "kubectl")
	text := harness.Execute(t, exec.Command(kubectl, "kustomize", filepath.Join(root, dir))).Exits(0).Stdout
	toJSON := exec.Command(kubectl, "annotate", "--local", "-f", "-", "as=json", "-o", "json") // asks no server
	toJSON.Stdin = strings.NewReader(text)
	objects := map[string]manifest{}
	for d := json.NewDecoder(strings.NewReader(harness.Execute(t, toJSON).Exits(0).Stdout)); ; {
		var m manifest
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		if _, twice := objects[m.Kind]; twice {
			t.Errorf("a second %s", m.Kind)
		}
		objects[m.Kind] = m
	}
}
