// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package control is the talk between the shim and a sandbox process until the
// guest starts: frames of a length, a type and a body over a socket pair,
// descriptors beside them. The shim takes nothing from it that the kernel could
// tell, and bounds what it takes.
package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"syscall"

	"golang.org/x/sys/unix"
)

// Type is what a frame is about.
type Type uint8

// The frames, in the order in which they pass.
const (
	TypeSetup   Type = iota + 1 // shim: Setup; only for a container's first process
	TypeMounted                 // sandbox: mounts are made, the root is not yet entered
	TypeGoOn                    // shim: the hooks that wanted it so are done
	TypeLabel                   // shim: Label, where one is wanted
	TypeProcess                 // shim: Process
	TypeModule                  // sandbox: with the module's descriptor, if it has a path
	TypeImage                   // shim: with the image's descriptor
	TypeReady                   // sandbox: only Start is missing
	TypeStart                   // shim: let the guest run
	TypeError                   // sandbox, in place of any of its frames: Error
)

// Limits of a frame's body in bytes, and of its descriptors.
const (
	MaxToSandbox   = 16 << 20
	MaxFromSandbox = 64 << 10
	maxFiles       = 1 << 10
	filesPerPacket = 200 // the kernel allows 253
)

// header is length of the body, number of descriptors (both u32), type (u8).
const headerSize = 9

// Conn is one end of the socket pair. It is not for concurrent use.
type Conn struct {
	file *os.File
	raw  syscall.RawConn
	max  int
}

// New returns the conn over one end; max bounds the body of a received frame.
func New(file *os.File, max int) (*Conn, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &Conn{file: file, raw: raw, max: max}, nil
}

// Pair makes the socket pair: the shim's end, which the runtime's poller can
// watch, and the sandbox's, which blocks.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making the control socket: %w", err)
	}
	sandbox := os.NewFile(uintptr(fds[1]), "control")
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		_ = sandbox.Close()
		return nil, nil, fmt.Errorf("making the control socket: %w", err)
	}
	shim, err := New(os.NewFile(uintptr(fds[0]), "control"), MaxFromSandbox)
	if err != nil {
		_ = sandbox.Close()
		return nil, nil, err
	}
	return shim, sandbox, nil
}

// File is the end's own file, for deadlines.
func (c *Conn) File() *os.File { return c.file }

// Close closes the end.
func (c *Conn) Close() error { return c.file.Close() }

// Send sends a frame with a body, a struct or a pointer to one or nil, and
// descriptors, which stay the caller's.
func (c *Conn) Send(t Type, body any, files ...*os.File) error {
	frame := make([]byte, headerSize)
	if body != nil {
		var err error
		if frame, err = encode(frame, reflect.Indirect(reflect.ValueOf(body)), 0); err != nil {
			return fmt.Errorf("encoding a control message: %w", err)
		}
	}
	if len(frame)-headerSize > MaxToSandbox || len(files) > maxFiles {
		return fmt.Errorf("a control message of %d bytes with %d descriptors is too large", len(frame), len(files))
	}
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-headerSize))
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(files)))
	frame[8] = byte(t)
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	// Each packet of descriptors needs a byte of the frame to travel with.
	for len(fds) > filesPerPacket {
		if err := c.write(frame[:1], fds[:filesPerPacket]); err != nil {
			return err
		}
		frame, fds = frame[1:], fds[filesPerPacket:]
	}
	return c.write(frame, fds)
}

// write writes all of b, fds with its first byte.
func (c *Conn) write(b []byte, fds []int) error {
	for len(b) > 0 {
		var oob []byte
		if len(fds) > 0 {
			oob = unix.UnixRights(fds...)
		}
		var n int
		var err error
		werr := c.raw.Write(func(fd uintptr) bool {
			n, err = unix.SendmsgN(int(fd), b, oob, nil, unix.MSG_NOSIGNAL)
			return err != unix.EAGAIN && err != unix.EINTR
		})
		if err = errors.Join(werr, err); err != nil {
			return fmt.Errorf("writing to the control socket: %w", err)
		}
		b, fds = b[n:], nil
	}
	return nil
}

// Frame is a received frame. Its files are the receiver's.
type Frame struct {
	Type  Type
	Body  []byte
	Files []*os.File
}

// Close closes the frame's files.
func (f *Frame) Close() {
	for _, file := range f.Files {
		_ = file.Close()
	}
}

// Decode decodes the body to what v points to, which is zero.
func (f *Frame) Decode(v any) error {
	if err := decodeBody(f.Body, v); err != nil {
		return fmt.Errorf("decoding a control message: %w", err)
	}
	return nil
}

// Receive receives one frame and not a byte of the next: a process that
// executes itself again goes on where it was. The end of the stream is io.EOF.
func (c *Conn) Receive() (*Frame, error) {
	f := &Frame{}
	var header [headerSize]byte
	if err := c.read(header[:], f); err != nil {
		f.Close()
		return nil, err
	}
	size, files := binary.LittleEndian.Uint32(header[:]), binary.LittleEndian.Uint32(header[4:])
	f.Type = Type(header[8])
	if int64(size) > int64(c.max) || files > maxFiles {
		f.Close()
		return nil, fmt.Errorf("a control message of %d bytes with %d descriptors is too large", size, files)
	}
	f.Body = make([]byte, size)
	if err := c.read(f.Body, f); err != nil {
		f.Close()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if len(f.Files) != int(files) {
		f.Close()
		return nil, fmt.Errorf("a control message came with %d descriptors of %d", len(f.Files), files)
	}
	return f, nil
}

// read fills b, and adds descriptors that come along to f.
func (c *Conn) read(b []byte, f *Frame) error {
	oob := make([]byte, unix.CmsgSpace(filesPerPacket*4))
	for done := 0; done < len(b); {
		var n, oobn, flags int
		var err error
		rerr := c.raw.Read(func(fd uintptr) bool {
			n, oobn, flags, _, err = unix.Recvmsg(int(fd), b[done:], oob, unix.MSG_CMSG_CLOEXEC)
			return err != unix.EAGAIN && err != unix.EINTR
		})
		if err = errors.Join(rerr, err); err != nil {
			return fmt.Errorf("reading from the control socket: %w", err)
		}
		if err := f.take(oob[:oobn]); err != nil {
			return err
		}
		if flags&unix.MSG_CTRUNC != 0 {
			return errors.New("the descriptors of a control message were cut off: the process may have too few left")
		}
		if n == 0 {
			if done == 0 {
				return io.EOF
			}
			return io.ErrUnexpectedEOF
		}
		done += n
	}
	return nil
}

func (f *Frame) take(oob []byte) error {
	if len(oob) == 0 {
		return nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("reading the descriptors of a control message: %w", err)
	}
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue // not descriptors
		}
		for _, fd := range fds {
			f.Files = append(f.Files, os.NewFile(uintptr(fd), "received"))
		}
		if len(f.Files) > maxFiles {
			return errors.New("a control message came with too many descriptors")
		}
	}
	return nil
}
