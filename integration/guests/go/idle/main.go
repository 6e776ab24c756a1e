// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command idle is a Go guest of the size that services have (JSON, regular
// expressions), doing nothing.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"time"
)

func main() {
	word := regexp.MustCompile(`^[a-z]+$`)
	if len(os.Args) > 1 && word.MatchString(os.Args[1]) {
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{os.Args[1]: len(os.Args)})
	}
	fmt.Println("idle")
	time.Sleep(time.Hour)
}
