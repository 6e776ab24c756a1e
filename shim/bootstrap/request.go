// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// maxRequest is how much of a start request is read, as in containerd's own shims.
	maxRequest = 10 << 20
	// requestTimeout bounds the wait for a caller that holds stdin open.
	requestTimeout = 5 * time.Second
)

// Request is what containerd asks of `start`.
type Request struct {
	// Modern says that the caller sent BootstrapParams (containerd 2.3 and
	// later) and reads a BootstrapResult.
	Modern bool
	// Containerd is the caller's version, "" when it does not say.
	Containerd string
	// TTRPC and GRPC are containerd's sockets, "" when only flags tell.
	TTRPC, GRPC string
	// SocketDir is where sockets go, "" for the default.
	SocketDir string
	Debug     bool
	// ShimCgroup is the cgroup for the shim itself, from runc's options.
	ShimCgroup string
}

// ReadRequest reads the request from stdin. Anything but a pipe means a caller
// without a message. inv tells a BootstrapParams from an Any, which may
// unmarshal as one.
func ReadRequest(stdin *os.File, inv *Invocation) (*Request, error) {
	data, err := readPipe(int(stdin.Fd()))
	if err != nil {
		return nil, fmt.Errorf("read the start request: %w", err)
	}
	return parseRequest(data, inv), nil
}

func readPipe(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, nil // closed, or /dev/null
	}
	deadline := time.Now().Add(requestTimeout)
	var data []byte
	buf := make([]byte, 16<<10)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("no end of input within %s", requestTimeout)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err == nil && n == 0 || errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil {
			n, err = unix.Read(fd, buf)
		}
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
		case err != nil:
			return nil, err
		case n == 0:
			return data, nil
		case len(data)+n > maxRequest:
			return nil, fmt.Errorf("larger than %d MiB", maxRequest>>20)
		default:
			data = append(data, buf[:n]...)
		}
	}
}

func parseRequest(data []byte, inv *Invocation) *Request {
	if req := parseParams(data, inv); req != nil {
		return req
	}
	return &Request{Debug: inv.Debug, ShimCgroup: shimCgroup(data)}
}

// parseParams reads a containerd.runtime.bootstrap.v1.BootstrapParams, and
// returns nil if data is not one for this invocation.
func parseParams(data []byte, inv *Invocation) *Request {
	req := &Request{Modern: true, Debug: inv.Debug}
	var id, namespace string
	err := fields(data, func(num protowire.Number, v []byte, n uint64) {
		switch num {
		case 1:
			id = string(v)
		case 2:
			namespace = string(v)
		case 3: // LogLevel: 0 is info, more verbose ones are negative
			req.Debug = req.Debug || int32(n) < 0
		case 4:
			req.Containerd = string(v)
		case 5:
			req.TTRPC = string(v)
		case 6:
			req.GRPC = string(v)
		case 8: // Extension{1: Any}
			_ = fields(v, func(num protowire.Number, v []byte, _ uint64) {
				if cg := shimCgroup(v); num == 1 && cg != "" {
					req.ShimCgroup = cg
				}
			})
		case 9:
			req.SocketDir = string(v)
		}
	})
	if err != nil || id != inv.ID || namespace != inv.Namespace {
		return nil
	}
	return req
}

// shimCgroup reads an Any, and of containerd.runc.v1.Options the one field that
// concerns `start`.
func shimCgroup(data []byte) string {
	var url, cgroup string
	var value []byte
	err := fields(data, func(num protowire.Number, v []byte, _ uint64) {
		switch num {
		case 1:
			url = string(v)
		case 2:
			value = v
		}
	})
	if err != nil || url[strings.LastIndexByte(url, '/')+1:] != "containerd.runc.v1.Options" {
		return ""
	}
	if fields(value, func(num protowire.Number, v []byte, _ uint64) {
		if num == 3 {
			cgroup = string(v)
		}
	}) != nil {
		return ""
	}
	return cgroup
}

// fields calls f for each field of a message: v for strings, bytes and
// messages, n for varints; other kinds are passed over.
func fields(data []byte, f func(num protowire.Number, v []byte, n uint64)) error {
	for len(data) > 0 {
		num, typ, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		var v []byte
		var n uint64
		switch typ {
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(data)
		default:
			size = protowire.ConsumeFieldValue(num, typ, data)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		f(num, v, n)
	}
	return nil
}

// taskVersion is the version of the task API to answer with. Version 3 lets
// containerd load a pod's members without `start`; before 2.4 such members get
// neither `delete` nor TaskExit when the shim dies, so older callers get 2.
func (r *Request) taskVersion() int {
	major, minor := parseVersion(r.Containerd)
	if major > 2 || major == 2 && minor >= 4 {
		return 3
	}
	return 2
}

// parseVersion reads the first two numbers of "v2.4.1+unknown"; zeros for what is none.
func parseVersion(s string) (major, minor int) {
	parts := strings.SplitN(strings.TrimPrefix(s, "v"), ".", 3)
	if len(parts) < 2 {
		return 0, 0
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return 0, 0
	}
	minor, err = strconv.Atoi(parts[1])
	if err != nil {
		return 0, 0
	}
	return major, minor
}
