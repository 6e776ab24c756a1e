// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds what a sentence shows of a module's own words, in bytes.
const maxText = 1000

// Printable makes one line of bounded length of a text that may hold a hostile
// module's words.
func Printable(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
		for len(s) > maxText-utf8.UTFMax && !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
		s += "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
