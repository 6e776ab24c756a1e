// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package stdio connects a guest's stdio with what containerd's client asked
// for: FIFOs, a pseudoterminal, a file or a log program.
//
// FIFO ends go to the guest as they are, each a file description of its own, so
// that no byte passes the shim. The shim keeps a second descriptor of each
// until the guest has exited: of stdin a writing end, so that input ends when
// CloseIO says so and not when a client detaches; of stdout and stderr a
// reading one, so that a guest whose reader restarts gets no EPIPE. Files,
// whose earlier content a guest must not touch, and terminals are copied.
package stdio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/containerd/log"
)

// Request is what a client asks for. Empty names are /dev/null.
type Request struct {
	// Stdin is a path. Stdout and Stderr are paths, or one log URI
	// (binary://, binary-v2://, file://) for both.
	Stdin, Stdout, Stderr string
	Terminal              bool
	// ID and Namespace of the container, for log programs.
	ID, Namespace string
}

// drainTimeout is how long output of an exited guest may take to reach a reader
// that reads, and a log program to end after its input has.
const drainTimeout = 10 * time.Second

// IO is the stdio of one process. Its methods may be called at any time and by
// several goroutines.
type IO struct {
	// guest are the guest's ends, closed by Started.
	guest [3]*os.File
	// console is the pty's end on our side, nil without a terminal.
	console *os.File

	mu     sync.Mutex
	stdin  []io.Closer // guarded by mu: the ends CloseStdin closes
	holds  []io.Closer // guarded by mu: the ends kept open until the guest's exit
	ended  bool        // guarded by mu: Exited was called
	logger *logger     // nil without a log program

	output  sync.WaitGroup // copies of the guest's output
	sinks   []*os.File     // where those copies go, closed when they are done
	drained chan struct{}  // closed when everything after Exited is done
}

