// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// errSilent is ErrTemporary where not one server answered in time: then asking
// for further names only prolongs the wait.
var errSilent = fmt.Errorf("%w", ErrTemporary)

// query asks the name servers for a name and, until one is known, for its
// forms within the search domains.
func (r *Resolver) query(name string, rooted bool, family Family) (Result, error) {
	conf := parseResolv(r.file(resolvPath, maxResolv))
	if len(conf.servers) == 0 {
		return Result{}, ErrTemporary
	}
	failed := ErrNotFound
	for _, full := range conf.candidates(name, rooted) {
		res, err := r.queryName(&conf, full, family)
		switch {
		case err == nil, err == errSilent:
			return res, err
		case err == ErrNotFound:
		case failed != ErrTemporary: // the more hopeful of the failures stays
			failed = err
		}
	}
	return Result{}, failed
}

// queryName asks for one full name, of each server in turn, as often as the
// configuration says.
func (r *Resolver) queryName(conf *config, name string, family Family) (Result, error) {
	questions, err := newQuestions(name, family)
	if err != nil {
		return Result{}, err
	}
	first := 0
	if conf.rotate {
		first = int((r.turn.Add(1) - 1) % uint32(len(conf.servers)))
	}
	heard := false
	for range conf.attempts {
		for i := range conf.servers {
			server := netip.AddrPortFrom(conf.servers[(first+i)%len(conf.servers)], r.port)
			if err := exchange(server, questions, conf, r.unit); err != nil {
				if errors.Is(err, errEntropy) {
					return Result{}, ErrTemporary
				}
				continue
			}
			heard = true
			if settled(questions) {
				return collect(name, questions)
			}
		}
	}
	if res, err := collect(name, questions); err == nil {
		return res, nil // one family of the two answered
	}
	if !heard {
		return Result{}, errSilent
	}
	for _, q := range questions {
		if q.failed != nil && q.failed != ErrTemporary {
			return Result{}, q.failed
		}
	}
	return Result{}, ErrTemporary
}

var errEntropy = errors.New("no random identifier")

func newQuestions(name string, family Family) ([]*question, error) {
	full, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, ErrBadName
	}
	var questions []*question
	if family != IPv6 {
		questions = append(questions, &question{name: full, kind: dnsmessage.TypeA})
	}
	if family != IPv4 {
		questions = append(questions, &question{name: full, kind: dnsmessage.TypeAAAA})
	}
	return questions, nil
}

// settled reports whether no further server need be asked: all questions are
// answered, or one is with addresses. Servers that leave questions for AAAA
// without any answer are common, and no reason to wait twice.
func settled(questions []*question) bool {
	all := true
	for _, q := range questions {
		if len(q.addrs) > 0 || q.notFound {
			return true
		}
		all = all && q.answered
	}
	return all
}

// collect makes one result of the answers.
func collect(name string, questions []*question) (Result, error) {
	res := Result{Canonical: name}
	answered, notFound := true, false
	for _, q := range questions {
		for _, addr := range q.addrs {
			res.Addrs = addAddr(res.Addrs, addr)
		}
		if q.canonical != "" && len(q.addrs) > 0 {
			res.Canonical = strings.TrimSuffix(q.canonical, ".")
		}
		answered = answered && q.answered
		notFound = notFound || q.notFound
	}
	switch {
	case len(res.Addrs) > 0:
		return res, nil
	case notFound:
		return Result{}, ErrNotFound
	case answered:
		return Result{}, ErrNoAddress
	}
	return Result{}, ErrTemporary
}

// exchange puts the questions that are still open to one server. It fails when
// the server cannot be reached or says nothing in time.
func exchange(server netip.AddrPort, questions []*question, conf *config, unit time.Duration) error {
	var open []*question
	for _, q := range questions {
		if !q.answered {
			q.failed, q.truncated, q.addrs, q.canonical = nil, conf.useTCP, nil, ""
			open = append(open, q)
		}
	}
	if err := newIDs(open); err != nil {
		return err
	}
	wait := time.Duration(conf.timeout) * unit
	if !conf.useTCP {
		step := len(open)
		if conf.single {
			step = 1
		}
		heard := false
		for i := 0; i < len(open); i += step {
			err := askUDP(server, open[i:i+step], time.Now().Add(wait))
			heard = heard || err == nil
			if err != nil && !heard {
				return err
			}
		}
	}
	var silent error
	for _, q := range open {
		if q.truncated {
			if err := askTCP(server, q, time.Now().Add(wait)); err != nil {
				q.failed, silent = ErrTemporary, err
			}
		}
	}
	if conf.useTCP {
		return silent // without a word by UDP before
	}
	return nil
}

// newIDs gives the questions random, distinct identifiers.
func newIDs(questions []*question) error {
	var b [2]byte
	for i := 0; i < len(questions); {
		if n, err := unix.Getrandom(b[:], 0); n != len(b) {
			if err == unix.EINTR {
				continue
			}
			return errEntropy
		}
		questions[i].id = binary.LittleEndian.Uint16(b[:])
		if i == 0 || questions[i].id != questions[0].id {
			i++
		}
	}
	return nil
}
