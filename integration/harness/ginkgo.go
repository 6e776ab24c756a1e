// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// Specs reads a JSON report of ginkgo's: the specs that passed, those that did not
// with what they said, and those that were not run with the reason, if they have one,
// which is logged. Of several specs of one name all have to pass. What fails around
// the specs fails the test.
func Specs(t testing.TB, report string) (passed, failed, skipped map[string]string) {
	t.Helper()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var suites []struct {
		SpecReports []struct {
			ContainerHierarchyTexts           []string
			LeafNodeType, LeafNodeText, State string
			Failure                           struct{ Message string }
		}
	}
	if err := json.Unmarshal(text, &suites); err != nil {
		t.Fatal(err)
	}
	passed, failed, skipped = map[string]string{}, map[string]string{}, map[string]string{}
	for _, suite := range suites {
		for _, spec := range suite.SpecReports {
			name := strings.Join(append(spec.ContainerHierarchyTexts, spec.LeafNodeText), " ")
			switch {
			case spec.LeafNodeType != "It":
				if spec.State == "failed" {
					t.Fatalf("%s: %s", spec.LeafNodeType, spec.Failure.Message)
				}
			case spec.State == "passed":
				passed[name] = ""
			case spec.State == "skipped", spec.State == "pending":
				skipped[name] = spec.Failure.Message
				if spec.Failure.Message != "" {
					t.Logf("skipped: %s: %s", name, spec.Failure.Message)
				}
			default:
				failed[name] = spec.Failure.Message
			}
		}
	}
	for name := range failed {
		delete(passed, name)
	}
	return passed, failed, skipped
}
