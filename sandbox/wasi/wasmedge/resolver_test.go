// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"encoding/binary"
	"fmt"
	"io"
	stdnet "net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"containerd-shim-wazero/sandbox/wasi/policy"
)

// nameServer answers every question for an A record of a name below .test with
// 127.0.0.1, and for others with none, at port 53 of a loopback address of its
// own. The behaviour changes how.
func nameServer(t testing.TB, ip, behaviour string) {
	t.Helper()
	udp, err := stdnet.ListenPacket("udp", ip+":53")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := stdnet.Listen("tcp", ip+":53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			switch behaviour {
			case "silent":
				continue
			case "poisoned":
				udp.WriteTo(answer(buf[:n], func(m *dnsmessage.Message) { m.ID++ }, 6), from)
			case "truncating":
				udp.WriteTo(answer(buf[:n], func(m *dnsmessage.Message) { m.Truncated, m.Answers = true, nil }, 6), from)
				continue
			}
			udp.WriteTo(answer(buf[:n], nil, 127), from)
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var head [2]byte
				for {
					if _, err := io.ReadFull(c, head[:]); err != nil {
						return
					}
					query := make([]byte, binary.BigEndian.Uint16(head[:]))
					if _, err := io.ReadFull(c, query); err != nil {
						return
					}
					reply := answer(query, nil, 127)
					c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
				}
			}()
		}
	}()
}

// answer is a reply whose address begins with first, and ends in .0.0.1.
func answer(query []byte, edit func(*dnsmessage.Message), first byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if !strings.HasSuffix(q.Name.String(), ".test.") {
		m.RCode = dnsmessage.RCodeNameError
	} else if q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class},
			Body:   &dnsmessage.AResource{A: [4]byte{first, 0, 0, 1}},
		}}
	}
	if edit != nil {
		edit(&m)
	}
	reply, err := m.Pack()
	if err != nil {
		return nil
	}
	return reply
}

// Guests look names up by name servers of every kind: with the extension's own
// look-up, and with Go's resolver, which asks the servers itself.
func TestGuestsLookUp(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: name servers at port 53 need root")
	}
	p := start(t, gonet(t, "tcp-echo", "127.0.0.1:0"))
	_, port, _ := stdnet.SplitHostPort(p.line(t))
	// Addresses of this process's own.
	ip := func(n int) string { return fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()>>8&63, os.Getpid()&255, n) }
	for i, behaviour := range []string{"plain", "silent", "truncating", "poisoned"} {
		nameServer(t, ip(i+1), behaviour)
	}
	for _, tc := range []struct {
		name, conf string
		code       int
	}{
		{"plain", "nameserver " + ip(1), 0},
		{"truncating", "nameserver " + ip(3), 0},
		{"poisoned", "nameserver " + ip(4), 0},
		{"refusing, then plain", "nameserver " + ip(99) + "\nnameserver " + ip(1), 0},
		{"silent, then plain", "nameserver " + ip(2) + "\nnameserver " + ip(1) + "\noptions timeout:1", 0},
		{"silent", "nameserver " + ip(2) + "\noptions timeout:1 attempts:1", 1},
	} {
		for _, tags := range []string{"getaddrinfo", "none"} {
			t.Run(tc.name+"/"+tags, func(t *testing.T) {
				root := containerRoot(t, "127.0.0.1 localhost\n")
				if err := os.WriteFile(filepath.Join(root, "etc/resolv.conf"), []byte(tc.conf+"\nsearch test\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"echo.test", "echo"} {
					h := host{Wasm: build(t, "gonet", tags), Grants: policy.Free(), Root: root,
						Args: []string{"gonet", "tcp-send", name + ":" + port, "x"}}
					if out, errs, code := run(t, h); code != tc.code || code == 0 && out != "x" {
						t.Errorf("%s: %q, %q, exit %d", name, out, errs, code)
					}
				}
			})
		}
	}
}
