// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strconv"
	"strings"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/engine/image"
	"containerd-shim-wazero/sandbox/engine/module"
)

// reportTrap tells on the guest's stderr why it ended, and where.
func (g *Guest) reportTrap(err error) {
	t := parseTrap(err.Error())
	if t.hostBug {
		// Nothing of ours is shown to the guest; the operator's log has it.
		line, _, _ := strings.Cut(t.reason, "\n")
		descriptorWrite(config.FDLog, "bug in a host function: "+line+"\n")
		t.reason = "internal error of the runtime"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "wasm trap: %s\n", t.reason)
	if m := g.memory; m != nil && m.refused != 0 {
		b.WriteString(m.refusal())
	}
	if len(t.frames) > 0 {
		b.WriteString("wasm backtrace:\n")
		names := g.names(t.frames)
		for i, f := range t.frames {
			fmt.Fprintf(&b, "%5d: %s%s\n", i, names[f.index], f.signature)
			for _, s := range f.sources {
				fmt.Fprintf(&b, "         at %s\n", s)
			}
		}
		if t.cut {
			b.WriteString("       …\n")
		}
	}
	g.host.writeStderr(b.String())
}

func (m *memory) refusal() string {
	if n := m.limit(); n != 0 && m.refused > n {
		return fmt.Sprintf("memory.grow to %s was refused before: the container's memory limit leaves %s for the module's memory\n",
			mebibytes(m.refused), mebibytes(n))
	}
	return fmt.Sprintf("memory.grow to %s was refused before\n", mebibytes(m.refused))
}

// names finds the functions' names, which the skeleton does not have: those of
// the name section, else those they are exported by.
func (g *Guest) names(frames []frame) map[uint32]string {
	want := make(map[uint32]string, len(frames))
	for _, f := range frames {
		want[f.index] = ""
	}
	module.FunctionNames(g.image.part(image.Names), want)
	module.Functions(g.image.part(image.Exports), func(f module.Function) bool {
		if name, ok := want[f.Index]; ok && name == "" {
			want[f.Index] = f.Name
		}
		return true
	})
	for i, name := range want {
		if name == "" {
			want[i] = fmt.Sprintf("func[%d]", i)
		}
	}
	return want
}

// trap is what wazero's error says.
type trap struct {
	reason  string
	hostBug bool
	frames  []frame
	cut     bool
}

type frame struct {
	index     uint32
	signature string
	sources   []string
}

// parseTrap reads wazero's text of a trap:
//
//	wasm error: unreachable
//	wasm stack trace:
//		.$3(i32) i32
//			0x4f: main.c:3:5
//
// A frame is a function's index, for the skeleton has no names. A Go stack,
// which follows where a host function failed, is left out.
func parseTrap(text string) trap {
	reason, stack, _ := strings.Cut(text, "\nwasm stack trace:\n")
	t := trap{}
	if t.reason = strings.TrimPrefix(reason, "wasm error: "); t.reason == reason {
		if r, ok := strings.CutSuffix(reason, " (recovered by wazero)"); ok {
			t.reason, t.hostBug = r, true
		}
	}
	for line := range strings.Lines(stack) {
		line = strings.TrimSuffix(line, "\n")
		switch source, isSource := strings.CutPrefix(line, "\t\t"); {
		case !strings.HasPrefix(line, "\t"):
			return t
		case isSource && len(t.frames) > 0:
			f := &t.frames[len(t.frames)-1]
			f.sources = append(f.sources, trimAddress(source))
		default:
			f, ok := parseFrame(line[1:])
			if !ok {
				t.cut = t.cut || strings.HasPrefix(line, "\t...")
				continue
			}
			t.frames = append(t.frames, f)
		}
	}
	return t
}

func parseFrame(s string) (frame, bool) {
	_, s, ok := strings.Cut(s, ".$")
	if !ok {
		return frame{}, false
	}
	end := strings.IndexByte(s, '(')
	if end < 0 {
		return frame{}, false
	}
	n, err := strconv.ParseUint(s[:end], 10, 32)
	return frame{index: uint32(n), signature: s[end:]}, err == nil
}

// trimAddress takes "0x4f: " off a source line.
func trimAddress(s string) string {
	s = strings.TrimLeft(s, " ")
	if strings.HasPrefix(s, "0x") {
		if _, rest, ok := strings.Cut(s, ": "); ok {
			return rest
		}
	}
	return s
}
