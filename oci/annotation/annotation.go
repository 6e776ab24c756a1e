// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package annotation reads the annotations io.containerd.wazero.v1/…, with
// which the author of a container narrows what it is granted. Their reference
// is docs/capabilities.md.
package annotation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// Prefix begins every annotation of this runtime.
const Prefix = "io.containerd.wazero.v1/"

// The keys, without the prefix.
const (
	keyPreopens   = "preopens"
	keyListen     = "listen"
	keyConnect    = "connect"
	keyTimeout    = "timeout"
	keyCPUTimeout = "cpu-timeout"
)

var known = [...]string{keyPreopens, keyListen, keyConnect, keyTimeout, keyCPUTimeout}

// Grants is what the annotations say. Of the lists nil means that nothing is
// said, an empty one that nothing is granted; a duration of 0 means none.
type Grants struct {
	Preopens   []config.Preopen
	Listen     []policy.ListenRule
	Connect    []policy.ConnectRule
	Timeout    time.Duration
	CPUTimeout time.Duration
}

// Parse reads the annotations of a bundle. Keys without the prefix are not
// looked at; an unknown one with it is an error. In a Kubernetes pod, where all
// containers get the pod's annotations, a key that ends in "." and a
// container's name is for that container alone and wins over the plain key.
func Parse(annotations map[string]string, container string, inPod bool) (Grants, error) {
	keys := make([]string, 0, len(known))
	for key := range annotations {
		if strings.HasPrefix(key, Prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys) // of several mistakes the same one is told every time
	values := make(map[string]string, len(keys))
	for _, key := range keys {
		name, suffix, suffixed := strings.Cut(key[len(Prefix):], ".")
		if !slices.Contains(known[:], name) {
			return Grants{}, fmt.Errorf("unknown annotation %.120q: known are %s%s", key, Prefix, strings.Join(known[:], ", "))
		}
		switch {
		case !suffixed:
			// "preopens" sorts before "preopens.name", which then replaces it.
			values[name] = annotations[key]
		case !inPod:
			return Grants{}, fmt.Errorf("annotation %.120q names a container, as only pods can: write %s%s", key, Prefix, name)
		case suffix == "":
			return Grants{}, fmt.Errorf("annotation %.120q ends without a container's name", key)
		case suffix == container:
			values[name] = annotations[key]
		}
	}
	return parse(values)
}

func parse(values map[string]string) (g Grants, err error) {
	for _, name := range known {
		value, ok := values[name]
		if !ok {
			continue
		}
		switch name {
		case keyPreopens:
			g.Preopens, err = parsePreopens(value)
		case keyListen:
			g.Listen, err = policy.ParseListen(value)
			g.Listen = said(g.Listen)
		case keyConnect:
			g.Connect, err = policy.ParseConnect(value)
			g.Connect = said(g.Connect)
		case keyTimeout:
			g.Timeout, err = ParseTimeout(value)
		case keyCPUTimeout:
			g.CPUTimeout, err = ParseTimeout(value)
		}
		if err != nil {
			return Grants{}, fmt.Errorf("annotation %s%s: %w", Prefix, name, err)
		}
	}
	return g, nil
}

// said turns the nil list that a parser gives for "none" into an empty one.
func said[R any](rules []R) []R {
	if rules == nil {
		return []R{}
	}
	return rules
}

// ParseTimeout reads a deadline like 30s or 1h30m.
func ParseTimeout(value string) (time.Duration, error) {
	d, err := time.ParseDuration(strings.TrimSpace(value))
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a duration like 30s or 1h30m", value)
	}
	if d <= 0 {
		return 0, errors.New("a deadline must be above 0")
	}
	return d, nil
}
