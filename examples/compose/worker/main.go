// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command worker takes tasks from Redis, counts the words of each text and
// writes the result to PostgreSQL. "worker health" says whether the running
// worker has turned its loop of late, for Docker's health check.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"example/stack"
)

const (
	alive    = "/tmp/alive" // touched once a turn
	turn     = time.Second  // how long one waits for Redis
	patience = 10 * time.Second
)

func main() {
	log.SetFlags(0)
	run := work
	if len(os.Args) > 1 && os.Args[1] == "health" {
		run = health
	}
	if err := run(); err != nil {
		log.Fatal("worker: ", err)
	}
}

func health() error {
	info, err := os.Stat(alive)
	if err != nil {
		return err
	}
	if idle := time.Since(info.ModTime()); idle > 2*patience {
		return fmt.Errorf("no turn for %s", idle)
	}
	return nil
}

func work() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	s, err := stack.Open(ctx)
	if err == nil {
		err = s.Migrate(ctx)
	}
	cancel()
	if err != nil {
		return err
	}
	defer s.Close()
	w := worker{s, os.Getenv("HOSTNAME")}
	log.Print("worker: waiting for tasks")
	for {
		if err := os.WriteFile(alive, nil, 0o644); err != nil {
			return err
		}
		if err := w.turn(); err != nil {
			log.Print("worker: ", err)
			time.Sleep(turn)
		}
	}
}

type worker struct {
	*stack.Stack
	name string
}

// turn does the next task of the queue. Where the queue is empty it looks for
// one that was made a while ago and never done: its worker died, or the api
// could not reach Redis.
func (w worker) turn() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	popped, err := w.Redis.BRPop(ctx, turn, stack.Queue).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return w.do(ctx, `created < now() - make_interval(secs => $1)`, w.Settings.RetrySeconds)
	case err != nil:
		return fmt.Errorf("ask Redis for a task: %w", err)
	}
	id, err := strconv.ParseInt(popped[1], 10, 64)
	if err != nil {
		return fmt.Errorf("the queue holds %q, which is no task", popped[1])
	}
	if err := w.do(ctx, `id = $1`, id); err != nil {
		return fmt.Errorf("task %d: %w", id, err)
	}
	return nil
}

// do does one open task that meets the condition and that no other worker is
// at. Its number joins Redis's set first: if the commit fails the task is done
// again, and a set counts it once.
func (w worker) do(ctx context.Context, condition string, arg any) error {
	return pgx.BeginFunc(ctx, w.DB, func(tx pgx.Tx) error {
		var id int64
		var text string
		err := tx.QueryRow(ctx, `select id, text from tasks where sha256 is null and `+condition+
			` order by id limit 1 for update skip locked`, arg).Scan(&id, &text)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(text))
		if err := w.Redis.SAdd(ctx, stack.Done, id).Err(); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update tasks set words = $2, sha256 = $3, worker = $4 where id = $1`,
			id, len(strings.Fields(text)), hex.EncodeToString(sum[:]), w.name)
		if err == nil {
			log.Printf("worker: task %d is done", id)
		}
		return err
	})
}
