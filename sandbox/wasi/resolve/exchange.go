// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"errors"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/poll"
)

// maxStray is how many datagrams that answer no question of ours a socket may
// receive before it is given up: someone is guessing.
const maxStray = 32

var (
	errTimeout = errors.New("no answer in time")
	errStray   = errors.New("too many replies to other questions")
)

// connected opens a socket connected, or for a stream connecting, to a server.
func connected(kind int, server netip.AddrPort) (int, error) {
	addr := server.Addr()
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var sa unix.Sockaddr
	if addr.Is4() {
		sa = &unix.SockaddrInet4{Port: int(server.Port()), Addr: addr.As4()}
	} else {
		zone, _ := strconv.ParseUint(addr.Zone(), 10, 32) // by index: names need netlink
		sa = &unix.SockaddrInet6{Port: int(server.Port()), Addr: addr.As16(), ZoneId: uint32(zone)}
	}
	for {
		err = unix.Connect(fd, sa)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// await waits until a socket is ready.
func await(fd int, want poll.Events, deadline time.Time) error {
	left := time.Until(deadline)
	if left <= 0 {
		return errTimeout
	}
	if _, errno := poll.One(fd, want, left); errno != 0 {
		if errno == unix.ETIMEDOUT {
			return errTimeout
		}
		return errno
	}
	return nil
}

// askUDP sends questions by one socket and receives until each has a reply. It
// is no failure when only some have one in the end.
func askUDP(server netip.AddrPort, questions []*question, deadline time.Time) error {
	fd, err := connected(unix.SOCK_DGRAM, server)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var buf [4096]byte
	for _, q := range questions {
		msg, err := q.pack(buf[:0])
		if err != nil {
			return err
		}
		if err := send(fd, msg, deadline); err != nil {
			return err
		}
	}
	open := append(make([]*question, 0, 2), questions...)
	for stray := 0; len(open) > 0; {
		n, err := receive(fd, buf[:], deadline)
		if err != nil {
			if len(open) < len(questions) {
				return nil
			}
			return err
		}
		i := 0
		for i < len(open) && !open[i].take(buf[:n]) {
			i++
		}
		if i < len(open) {
			open = append(open[:i], open[i+1:]...)
		} else if stray++; stray == maxStray {
			return errStray
		}
	}
	return nil
}

// askTCP puts one question by TCP (RFC 1035, 4.2.2).
func askTCP(server netip.AddrPort, q *question, deadline time.Time) error {
	fd, err := connected(unix.SOCK_STREAM, server)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := await(fd, poll.Out, deadline); err != nil {
		return err
	}
	if code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		return errors.Join(err, unix.Errno(code))
	}
	msg, err := q.pack(make([]byte, 2, 514))
	if err != nil {
		return err
	}
	msg[0], msg[1] = byte((len(msg)-2)>>8), byte(len(msg)-2)
	if err := send(fd, msg, deadline); err != nil {
		return err
	}
	var head [2]byte
	if err := receiveFull(fd, head[:], deadline); err != nil {
		return err
	}
	reply := make([]byte, int(head[0])<<8|int(head[1]))
	if err := receiveFull(fd, reply, deadline); err != nil {
		return err
	}
	q.truncated = false
	if !q.take(reply) || q.truncated {
		return errStray
	}
	return nil
}

func send(fd int, msg []byte, deadline time.Time) error {
	for len(msg) > 0 {
		n, err := unix.SendmsgN(fd, msg, nil, nil, unix.MSG_NOSIGNAL)
		switch err {
		case nil:
			msg = msg[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			if err := await(fd, poll.Out, deadline); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

func receive(fd int, buf []byte, deadline time.Time) (int, error) {
	for {
		if err := await(fd, poll.In, deadline); err != nil {
			return 0, err
		}
		n, err := unix.Read(fd, buf)
		if err != unix.EAGAIN && err != unix.EINTR {
			return n, err
		}
	}
}

func receiveFull(fd int, buf []byte, deadline time.Time) error {
	for len(buf) > 0 {
		n, err := receive(fd, buf, deadline)
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("connection closed within a reply")
		}
		buf = buf[n:]
	}
	return nil
}

// sortAddrs puts the addresses of a family that cannot be reached last, by
// asking the kernel for a route (connect of a datagram socket sends nothing).
// With both reachable IPv6 is first, as RFC 6724 has it for global addresses;
// within a family the servers' order stays.
func sortAddrs(addrs []netip.Addr) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	if len(v4) == 0 || len(v6) == 0 {
		return addrs
	}
	fd, err := connected(unix.SOCK_DGRAM, netip.AddrPortFrom(v6[0], 9))
	if err != nil {
		return append(v4, v6...)
	}
	unix.Close(fd)
	return append(v6, v4...)
}
