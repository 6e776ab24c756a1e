// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package stack is what the api and the worker share: their settings and
// their connections to PostgreSQL and Redis.
package stack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/stealthrocket/net/wasip1"
)

const (
	// Queue is the Redis list of the numbers of tasks to do.
	Queue = "tasks:queue"
	// Done is the Redis set of the numbers of tasks done.
	Done = "tasks:done"

	settingsFile = "/etc/app/settings.json"
	passwordFile = "/run/secrets/postgres_password"
)

// Settings are read from a file, a config of compose.yaml.
type Settings struct {
	// MaxText is the longest text of a task, in bytes.
	MaxText int `json:"max_text"`
	// RetrySeconds is how long a task waits for the worker that took it off
	// the queue before another looks for it in the database.
	RetrySeconds int `json:"retry_seconds"`
}

// Stack is an open connection to each of the two services.
type Stack struct {
	Settings Settings
	DB       *pgxpool.Pool
	Redis    *redis.Client
}

// Open reads the settings, connects and makes the table if it is missing.
func Open(ctx context.Context) (*Stack, error) {
	s := &Stack{}
	text, err := os.ReadFile(settingsFile)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if err := json.Unmarshal(text, &s.Settings); err != nil {
		return nil, fmt.Errorf("read settings %s: %w", settingsFile, err)
	}
	if s.DB, err = openDB(ctx); err != nil {
		return nil, err
	}
	s.Redis = redis.NewClient(&redis.Options{
		Addr:   cmp.Or(os.Getenv("REDIS_ADDR"), "redis:6379"),
		Dialer: wasip1.DialContext,
	})
	if err := s.Ping(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// openDB takes host, user and database from PGHOST, PGUSER and PGDATABASE, as
// every client of PostgreSQL does, and the password from a secret.
func openDB(ctx context.Context) (*pgxpool.Pool, error) {
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	config, err := pgxpool.ParseConfig("sslmode=disable connect_timeout=3 pool_max_conns=8")
	if err != nil {
		return nil, fmt.Errorf("configure PostgreSQL: %w", err)
	}
	// net.Dial and Go's resolver have no sockets in WASI 0.1; these do.
	conn := config.ConnConfig
	conn.Password = strings.TrimSpace(string(password))
	conn.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	conn.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return wasip1.DialContext(ctx, network, addr)
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// Migrate makes the table. Two programs at it at once wait for each other.
func (s *Stack) Migrate(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.DB, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(1)`)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `create table if not exists tasks (
			id      bigint generated always as identity primary key,
			text    text not null,
			created timestamptz not null default now(),
			words   int,
			sha256  text,
			worker  text)`)
		return err
	})
}

// Ping asks both services for a sign of life.
func (s *Stack) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := s.DB.Ping(ctx); err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	if err := s.Redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("Redis: %w", err)
	}
	return nil
}

// Close ends the connections.
func (s *Stack) Close() {
	s.DB.Close()
	if s.Redis != nil {
		_ = s.Redis.Close()
	}
}

// Refused says that PostgreSQL understood and said no, so that asking again is
// of no use.
func Refused(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Severity == "ERROR"
}
