// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"fmt"
	"os"
	"time"
)

// streams are a hook's standard streams: two pipes.
type streams struct {
	childIn, in   *os.File
	out, childOut *os.File
}

func newStreams() (*streams, error) {
	s := new(streams)
	var err error
	if s.childIn, s.in, err = os.Pipe(); err == nil {
		if s.out, s.childOut, err = os.Pipe(); err == nil {
			return s, nil
		}
	}
	s.close()
	return nil, fmt.Errorf("making its pipes: %w", err)
}

func (s *streams) close() {
	for _, f := range []*os.File{s.childIn, s.in, s.out, s.childOut} {
		if f != nil {
			f.Close()
		}
	}
}

// serve hands the input over and gathers the last of the output, until the
// hook's ends are closed or ended is called.
func (s *streams) serve(input []byte) (output <-chan string) {
	s.childIn.Close()
	s.childOut.Close()
	go func() {
		_, _ = s.in.Write(input) // a hook need not read it
		s.in.Close()
	}()
	text := make(chan string, 1)
	go func() {
		var last []byte
		buf := make([]byte, maxOutput)
		for {
			n, err := s.out.Read(buf)
			last = append(last, buf[:n]...)
			last = last[max(0, len(last)-maxOutput):]
			if err != nil {
				text <- printable(last)
				return
			}
		}
	}()
	return text
}

// ended gives up the streams of a hook that has ended.
func (s *streams) ended() {
	_ = s.in.SetWriteDeadline(time.Unix(1, 0))
	_ = s.out.SetReadDeadline(time.Now().Add(outputPatience))
}
