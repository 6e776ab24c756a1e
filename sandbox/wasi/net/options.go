// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package net

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
)

// Option is a socket option whose value is a number.
type Option uint8

// The options that a guest can use. Sizes are in bytes as the kernel counts
// them; the times of keep-alive are in seconds.
const (
	ReuseAddress Option = iota
	Error               // the pending error as a syscall.Errno, cleared by reading; read only
	Accepting           // whether the socket listens; read only
	Broadcast
	SendBuffer
	RecvBuffer
	RecvLowWater
	KeepAlive
	KeepIdle
	KeepInterval
	KeepCount
	OOBInline
	DontRoute // read only: the guest does not choose routes
	NoDelay
	V6Only
	TTL // of IPv4, or the hop limit of IPv6
	options
)

// known are the options in the kernel's numbers.
var known = [options]struct {
	level, name int
	readOnly    bool
}{
	ReuseAddress: {unix.SOL_SOCKET, unix.SO_REUSEADDR, false},
	Error:        {unix.SOL_SOCKET, unix.SO_ERROR, true},
	Accepting:    {unix.SOL_SOCKET, unix.SO_ACCEPTCONN, true},
	Broadcast:    {unix.SOL_SOCKET, unix.SO_BROADCAST, false},
	SendBuffer:   {unix.SOL_SOCKET, unix.SO_SNDBUF, false},
	RecvBuffer:   {unix.SOL_SOCKET, unix.SO_RCVBUF, false},
	RecvLowWater: {unix.SOL_SOCKET, unix.SO_RCVLOWAT, false},
	KeepAlive:    {unix.SOL_SOCKET, unix.SO_KEEPALIVE, false},
	KeepIdle:     {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, false},
	KeepInterval: {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, false},
	KeepCount:    {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, false},
	OOBInline:    {unix.SOL_SOCKET, unix.SO_OOBINLINE, false},
	DontRoute:    {unix.SOL_SOCKET, unix.SO_DONTROUTE, true},
	NoDelay:      {unix.IPPROTO_TCP, unix.TCP_NODELAY, false},
	V6Only:       {unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, false},
	TTL:          {unix.IPPROTO_IP, unix.IP_TTL, false},
}

func (s *Socket) option(o Option) (level, name int, readOnly bool, errno Errno) {
	if o >= options {
		return 0, 0, false, syscall.ENOPROTOOPT
	}
	k := known[o]
	if o == TTL && s.family == IPv6 {
		return unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, false, 0
	}
	if k.level != unix.SOL_SOCKET && s.family == Unix {
		return 0, 0, false, syscall.EOPNOTSUPP
	}
	return k.level, k.name, k.readOnly, 0
}

// Option reads an option.
func (s *Socket) Option(o Option) (int, Errno) {
	level, name, _, errno := s.option(o)
	if errno != 0 {
		return 0, errno
	}
	return getsockoptInt(s.fd, level, name)
}

// SetOption sets an option: EACCES for one that can only be read.
func (s *Socket) SetOption(o Option, value int) Errno {
	level, name, readOnly, errno := s.option(o)
	switch {
	case errno != 0:
		return errno
	case readOnly:
		return syscall.EACCES
	case int(int32(value)) != value:
		return syscall.EINVAL
	}
	return setsockoptInt(s.fd, level, name, value)
}

// Linger says whether Close waits for what was sent to arrive, and how long.
func (s *Socket) Linger() (on bool, wait time.Duration, errno Errno) {
	l, err := getLinger(s.fd)
	return l.Onoff != 0, time.Duration(l.Linger) * time.Second, err
}

// SetLinger sets what Linger reads; a wait of zero resets the connection.
func (s *Socket) SetLinger(on bool, wait time.Duration) Errno {
	l := unix.Linger{Linger: int32(min(max(wait/time.Second, 0), 1<<15))}
	if on {
		l.Onoff = 1
	}
	return setLinger(s.fd, &l)
}

// Timeouts are how long a receive and a send wait before they answer EAGAIN; 0
// is for ever.
func (s *Socket) Timeouts() (recv, send time.Duration) { return s.recvTimeout, s.sendTimeout }

// SetRecvTimeout and SetSendTimeout set what Timeouts reads.
func (s *Socket) SetRecvTimeout(d time.Duration) Errno {
	if d < 0 {
		return syscall.EDOM
	}
	s.recvTimeout = d
	return 0
}

// SetSendTimeout is described at [Socket.SetRecvTimeout].
func (s *Socket) SetSendTimeout(d time.Duration) Errno {
	if d < 0 {
		return syscall.EDOM
	}
	s.sendTimeout = d
	return 0
}

// Datagram says that the socket carries datagrams.
func (s *Socket) Datagram() bool { return s.kind == descriptor.DatagramSocket }
