// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"io"
	"text/tabwriter"

	"containerd-shim-wazero/sandbox/wasi/preview1"
	"containerd-shim-wazero/sandbox/wasi/wasmedge"
)

// form is how a table is written: what stands before its first line, the line
// of its titles and the lines of its cells.
type form struct{ intro, titles, cells string }

var (
	text = form{
		titles: "DEFINITION\tFUNCTION\tSUPPORT\tNOTE\n",
		cells:  "%s\t%s\t%s\t%s\n",
	}
	markdown = form{
		intro: "# WASI functions\n\n" +
			"What `containerd-shim-wazero-v1 wasi` prints. `wasi_unstable` has the functions of\n" +
			"WASI 0.1 but `sock_accept`. The socket extension lies in `wasi_snapshot_preview1`\n" +
			"too; a name that stands twice has a form for each generation of the extension.\n\n",
		titles: "| Definition | Function | Support | Note |\n|---|---|---|---|\n",
		cells:  "| %s | `%s` | %s | %s |\n",
	}
)

// wasiTable writes which functions guests can import, and how each differs from
// its definition.
func wasiTable(out io.Writer, f form) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, f.intro, f.titles)
	for _, definition := range []struct {
		name      string
		functions []preview1.Support
	}{
		{"WASI 0.1", preview1.Supported()},
		{"WasmEdge sockets", wasmedge.Supported()},
	} {
		for _, function := range definition.functions {
			level := "full"
			if function.Differs != "" {
				level = "partial"
			}
			fmt.Fprintf(w, f.cells, definition.name, function.Name, level, function.Differs)
		}
	}
	return w.Flush()
}
