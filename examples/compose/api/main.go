// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command api serves tasks over HTTP: POST /tasks makes one, GET /tasks and
// /tasks/ID show them, GET /stats counts them. "api health" asks a running api
// how it is, for Docker's health check.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/stealthrocket/net/http"
	"github.com/stealthrocket/net/wasip1"

	"example/stack"
)

const (
	address  = ":8080"
	patience = 5 * time.Second // with PostgreSQL and Redis, for one request
)

// task is a row of the table, as the api shows it.
type task struct {
	ID     int64   `json:"id"`
	Text   string  `json:"text"`
	Done   bool    `json:"done"`
	Words  *int    `json:"words,omitempty"`
	SHA256 *string `json:"sha256,omitempty"`
	Worker *string `json:"worker,omitempty"`
}

const columns = `id, text, sha256 is not null as done, words, sha256, worker`

func main() {
	log.SetFlags(0)
	run := serve
	if len(os.Args) > 1 && os.Args[1] == "health" {
		run = health
	}
	if err := run(); err != nil {
		log.Fatal("api: ", err)
	}
}

func serve() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := stack.Open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Migrate(ctx); err != nil {
		return fmt.Errorf("make the table: %w", err)
	}
	listener, err := wasip1.Listen("tcp", address)
	if err != nil {
		return err
	}
	log.Print("api: serving on ", listener.Addr())
	a := api{s}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", a.answer(a.health))
	mux.HandleFunc("POST /tasks", a.answer(a.create))
	mux.HandleFunc("GET /tasks", a.answer(a.list))
	mux.HandleFunc("GET /tasks/{id}", a.answer(a.show))
	mux.HandleFunc("GET /stats", a.answer(a.stats))
	return http.Serve(listener, mux)
}

// health is the exec of Docker's health check, a process of its own.
func health() error {
	client := http.Client{Timeout: patience}
	res, err := client.Get("http://127.0.0.1" + address + "/health")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return err
}

type api struct{ *stack.Stack }

// A refusal is the client's fault and says so with its status.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// answer turns what a handler returns into JSON; an error that is no refusal
// is the services', and may be gone a moment later.
func (a api) answer(handle func(context.Context, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		status := http.StatusOK
		value, err := handle(ctx, r)
		var no refusal
		switch {
		case errors.As(err, &no):
			status, value = no.status, map[string]string{"error": no.text}
		case err != nil:
			log.Printf("api: %s %s: %v", r.Method, r.URL.Path, err)
			status, value = http.StatusServiceUnavailable, map[string]string{"error": "try again later"}
		case r.Method == http.MethodPost:
			status = http.StatusCreated
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(value)
	}
}

func (a api) health(ctx context.Context, _ *http.Request) (any, error) {
	return map[string]string{"status": "ok"}, a.Ping(ctx)
}

// create writes the task to PostgreSQL and then tells the workers by Redis. A
// task that no worker is told of is found in PostgreSQL a little later.
func (a api) create(ctx context.Context, r *http.Request) (any, error) {
	var given struct{ Text string }
	body := http.MaxBytesReader(nil, r.Body, int64(a.Settings.MaxText)*6+1024)
	if err := json.NewDecoder(body).Decode(&given); err != nil || given.Text == "" {
		return nil, refusal{http.StatusBadRequest, `send {"text": "..."}`}
	}
	if len(given.Text) > a.Settings.MaxText {
		return nil, refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("at most %d bytes of text", a.Settings.MaxText)}
	}
	t := task{Text: given.Text}
	err := a.DB.QueryRow(ctx, `insert into tasks (text) values ($1) returning id`, t.Text).Scan(&t.ID)
	if stack.Refused(err) {
		return nil, refusal{http.StatusBadRequest, err.Error()}
	}
	if err != nil {
		return nil, err
	}
	if err := a.Redis.LPush(ctx, stack.Queue, t.ID).Err(); err != nil {
		log.Printf("api: task %d is not queued yet: %v", t.ID, err)
	}
	return t, nil
}

func (a api) list(ctx context.Context, _ *http.Request) (any, error) {
	rows, err := a.DB.Query(ctx, `select `+columns+` from tasks order by id desc limit 100`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[task])
}

func (a api) show(ctx context.Context, r *http.Request) (any, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, refusal{http.StatusBadRequest, "a task has a number"}
	}
	rows, err := a.DB.Query(ctx, `select `+columns+` from tasks where id = $1`, id)
	if err != nil {
		return nil, err
	}
	t, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[task])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, refusal{http.StatusNotFound, "no such task"}
	}
	return t, err
}

func (a api) stats(ctx context.Context, _ *http.Request) (any, error) {
	var made int64
	if err := a.DB.QueryRow(ctx, `select count(*) from tasks`).Scan(&made); err != nil {
		return nil, err
	}
	done, err := a.Redis.SCard(ctx, stack.Done).Result()
	return map[string]int64{"made": made, "done": done}, err
}