// Open makes what the request names ready. On error nothing stays open.
func Open(ctx context.Context, r Request) (_ *IO, err error) {
	s := &IO{drained: make(chan struct{})}
	defer func() {
		if err != nil {
			s.Abort()
		}
	}()
	if r.Terminal {
		err = s.openTerminal(ctx, r)
	} else {
		err = s.openPlain(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Guest returns the guest's ends of stdin, stdout and stderr; nil is /dev/null.
// They are valid until Started.
func (s *IO) Guest() (stdin, stdout, stderr *os.File) {
	return s.guest[0], s.guest[1], s.guest[2]
}

// Started closes the guest's ends here, once the sandbox has its own.
func (s *IO) Started() {
	for i, f := range s.guest {
		if f != nil && (i == 0 || f != s.guest[i-1]) {
			f.Close()
		}
	}
	s.guest = [3]*os.File{}
}

// CloseStdin lets the guest's input end after what is in flight.
func (s *IO) CloseStdin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeAll(s.stdin)
	s.stdin = nil
}

// Resize tells the terminal its size in characters. Without a terminal, or
// after the exit, it does nothing.
func (s *IO) Resize(width, height uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.console == nil || s.ended {
		return nil
	}
	return setSize(s.console, width, height)
}

// Exited closes every end of ours, now that the guest has none: readers see the
// end of the output as soon as what is in flight has reached them. It does not
// wait for that; Wait does.
func (s *IO) Exited() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	closeAll(s.stdin)
	closeAll(s.holds)
	s.stdin, s.holds = nil, nil
	go s.drain()
}

// Wait returns when all output has reached its reader, or its time is up, and
// everything is closed.
func (s *IO) Wait(ctx context.Context) error {
	select {
	case <-s.drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Abort closes everything of a guest that never came to be.
func (s *IO) Abort() {
	s.Started()
	s.Exited()
}

func (s *IO) drain() {
	defer close(s.drained)
	copied := make(chan struct{})
	go func() {
		s.output.Wait()
		close(copied)
	}()
	select {
	case <-copied:
	case <-time.After(drainTimeout):
		log.L.Warn("the output of an exited process was not read in time and is lost")
	}
	if s.console != nil {
		s.console.Close()
	}
	for _, f := range s.sinks {
		f.Close() // ends a copy that is stuck in a write
	}
	<-copied
	if s.logger != nil {
		s.logger.wait(drainTimeout)
	}
}

// copy copies the guest's output to sink until it ends. A sink that fails does
// not stop a guest: what it writes is then thrown away.
func (s *IO) copy(sink *os.File, from *os.File) {
	s.output.Go(func() {
		buf := make([]byte, 32<<10)
		_, err := io.CopyBuffer(onlyWriter{sink}, onlyReader{from}, buf)
		if err != nil && !ended(err) {
			log.L.WithError(err).Warnf("copy output to %s", sink.Name())
			_, _ = io.CopyBuffer(io.Discard, onlyReader{from}, buf)
		}
	})
}

// onlyWriter and onlyReader hide ReadFrom and WriteTo, whose splice refuses
// files opened for appending and terminals, and would ask at every call.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// ended reports whether err is how reading a terminal or a closed file ends.
func ended(err error) bool {
	return errors.Is(err, os.ErrClosed) || isHangup(err)
}

func closeAll(closers []io.Closer) {
	for _, c := range closers {
		c.Close()
	}
}

// openPlain opens stdio without a terminal.
func (s *IO) openPlain(ctx context.Context, r Request) error {
	if r.Stdin != "" {
		if err := s.openStdin(r.Stdin); err != nil {
			return err
		}
	}
	target, err := parseTarget(r.Stdout)
	if err != nil {
		return err
	}
	switch target.kind {
	case logProgram:
		if s.logger, err = startLogger(ctx, target, r.ID, r.Namespace); err != nil {
			return err
		}
		s.guest[1], s.guest[2] = s.logger.stdout, s.logger.stderr
		return errors.Join(blocking(s.guest[1]), blocking(s.guest[2]))
	case logFile:
		return s.openFile(target.path)
	}
	if target.path != "" {
		if s.guest[1], err = s.openOutput(ctx, target.path); err != nil {
			return err
		}
	}
	if target, err = parseTarget(r.Stderr); err != nil {
		return err
	}
	if target.path != "" {
		if s.guest[2], err = s.openOutput(ctx, target.path); err != nil {
			return err
		}
	}
	return nil
}

// openStdin opens the guest's reading end of a FIFO and the writing end that
// stays here until CloseStdin.
func (s *IO) openStdin(path string) (err error) {
	if s.guest[0], err = openGuest(path, os.O_RDONLY); err != nil {
		return fmt.Errorf("open stdin: %w", err)
	}
	return s.holdStdin(path)
}

// holdStdin opens the writing end of a FIFO, after its reading end.
func (s *IO) holdStdin(path string) error {
	if !isFIFO(path) {
		return nil
	}
	writer, err := openFD(path, os.O_WRONLY)
	if err != nil {
		return fmt.Errorf("open stdin: %w", err)
	}
	s.stdin = append(s.stdin, writer)
	return nil
}

// openOutput returns the guest's writing end of a FIFO, or a pipe that is
// copied to whatever else path is.
func (s *IO) openOutput(ctx context.Context, path string) (*os.File, error) {
	if !isFIFO(path) {
		sink, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return nil, fmt.Errorf("open output: %w", err)
		}
		return s.pipeTo(sink)
	}
	guest, err := openRead(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	hold, err := openFD(path, os.O_RDWR)
	if err != nil {
		guest.Close()
		return nil, fmt.Errorf("open output: %w", err)
	}
	s.holds = append(s.holds, hold)
	return os.NewFile(uintptr(guest), path), nil
}

// openFile appends both outputs to a log file.
func (s *IO) openFile(path string) error {
	sink, err := openLogFile(path)
	if err != nil {
		return err
	}
	if s.guest[1], err = s.pipeTo(sink); err == nil {
		s.guest[2] = s.guest[1]
	}
	return err
}

// pipeTo returns the writing end of a pipe that is copied to sink, which it owns.
func (s *IO) pipeTo(sink *os.File) (*os.File, error) {
	s.sinks = append(s.sinks, sink)
	r, w, err := pipe()
	if err != nil {
		return nil, err
	}
	s.sinks = append(s.sinks, r)
	s.copy(sink, r)
	return w, nil
}
