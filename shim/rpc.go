// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// taskServices are the names of the task API. Version 2 and 3 have the same
// methods and messages: the types used here are version 2's, whose package
// imports less.
var taskServices = [...]string{"containerd.task.v2.Task", "containerd.task.v3.Task"}

// register serves the task API, of every version, with s.
func (s *service) register(server *ttrpc.Server) {
	desc := &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
		"State":      method(either(s, "State", s.State)),
		"Create":     method(s.Create),
		"Start":      method(either(s, "Start", s.Start)),
		"Delete":     method(s.Delete),
		"Pids":       method(either(s, "Pids", s.Pids)),
		"Pause":      method(either(s, "Pause", s.Pause)),
		"Resume":     method(either(s, "Resume", s.Resume)),
		"Checkpoint": method(either(s, "Checkpoint", s.Checkpoint)),
		"Kill":       method(either(s, "Kill", s.Kill)),
		"Exec":       method(either(s, "Exec", s.Exec)),
		"ResizePty":  method(either(s, "ResizePty", s.ResizePty)),
		"CloseIO":    method(either(s, "CloseIO", s.CloseIO)),
		"Update":     method(either(s, "Update", s.Update)),
		"Wait":       method(either(s, "Wait", s.Wait)),
		"Stats":      method(either(s, "Stats", s.Stats)),
		"Connect":    method(either(s, "Connect", s.Connect)),
		"Shutdown":   method(s.Shutdown),
	}}
	for _, name := range taskServices {
		server.RegisterService(name, desc)
	}
}

// method is the one boundary between the service and the wire: it decodes the
// request and gives an error the code that its sentinel stands for.
func method[Req any, Message interface {
	*Req
	proto.Message
}, Resp proto.Message](do func(context.Context, Message) (Resp, error)) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(any) error) (any, error) {
		req := Message(new(Req))
		if err := unmarshal(req); err != nil {
			return nil, err
		}
		resp, err := do(ctx, req)
		if err != nil {
			return nil, toStatus(err)
		}
		return resp, nil
	}
}

// either hands a request about a Linux container over to the shim for runc, and
// leaves those about others to do.
func either[Req interface {
	proto.Message
	GetID() string
}, Resp proto.Message](s *service, name string, do func(context.Context, Req) (Resp, error)) func(context.Context, Req) (Resp, error) {
	return func(ctx context.Context, req Req) (Resp, error) {
		if !s.linux.Has(req.GetID()) {
			return do(ctx, req)
		}
		var none Resp
		resp := none.ProtoReflect().New().Interface().(Resp)
		return resp, s.linux.Call(ctx, name, req, resp)
	}
}

// toStatus gives what has no sentinel of its own the code unknown. Left to
// itself ttrpc would make a missing file of the host a container not found.
// Paths and names in the text are an image's or a pod author's, and end up on
// terminals: what could control one is taken out.
func toStatus(err error) error {
	st, ok := status.FromError(errgrpc.ToGRPC(err))
	if !ok {
		st = status.New(codes.Unknown, err.Error())
	}
	p := st.Proto()
	p.Message = strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(p.Message, "?"))
	return status.FromProto(p).Err()
}

// decodeJSON decodes the JSON that containerd's typeurl packs types of the OCI
// specification in.
func decodeJSON(value *anypb.Any, to any) error {
	if err := json.Unmarshal(value.GetValue(), to); err != nil {
		return fmt.Errorf("decode %q: %w: %w", value.GetTypeUrl(), err, errdefs.ErrInvalidArgument)
	}
	return nil
}
