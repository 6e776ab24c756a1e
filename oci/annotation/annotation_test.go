// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package annotation

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

func TestParse(t *testing.T) {
	port := func(n uint16) []policy.ListenRule { return []policy.ListenRule{{Proto: policy.TCP, Port: n}} }
	for name, c := range map[string]struct {
		in        map[string]string // keys without the prefix
		container string
		inPod     bool
		want      Grants
		says      string
	}{
		"none":      {},
		"deadlines": {in: map[string]string{"timeout": "1h30m", "cpu-timeout": " 30s "}, want: Grants{Timeout: 90 * time.Minute, CPUTimeout: 30 * time.Second}},
		"listen":    {in: map[string]string{"listen": "tcp:80"}, want: Grants{Listen: port(80)}},
		"nothing":   {in: map[string]string{"listen": "none", "connect": "none", "preopens": "none"}, want: Grants{Listen: []policy.ListenRule{}, Connect: []policy.ConnectRule{}, Preopens: []config.Preopen{}}},
		"connect":   {in: map[string]string{"connect": "postgres:5432"}, want: Grants{Connect: []policy.ConnectRule{{Name: "postgres", Port: 5432}}}},

		"mine wins":                 {in: map[string]string{"listen": "tcp:80", "listen.web": "tcp:81"}, container: "web", inPod: true, want: Grants{Listen: port(81)}},
		"another's":                 {in: map[string]string{"listen": "tcp:80", "listen.db": "tcp:81"}, container: "web", inPod: true, want: Grants{Listen: port(80)}},
		"mine alone":                {in: map[string]string{"cpu-timeout.web": "1s"}, container: "web", inPod: true, want: Grants{CPUTimeout: time.Second}},
		"mine mends":                {in: map[string]string{"timeout": "bad", "timeout.web": "1s"}, container: "web", inPod: true, want: Grants{Timeout: time.Second}},
		"the pod itself":            {in: map[string]string{"listen": "tcp:80", "listen.web": "tcp:81"}, inPod: true, want: Grants{Listen: port(80)}},
		"no pod":                    {in: map[string]string{"listen.web": "tcp:81"}, says: `annotation "io.containerd.wazero.v1/listen.web" names a container, as only pods can: write io.containerd.wazero.v1/listen`},
		"no name":                   {in: map[string]string{"listen.": "tcp:81"}, inPod: true, says: "without a container's name"},
		"unknown":                   {in: map[string]string{"net": "x"}, says: `unknown annotation "io.containerd.wazero.v1/net": known are io.containerd.wazero.v1/preopens, listen, connect, timeout, cpu-timeout`},
		"unknown of mine":           {in: map[string]string{"net.web": "x"}, container: "web", inPod: true, says: "unknown annotation"},
		"case":                      {in: map[string]string{"Listen": "none"}, says: "unknown annotation"},
		"no key":                    {in: map[string]string{"": "x"}, says: "unknown annotation"},
		"the first of two mistakes": {in: map[string]string{"b": "", "a": ""}, says: `"io.containerd.wazero.v1/a"`},

		"bad listen":  {in: map[string]string{"listen": "80"}, says: "annotation io.containerd.wazero.v1/listen: "},
		"empty":       {in: map[string]string{"connect": ""}, says: "annotation io.containerd.wazero.v1/connect: "},
		"no duration": {in: map[string]string{"timeout": "30"}, says: `annotation io.containerd.wazero.v1/timeout: "30" is not a duration like 30s or 1h30m`},
		"zero":        {in: map[string]string{"timeout": "0s"}, says: "must be above 0"},
		"negative":    {in: map[string]string{"cpu-timeout": "-1s"}, says: "must be above 0"},
	} {
		t.Run(name, func(t *testing.T) {
			annotations := map[string]string{"other.example/listen": "x"}
			for k, v := range c.in {
				annotations[Prefix+k] = v
			}
			got, err := Parse(annotations, c.container, c.inPod)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Fatalf("error %v, want %q", err, c.says)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestPreopens(t *testing.T) {
	var many []string
	for i := range maxPreopens {
		many = append(many, fmt.Sprintf("/%d", i))
	}
	for value, c := range map[string]struct {
		want []config.Preopen
		says string
	}{
		"/data:ro, /tmp,/srv/site=/www:ro": {want: []config.Preopen{
			{Path: "/data", Name: "/data", ReadOnly: true}, {Path: "/tmp", Name: "/tmp"}, {Path: "/srv/site", Name: "/www", ReadOnly: true}}},
		"/":                                {want: []config.Preopen{{Path: "/", Name: "/"}}},
		"/w=.,/tmp":                        {want: []config.Preopen{{Path: "/w", Name: "."}, {Path: "/tmp", Name: "/tmp"}}},
		" none ":                           {want: []config.Preopen{}},
		"":                                 {says: "is not an absolute path"},
		"/a,":                              {says: "is not an absolute path"},
		"a":                                {says: "is not an absolute path"},
		"/a/../b":                          {says: "without . and .."},
		"/a/":                              {says: "without . and .."},
		"/a:rw":                            {says: "the only mode is ro"},
		"/a:":                              {says: "the only mode is ro"},
		"/a=":                              {says: "the guest's name"},
		"/a=b":                             {says: "the guest's name"},
		"/a=/b=/c":                         {want: []config.Preopen{{Path: "/a", Name: "/b=/c"}}},
		"/a,/b=/a":                         {says: `two directories are named "/a"`},
		"/=/,/w=.":                         {says: "cannot both be names"},
		"/a\x00":                           {says: "is not an absolute path"},
		"/" + strings.Repeat("x", 4096):    {says: "is not an absolute path"},
		strings.Join(many, ","):            {},
		strings.Join(many, ",") + ",/more": {says: "more than 64 directories"},
	} {
		got, err := parsePreopens(value)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%.40q: error %v, want %q", value, err, c.says)
		}
		if c.want != nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%.40q: %+v", value, got)
		}
	}
}

// TestReference: each annotation has its line in docs/capabilities.md.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("../../docs/capabilities.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range known {
		if !strings.Contains(string(data), "\n| `"+key+"` |") {
			t.Errorf("%s has no line", key)
		}
	}
}

// FuzzAnnotations: whatever a value is, there are grants or a sentence.
func FuzzAnnotations(f *testing.F) {
	f.Add("preopens", "/data:ro,/tmp,/srv/site=/www:ro")
	f.Add("listen", "tcp:8080,udp:53,tcp:127.0.0.1:9000,unix:/run/s")
	f.Add("connect.web", "postgres:5432,10.0.0.0/8:443,*.example.com:443,[::1]:80")
	f.Add("timeout", "30s")
	f.Add("cpu-timeout.", "none")
	f.Fuzz(func(t *testing.T, key, value string) {
		g, err := Parse(map[string]string{Prefix + key: value}, "web", true)
		if err != nil {
			if len(err.Error()) > 4096 { // a rule of bytes that are all escaped
				t.Errorf("a sentence of %d bytes", len(err.Error()))
			}
			return
		}
		if g.Timeout < 0 || g.CPUTimeout < 0 || len(g.Preopens) > maxPreopens || len(g.Listen) > policy.MaxRules || len(g.Connect) > policy.MaxRules {
			t.Errorf("grants %+v", g)
		}
		for _, p := range g.Preopens {
			if !cleanPath(p.Path) || p.Name == "" {
				t.Errorf("preopen %+v", p)
			}
		}
	})
}
