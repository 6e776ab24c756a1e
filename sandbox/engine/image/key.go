// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"crypto/sha256"
	"encoding/hex"
	"runtime"

	"golang.org/x/sys/cpu"
)

// Format is the version of this package's form, of the skeleton and of the
// settings a module is compiled with: raised with each change of one of them.
const Format = "2"

// WazeroVersion is the version of wazero which the machine code is for.
const WazeroVersion = "v1.12.0"

// Key names the image of the module with the given digest, for this version of
// the shim and of wazero and for this machine's processor, in hexadecimal.
func Key(module [sha256.Size]byte) string {
	h := sha256.New()
	h.Write(module[:])
	h.Write([]byte(Format + "\x00" + WazeroVersion + "\x00" + runtime.GOARCH + "\x00"))
	var features byte
	for i, has := range cpuFeatures {
		if *has {
			features |= 1 << i
		}
	}
	h.Write([]byte{features})
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0]))
}

// cpuFeatures are those that wazero's compiler looks at.
var cpuFeatures = [...]*bool{
	&cpu.X86.HasSSE41, &cpu.X86.HasBMI1, &cpu.X86.HasBMI2, &cpu.X86.HasPOPCNT,
	&cpu.ARM64.HasATOMICS,
}
