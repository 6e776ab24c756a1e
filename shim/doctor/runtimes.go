// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"containerd-shim-wazero/oci/settings"
	"containerd-shim-wazero/shim/version"
)

// dockerRuntime is an entry of daemon.json's "runtimes".
type dockerRuntime struct {
	Path    string `json:"path"`
	Type    string `json:"runtimeType"`
	Options struct {
		ConfigPath string
	} `json:"options"`
}

// registered looks at the names that daemon.json's text gives to this shim.
func (e *engine) registered(config dockerConfig, text []byte) (all []Finding) {
	var file struct{ Runtimes map[string]dockerRuntime }
	if len(text) > 0 {
		if err := json.Unmarshal(text, &file); err != nil {
			return []Finding{{Note, "runtimes", fmt.Sprintf("%s: %v", config.shown, err), "mend the file"}}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(file.Runtimes)) {
		r := file.Runtimes[name]
		if !r.meant() {
			continue
		}
		f := r.usable(name)
		if _, known := e.Runtimes[name]; !known && f.Level == Fine {
			f = Finding{Missing, "runtime " + name, fmt.Sprintf("is in %s, and dockerd has not read it", config.shown), "restart Docker"}
		}
		all = append(all, f)
	}
	if all == nil {
		all = append(all, fine("runtimes", "%s gives this shim no name of its own, and --runtime=%s needs none", config.shown, version.Name))
	}
	return all
}

// meant says that an entry is for this shim, right or wrong.
func (r dockerRuntime) meant() bool {
	return strings.Contains(r.Path, "wazero") || strings.Contains(r.Type, "wazero")
}

// usable says whether containers can be run by that name.
func (r dockerRuntime) usable(name string) Finding {
	subject := "runtime " + name
	const mend = `write "runtimeType": "` + version.Name + `", or the binary's absolute path`
	switch {
	case r.Path != "":
		return Finding{Missing, subject, fmt.Sprintf(`%s is its "path", which is for programs with runc's command line`, r.Path), mend}
	case filepath.IsAbs(r.Type) && !executable(r.Type):
		return Finding{Missing, subject, r.Type + " is no program", mend}
	case !filepath.IsAbs(r.Type) && r.Type != version.Name:
		return Finding{Missing, subject, fmt.Sprintf("%q is no type of this shim's", r.Type), mend}
	}
	if r.Options.ConfigPath == "" {
		return fine(subject, "is %s", r.Type)
	}
	if _, err := settings.Load(r.Options.ConfigPath); err != nil {
		return Finding{Missing, subject, err.Error(), "write that file, or mend what is wrong in it"}
	}
	return fine(subject, "is %s, with %s", r.Type, r.Options.ConfigPath)
}
