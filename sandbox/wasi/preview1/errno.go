// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"syscall"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
)

// Errno is an errno of the definition.
type Errno uint16

// The errno values of the definition, in its order.
const (
	ErrnoSuccess Errno = iota
	ErrnoTooBig
	ErrnoAcces
	ErrnoAddrinuse
	ErrnoAddrnotavail
	ErrnoAfnosupport
	ErrnoAgain
	ErrnoAlready
	ErrnoBadf
	ErrnoBadmsg
	ErrnoBusy
	ErrnoCanceled
	ErrnoChild
	ErrnoConnaborted
	ErrnoConnrefused
	ErrnoConnreset
	ErrnoDeadlk
	ErrnoDestaddrreq
	ErrnoDom
	ErrnoDquot
	ErrnoExist
	ErrnoFault
	ErrnoFbig
	ErrnoHostunreach
	ErrnoIdrm
	ErrnoIlseq
	ErrnoInprogress
	ErrnoIntr
	ErrnoInval
	ErrnoIo
	ErrnoIsconn
	ErrnoIsdir
	ErrnoLoop
	ErrnoMfile
	ErrnoMlink
	ErrnoMsgsize
	ErrnoMultihop
	ErrnoNametoolong
	ErrnoNetdown
	ErrnoNetreset
	ErrnoNetunreach
	ErrnoNfile
	ErrnoNobufs
	ErrnoNodev
	ErrnoNoent
	ErrnoNoexec
	ErrnoNolck
	ErrnoNolink
	ErrnoNomem
	ErrnoNomsg
	ErrnoNoprotoopt
	ErrnoNospc
	ErrnoNosys
	ErrnoNotconn
	ErrnoNotdir
	ErrnoNotempty
	ErrnoNotrecoverable
	ErrnoNotsock
	ErrnoNotsup
	ErrnoNotty
	ErrnoNxio
	ErrnoOverflow
	ErrnoOwnerdead
	ErrnoPerm
	ErrnoPipe
	ErrnoProto
	ErrnoProtonosupport
	ErrnoPrototype
	ErrnoRange
	ErrnoRofs
	ErrnoSpipe
	ErrnoSrch
	ErrnoStale
	ErrnoTimedout
	ErrnoTxtbsy
	ErrnoXdev
	ErrnoNotcapable
)

