// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Client asks the example's api at a URL.
type Client struct{ URL string }

// Task is one as the api shows it.
type Task struct {
	ID     int64
	Text   string
	Done   bool
	Words  int
	SHA256 string
	Worker string
}

// Stats is how many tasks were made and are done.
type Stats struct{ Made, Done int }

// Ask answers with a status and decodes a good answer.
func (c Client) Ask(method, path string, body, answer any) (int, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequest(method, c.URL+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	client := http.Client{Timeout: 15 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		_, err := io.Copy(io.Discard, res.Body)
		return res.StatusCode, err
	}
	return res.StatusCode, json.NewDecoder(res.Body).Decode(answer)
}
