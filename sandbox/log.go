// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Bounds of what a sandbox process may tell the operator.
const (
	maxLine       = 1 << 10 // bytes, the rest of a line is dropped
	linesPerBurst = 20
	bytesPerBurst = 1 << 20 // a crash of the Go runtime must not wait for its last words
	burstInterval = 10 * time.Second
)

// logReader passes on what a sandbox process writes to its standard error: of a
// hostile process that may be anything, so it is cut into lines, bounded, made
// printable and slowed down.
type logReader struct {
	pipe  *os.File
	emit  func(string)
	ended chan struct{} // closed when nobody can write any more

	mu    sync.Mutex
	first string // the first line, for the error when the process fails to start; guarded by mu
}

// newLog returns the reader and the end for the process, which the caller closes.
func newLog(emit func(string)) (*logReader, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("making the log pipe: %w", err)
	}
	l := &logReader{pipe: r, emit: emit, ended: make(chan struct{})}
	go l.run()
	return l, w, nil
}

func (l *logReader) run() {
	defer close(l.ended)
	defer l.pipe.Close()
	in := bufio.NewReaderSize(&throttle{r: l.pipe}, maxLine)
	var begin time.Time
	lines := 0
	for {
		b, more, err := in.ReadLine()
		if err != nil {
			return
		}
		line := printable(string(b))
		for more && err == nil {
			_, more, err = in.ReadLine()
		}
		if now := time.Now(); now.Sub(begin) >= burstInterval {
			begin, lines = now, 0
		}
		if lines++; lines > linesPerBurst || line == "" {
			continue
		}
		if lines == linesPerBurst {
			line += " … (further lines are dropped)"
		}
		l.note(line)
		if l.emit != nil {
			l.emit(line)
		}
	}
}

// throttle reads bytesPerBurst in a burstInterval: reading is the shim's work,
// whatever the bytes are.
type throttle struct {
	r     io.Reader
	begin time.Time
	bytes int
}

func (t *throttle) Read(p []byte) (int, error) {
	if t.bytes >= bytesPerBurst {
		time.Sleep(burstInterval - time.Since(t.begin))
		t.bytes = 0
	}
	if t.bytes == 0 {
		t.begin = time.Now()
	}
	n, err := t.r.Read(p)
	t.bytes += n
	return n, err
}

func (l *logReader) note(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		l.first = line
	}
}

// word is the first line, "" if there is none.
func (l *logReader) word() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
