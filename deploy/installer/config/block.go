// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"containerd-shim-wazero/shim/version"
)

// The marks of what is this program's. The block begins with an end of line, which
// the last line of the file before it may have lacked.
const (
	begin = "\n# >>> containerd-shim-wazero: kept by its installer >>>\n"
	end   = "# <<< containerd-shim-wazero <<<\n"

	madeFile   = "# Made by the installer of containerd-shim-wazero.\n"
	madeFolder = "# Made by the installer of containerd-shim-wazero, with its folder.\n"
)

// plugins is what holds the handlers, by the version of the file.
var plugins = map[int]string{
	2: "io.containerd.grpc.v1.cri",
	3: "io.containerd.cri.v1.runtime",
	4: "io.containerd.cri.v1.runtime",
}

func block(fileVersion int, shim string) []byte {
	return fmt.Appendf(nil, `%s[plugins."%s".containerd.runtimes.%s]
  runtime_type = "%s"
  runtime_path = "%s"
  pod_annotations = ["%[4]s/*"]
  container_annotations = ["%[4]s/*"]
%[6]s`, begin, plugins[fileVersion], handler, version.Name, shim, end)
}

func hasBlock(text []byte) bool { return bytes.Contains(text, []byte(begin)) }

// strip is the text without the block; nil when the file was made for it and
// nothing else has come into it.
func strip(text []byte) ([]byte, error) {
	before, rest, _ := bytes.Cut(text, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !ended {
		return nil, fmt.Errorf("the mark %q is missing: put it after the handler %q: %w",
			end[:len(end)-1], handler, errdefs.ErrFailedPrecondition)
	}
	for _, made := range []string{madeFile, madeFolder} {
		line, ours := bytes.CutPrefix(before, []byte(made))
		if ours && bytes.Count(line, []byte("\n")) == 1 && len(after) == 0 {
			return nil, nil
		}
	}
	if len(before) > 0 && len(after) > 0 && !bytes.HasSuffix(before, []byte("\n")) {
		after = append([]byte("\n"), after...) // the one in the mark ended a line that lacked it
	}
	return append(bytes.Clone(before), after...), nil
}

// madeWithFolder answers whether a drop-in says that its folder was made for it.
func madeWithFolder(path string) bool {
	text, err := os.ReadFile(path)
	return err == nil && bytes.HasPrefix(text, []byte(madeFolder))
}
