// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rpc calls containerd's services by gRPC over the standard library's HTTP/2.
// grpc itself costs each shim process, which seldom asks anything, 0.9 MB and
// half a millisecond of its start. (The protocol is "gRPC over HTTP2",
// PROTOCOL-HTTP2.md of grpc.)
type rpc struct {
	conn      *http.ClientConn
	namespace string
}

// dial connects to the Unix socket at path. Calls at the same time share the
// one connection.
func dial(ctx context.Context, path, namespace string) (*rpc, error) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := http.Transport{
		Protocols:          protocols,
		DisableCompression: true, // of HTTP bodies, which gRPC does not have
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}
	conn, err := transport.NewClientConn(ctx, "http", "containerd:80")
	if err != nil {
		return nil, err
	}
	return &rpc{conn, namespace}, nil
}

// close ends the connection, and with it the calls that are under way.
func (r *rpc) close() error { return r.conn.Close() }

// prefix of a message: one byte says whether it is compressed, four its length.
const prefix = 5

// call sends a request and hands each message of the response to each. Errors
// have the sentinel of errdefs that their code stands for.
func (r *rpc) call(ctx context.Context, method string, request []byte, each func(message []byte) error) error {
	body := binary.BigEndian.AppendUint32(make([]byte, 1, prefix+len(request)), uint32(len(request)))
	body = append(body, request...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://containerd/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = http.Header{
		"Content-Type":  {"application/grpc"},
		"Te":            {"trailers"},
		namespaceHeader: {r.namespace},
	}
	resp, err := r.conn.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("containerd answers %s", resp.Status)
	}
	for {
		message, err := readMessage(resp.Body)
		if errors.Is(err, io.EOF) {
			return statusOf(resp)
		}
		if err != nil {
			return err
		}
		if err := each(message); err != nil {
			return err
		}
	}
}

// readMessage reads one message; io.EOF is the end of the response.
func readMessage(body io.Reader) ([]byte, error) {
	var head [prefix]byte
	if _, err := io.ReadFull(body, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || size > maxMessage {
		return nil, fmt.Errorf("containerd sent a message of %d bytes, or a compressed one", size)
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(body, message); err != nil {
		return nil, errors.Join(io.ErrUnexpectedEOF, err)
	}
	return message, nil
}

// statusOf is the call's own end, which comes behind the messages, or in their place.
func statusOf(resp *http.Response) error {
	in := resp.Trailer
	if in.Get("Grpc-Status") == "" {
		in = resp.Header
	}
	code, err := strconv.ParseUint(in.Get("Grpc-Status"), 10, 32)
	if err != nil {
		return errors.New("containerd ended a call without a status")
	}
	if code == uint64(codes.OK) {
		return nil
	}
	text := in.Get("Grpc-Message")
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	return errgrpc.ToNative(status.Error(codes.Code(code), strings.ToValidUTF8(text, "?")))
}
