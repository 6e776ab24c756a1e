// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/oci/wire"
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
	err := wire.Fields(data, func(f wire.Field) {
		if f.Number == 3 { // LogLevel: 0 is info, more verbose ones are negative
			req.Debug = req.Debug || int32(f.Varint) < 0
		}
		if f.Bytes == nil {
			return
		}
		switch f.Number {
		case 1:
			id = string(f.Bytes)
		case 2:
			namespace = string(f.Bytes)
		case 4:
			req.Containerd = string(f.Bytes)
		case 5:
			req.TTRPC = string(f.Bytes)
		case 6:
			req.GRPC = string(f.Bytes)
		case 8: // Extension{1: Any}
			if options, err := wire.Find(f.Bytes, 1); err == nil {
				req.ShimCgroup = cmp.Or(shimCgroup(options), req.ShimCgroup)
			}
		case 9:
			req.SocketDir = string(f.Bytes)
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
	url, err := wire.Find(data, 1)
	if err != nil || !bytes.HasSuffix(append([]byte("/"), url...), []byte("/containerd.runc.v1.Options")) {
		return ""
	}
	value, err := wire.Find(data, 2)
	if err != nil {
		return ""
	}
	cgroup, err := wire.Find(value, 3)
	if err != nil {
		return ""
	}
	return string(cgroup)
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
