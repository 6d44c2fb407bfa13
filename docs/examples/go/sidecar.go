// Writing through a Vecferry sidecar from Go: announce, send, end.
//
//	go run sidecar.go
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Sidecar calls a Vecferry sidecar; any number of goroutines may share it.
type Sidecar struct {
	URL    string
	Token  string // empty where the sidecar asks for none
	Client *http.Client
}

// UUID is an id that the source holds as a UUID.
type UUID struct {
	UUID string `json:"uuid"`
}

// Ticket is a write that was begun.
type Ticket struct {
	Name       string  `json:"ticket"`
	SendWithin float64 `json:"send_within_s"`
	RequestMax float64 `json:"request_max_s"`
}

// Unavailable says that the write must not be sent now.
type Unavailable struct {
	Reason string
	After  time.Duration
}

func (u *Unavailable) Error() string { return u.Reason }

// ErrGone says that the ticket's time is over, and that its ids are read without it.
var ErrGone = errors.New("the ticket's time is over")

// Write announces a write of these ids, calls send, and ends it with its outcome.
//
// send must return refused = true where the source has definitely answered, and no error at all
// on success. An id is an int64, a string or a UUID.
func (s *Sidecar) Write(ctx context.Context, collection, verb string, ids []any,
	send func(context.Context) (refused bool, err error)) error {
	var ticket Ticket
	begin := map[string]any{"collection": collection, "verb": verb, "ids": ids}
	if err := s.post(ctx, "begin", begin, &ticket); err != nil {
		return err // not sent
	}
	limit := time.Duration(ticket.RequestMax * float64(time.Second))
	sending, cancel := context.WithTimeout(ctx, limit)
	refused, failed := send(sending)
	cancel()

	outcome := "done"
	if failed != nil && !refused {
		outcome = "unknown"
	}
	// also when the caller has gone away: what is not ended holds the lag up
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	err := s.post(ending, "end", map[string]any{"ticket": ticket.Name, "outcome": outcome}, nil)
	if failed != nil {
		return failed
	}
	if errors.As(err, new(*Unavailable)) || errors.Is(err, ErrGone) {
		return nil // the write is done, and is read back without its end
	}
	return err
}

func (s *Sidecar) post(ctx context.Context, name string, body, answer any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	url := s.URL + "/v1/writes/" + name
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if s.Token != "" {
		request.Header.Set("Authorization", "Bearer "+s.Token)
	}
	reply, err := s.Client.Do(request)
	if err != nil {
		return &Unavailable{Reason: err.Error(), After: time.Second}
	}
	defer reply.Body.Close()
	told, err := io.ReadAll(reply.Body)
	if err != nil {
		return &Unavailable{Reason: err.Error(), After: time.Second}
	}
	switch reply.StatusCode {
	case http.StatusOK:
		if answer == nil {
			return nil
		}
		return json.Unmarshal(told, answer)
	case http.StatusGone:
		return ErrGone
	case http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(reply.Header.Get("Retry-After"))
		return &Unavailable{Reason: string(told), After: time.Duration(max(seconds, 1)) * time.Second}
	default:
		return fmt.Errorf("%s: %s", reply.Status, told)
	}
}

func main() {
	url := os.Getenv("SIDECAR_URL")
	if url == "" {
		url = "http://127.0.0.1:8723"
	}
	sidecar := &Sidecar{URL: url, Client: &http.Client{Timeout: 15 * time.Second}}
	ids := []any{int64(1), int64(2)}
	err := sidecar.Write(context.Background(), "docs", "upsert", ids,
		func(ctx context.Context) (bool, error) {
			// your own client writes points 1 and 2 to the source here, with ctx
			return false, nil
		})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("written")
}
