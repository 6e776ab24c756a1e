// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"time"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/net"
	"containerd-shim-wazero/sandbox/wasi/preview1"
)

// The levels of options, and their names at the level of sockets. The level of
// TCP, which WasmEdge has not, is stealthrocket's, and a guest of Linux's habits
// finds TCP_NODELAY there under that number, too.
const (
	levelSocket = 0
	levelTCP    = 6

	tcpNodelay      = 1
	tcpNodelayOther = 15
)

const (
	soReuseaddr = iota
	soType
	soError
	soDontroute
	soBroadcast
	soSndbuf
	soRcvbuf
	soKeepalive
	soOobinline
	soLinger
	soRcvlowat
	soRcvtimeo
	soSndtimeo
	soAcceptconn
	soBindtodevice
)

// number finds the option of the core for one whose value is a number.
func number(level, name uint32) (net.Option, bool) {
	switch level {
	case levelSocket:
		switch name {
		case soReuseaddr:
			return net.ReuseAddress, true
		case soError:
			return net.Error, true
		case soDontroute:
			return net.DontRoute, true
		case soBroadcast:
			return net.Broadcast, true
		case soSndbuf:
			return net.SendBuffer, true
		case soRcvbuf:
			return net.RecvBuffer, true
		case soKeepalive:
			return net.KeepAlive, true
		case soOobinline:
			return net.OOBInline, true
		case soRcvlowat:
			return net.RecvLowWater, true
		case soAcceptconn:
			return net.Accepting, true
		}
	case levelTCP:
		if name == tcpNodelay || name == tcpNodelayOther {
			return net.NoDelay, true
		}
	}
	return 0, false
}

const (
	numberSize  = 4
	lingerSize  = 8  // | on (4) | seconds (4) |
	timevalSize = 16 // | seconds (8) | microseconds (8) |
)

// lengthOrPointer is the greatest last parameter of sock_getsockopt that is
// itself a length: no guest has a variable so low in its memory.
const lengthOrPointer = 64

// sock_getsockopt(fd, level, name, value, length): read an option. WasmEdge's
// length points at the size of the value, which becomes the size of what was
// written; stealthrocket's is the size itself.
func sockGetsockopt(x *extension, p []uint64) Errno {
	s, errno := x.socket(p[0], 0)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	size := uint32(p[4])
	var length []byte
	if size > lengthOrPointer {
		var ok bool
		if length, ok = x.Bytes(size, 4); !ok {
			return preview1.ErrnoFault
		}
		size = le.Uint32(length)
	}
	value, ok := x.Bytes(uint32(p[3]), size)
	if !ok {
		return preview1.ErrnoFault
	}
	n, errno := getOption(s, uint32(p[1]), uint32(p[2]), value)
	if errno == preview1.ErrnoSuccess && length != nil {
		le.PutUint32(length, uint32(n))
	}
	return errno
}

func getOption(s *net.Socket, level, name uint32, value []byte) (int, Errno) {
	need := numberSize
	if level == levelSocket {
		switch name {
		case soLinger:
			need = lingerSize
		case soRcvtimeo, soSndtimeo:
			need = timevalSize
		case soBindtodevice:
			return 0, preview1.ErrnoSuccess // bound to none
		}
	}
	if len(value) < need {
		return 0, preview1.ErrnoInval
	}
	if need == numberSize {
		v, errno := getNumber(s, level, name)
		if errno == preview1.ErrnoSuccess {
			le.PutUint32(value, v)
		}
		return need, errno
	}
	recv, send := s.Timeouts()
	switch name {
	case soLinger:
		on, wait, errno := s.Linger()
		if errno != 0 {
			return 0, preview1.ErrnoOf(errno)
		}
		clear(value[:lingerSize])
		if on {
			value[0] = 1
		}
		le.PutUint32(value[4:], uint32(wait/time.Second))
	case soRcvtimeo:
		putTimeval(value, recv)
	default:
		putTimeval(value, send)
	}
	return need, preview1.ErrnoSuccess
}

func getNumber(s *net.Socket, level, name uint32) (uint32, Errno) {
	if level == levelSocket && name == soType {
		if s.Kind() == descriptor.DatagramSocket {
			return typeDatagram, preview1.ErrnoSuccess
		}
		return typeStream, preview1.ErrnoSuccess
	}
	option, ok := number(level, name)
	if !ok {
		return 0, preview1.ErrnoNoprotoopt
	}
	v, errno := s.Option(option)
	if errno != 0 {
		return 0, preview1.ErrnoOf(errno)
	}
	if option == net.Error {
		return uint32(preview1.ErrnoOf(net.Errno(v))), preview1.ErrnoSuccess
	}
	return uint32(v), preview1.ErrnoSuccess
}

// sock_setsockopt(fd, level, name, value, size): set an option.
func sockSetsockopt(x *extension, p []uint64) Errno {
	s, errno := x.socket(p[0], 0)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	value, ok := x.Bytes(uint32(p[3]), uint32(p[4]))
	if !ok {
		return preview1.ErrnoFault
	}
	return setOption(s, uint32(p[1]), uint32(p[2]), value)
}

func setOption(s *net.Socket, level, name uint32, value []byte) Errno {
	if level == levelSocket {
		switch name {
		case soType:
			return preview1.ErrnoNoprotoopt
		case soBindtodevice:
			return preview1.ErrnoPerm
		case soLinger:
			if len(value) < lingerSize {
				return preview1.ErrnoInval
			}
			wait := time.Duration(int32(le.Uint32(value[4:]))) * time.Second
			return preview1.ErrnoOf(s.SetLinger(le.Uint32(value) != 0, wait))
		case soRcvtimeo, soSndtimeo:
			d, ok := timeval(value)
			if !ok {
				return preview1.ErrnoInval
			}
			if name == soRcvtimeo {
				return preview1.ErrnoOf(s.SetRecvTimeout(d))
			}
			return preview1.ErrnoOf(s.SetSendTimeout(d))
		}
	}
	option, ok := number(level, name)
	if !ok {
		return preview1.ErrnoNoprotoopt
	}
	if len(value) < numberSize {
		return preview1.ErrnoInval
	}
	return preview1.ErrnoOf(s.SetOption(option, int(int32(le.Uint32(value)))))
}

func putTimeval(b []byte, d time.Duration) {
	le.PutUint64(b, uint64(d/time.Second))
	le.PutUint64(b[8:], uint64(d%time.Second/time.Microsecond))
}

// timeval reads a time; one too long to count is for ever, as zero is.
func timeval(b []byte) (time.Duration, bool) {
	if len(b) < timevalSize {
		return 0, false
	}
	sec, usec := int64(le.Uint64(b)), int64(le.Uint64(b[8:]))
	if sec < 0 || usec < 0 || usec >= 1e6 {
		return 0, false
	}
	if sec > int64(1<<62/time.Second) {
		return 0, true
	}
	return time.Duration(sec)*time.Second + time.Duration(usec)*time.Microsecond, true
}
