// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import "containerd-shim-wazero/sandbox/wasi/descriptor"

// socket finds a socket; ENOTSOCK for anything else.
func (f *Front) socket(fd uint64, need rights) (descriptor.Socket, Errno) {
	e, errno := f.entry(fd, need)
	if errno != ErrnoSuccess {
		return nil, errno
	}
	s, ok := e.Descriptor.(descriptor.Socket)
	if !ok {
		return nil, ErrnoNotsock
	}
	return s, ErrnoSuccess
}

// sock_accept(fd, flags, accepted): take a connection of a listening socket.
func sockAccept(f *Front, p []uint64) Errno {
	s, errno := f.socket(p[0], rightSockAccept)
	if errno != ErrnoSuccess {
		return errno
	}
	flags, ok := Flags(p[1])
	if !ok || flags&^descriptor.Nonblock != 0 {
		return ErrnoInval
	}
	accepted, ok := f.Bytes(uint32(p[2]), 4)
	if !ok {
		return ErrnoFault
	}
	if f.sys.Table.Full() {
		return ErrnoMfile
	}
	connection, err := s.Accept(flags)
	if err != 0 {
		return ErrnoOf(err)
	}
	fd, _ := f.sys.Table.Insert(connection)
	le.PutUint32(accepted, uint32(fd))
	return ErrnoSuccess
}

// The riflags and roflags of the definition.
const (
	recvPeek = 1 << iota
	recvWaitall
	allRiflags = 1<<iota - 1

	recvTruncated = 1
)

// sock_recv(fd, iovs, iovs_len, riflags, nread, roflags).
func sockRecv(f *Front, p []uint64) Errno {
	s, errno := f.socket(p[0], rightFdRead)
	if errno != ErrnoSuccess {
		return errno
	}
	if uint32(p[3])&^allRiflags != 0 {
		return ErrnoInval
	}
	var flags descriptor.RecvFlags
	if p[3]&recvPeek != 0 {
		flags |= descriptor.Peek
	}
	if p[3]&recvWaitall != 0 {
		flags |= descriptor.WaitAll
	}
	iovs, errno := f.Vectors(uint32(p[1]), uint32(p[2]))
	if errno != ErrnoSuccess {
		return errno
	}
	nread, ok1 := f.Bytes(uint32(p[4]), 4)
	roflags, ok2 := f.Bytes(uint32(p[5]), 2)
	if !ok1 || !ok2 {
		return ErrnoFault
	}
	n, truncated, err := s.Recv(iovs, flags)
	if err == 0 {
		le.PutUint16(roflags, 0)
		if truncated {
			le.PutUint16(roflags, recvTruncated)
		}
	}
	return count(nread, n, err)
}

// sock_send(fd, ciovs, ciovs_len, siflags, nwritten): no flags are defined.
func sockSend(f *Front, p []uint64) Errno {
	s, errno := f.socket(p[0], rightFdWrite)
	if errno != ErrnoSuccess {
		return errno
	}
	if uint32(p[3]) != 0 {
		return ErrnoInval
	}
	iovs, errno := f.Vectors(uint32(p[1]), uint32(p[2]))
	if errno != ErrnoSuccess {
		return errno
	}
	nwritten, ok := f.Bytes(uint32(p[4]), 4)
	if !ok {
		return ErrnoFault
	}
	n, err := s.Send(iovs)
	return count(nwritten, n, err)
}

// sock_shutdown(fd, how): end reading (1), writing (2) or both (3).
func sockShutdown(f *Front, p []uint64) Errno {
	s, errno := f.socket(p[0], rightSockShutdown)
	if errno != ErrnoSuccess {
		return errno
	}
	how := uint32(p[1])
	if how == 0 || how > uint32(descriptor.ShutBoth) {
		return ErrnoInval
	}
	return ErrnoOf(s.Shutdown(descriptor.How(how)))
}
