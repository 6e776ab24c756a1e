// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fifos makes FIFOs as containerd's client does.
func fifos(t *testing.T, names ...string) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// client opens an end of a FIFO as containerd's client does.
func client(t *testing.T, path string, flag int) *os.File {
	t.Helper()
	f, err := openPolled(path, flag)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return f
}

func open(t *testing.T, r Request) *IO {
	t.Helper()
	s, err := Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Abort)
	return s
}

func readAll(t *testing.T, f *os.File) string {
	t.Helper()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func drained(t *testing.T, s *IO) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestNull(t *testing.T) {
	s := open(t, Request{})
	if in, out, err := s.Guest(); in != nil || out != nil || err != nil {
		t.Error("the guest has stdio nobody asked for")
	}
	s.Exited()
	drained(t, s)
}

func TestFIFOs(t *testing.T) {
	paths := fifos(t, "in", "out", "err")
	stdout, stderr := client(t, paths[1], os.O_RDONLY), client(t, paths[2], os.O_RDONLY)
	s := open(t, Request{Stdin: paths[0], Stdout: paths[1], Stderr: paths[2]})
	guestIn, guestOut, guestErr := s.Guest()

	// A writer that comes and goes does not end the input; CloseStdin does.
	for _, text := range []string{"one", "two"} {
		stdin := client(t, paths[0], os.O_WRONLY)
		if _, err := stdin.WriteString(text); err != nil {
			t.Fatal(err)
		}
		stdin.Close()
		buf := make([]byte, 16)
		if n, err := guestIn.Read(buf); err != nil || string(buf[:n]) != text {
			t.Fatalf("stdin %q, %v", buf[:n], err)
		}
	}
	s.CloseStdin()
	s.CloseStdin()
	if rest := readAll(t, guestIn); rest != "" {
		t.Errorf("after the end of stdin: %q", rest)
	}

	if _, err := guestErr.WriteString("oops"); err != nil {
		t.Fatal(err)
	}
	// Without a reader, as while containerd restarts, output waits for the next one.
	stdout.Close()
	if _, err := guestOut.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	stdout = client(t, paths[1], os.O_RDONLY)
	s.Started()
	s.Exited()
	if got := readAll(t, stdout); got != "hello" {
		t.Errorf("stdout %q", got)
	}
	if got := readAll(t, stderr); got != "oops" {
		t.Errorf("stderr %q", got)
	}
	drained(t, s)
}

// Output waits for a reader that is only on its way, however quick the guest.
func TestLateReader(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		paths := fifos(t, "out")
		opened := make(chan *IO)
		go func() {
			s, err := Open(context.WithoutCancel(t.Context()), Request{Stdout: paths[0], Terminal: terminal})
			if err != nil {
				t.Error(err)
			}
			opened <- s
		}()
		select {
		case <-opened:
			t.Fatal("opened without a reader")
		case <-time.After(20 * time.Millisecond):
		}
		reader := client(t, paths[0], os.O_RDONLY)
		s := <-opened
		_, out, _ := s.Guest()
		_, _ = out.WriteString("quick")
		s.Started()
		s.Exited()
		if got := readAll(t, reader); got != "quick" {
			t.Errorf("terminal %t: %q", terminal, got)
		}
		drained(t, s)
	}
}

func TestReaderNeverComes(t *testing.T) {
	paths := fifos(t, "out")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, Request{Stdout: paths[0]}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// A guest's ends are file descriptions of their own, in blocking mode.
func TestGuestEnds(t *testing.T) {
	paths := fifos(t, "in", "out")
	client(t, paths[1], os.O_RDONLY)
	s := open(t, Request{Stdin: paths[0], Stdout: paths[1]})
	in, out, _ := s.Guest()
	for _, f := range []*os.File{in, out} {
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("%s: flags %#x, %v", f.Name(), flags, err)
		}
	}
}

func TestMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	for _, r := range []Request{{Stdin: path}, {Stdout: path}, {Stderr: path}, {Terminal: true, Stdin: path}, {Terminal: true, Stdout: path}} {
		if _, err := Open(t.Context(), r); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "log")
	for _, text := range []string{"first ", "second"} {
		s := open(t, Request{Stdout: "file://" + path, Stderr: "file://" + path})
		_, out, stderr := s.Guest()
		for _, f := range []*os.File{out, stderr} {
			if _, err := f.WriteString(text); err != nil {
				t.Fatal(err)
			}
		}
		s.Started()
		s.Exited()
		drained(t, s)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "first first secondsecond" {
		t.Errorf("%q, %v", got, err)
	}
	// A plain path that is no FIFO is appended to as well.
	s := open(t, Request{Stdout: path})
	_, out, _ := s.Guest()
	_, _ = out.WriteString(" third")
	s.Started()
	s.Exited()
	drained(t, s)
	if got, err := os.ReadFile(path); err != nil || !strings.HasSuffix(string(got), " third") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTerminal(t *testing.T) {
	paths := fifos(t, "in", "out")
	stdin := client(t, paths[0], os.O_RDWR)
	stdout := client(t, paths[1], os.O_RDONLY)
	s := open(t, Request{Stdin: paths[0], Stdout: paths[1], Terminal: true})
	if err := s.Resize(120, 40); err != nil {
		t.Fatal(err)
	}
	guest, _, _ := s.Guest()
	if size, err := unix.IoctlGetWinsize(int(guest.Fd()), unix.TIOCGWINSZ); err != nil || size.Col != 120 || size.Row != 40 {
		t.Errorf("size %+v, %v", size, err)
	}
	if _, err := stdin.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := guest.Read(buf); err != nil || string(buf[:n]) != "typed\n" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	// The last words before an exit arrive, too.
	last := strings.Repeat("x", 3000)
	if _, err := guest.WriteString(last); err != nil {
		t.Fatal(err)
	}
	s.Started()
	s.Exited()
	if got := readAll(t, stdout); got != "typed\r\n"+last {
		t.Errorf("%d bytes of output: %.20q…", len(got), got)
	}
	drained(t, s)
	if err := s.Resize(1, 1); err != nil {
		t.Errorf("resize after the exit: %v", err)
	}
}

// Closing our end of a pty ends a read that waits.
func TestTerminalCloseUnblocks(t *testing.T) {
	ours, guest, err := newPTY()
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	done := make(chan error)
	go func() {
		_, err := ours.Read(make([]byte, 1))
		done <- err
	}()
	time.Sleep(10 * time.Millisecond) // let it block; the test holds either way
	ours.Close()
	select {
	case err := <-done:
		if !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the read is stuck")
	}
}

func TestParseTarget(t *testing.T) {
	for name, want := range map[string]target{
		"":                 {},
		"/run/f":           {path: "/run/f"},
		"/run/odd name%20": {path: "/run/odd name%20"},
		"fifo:///run/f":    {path: "/run/f"},
		"file:///var/log":  {kind: logFile, path: "/var/log"},
		"binary:///bin/l":  {kind: logProgram, path: "/bin/l"},
		"binary-v2:///bin/l?b=2&a&c=": {
			kind: logProgram, path: "/bin/l", ready: true, args: []string{"a", "b", "2", "c"},
		},
	} {
		got, err := parseTarget(name)
		if err != nil || got.kind != want.kind || got.path != want.path || got.ready != want.ready || !slices.Equal(got.args, want.args) {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"http://x/y", "file://relative", "binary://", "relative", "%zz://"} {
		if got, err := parseTarget(name); err == nil {
			t.Errorf("%q: %+v", name, got)
		}
	}
}

// script writes an executable that a log URI names.
func script(t *testing.T, text string) (path, out string) {
	t.Helper()
	dir := t.TempDir()
	path, out = filepath.Join(dir, "logger"), filepath.Join(dir, "out")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nOUT="+out+"\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, out
}

func TestLogProgram(t *testing.T) {
	path, out := script(t, `
echo "$CONTAINER_ID $CONTAINER_NAMESPACE $* $(env | wc -l)" >$OUT
printf r >&5; exec 5>&-
cat <&3 >>$OUT; cat <&4 >>$OUT; echo end >>$OUT
`)
	for _, scheme := range []string{"binary", "binary-v2"} {
		s := open(t, Request{Stdout: scheme + "://" + path + "?k=v", ID: "c1", Namespace: "ns"})
		_, stdout, stderr := s.Guest()
		_, _ = stdout.WriteString("out\n")
		_, _ = stderr.WriteString("err\n")
		s.Started()
		s.Exited()
		drained(t, s)
		got, err := os.ReadFile(out)
		if err != nil || !strings.HasPrefix(string(got), "c1 ns k v ") || !strings.HasSuffix(string(got), "\nout\nerr\nend\n") {
			t.Errorf("%s: %q, %v", scheme, got, err)
		}
	}
}

func TestLogProgramTerminal(t *testing.T) {
	path, out := script(t, `exec 5>&-; cat <&3 >$OUT`)
	s := open(t, Request{Stdout: "binary://" + path, Terminal: true})
	guest, _, _ := s.Guest()
	_, _ = guest.WriteString("line\n")
	s.Started()
	s.Exited()
	drained(t, s)
	if got, err := os.ReadFile(out); err != nil || string(got) != "line\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// One that does not end with its input is asked before it is killed.
func TestLogProgramIsAsked(t *testing.T) {
	path, out := script(t, `
trap 'kill $!; sleep 0.2; echo asked >$OUT; exit' TERM
exec 5>&-
sleep 100 & wait
`)
	target, err := parseTarget("binary://" + path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := startLogger(t.Context(), target, "c1", "ns")
	if err != nil {
		t.Fatal(err)
	}
	l.stdout.Close()
	l.stderr.Close()
	l.wait(2 * time.Second)
	if got, err := os.ReadFile(out); err != nil || string(got) != "asked\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLogProgramFails(t *testing.T) {
	path, _ := script(t, "exit 1")
	if _, err := Open(t.Context(), Request{Stdout: "binary-v2://" + path}); err == nil || !strings.Contains(err.Error(), "ready") {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.Context(), Request{Stdout: "binary:///no/such/program"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	hangs, _ := script(t, "sleep 100")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel) // nobody waits for it any more
	begin := time.Now()
	if _, err := Open(ctx, Request{Stdout: "binary-v2://" + hangs}); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("%v", err)
	}
	if took := time.Since(begin); took > readyTimeout/2 {
		t.Errorf("it took %s", took)
	}
}

// Nothing stays open, whether a guest ran or not.
func TestNoDescriptorsLeft(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	path, _ := script(t, `exec 5>&-; cat <&3 >$OUT`)
	paths := fifos(t, "in", "out", "err")
	client(t, paths[1], os.O_RDONLY)
	client(t, paths[2], os.O_RDONLY)
	requests := []Request{
		{Stdin: paths[0], Stdout: paths[1], Stderr: paths[2]},
		{Stdin: paths[0], Stdout: paths[1], Terminal: true},
		{Stdout: "file://" + paths[1] + ".log"},
		{Stdout: "binary://" + path},
		{Stdout: "binary://" + path, Terminal: true},
	}
	round := func() {
		for _, r := range requests {
			s, err := Open(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			s.Started()
			s.CloseStdin()
			s.Exited()
			drained(t, s)
		}
	}
	round() // opens what the runtime keeps
	before := count()
	round()
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