// fromSystem is the errno of the definition for each of Linux.
var fromSystem = [...]uint8{
	syscall.E2BIG:           uint8(ErrnoTooBig),
	syscall.EACCES:          uint8(ErrnoAcces),
	syscall.EADDRINUSE:      uint8(ErrnoAddrinuse),
	syscall.EADDRNOTAVAIL:   uint8(ErrnoAddrnotavail),
	syscall.EAFNOSUPPORT:    uint8(ErrnoAfnosupport),
	syscall.EAGAIN:          uint8(ErrnoAgain),
	syscall.EALREADY:        uint8(ErrnoAlready),
	syscall.EBADF:           uint8(ErrnoBadf),
	syscall.EBADMSG:         uint8(ErrnoBadmsg),
	syscall.EBUSY:           uint8(ErrnoBusy),
	syscall.ECANCELED:       uint8(ErrnoCanceled),
	syscall.ECHILD:          uint8(ErrnoChild),
	syscall.ECONNABORTED:    uint8(ErrnoConnaborted),
	syscall.ECONNREFUSED:    uint8(ErrnoConnrefused),
	syscall.ECONNRESET:      uint8(ErrnoConnreset),
	syscall.EDEADLK:         uint8(ErrnoDeadlk),
	syscall.EDESTADDRREQ:    uint8(ErrnoDestaddrreq),
	syscall.EDOM:            uint8(ErrnoDom),
	syscall.EDQUOT:          uint8(ErrnoDquot),
	syscall.EEXIST:          uint8(ErrnoExist),
	syscall.EFAULT:          uint8(ErrnoFault),
	syscall.EFBIG:           uint8(ErrnoFbig),
	syscall.EHOSTUNREACH:    uint8(ErrnoHostunreach),
	syscall.EIDRM:           uint8(ErrnoIdrm),
	syscall.EILSEQ:          uint8(ErrnoIlseq),
	syscall.EINPROGRESS:     uint8(ErrnoInprogress),
	syscall.EINTR:           uint8(ErrnoIntr),
	syscall.EINVAL:          uint8(ErrnoInval),
	syscall.EIO:             uint8(ErrnoIo),
	syscall.EISCONN:         uint8(ErrnoIsconn),
	syscall.EISDIR:          uint8(ErrnoIsdir),
	syscall.ELOOP:           uint8(ErrnoLoop),
	syscall.EMFILE:          uint8(ErrnoMfile),
	syscall.EMLINK:          uint8(ErrnoMlink),
	syscall.EMSGSIZE:        uint8(ErrnoMsgsize),
	syscall.EMULTIHOP:       uint8(ErrnoMultihop),
	syscall.ENAMETOOLONG:    uint8(ErrnoNametoolong),
	syscall.ENETDOWN:        uint8(ErrnoNetdown),
	syscall.ENETRESET:       uint8(ErrnoNetreset),
	syscall.ENETUNREACH:     uint8(ErrnoNetunreach),
	syscall.ENFILE:          uint8(ErrnoNfile),
	syscall.ENOBUFS:         uint8(ErrnoNobufs),
	syscall.ENODEV:          uint8(ErrnoNodev),
	syscall.ENOENT:          uint8(ErrnoNoent),
	syscall.ENOEXEC:         uint8(ErrnoNoexec),
	syscall.ENOLCK:          uint8(ErrnoNolck),
	syscall.ENOLINK:         uint8(ErrnoNolink),
	syscall.ENOMEM:          uint8(ErrnoNomem),
	syscall.ENOMSG:          uint8(ErrnoNomsg),
	syscall.ENOPROTOOPT:     uint8(ErrnoNoprotoopt),
	syscall.ENOSPC:          uint8(ErrnoNospc),
	syscall.ENOSYS:          uint8(ErrnoNosys),
	syscall.ENOTCONN:        uint8(ErrnoNotconn),
	syscall.ENOTDIR:         uint8(ErrnoNotdir),
	syscall.ENOTEMPTY:       uint8(ErrnoNotempty),
	syscall.ENOTRECOVERABLE: uint8(ErrnoNotrecoverable),
	syscall.ENOTSOCK:        uint8(ErrnoNotsock),
	syscall.EOPNOTSUPP:      uint8(ErrnoNotsup),
	syscall.ENOTTY:          uint8(ErrnoNotty),
	syscall.ENXIO:           uint8(ErrnoNxio),
	syscall.EOVERFLOW:       uint8(ErrnoOverflow),
	syscall.EOWNERDEAD:      uint8(ErrnoOwnerdead),
	syscall.EPERM:           uint8(ErrnoPerm),
	syscall.EPIPE:           uint8(ErrnoPipe),
	syscall.EPROTO:          uint8(ErrnoProto),
	syscall.EPROTONOSUPPORT: uint8(ErrnoProtonosupport),
	syscall.EPROTOTYPE:      uint8(ErrnoPrototype),
	syscall.ERANGE:          uint8(ErrnoRange),
	syscall.EROFS:           uint8(ErrnoRofs),
	syscall.ESPIPE:          uint8(ErrnoSpipe),
	syscall.ESRCH:           uint8(ErrnoSrch),
	syscall.ESTALE:          uint8(ErrnoStale),
	syscall.ETIMEDOUT:       uint8(ErrnoTimedout),
	syscall.ETXTBSY:         uint8(ErrnoTxtbsy),
	syscall.EXDEV:           uint8(ErrnoXdev),
}

// ErrnoOf translates an errno of the core; one that the definition does not know
// is EIO.
func ErrnoOf(e descriptor.Errno) Errno {
	if e == 0 {
		return ErrnoSuccess
	}
	if uint(e) < uint(len(fromSystem)) && fromSystem[e] != 0 {
		return Errno(fromSystem[e])
	}
	return ErrnoIo
}
