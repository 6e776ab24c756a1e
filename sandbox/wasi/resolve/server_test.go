// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// server answers DNS at one address by UDP and TCP. The handler gets the query
// and returns the replies to send, in order.
type server struct {
	addr   netip.AddrPort
	handle func(query []byte, tcp bool) [][]byte

	mu    sync.Mutex
	asked []string // name/type/transport
}

func (s *server) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// serve starts a server at ip and port (0: any).
func serve(t *testing.T, ip string, port uint16, handle func(query []byte, tcp bool) [][]byte) *server {
	t.Helper()
	s := &server{handle: handle}
	var udp net.PacketConn
	var tcp net.Listener
	var err error
	for range 20 { // until a port is free for both
		if udp, err = net.ListenPacket("udp", fmt.Sprintf("%s:%d", ip, port)); err != nil {
			t.Fatal(err)
		}
		s.addr = udp.LocalAddr().(*net.UDPAddr).AddrPort()
		if tcp, err = net.Listen("tcp", s.addr.String()); err == nil {
			break
		}
		udp.Close()
	}
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
			for _, reply := range s.answer(append([]byte(nil), buf[:n]...), false) {
				udp.WriteTo(reply, from)
			}
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go s.serveTCP(c)
		}
	}()
	return s
}

func (s *server) serveTCP(c net.Conn) {
	defer c.Close()
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(c, query); err != nil {
		return
	}
	for _, reply := range s.answer(query, true) {
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	}
}

func (s *server) answer(query []byte, tcp bool) [][]byte {
	q := parseQuery(query)
	s.mu.Lock()
	s.asked = append(s.asked, fmt.Sprintf("%s/%s/%s", strings.TrimSuffix(q.Name.String(), "."),
		strings.TrimPrefix(q.Type.String(), "Type"), map[bool]string{false: "udp", true: "tcp"}[tcp]))
	s.mu.Unlock()
	return s.handle(query, tcp)
}

func parseQuery(query []byte) dnsmessage.Question {
	var p dnsmessage.Parser
	if _, err := p.Start(query); err != nil {
		return dnsmessage.Question{}
	}
	q, _ := p.Question()
	return q
}

// reply makes an answer to a query with records as "owner TYPE value".
func reply(query []byte, edit func(*dnsmessage.Message), records ...string) []byte {
	var in dnsmessage.Message
	if err := in.Unpack(query); err != nil {
		panic(err)
	}
	out := dnsmessage.Message{Questions: in.Questions}
	out.Header = dnsmessage.Header{ID: in.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}
	for _, r := range records {
		f := strings.Fields(r)
		h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(f[0] + "."), Class: dnsmessage.ClassINET, TTL: 1}
		var body dnsmessage.ResourceBody
		switch f[1] {
		case "A":
			body = &dnsmessage.AResource{A: netip.MustParseAddr(f[2]).As4()}
		case "AAAA":
			body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(f[2]).As16()}
		case "CNAME":
			body = &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(f[2] + ".")}
		case "TXT":
			body = &dnsmessage.TXTResource{TXT: f[2:]}
		}
		out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: body})
	}
	if edit != nil {
		edit(&out)
	}
	msg, err := out.Pack()
	if err != nil {
		panic(err)
	}
	return msg
}

func rcode(c dnsmessage.RCode) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) { m.RCode = c }
}

// zone answers from a list of records, following nothing itself.
func zone(records ...string) func([]byte, bool) [][]byte {
	return func(query []byte, _ bool) [][]byte {
		q := parseQuery(query)
		name := strings.TrimSuffix(q.Name.String(), ".")
		var found []string
		known := false
		for _, r := range records {
			f := strings.Fields(r)
			if equalFold(f[0], name) {
				known = true
				if "Type"+f[1] == q.Type.String() {
					found = append(found, r)
				}
			}
		}
		if !known {
			return [][]byte{reply(query, rcode(dnsmessage.RCodeNameError))}
		}
		return [][]byte{reply(query, nil, found...)}
	}
}

func silent([]byte, bool) [][]byte { return nil }

// files makes a resolver over the texts of hosts and resolv.conf, with a second
// of 100 ms.
func files(port uint16, hosts, resolv string) *Resolver {
	r := New(func(path string, limit int) ([]byte, error) {
		switch path {
		case hostsPath:
			return []byte(hosts), nil
		case resolvPath:
			return []byte(resolv), nil
		}
		return nil, os.ErrNotExist
	})
	r.unit, r.port = 100*time.Millisecond, port
	return r
}
