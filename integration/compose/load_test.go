// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package compose

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"containerd-shim-wazero/integration/harness"
)

// restart restarts PostgreSQL under load, and has it away until each question
// fell into that: to each the api says so with 503, never a wrong answer, and
// recovers; what it said yes to is there.
func (s stack) restart() {
	stop := make(chan struct{})
	said := make(chan *load)
	var refused refusals
	const clients = 4
	for first := range clients { // each begins with another question
		l := &load{made: map[int64]string{}, answered: map[string]int{}, refused: &refused}
		go func() { said <- l.press(first, stop) }()
	}
	s.compose("stop --timeout 10 postgres")
	harness.Eventually(s.TB, "each question is refused", refused.all)
	s.compose("start postgres")
	s.healthy("postgres", 1)
	harness.Eventually(s.TB, "the api recovers", func() bool {
		status, _ := api.Ask(http.MethodGet, "/health", nil, &struct{}{})
		return status == 200
	})
	close(stop)
	for range clients {
		l := <-said
		for _, wrong := range l.wrong {
			s.Error(wrong)
		}
		for id, text := range l.made {
			if got := s.done(id); got.Text != text || got.Words != 2 {
				s.Errorf("task %d is %+v, want %q", id, got, text)
			}
		}
		for _, q := range questions {
			if l.answered[q.name] == 0 {
				s.Errorf("a client had no answer to %s", q.name)
			}
		}
	}
	s.healthy("api", 1)
	harness.Eventually(s.TB, "as many are counted as were made", func() bool {
		var counted Stats
		status, err := api.Ask(http.MethodGet, "/stats", nil, &counted)
		return status == 200 && err == nil && counted.Made == counted.Done
	})
}

// load is what one client asked and saw.
type load struct {
	made     map[int64]string
	last     int64          // the newest of made
	answered map[string]int // by question
	refused  *refusals
	wrong    []string
}

// refusals are which of the questions were refused, to any client.
type refusals [4]atomic.Bool

func (r *refusals) all() bool {
	for i := range r {
		if !r[i].Load() {
			return false
		}
	}
	return true
}

// questions are what a client asks in turn. Each is answered with a status, and
// whether what came with a good one is right.
var questions = []struct {
	name string
	ask  func(*load) (status int, right bool, err error)
}{{"create", (*load).create}, {"list", (*load).list}, {"show", (*load).show}, {"stats", (*load).stats}}

// press asks until it is told to stop and has had an answer to each question, or,
// once told, has asked in vain long enough.
func (l *load) press(first int, stop <-chan struct{}) *load {
	for i, left := first, 100; ; i++ {
		select {
		case <-stop:
			if left--; left == 0 || len(l.answered) == len(questions) {
				return l
			}
		default:
		}
		time.Sleep(20 * time.Millisecond)
		q := questions[i%len(questions)]
		if q.name == "show" && l.last == 0 {
			continue
		}
		switch status, right, err := q.ask(l); {
		case err == nil && right:
			l.answered[q.name]++
		case err == nil && status == http.StatusServiceUnavailable:
			l.refused[i%len(questions)].Store(true)
		default:
			l.wrong = append(l.wrong, fmt.Sprintf("%s: %d, %v", q.name, status, err))
		}
	}
}

func (l *load) create() (int, bool, error) {
	text := fmt.Sprintf("load %d", len(l.made))
	var made Task
	status, err := api.Ask(http.MethodPost, "/tasks", map[string]string{"text": text}, &made)
	right := status == http.StatusCreated && made.Text == text && made.ID > l.last
	if right && err == nil {
		l.made[made.ID], l.last = text, made.ID
	}
	return status, right, err
}

// list wants the newest hundred, newest first, this client's among them.
func (l *load) list() (int, bool, error) {
	var all []Task
	status, err := api.Ask(http.MethodGet, "/tasks", nil, &all)
	right := status == http.StatusOK && len(all) > 0 &&
		slices.IsSortedFunc(all, func(a, b Task) int { return int(b.ID - a.ID) })
	listed := map[int64]string{}
	for _, t := range all {
		listed[t.ID] = t.Text
	}
	for id, text := range l.made {
		if right && (id >= all[len(all)-1].ID || len(all) < 100) {
			right = listed[id] == text
		}
	}
	return status, right, err
}

func (l *load) show() (int, bool, error) {
	var t Task
	status, err := api.Ask(http.MethodGet, fmt.Sprint("/tasks/", l.last), nil, &t)
	return status, status == http.StatusOK && t.ID == l.last && t.Text == l.made[l.last], err
}

// stats wants no fewer than this client made.
func (l *load) stats() (int, bool, error) {
	var counted Stats
	status, err := api.Ask(http.MethodGet, "/stats", nil, &counted)
	return status, status == http.StatusOK && counted.Made >= len(l.made) && counted.Done >= 0, err
}
