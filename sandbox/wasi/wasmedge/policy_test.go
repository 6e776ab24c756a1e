// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"strings"
	"testing"

	stdnet "net"

	"containerd-shim-wazero/sandbox/wasi/policy"
)

// narrowed gives a guest only what the annotations' values grant.
func narrowed(t testing.TB, h host, listen, connect string) host {
	t.Helper()
	var err error
	h.Grants = policy.Grants{}
	if h.Grants.Listen, err = policy.ParseListen(listen); err != nil {
		t.Fatal(err)
	}
	if h.Grants.Connect, err = policy.ParseConnect(connect); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestGuestsWithinThePolicy(t *testing.T) {
	p := start(t, gonet(t, "tcp-echo", "127.0.0.1:0"))
	echo := p.line(t)
	_, port, _ := stdnet.SplitHostPort(echo)
	root := containerRoot(t, "127.0.0.1 localhost\n127.0.0.1 trap.test\n192.0.2.1 far.test\n")
	for _, tc := range []struct {
		name, listen, connect string
		args                  []string
		code                  int
		stderr                string
	}{
		{"nothing granted", "none", "none", []string{"tcp-send", echo, "x"}, 1, "refused: connect tcp " + echo},
		{"granted", "none", echo, []string{"tcp-send", echo, "x"}, 0, ""},
		{"other port", "none", "127.0.0.1:1", []string{"tcp-send", echo, "x"}, 1, "refused: connect tcp"},
		{"by range, host by name", "none", "127.0.0.0/8:" + port, []string{"tcp-send", "localhost:" + port, "x"}, 0, ""},
		{"name of loopback", "none", "trap.test:" + port, []string{"tcp-send", "trap.test:" + port, "x"}, 1, `refused: look-up of "trap.test" to 127.0.0.1`},
		{"no look-up", "none", "none", []string{"tcp-send", "far.test:" + port, "x"}, 1, `refused: look-up of "far.test"`},
		{"unbidden name", "none", "near.test:" + port, []string{"tcp-send", "far.test:" + port, "x"}, 1, `refused: look-up of "far.test"`},
		{"no listening", "none", echo, []string{"tcp-echo", "127.0.0.1:0"}, 1, "refused: listen tcp 127.0.0.1:0"},
		{"other address", "tcp:127.0.0.2:4444", "none", []string{"tcp-echo", "127.0.0.1:4444"}, 1, "refused: listen tcp 127.0.0.1:4444"},
		{"no datagrams", "tcp:4444", "none", []string{"udp-echo", "127.0.0.1:4444"}, 1, "refused: listen udp 127.0.0.1:4444"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := narrowed(t, gonet(t, tc.args...), tc.listen, tc.connect)
			h.Root = root
			out, errs, code := run(t, h)
			if code != tc.code || !strings.Contains(errs, tc.stderr) || code == 0 && out != "x" {
				t.Errorf("%q, %q, exit %d", out, errs, code)
			}
			if tc.code != 0 && !strings.Contains(errs, "Permission denied") {
				t.Errorf("the guest saw %q", errs)
			}
		})
	}
}

func TestUDPServerWithinThePolicy(t *testing.T) {
	at := freePort(t)
	p := start(t, narrowed(t, gonet(t, "udp-echo", at), "udp:"+at, "none"))
	if out, errs, code := run(t, narrowed(t, gonet(t, "udp-send", p.line(t), "hello"), "none", at)); code != 0 || out != "hello" {
		t.Errorf("%q, %q, exit %d", out, errs, code)
	}
}
