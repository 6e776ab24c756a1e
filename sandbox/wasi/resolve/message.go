// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"errors"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	maxRecords = 1024 // of a reply that are looked at
	maxChain   = 16   // CNAMEs from the name asked for to the one with addresses
)

// question is one query, A or AAAA, and what became of it.
type question struct {
	id   uint16
	name dnsmessage.Name
	kind dnsmessage.Type

	answered  bool // definitely: with addresses, with none, or no such name
	notFound  bool
	truncated bool // ask again by TCP
	failed    error
	addrs     []netip.Addr
	canonical string
}

// pack writes the question in wire form after head.
func (q *question) pack(head []byte) ([]byte, error) {
	b := dnsmessage.NewBuilder(head, dnsmessage.Header{ID: q.id, RecursionDesired: true})
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(dnsmessage.Question{Name: q.name, Type: q.kind, Class: dnsmessage.ClassINET}); err != nil {
		return nil, err
	}
	return b.Finish()
}

// take reads a reply. It is false when the reply is not one to this question:
// such a reply counts as not received. A reply which is to it but unusable sets
// failed.
func (q *question) take(msg []byte) bool {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != q.id {
		return false
	}
	asked, err := p.Question()
	if err != nil || asked.Type != q.kind || asked.Class != dnsmessage.ClassINET ||
		!equalFold(asked.Name.String(), q.name.String()) {
		return false
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone {
		return false
	}
	switch h.RCode {
	case dnsmessage.RCodeNameError:
		q.answered, q.notFound = true, true
		return true
	case dnsmessage.RCodeServerFailure:
		q.failed = ErrTemporary
		return true
	case dnsmessage.RCodeSuccess:
	default:
		q.failed = ErrFailed
		return true
	}
	if h.Truncated {
		q.truncated = true
		return true
	}
	if err := q.takeAnswers(&p); err != nil {
		q.failed = ErrFailed
		return true
	}
	// A server that knows nothing and will not ask another: as good as none.
	if len(q.addrs) == 0 && q.canonical == "" && !h.Authoritative && !h.RecursionAvailable {
		q.failed = ErrFailed
		return true
	}
	q.answered, q.failed = true, nil
	return true
}

type alias struct{ owner, target dnsmessage.Name }

type address struct {
	owner dnsmessage.Name
	addr  netip.Addr
}

var errTooMany = errors.New("too many records")

// takeAnswers follows the CNAMEs from the name in question and takes the
// addresses at their end. Records of other names, which an answer can carry by
// mistake or to poison, are passed over.
func (q *question) takeAnswers(p *dnsmessage.Parser) error {
	var aliases []alias
	var addresses []address
	for n := 0; ; n++ {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil {
			return err
		}
		if n == maxRecords {
			return errTooMany
		}
		switch {
		case h.Class != dnsmessage.ClassINET:
			err = p.SkipAnswer()
		case h.Type == dnsmessage.TypeCNAME:
			var r dnsmessage.CNAMEResource
			if r, err = p.CNAMEResource(); err == nil {
				aliases = append(aliases, alias{h.Name, r.CNAME})
			}
		case h.Type == dnsmessage.TypeA && q.kind == h.Type:
			var r dnsmessage.AResource
			if r, err = p.AResource(); err == nil {
				addresses = append(addresses, address{h.Name, netip.AddrFrom4(r.A)})
			}
		case h.Type == dnsmessage.TypeAAAA && q.kind == h.Type:
			var r dnsmessage.AAAAResource
			if r, err = p.AAAAResource(); err == nil {
				addresses = append(addresses, address{h.Name, netip.AddrFrom16(r.AAAA).Unmap()})
			}
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			return err
		}
	}
	q.follow(aliases, addresses)
	return nil
}

func (q *question) follow(aliases []alias, addresses []address) {
	name := q.name
	for range maxChain {
		i := 0
		for i < len(aliases) && !equalName(&aliases[i].owner, &name) {
			i++
		}
		if i == len(aliases) {
			break
		}
		name = aliases[i].target
		q.canonical = name.String()
	}
	for i := range addresses {
		if equalName(&addresses[i].owner, &name) {
			q.addrs = addAddr(q.addrs, addresses[i].addr)
		}
	}
}

func equalName(a, b *dnsmessage.Name) bool {
	if a.Length != b.Length {
		return false
	}
	for i := range a.Data[:a.Length] {
		if lower(a.Data[i]) != lower(b.Data[i]) {
			return false
		}
	}
	return true
}
